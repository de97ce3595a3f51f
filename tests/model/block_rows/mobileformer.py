_STREAMS = ((12, 12, 12), (4, 16))

ROWS = (
    ("mobileformer_lite", 12, 12, 1, {}),
    ("mobileformer_lite", 8, 12, 2, {"expand": 3, "groups": 4}),
    ("mobileformer_tokens", 12, 12, 1, {}),
    ("mobileformer_tokens", 12, 12, 1, {"tokens": 3, "width": 32}),
    ("mobileformer_block", 12, 12, 1, {}),
    ("mobileformer_block", 12, 16, 1, {"expand": 3, "heads": 4, "token_heads": 2, "groups": 4}),
    ("mobileformer_down", 12, 16, 2, {}),
    ("mobileformer_down", 12, 12, 1, {"expand": 2, "expand_again": 3, "heads": 3, "token_heads": 8, "groups": 4}),
    ("mobileformer_head", 12, 10, 1, {}),
    ("mobileformer_head", 12, 10, 1, {"expand": 4, "hidden": 32, "heads": 1, "groups": 4}),
)
SHAPES = {
    "mobileformer_block": _STREAMS,
    "mobileformer_down": _STREAMS,
    "mobileformer_head": _STREAMS,
}
