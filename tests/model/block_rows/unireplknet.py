ROWS = (
    ("unireplknet_reduce", 3, 8, 2, {}),
    ("unireplknet_reduce", 8, 8, 1, {"kernel": 5, "act": "gelu"}),
    ("unireplknet", 16, 16, 1, {}),
    ("unireplknet", 16, 16, 1, {"kernel": 17, "expand": 3, "act": "relu"}),
    ("unireplknet", 16, 24, 2, {"kernel": 7, "se": 0.5}),
    ("unireplknet", 16, 24, 1, {"kernel": 3, "grn": False}),
    ("unireplknet", 16, 16, 1, {"kernel": 9, "dilated": False}),
    ("unireplknet", 8, 8, 1, {"kernel": 11}),
    ("unireplknet", 8, 8, 1, {"kernel": 15}),
)
