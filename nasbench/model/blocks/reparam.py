"""Structural re-parameterization: what adds up parallel convolutions, norms and identities to one convolution.

Source: Ding et al., RepVGG, 2021, arXiv:2101.03697, section 3.3; dilated branches: Ding et al., UniRepLKNet, 2023,
arXiv:2311.15599.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class Kernel(NamedTuple):
    """The weight (C_out, C_in / groups, height, width) of a convolution without dilation, and its bias (C_out,)."""

    weight: Tensor
    bias: Tensor


def kernel_of(branch: nn.Module) -> Kernel:
    """Give the kernel of a convolution, alone or first in an `nn.Sequential` with a batch norm behind it."""
    if isinstance(branch, nn.Sequential):
        convolution, norm = branch
        assert isinstance(norm, nn.BatchNorm2d)
        return fold_norm_behind(kernel_of(convolution), norm)
    assert isinstance(branch, nn.Conv2d)
    bias = branch.weight.new_zeros(branch.out_channels) if branch.bias is None else branch.bias
    return Kernel(_dilate(branch.weight, branch.dilation[0]), bias)


def identity_kernel(like: nn.Conv2d) -> Kernel:
    """Give the 1x1 kernel that changes nothing, with the groups of a convolution of equal input and output channels."""
    width = like.in_channels // like.groups
    eye = torch.eye(width, device=like.weight.device, dtype=like.weight.dtype).repeat(like.groups, 1)
    return Kernel(eye[:, :, None, None], eye.new_zeros(like.out_channels))


def fold_norm_behind(kernel: Kernel, norm: BatchNorm) -> Kernel:
    """Give the kernel of a convolution and a batch norm behind it."""
    gain, shift = gain_and_shift(norm)
    return Kernel(kernel.weight * gain[:, None, None, None], kernel.bias * gain + shift)


def fold_norm_before(kernel: Kernel, norm: BatchNorm) -> Kernel:
    """Give the kernel of a batch norm and a convolution of one group and without padding behind it."""
    gain, shift = gain_and_shift(norm)
    return Kernel(kernel.weight * gain[:, None, None], kernel.bias + kernel.weight.sum((2, 3)) @ shift)


def in_series(first: nn.Conv2d, second: nn.Conv2d) -> Kernel:
    """Give the kernel of a depthwise 1xk and a depthwise kx1 convolution behind it; the first has no bias."""
    # at the border the second pads with zeros, which a bias of the first would not have been
    assert first.bias is None
    return Kernel(first.weight * second.weight, kernel_of(second).bias)


def add_up(*kernels: Kernel) -> Kernel:
    """Give the kernel of parallel convolutions of odd size, whose centres lie upon each other."""
    height, width = (max(kernel.weight.shape[axis] for kernel in kernels) for axis in (2, 3))
    weights, biases = [], []
    for weight, bias in kernels:
        rows, columns = (height - weight.shape[2]) // 2, (width - weight.shape[3]) // 2
        weights.append(functional.pad(weight, (columns, columns, rows, rows)))
        biases.append(bias)
    return Kernel(torch.stack(weights).sum(0), torch.stack(biases).sum(0))


def as_convolution(kernel: Kernel, like: nn.Conv2d) -> nn.Conv2d:
    """Give a convolution with this kernel, and the channels, stride and groups of another; it keeps the size."""
    height, width = kernel.weight.shape[2:]
    stride = (like.stride[0], like.stride[1])
    convolution = nn.Conv2d(
        like.in_channels,
        like.out_channels,
        (height, width),
        stride,
        padding=(height // 2, width // 2),
        groups=like.groups,
        device="meta",
    )
    convolution.weight, convolution.bias = nn.Parameter(kernel.weight), nn.Parameter(kernel.bias)
    return convolution.eval()


def gain_and_shift(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Give the factor and the summand of each channel that a batch norm stands for in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return gain, norm.bias - norm.running_mean * gain


def _dilate(weight: Tensor, rate: int) -> Tensor:
    """Write a dilated kernel with its zeros."""
    if rate == 1:
        return weight
    height, width = ((size - 1) * rate + 1 for size in weight.shape[2:])
    dilated = weight.new_zeros(*weight.shape[:2], height, width)
    dilated[:, :, ::rate, ::rate] = weight
    return dilated
