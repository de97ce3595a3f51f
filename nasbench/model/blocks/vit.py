"""Plain and gated self-attention over patches: ViT, DeiT, ConViT."""
