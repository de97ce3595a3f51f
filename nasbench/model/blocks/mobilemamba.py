"""Multi-receptive-field feature interaction: MobileMamba."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import to_images, to_tokens
from nasbench.model.blocks.convnext import Added
from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act, make_convolution
from nasbench.model.blocks.norms import LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.scan import SelectiveScan, choose_rank
from nasbench.model.blocks.wavemix import Haar

_SCANNED_MULTIPLE = 16
"""What the scanned channels are rounded to a multiple of."""

_WAVELET_START = 0.1
"""What the convolved wavelets are scaled by at the start."""


class _BothWaysScan(nn.Module):
    """Scan all positions row by row, from the first and from the last, and pass on what a gate lets through.

    (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int, inner: int, state: int) -> None:
        super().__init__()
        self.enter = conv_norm_act(channels, 2 * inner, 1)
        self.mix = make_convolution(inner, inner, 3, groups=inner, bias=True)
        self.scan = SelectiveScan(inner, state=state, rank=choose_rank(channels), groups=2)
        self.norm = nn.LayerNorm(inner)
        self.leave = nn.Sequential(*conv_norm_act(inner, channels, 1), LayerScale(channels, 1.0))

    def forward(self, images: Tensor) -> Tensor:
        flow, gates = self.enter(images).chunk(2, dim=1)
        tokens = to_tokens(functional.silu(self.mix(flow)))
        forth, back = self.scan(torch.stack((tokens, tokens.flip(1)), dim=1)).unbind(1)
        scanned = to_images(self.norm(forth + back.flip(1)), *images.shape[2:])
        left: Tensor = self.leave(scanned * functional.silu(gates))
        return left


class _WaveletConvolution(nn.Module):
    """Convolve each band of a Haar transform for itself, scale it, and transform back; (N, C, H, W) keeps its shape."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        bands = 4 * channels
        self.haar = Haar(channels)
        self.convolve = nn.Sequential(
            make_convolution(bands, bands, kernel, groups=bands), LayerScale(bands, _WAVELET_START)
        )

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        filled = functional.pad(images, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else images
        bands = self.convolve(self.haar(filled))
        # the transform is orthonormal, so that its transpose is its inverse
        inverse = functional.conv_transpose2d(bands, self.haar.filters, stride=2, groups=images.shape[1])
        return inverse[:, :, :height, :width]


class _Interaction(nn.Module):
    """Scan the first channels beside their wavelets, convolve the next, keep the rest, and mix all of them."""

    def __init__(
        self, channels: int, *, kernel: int, scanned: float, convolved: float, state: int, expand: float
    ) -> None:
        super().__init__()
        first = (int(scanned * channels) + _SCANNED_MULTIPLE // 2) // _SCANNED_MULTIPLE * _SCANNED_MULTIPLE
        second = min(int(convolved * channels), channels - first)
        if second < 0 or (first and not int(first * expand)):
            raise BuildError(
                f"{first} of {channels} channels cannot be scanned (share {scanned:g}, expand {expand:g}); scanned "
                f"channels are multiples of {_SCANNED_MULTIPLE}"
            )
        self.sizes = [first, second, channels - first - second]
        self.scan = _BothWaysScan(first, int(first * expand), state) if first else None
        self.wavelets = _WaveletConvolution(first, kernel) if first else None
        self.convolve = (
            nn.Sequential(
                *conv_norm_act(second, second, kernel, groups=second, act="relu"),
                *conv_norm_act(second, second, 1, groups=second),
            )
            if second
            else None
        )
        self.mix = nn.Sequential(nn.ReLU(), *conv_norm_act(channels, channels, 1, ends_branch=True))

    def forward(self, images: Tensor) -> Tensor:
        scanned, convolved, kept = images.split_with_sizes(self.sizes, 1)
        parts = []
        if self.scan is not None and self.wavelets is not None:
            parts.append(self.scan(scanned) + self.wavelets(scanned))
        if self.convolve is not None:
            parts.append(self.convolve(convolved))
        if self.sizes[2]:
            parts.append(kept)
        mixed: Tensor = self.mix(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])
        return mixed


def _make_depthwise(channels: int) -> nn.Module:
    return Added(conv_norm_act(channels, channels, 3, groups=channels, ends_branch=True))


def _make_feed(channels: int, mlp: float) -> nn.Module:
    hidden = int(channels * mlp)
    return Added(
        nn.Sequential(
            conv_norm_act(channels, hidden, 1, act="relu"), conv_norm_act(hidden, channels, 1, ends_branch=True)
        )
    )


def _make_merge(in_channels: int, out_channels: int, stride: int, mlp: float) -> nn.Sequential:
    hidden = 4 * in_channels
    return nn.Sequential(
        _make_depthwise(in_channels),
        _make_feed(in_channels, mlp),
        conv_norm_act(in_channels, hidden, 1, act="relu"),
        conv_norm_act(hidden, hidden, 3, stride=stride, groups=hidden, act="relu"),
        SqueezeExcite(hidden, in_channels, "sigmoid"),
        conv_norm_act(hidden, out_channels, 1),
        _make_depthwise(out_channels),
        _make_feed(out_channels, mlp),
    )


@BLOCKS.register("mobilemamba")
class MobileMamba(nn.Module):
    """Depthwise convolution, feed-forward, channels of three receptive fields, depthwise convolution, feed-forward.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Each part has a shortcut, and so has the whole.
    Of the channels, the share `scanned` (a multiple of 16) is scanned, `convolved` has kernels of size `kernel`, and
    the others stay. An inverted residual with squeeze-and-excitation, with depthwise convolutions and feed-forward
    around it, comes first where the shape changes.

    Source: He et al., MobileMamba, 2024, arXiv:2411.15941, figure 4; details as in the authors' code,
    lewandofskee/MobileMamba, model/mobilemamba/mobilemamba.py; wavelets: Finder et al., Wavelet Convolutions for Large
    Receptive Fields, 2024, arXiv:2407.05848, section 3.2.
    Differs: the steps of the scan start as in Mamba; what `scan.selective_scan` says of the scan, which the authors
    count as 9 C x S + C operations for each position. The filters of the wavelets, 32 numbers for each scanned channel
    in the authors' parameters, are 16 constants here.

    Raises:
        BuildError: more channels would be scanned than there are, or a share is too small for any.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        scanned: float,
        convolved: float,
        state: int,
        expand: float,
        mlp: float,
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.merge = _make_merge(in_channels, out_channels, stride, mlp) if changes else nn.Identity()
        interaction = _Interaction(
            out_channels, kernel=kernel, scanned=scanned, convolved=convolved, state=state, expand=expand
        )
        self.layers = nn.Sequential(
            _make_depthwise(out_channels),
            _make_feed(out_channels, mlp),
            Added(interaction),
            _make_depthwise(out_channels),
            _make_feed(out_channels, mlp),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the layers to (N, C, H, W)."""
        images = self.merge(images)
        added: Tensor = images + self.layers(images)
        return added
