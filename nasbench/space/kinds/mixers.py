"""Token mixers for any space: pooling, attention, linear attention, retention, state space."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
