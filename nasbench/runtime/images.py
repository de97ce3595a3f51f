"""What networks are run on: seeded images, the same wherever they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from nasbench.runtime.base import Images

INPUTS = 4
"""How many different inputs a network is timed with, in turns."""


def draw_images(shape: tuple[int, ...], seed: int, count: int = INPUTS) -> list[Images]:
    """Draw arrays of normal values in fp32; the first ones are the same however many are drawn."""
    generator = np.random.default_rng(seed)
    return [generator.standard_normal(shape, dtype=np.float32) for _ in range(count)]
