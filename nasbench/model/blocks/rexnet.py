"""The blocks of ReXNet."""
