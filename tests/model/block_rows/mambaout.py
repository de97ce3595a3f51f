ROWS = (
    ("conv_layer_norm", 3, 8, 2, {}),
    ("conv_layer_norm", 8, 8, 1, {"kernel": 5, "act": "none"}),
    ("gated_cnn", 8, 8, 1, {}),
    ("gated_cnn", 8, 12, 2, {"kernel": 3, "expand": 2, "share": 0.5, "act": "relu"}),
    ("gated_cnn", 8, 8, 1, {"expand": 2, "share": 2}),
    ("mambaout_head", 8, 10, 1, {}),
    ("mambaout_head", 8, 10, 1, {"ratio": 1.5, "act": "hswish"}),
)
