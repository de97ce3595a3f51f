"""One-shot aggregation: VoVNet."""
