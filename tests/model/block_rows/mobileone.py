ROWS = (
    ("mobileone_conv", 3, 8, 2, {}),
    ("mobileone_conv", 8, 8, 1, {"kernel": 5, "branches": 3, "act": "silu"}),
    ("mobileone", 16, 16, 1, {}),
    ("mobileone", 16, 24, 2, {"kernel": 5, "branches": 4, "act": "hswish"}),
    ("mobileone", 16, 24, 1, {"branches": 2, "se": 0.25}),
)
