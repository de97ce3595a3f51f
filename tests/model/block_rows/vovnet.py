ROWS = (
    ("osa", 16, 24, 2, {"width": 8, "layers": 3}),
    ("osa", 16, 16, 1, {"width": 8, "residual": True, "ese": True, "kernel": 5, "act": "silu"}),
    ("osa", 16, 32, 1, {"width": 8, "depthwise": True}),
    ("osa", 16, 16, 1, {"width": 16, "layers": 2, "depthwise": True}),
    ("osa", 8, 16, 1, {}),
    ("separable_conv", 8, 16, 1, {}),
    ("separable_conv", 8, 8, 2, {"kernel": 5, "act": "relu6"}),
)
