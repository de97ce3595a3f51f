ROWS = (
    ("repnext", 16, 16, 1, {}),
    ("repnext", 16, 32, 2, {"expand": 3, "act": "relu"}),
    ("repnext", 16, 16, 1, {"large": 7, "act": "hswish"}),
    ("repnext", 16, 24, 1, {}),
)
