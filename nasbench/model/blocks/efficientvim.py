"""State-space duality with hidden-state mixing: EfficientViM."""
