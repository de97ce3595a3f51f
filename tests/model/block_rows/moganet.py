ROWS = (
    ("moga", 8, 8, 1, {}),
    ("moga", 8, 16, 2, {"ratio": 2, "act": "relu", "gate_act": "hswish"}),
    ("moga", 8, 16, 1, {"ratio": 1.5}),
)
