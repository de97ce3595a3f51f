ROWS = (
    ("tnt_embed", 3, 24, 1, {"patch": 4}),
    ("tnt_embed", 3, 24, 1, {"patch": 6, "pixel": 2, "inner": 8}),
    ("tnt_block", 64, 64, 1, {}),
    ("tnt_block", 64, 64, 1, {"inner_heads": 2, "head_width": 16, "mlp": 2.5}),
    ("tnt_head", 24, 10, 1, {}),
)
SHAPES = {"tnt_block": ((5, 64), (16, 24)), "tnt_head": ((5, 24), (16, 8))}
