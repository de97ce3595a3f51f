"""Inverted residual mobile blocks: EMO and EMOv2."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
