ROWS = (
    ("mobilemamba", 32, 32, 1, {}),
    ("mobilemamba", 16, 40, 2, {"kernel": 3, "scanned": 0.5, "convolved": 0.3, "state": 3, "expand": 1.5, "mlp": 3}),
    ("mobilemamba", 24, 16, 1, {"scanned": 0, "convolved": 0.5}),
    ("mobilemamba", 16, 16, 1, {"scanned": 1, "convolved": 0}),
)
