"""The star operation: StarNet."""
