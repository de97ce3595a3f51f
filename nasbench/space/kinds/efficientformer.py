"""Pooling and attention blocks: EfficientFormer."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
