"""Attention over channels and positions, for any space."""
