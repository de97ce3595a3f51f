ROWS = (
    ("shuffle_v2", 16, 16, 1, {}),
    ("shuffle_v2", 16, 36, 2, {"kernel": 5, "act": "hswish"}),
)
