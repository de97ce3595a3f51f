"""Over-parameterized blocks that become one convolution: MobileOne."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
