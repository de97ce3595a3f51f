ROWS = (
    ("irmb", 16, 24, 2, {}),
    ("irmb", 20, 20, 1, {"kernel": 5, "expand": 3, "act": "gelu", "norm": "layer", "attention": True, "window": 4}),
    ("irmb", 24, 24, 1, {"expand": 2.5, "attention": True, "head_width": 12}),
    ("irmb", 20, 16, 2, {"norm": "none", "attention": True, "window": 0}),
    ("i2rmb", 16, 24, 2, {}),
    ("i2rmb", 20, 20, 1, {"kernel": 3, "expand": 2, "act": "gelu", "norm": "layer", "attention": True}),
    ("i2rmb", 24, 24, 1, {"attention": True, "head_width": 8, "window": 4}),
    ("emo_stem", 3, 8, 2, {"se": 1.0}),
    ("emo_stem", 3, 8, 2, {"kernel": 5, "act": "relu", "first_act": "silu", "se": 0.5}),
)
