from nasbench.space.kinds.gates import GATES

ROWS = (
    ("basic", 16, 16, 1, {}),
    ("basic", 16, 32, 2, {"kernel": 5, "act": "silu"}),
    ("basic", 16, 32, 2, {"shortcut": "pool", "gate": "ge_theta"}),
    ("bottleneck", 32, 32, 1, {}),
    ("bottleneck", 32, 64, 2, {"ratio": 0.5, "groups": 8, "kernel": 5, "act": "relu6"}),
    ("bottleneck", 32, 48, 2, {"ratio": 1.0, "group_width": 16, "se": 0.25}),
    ("bottleneck", 32, 64, 3, {"shortcut": "pool"}),
    ("bottleneck", 32, 64, 1, {"shortcut": "pool"}),
    ("bottleneck", 32, 64, 2, {"shortcut": "none", "act": "none"}),
    ("basic", 16, 16, 1, {"shortcut": "none"}),
    *(("bottleneck", 32, 64, 2, {"gate": name}) for name in GATES),
)
