ROWS = (
    ("evss", 16, 16, 1, {}),
    ("evss", 16, 24, 2, {"kernel": 5, "state": 3, "expand": 1.5, "squeeze": 0.25}),
    ("evss", 24, 16, 1, {"state": 1}),
    ("patch_merge", 16, 24, 2, {}),
    ("patch_merge", 16, 24, 5, {}),
)
