"""ConvNeXt, InceptionNeXt and ConvFirst."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
