ROWS = (
    ("uib", 16, 16, 1, {}),
    ("uib", 16, 24, 2, {"start": 5, "kernel": 5, "expand": 3, "act": "gelu", "layer_scale": True}),
    ("uib", 16, 24, 2, {"start": 3, "kernel": 0}),
    ("uib", 16, 16, 1, {"kernel": 0, "expand": 2, "layer_scale": True}),
    ("mobile_mqa", 16, 16, 1, {}),
    ("mobile_mqa", 16, 16, 1, {"heads": 2, "head_channels": 8, "kv_kernel": 3, "layer_scale": True}),
    ("mobile_mqa", 16, 24, 1, {"heads": 2, "head_channels": 24, "kv_kernel": 5, "kv_stride": 3}),
    ("mobile_mqa", 16, 16, 1, {"heads": 2, "head_channels": 8, "kv_kernel": 3, "keys": "own"}),
    ("pool_norm_linear", 16, 10, 1, {}),
    ("pool_norm_linear", 16, 10, 1, {"hidden": 24, "act": "hswish"}),
)
