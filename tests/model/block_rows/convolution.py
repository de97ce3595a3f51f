ROWS = (
    ("conv", 3, 16, 2, {}),
    ("conv", 8, 12, 1, {"kernel": 1, "act": "none", "bias": True}),
    ("conv", 8, 16, 1, {"kernel": 5, "groups": 4, "act": "hswish", "norm": False}),
    ("conv", 8, 16, 3, {"act": "gelu", "bias": True, "norm": False}),
    ("fragments", 8, 8, 1, {}),
    ("fragments", 8, 8, 1, {"branches": 3, "depth": 2, "act": "none"}),
    ("max_pool", 8, 8, 2, {}),
    ("max_pool", 8, 8, 1, {"kernel": 5}),
    ("norm_act", 8, 8, 1, {}),
    ("norm_act", 8, 8, 1, {"act": "none"}),
    ("layer_norm", 8, 8, 1, {}),
)
