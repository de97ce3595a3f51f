"""The blocks of GENet."""
