ROWS = (
    ("aff", 16, 16, 1, {}),
    ("aff", 8, 16, 2, {"depth": 1, "ratio": 3, "groups": 4, "act": "relu", "mask_act": "silu"}),
    ("aff", 16, 16, 1, {"fuse": False}),
)
