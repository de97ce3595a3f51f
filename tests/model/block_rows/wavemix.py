ROWS = (
    ("wavemix_patches", 3, 8, 4, {}),
    ("wavemix_patches", 3, 8, 2, {"act": "relu"}),
    ("wavemix", 8, 8, 1, {}),
    ("wavemix", 8, 16, 2, {"expand": 3, "enlarge": "nearest", "act": "hswish"}),
    ("wavemix", 8, 8, 1, {"levels": 2}),
    ("wavemix", 8, 8, 1, {"levels": 3, "enlarge": "nearest"}),
)
SHAPES = {"wavemix": (8, 16, 16)}
