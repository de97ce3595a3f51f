ROWS = (
    ("iformer_conv", 8, 8, 1, {}),
    ("iformer_conv", 8, 12, 2, {"kernel": 5, "expand": 3, "act": "relu"}),
    ("iformer_shma", 16, 16, 1, {}),
    ("iformer_shma", 12, 12, 1, {"kernel": 5, "reduce": 4, "expand": 2, "act": "silu"}),
)
