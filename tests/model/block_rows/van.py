ROWS = (
    ("van", 16, 16, 1, {}),
    ("van", 16, 24, 2, {"kernel": 14, "dilation": 2, "expand": 2, "act": "relu"}),
    ("van", 8, 16, 1, {"kernel": 7, "dilation": 2, "expand": 8}),
    ("van", 8, 8, 1, {"kernel": 7, "dilation": 1}),
)
