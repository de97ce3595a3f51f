ROWS = (
    ("dw_separable", 8, 16, 1, {}),
    ("dw_separable", 8, 8, 2, {"kernel": 5, "act": "relu6"}),
    ("dw_separable", 40, 16, 2, {"se": 0.25, "se_gate": "sigmoid", "se_divisor": 1}),
    ("mbconv", 16, 16, 1, {}),
    ("mbconv", 16, 24, 2, {"kernel": 5, "expand": 3, "se": 0.25, "act": "hswish"}),
    ("mbconv", 16, 16, 1, {"expand": 1, "se": 0.25, "se_gate": "sigmoid", "act": "silu"}),
    ("mbconv", 16, 24, 1, {"expand": 3.67, "kernel": 7, "act": "relu6"}),
    ("mbconv", 16, 16, 1, {"se": 0.25, "se_of": "input", "se_divisor": 1, "se_act": "silu"}),
    ("fused_mbconv", 16, 16, 1, {}),
    ("fused_mbconv", 16, 24, 2, {"kernel": 5, "expand": 2, "act": "silu"}),
    ("fused_mbconv", 16, 16, 1, {"expand": 1}),
)
