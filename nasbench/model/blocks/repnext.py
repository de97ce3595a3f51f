"""The blocks of RepNeXt."""
