ROWS = (
    ("vim_stem", 3, 16, 1, {}),
    ("vim_block", 16, 16, 1, {}),
    ("vim_block", 16, 16, 1, {"state": 9, "mlp": 2.5}),
    ("vim_first_tap", 16, 16, 1, {"state": 9, "mlp": 2.5}),
    ("vim_next", 16, 16, 1, {}),
    ("vim_next", 16, 16, 1, {"state": 9, "mlp": 2.5, "tap": True}),
    ("vim_merge", 16, 24, 1, {}),
    ("vim_merge", 16, 24, 1, {"expand": 2.5}),
    ("vim_head", 16, 10, 1, {}),
)
SHAPES = dict.fromkeys(("vim_next", "vim_merge", "vim_head"), ((16, 12, 12), (1, 8)))
