ROWS = (
    ("vit_embed", 3, 24, 1, {"patch": 4}),
    ("vit_embed", 3, 24, 1, {"patch": 4, "class_token": False}),
    ("vit_block", 128, 128, 1, {}),
    ("vit_block", 24, 24, 1, {"head_width": 8, "mlp": 2.5, "qkv_bias": False}),
    ("gpsa_block", 48, 48, 1, {}),
    ("gpsa_block", 48, 48, 1, {"head_width": 16, "mlp": 2}),
    ("class_token", 24, 24, 1, {}),
    ("vit_head", 24, 10, 1, {}),
)
SHAPES = {"gpsa_block": (16, 48)}
