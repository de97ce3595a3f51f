"""Plain and gated self-attention over patches: ViT, DeiT, ConViT."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
