"""Gated CNN blocks: MambaOut."""
