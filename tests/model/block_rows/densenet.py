ROWS = (
    ("dense_block", 16, 40, 1, {"layers": 3, "growth": 8, "act": "silu"}),
    ("dense_block", 16, 208, 1, {}),
    ("dense_block", 24, 48, 1, {"layers": 2, "growth": 12, "bottleneck": 0}),
    ("dense_transition", 24, 12, 1, {}),
    ("dense_transition", 24, 18, 2, {"compress": 0.75, "act": "relu6"}),
)
