"""Harmonic dense blocks: HarDNet."""
