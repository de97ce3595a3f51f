ROWS = (
    ("shvit", 16, 16, 1, {}),
    ("shvit", 16, 16, 1, {"partial": 4}),
    ("shvit", 16, 16, 1, {"kernel": 5, "partial": 12, "key": 8, "expand": 2.5}),
    ("shvit", 16, 16, 1, {"partial": 16}),
)
