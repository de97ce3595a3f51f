ROWS = (
    ("repvit", 16, 16, 1, {}),
    ("repvit", 16, 16, 1, {"kernel": 5, "se": 0.25, "norm_behind": False}),
    ("repvit", 16, 24, 2, {"kernel": 7, "expand": 3, "act": "relu"}),
    ("repvit", 16, 24, 1, {"se": 0.5}),
)
