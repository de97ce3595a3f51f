"""The blocks of RepNeXt."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
