ROWS = (
    ("edgenext_conv", 8, 8, 1, {}),
    ("edgenext_conv", 8, 12, 2, {"kernel": 7, "expand": 3}),
    ("edgenext_sdta", 16, 16, 1, {}),
    ("edgenext_sdta", 22, 22, 1, {"splits": 3, "heads": 2, "expand": 2.5, "position": True}),
    ("edgenext_patch", 8, 12, 2, {}),
    ("edgenext_patch", 3, 8, 4, {"norm": "last"}),
)
