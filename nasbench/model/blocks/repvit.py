"""The blocks of RepViT."""
