"""Inverted residual mobile blocks: EMO and EMOv2."""
