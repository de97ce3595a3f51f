"""Pooling and attention blocks: EfficientFormer."""
