"""Universal inverted bottlenecks and mobile attention: MobileNetV4."""

from __future__ import annotations

from nasbench.space.kinds.rules import Kind

KINDS: tuple[Kind, ...] = ()
