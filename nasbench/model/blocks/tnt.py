"""Transformer in transformer: TNT."""
