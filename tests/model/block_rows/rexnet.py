ROWS = (
    ("rexnet", 8, 11, 1, {}),
    ("rexnet", 8, 8, 1, {"kernel": 5, "expand": 3, "se_divisor": 8}),
    ("rexnet", 8, 13, 2, {"squeeze": 4, "act": "relu6", "dw_act": "hswish"}),
    ("rexnet", 11, 7, 1, {"expand": 1, "squeeze": 0}),
)
