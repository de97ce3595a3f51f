"""What a network computes, as a digest: networks that are written differently and compute the same share it.

A cell in which two nodes change places, a branch that leads nowhere, an identity written out: to train each of them
is to train one network several times. So the network is run once on fixed images, with weights that hang on nothing
but a layer's kind and shape, in double precision, and hashed is what comes out, and how it hangs on each of the
weights that it hangs on at all: one layer that is used twice has another gradient than two layers that are used once.

Source: Gillard et al., Unified Functional Hashing in Automatic Machine Learning, 2023, arXiv:2302.05433. Differs: the
weights are drawn by shape in place of being trained for a few steps, and the gradients count.
"""

from __future__ import annotations

import hashlib
from math import sqrt

import torch
from torch import Tensor

from nasbench.model.build import build
from nasbench.space.architecture import Architecture

_IMAGES = 2
_SPREAD = 10.0
"""Standard deviation of their pixels; biases are about 1."""

_NOTHING = 1e-12
"""A gradient below this share of the output is none."""

_DIGITS = 6
"""Significant digits that are hashed: sums in another order differ in the last ones of sixteen."""


def digest_function(architecture: Architecture) -> str | None:
    """Give 16 hexadecimal digits over what a network computes; None where that is not finite.

    Raises as `nasbench.model.build.build`.
    """
    network = build(architecture).eval().double()
    for module in network.modules():
        for name, weights in module.named_parameters(recurse=False):
            weights.data.copy_(_draw(f"{type(module).__name__}.{name}", tuple(weights.shape)))
    output = network(_draw_images(architecture.input_shape))
    if not bool(torch.isfinite(output).all()):
        return None
    (output * _draw("output", tuple(output.shape))).sum().backward()
    scale = float(output.detach().abs().max()) or 1.0
    rounded = torch.round(output.detach() / scale * 10**_DIGITS).to(torch.int64)
    gradients = [(p.shape, float(p.grad.norm()) / scale) for p in network.parameters() if p.grad is not None]
    used = sorted(f"{tuple(shape)} {norm:.{_DIGITS - 1}e}" for shape, norm in gradients if norm > _NOTHING)
    parts = [f"{scale:.{_DIGITS - 1}e}", *used]
    return hashlib.sha256("\n".join(parts).encode() + rounded.numpy().tobytes()).hexdigest()[:16]


def _draw_images(shape: tuple[int, int, int]) -> Tensor:
    """Draw images so strong that activations bend: where biases outweigh what flows, more is alike than is."""
    return _SPREAD * torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _draw(what: str, shape: tuple[int, ...]) -> Tensor:
    """Draw weights that only a layer's kind and shape decide: alike where a network is mirrored, and nowhere zero."""
    seed = int.from_bytes(hashlib.sha256(f"{what} {shape}".encode()).digest()[:7], "little")
    generator = torch.Generator().manual_seed(seed)
    if len(shape) < 2:
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
        return 2 * drawn - 1 if what.endswith("bias") else 0.5 + drawn
    fan_in = max(1, torch.Size(shape[1:]).numel())
    return torch.randn(shape, generator=generator, dtype=torch.float64).mul(sqrt(2 / fan_in))
