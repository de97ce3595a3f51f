"""Atrous selective scan: EfficientVMamba."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import make_convolution
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.scan import SelectiveScan, choose_rank

_EPS = 1e-5


@BLOCKS.register("patch_merge")
class PatchMerge(nn.Sequential):
    """Layer norm and a linear layer without bias on the pixels of each patch of stride x stride.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Zeros fill incomplete patches.

    Source: Liu et al., Swin Transformer, 2021, arXiv:2103.14030, section 3.1.
    Differs: the pixels of a channel stand together, which permutes the inputs of norm and linear layer; the latter is a
    1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm = LayerNorm2d(in_channels * stride**2, _EPS)
        self.reduce = nn.Conv2d(in_channels * stride**2, out_channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Merge the patches of (N, C, H, W)."""
        merged: Tensor = self.reduce(self.norm(functional.pixel_unshuffle(_fill(images, self.stride), self.stride)))
        return merged


def _fill(images: Tensor, multiple: int) -> Tensor:
    """Add zeros below and to the right until the size is a multiple."""
    down, right = -images.shape[2] % multiple, -images.shape[3] % multiple
    return functional.pad(images, (0, right, 0, down)) if down or right else images


class _AtrousScan(nn.Module):
    """Scan the four images that take every second row and column, and put them together; (N, C, H, W) keeps its shape.

    Those of even rows are scanned row by row, the others column by column. A layer norm follows, and what a gate lets
    through.
    """

    def __init__(self, channels: int, inner: int, kernel: int, state: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, 2 * inner, 1, bias=False)
        self.mix = make_convolution(inner, inner, kernel, groups=inner, bias=True)
        self.scan = SelectiveScan(inner, state=state, rank=choose_rank(channels), groups=4)
        self.norm = nn.LayerNorm(inner, _EPS)
        self.leave = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        flow, gates = self.enter(images).chunk(2, dim=1)
        flow = _fill(functional.silu(self.mix(flow)), 2)
        batch, inner, down, across = flow.shape[0], flow.shape[1], flow.shape[2] // 2, flow.shape[3] // 2
        pixels = flow.reshape(batch, inner, down, 2, across, 2)
        even = pixels[:, :, :, 0].permute(0, 4, 2, 3, 1).flatten(2, 3)
        odd = pixels[:, :, :, 1].permute(0, 4, 3, 2, 1).flatten(2, 3)
        even, odd = self.scan(torch.cat((even, odd), dim=1)).chunk(2, dim=1)
        even = even.reshape(batch, 2, down, across, inner)
        odd = odd.reshape(batch, 2, across, down, inner).transpose(2, 3)
        rows = torch.stack((even, odd))
        # row parity, image, column parity, row, column, channel
        scanned = rows.permute(1, 3, 0, 4, 2, 5).flatten(3, 4).flatten(1, 2)[:, :height, :width]
        left: Tensor = self.leave(self.norm(scanned).permute(0, 3, 1, 2) * functional.silu(gates))
        return left


class _ChannelGate(nn.Module):
    """Scale each channel by a gate computed from the means of all normalized channels; the shape stays."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels, _EPS)
        self.gate = nn.Sequential(nn.Linear(channels, squeezed), nn.GELU(), nn.Linear(squeezed, channels), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        scales: Tensor = self.gate(self.norm(images).mean((2, 3)))
        return images * scales[:, :, None, None]


@BLOCKS.register("evss")
class EfficientVisualStateSpace(nn.Module):
    """Layer norm; atrous selective scans beside depthwise and pointwise convolutions; a shared gate for each; shortcut.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Patches of stride x stride are merged first where
    the shape changes. Scans have `expand` times as many channels, and `state` states for each; the gate squeezes all
    channels to the share `squeeze`. Both depthwise convolutions have the size `kernel`.

    Source: Pei et al., EfficientVMamba, 2024, arXiv:2403.09977, sections 4.1 and 4.2; details as in the authors' code,
    TerryPei/EfficientVMamba, classification/models/vmamba_efficient.py.
    Differs: linear layers on images are 1x1 convolutions; the four images are scanned in another order of groups; what
    `scan.selective_scan` says of the scan, which the authors count as 9 C x S + C operations for each position.

    Raises:
        BuildError: the share leaves no channel for the gate.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        state: int,
        expand: float,
        squeeze: float,
    ) -> None:
        super().__init__()
        squeezed, inner = int(out_channels * squeeze), int(out_channels * expand)
        if not squeezed or not inner:
            raise BuildError(
                f"the shares {squeeze:g} and {expand:g} of {out_channels} channels leave none for the gate or the scan"
            )
        changes = stride > 1 or in_channels != out_channels
        self.merge = PatchMerge(in_channels, out_channels, stride) if changes else nn.Identity()
        self.norm = LayerNorm2d(out_channels, _EPS)
        self.scan = _AtrousScan(out_channels, inner, kernel, state)
        self.convolve = nn.Sequential(
            make_convolution(out_channels, out_channels, kernel, groups=out_channels, bias=True),
            nn.BatchNorm2d(out_channels),
            nn.GELU(),
            nn.Conv2d(out_channels, out_channels, 1),
        )
        self.gate = _ChannelGate(out_channels, squeezed)

    def forward(self, images: Tensor) -> Tensor:
        """Add what both branches give to (N, C, H, W)."""
        images = self.merge(images)
        normed = self.norm(images)
        added: Tensor = images + self.gate(self.scan(normed)) + self.gate(self.convolve(normed))
        return added
