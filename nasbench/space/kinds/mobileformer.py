"""A convolutional and a token stream with bridges: Mobile-Former."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
