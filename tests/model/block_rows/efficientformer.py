ROWS = (
    ("efficientformer_4d", 8, 8, 1, {}),
    ("efficientformer_4d", 8, 12, 2, {"kernel": 5, "ratio": 3, "act": "hswish"}),
    ("efficientformer_3d", 8, 8, 1, {}),
    ("efficientformer_3d", 8, 12, 2, {"heads": 2, "key": 4, "value": 6, "ratio": 2, "act": "relu"}),
    ("efficientformer_head", 8, 10, 1, {}),
    ("efficientformer_head", 8, 10, 1, {"classifiers": "one"}),
)
