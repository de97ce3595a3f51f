ROWS = (
    ("star", 16, 16, 1, {}),
    ("star", 16, 24, 2, {"kernel": 5, "expand": 3, "act": "gelu"}),
    ("star", 16, 24, 1, {"mix": "add", "kernel": 3}),
)
