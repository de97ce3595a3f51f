"""The registry of blocks. It is its own file, so that a family can register without importing its siblings."""

from __future__ import annotations

from nasbench.registry import Registry

BLOCKS = Registry("block")
"""One class for each kind in `nasbench.space.kinds`, called as `(in_channels, out_channels, stride, **options)`."""
