ROWS = (
    ("pool_linear", 16, 10, 1, {}),
    ("pool_linear", 16, 10, 1, {"hidden": 32}),
    ("pool_linear", 16, 10, 1, {"hidden": 32, "hidden_layers": 3, "act": "none"}),
    ("pool_linear", 16, 10, 1, {"norm": "batch"}),
    ("pool_linear", 16, 10, 1, {"norm": "layer"}),
    ("pool_linear", 16, 10, 1, {"hidden": 32, "hidden_bias": False, "act": "relu"}),
)
