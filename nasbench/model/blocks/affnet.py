"""Adaptive frequency filters: AFFNet."""

from __future__ import annotations

from math import pi, sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import conv_norm_act, make_activation
from nasbench.model.blocks.mobilenet import MBConv
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS

_EPS = 1e-5
_THRESHOLD = 0.01
"""Below it a value of the mask is 0, as in the authors' code."""

_MASK_STD = 0.02
"""As in the authors' code."""


@BLOCKS.register("aff")
class AFF(nn.Module):
    """`depth` filtered inverted residuals, a layer norm, a 1x1 convolution, and a 1x1 convolution with the input.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). A 3x3 convolution with batch norm comes first
    where the shape changes. `ratio` is the expansion of the inverted residuals, `groups` divides the channels of the
    mask, and without `fuse` the input is not looked at again. The constants depend on the size of the image.

    Source: Huang et al., Adaptive Frequency Filters As Efficient Global Token Mixers, 2023, arXiv:2307.14008, figure 2;
    as in microsoft/TokenMixers, affnet/modules/aff_block.py.
    Differs: the code leaves norm and activations to configurations that its repository lacks; here the norm is over
    channels, its default, and the activation of the mask is an option of its own.

    Raises:
        BuildError: the groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        depth: int,
        ratio: float,
        groups: int,
        fuse: bool,
        act: str,
        mask_act: str,
        shape: tuple[int, int, int],
    ) -> None:
        super().__init__()
        changes = stride > 1 or in_channels != out_channels
        self.embed = conv_norm_act(in_channels, out_channels, 3, stride=stride) if changes else nn.Identity()
        grid = (-(-shape[1] // stride), -(-shape[2] // stride))
        self.filtered = nn.Sequential(
            *(_Filtered(out_channels, ratio, groups, act, mask_act, grid) for _ in range(depth)),
            LayerNorm2d(out_channels, _EPS),
            conv_norm_act(out_channels, out_channels, 1),
        )
        self.fuse = conv_norm_act(2 * out_channels, out_channels, 1, act=act) if fuse else None

    def forward(self, images: Tensor) -> Tensor:
        """Filter (N, C, H, W)."""
        images = self.embed(images)
        filtered: Tensor = self.filtered(images)
        return filtered if self.fuse is None else self.fuse(torch.cat([images, filtered], 1))


class _Filtered(nn.Module):
    """Norm, inverted residual, norm, frequency filter; the input is added."""

    def __init__(
        self, channels: int, ratio: float, groups: int, act: str, mask_act: str, grid: tuple[int, int]
    ) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            LayerNorm2d(channels, _EPS),
            MBConv(
                channels,
                channels,
                1,
                kernel=3,
                expand=ratio,
                act=act,
                se=0.0,
                se_gate="sigmoid",
                se_of="hidden",
                se_divisor=8,
                se_act="relu",
            ),
            LayerNorm2d(channels, _EPS),
            FrequencyFilter(channels, groups, mask_act, grid),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to (N, C, H, W)."""
        output: Tensor = images + self.branch(images)
        return output


class FrequencyFilter(nn.Module):
    """Multiply the image's spectrum by a mask that two grouped complex 1x1 convolutions draw from it; add the image.

    (N, C, H, W) -> (N, C, H, W), for one height and width.

    Source: Huang et al., Adaptive Frequency Filters As Efficient Global Token Mixers, 2023, arXiv:2307.14008,
    figure 2; the convolutions: Guibas et al., Adaptive Fourier Neural Operators, 2021, arXiv:2111.13587.
    Differs: the Fourier transforms are products with fixed matrices, along rows and then along columns, since few
    runtimes have complex numbers; their MACs are counted.
    """

    to_rows: Tensor
    to_columns: Tensor
    from_columns: Tensor
    from_rows: Tensor

    def __init__(self, channels: int, groups: int, act: str, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        for name, matrix in _fourier_matrices(*grid).items():
            self.register_buffer(name, matrix, persistent=False)
        self.mask = nn.Sequential(
            ComplexConv(channels, groups), make_activation(act), ComplexConv(channels, groups), _SoftShrink()
        )

    def draw(self, generator: torch.Generator) -> None:
        """Compute the matrices."""
        for name, matrix in _fourier_matrices(*self.grid).items():
            getattr(self, name).copy_(matrix)

    def forward(self, images: Tensor) -> Tensor:
        """Filter (N, C, H, W)."""
        spectrum = self.transform(images)
        mask = self.mask(spectrum.flatten(1, 2)).reshape(spectrum.shape)
        (real, imaginary), (mask_real, mask_imaginary) = spectrum.unbind(2), mask.unbind(2)
        filtered = torch.stack(
            [real * mask_real - imaginary * mask_imaginary, real * mask_imaginary + imaginary * mask_real], 2
        )
        return images + self.invert(filtered)

    def transform(self, images: Tensor) -> Tensor:
        """Give the real and imaginary parts of the orthonormal 2D transform, (N, C, 2, H, W // 2 + 1)."""
        batch, channels, height, _ = images.shape
        rows = (images @ self.to_rows).reshape(batch, channels, height, 2, -1).transpose(2, 3)
        return (self.to_columns @ rows.flatten(2, 3)).reshape(batch, channels, 2, height, -1)

    def invert(self, spectrum: Tensor) -> Tensor:
        """Give the (N, C, H, W) of which `transform` makes the spectrum."""
        rows = (self.from_columns @ spectrum.flatten(2, 3)).reshape(spectrum.shape)
        return rows.transpose(2, 3).flatten(3) @ self.from_rows


def _fourier_matrices(height: int, width: int) -> dict[str, Tensor]:
    """Give the matrices of the orthonormal transforms of real images; real and imaginary parts stand side by side."""
    kept = width // 2 + 1
    cosines, sines = _turns(width, kept)
    # every frequency that is left out is the conjugate of one that is kept
    weights = torch.tensor([1.0 if 2 * k in (0, width) else 2.0 for k in range(kept)], dtype=torch.float64)[:, None]
    column_cosines, column_sines = _turns(height, height)
    upper = torch.cat([column_cosines, column_sines], 1)
    lower = torch.cat([-column_sines, column_cosines], 1)
    columns = torch.cat([upper, lower])
    matrices = {
        "to_rows": torch.cat([cosines, -sines], 1),
        "to_columns": columns,
        "from_columns": columns.T,
        "from_rows": torch.cat([weights * cosines.T, -weights * sines.T]),
    }
    return {name: matrix.float().contiguous() for name, matrix in matrices.items()}


def _turns(size: int, kept: int) -> tuple[Tensor, Tensor]:
    """Give cosines and sines of 2 pi position frequency / size, over sqrt(size), as (size, kept)."""
    angles = torch.arange(size, dtype=torch.float64)[:, None] * torch.arange(kept, dtype=torch.float64)
    angles = angles * (2 * pi / size)
    return angles.cos() / sqrt(size), angles.sin() / sqrt(size)


class ComplexConv(nn.Module):
    """A grouped 1x1 convolution with complex weights and biases; (N, 2 C, H, W) -> (N, 2 C, H, W).

    A real part and its imaginary part are neighbouring channels. For inference it is an `nn.Conv2d`.

    Source: Guibas et al., Adaptive Fourier Neural Operators, 2021, arXiv:2111.13587, section 4.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        if channels % groups:
            raise BuildError(f"{groups} groups do not divide the {channels} channels of a mask evenly")
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(2, channels, channels // groups))
        self.bias = nn.Parameter(torch.empty(2, channels))

    def draw(self, generator: torch.Generator) -> None:
        """Draw weights and biases alike."""
        self.weight.normal_(0.0, _MASK_STD, generator=generator)
        self.bias.normal_(0.0, _MASK_STD, generator=generator)

    def _real(self) -> tuple[Tensor, Tensor]:
        """Give the weight and the bias of the same convolution of twice as many real channels."""
        real, imaginary = self.weight.unbind(0)
        rows = torch.stack([torch.stack([real, -imaginary], 2), torch.stack([imaginary, real], 2)], 1)
        return rows.flatten(2).flatten(0, 1)[:, :, None, None], self.bias.T.flatten()

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (N, 2 C, H, W)."""
        return functional.conv2d(images, *self._real(), groups=self.groups)

    def deploy(self) -> nn.Module:
        """Give the real convolution."""
        weight, bias = self._real()
        convolution = nn.Conv2d(len(weight), len(weight), 1, groups=self.groups)
        convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
        return convolution


class _SoftShrink(nn.Module):
    """Move every value towards 0 by the threshold, and those below it to 0."""

    def forward(self, values: Tensor) -> Tensor:
        """Shrink; written without `softshrink`, which some exporters lack."""
        return values - values.clamp(-_THRESHOLD, _THRESHOLD)
