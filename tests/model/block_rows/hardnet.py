ROWS = (
    ("hard_block", 16, 40, 1, {"growth": 8, "multiplier": 1.6, "layers": 9, "act": "relu"}),
    ("hard_block", 24, 142, 1, {}),
    ("hard_block", 16, 68, 1, {"layers": 4, "growth": 14, "depthwise": True}),
    ("hard_transition", 16, 24, 1, {}),
    ("hard_transition", 16, 16, 2, {"kernel": 3, "pool_kernel": 3, "act": "relu"}),
    ("hard_transition", 16, 24, 2, {"depthwise": True}),
)
