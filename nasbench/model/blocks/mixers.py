"""Token mixers for any space: pooling, attention, linear attention, retention, state space."""
