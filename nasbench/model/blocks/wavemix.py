"""Token mixing by wavelet transforms: WaveMix."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nasbench.errors import BuildError, ShapeError
from nasbench.model.blocks.layers import conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("wavemix_patches")
class WaveMixPatches(nn.Sequential):
    """Convolution of patches that touch, activation, batch norm.

    (N, C_in, H, W) -> (N, C_out, H // stride, W // stride).

    Source: Jeevan et al., WaveMix, 2022, arXiv:2205.14375; as in pranavphoenix/WaveMix, wavemix/classification.py.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, act: str) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, stride, stride), make_activation(act), nn.BatchNorm2d(out_channels)
        )


@BLOCKS.register("wavemix")
class WaveMix(nn.Module):
    """Reduce channels to a quarter, transform by Haar wavelets, mix each level's four bands, enlarge; add the input.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). A 3x3 convolution with batch norm comes first
    where the shape changes. The deepest level is mixed first, and joins the bands of the level above.

    Source: Jeevan et al., WaveMix, 2022, arXiv:2205.14375, figure 1; as in pranavphoenix/WaveMix, wavemix/__init__.py.
    Differs: the four bands of a channel stand together, which permutes the inputs of the next convolution. The nearest
    pixel for `enlarge: nearest`: the authors' README counts such networks, and their code does not contain them.

    Raises:
        BuildError: the output channels are no multiple of 4.
        ShapeError: the size of an image cannot be halved once for each level.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        levels: int,
        expand: float,
        enlarge: str,
        act: str,
    ) -> None:
        super().__init__()
        if out_channels % 4:
            raise BuildError(f"{out_channels} channels cannot be reduced to a quarter; take a multiple of 4")
        changes = stride > 1 or in_channels != out_channels
        self.embed = conv_norm_act(in_channels, out_channels, 3, stride=stride) if changes else nn.Identity()
        self.reduce = nn.Conv2d(out_channels, out_channels // 4, 1)
        self.haar = Haar(out_channels // 4)
        self.mixers = nn.ModuleList()
        for level in range(levels):
            from_below = 0 if level == levels - 1 else out_channels // 2
            to_above = out_channels if level == 0 else out_channels // 2
            hidden = int(out_channels * expand)
            self.mixers.append(_Mixer(out_channels + from_below, hidden, out_channels, to_above, enlarge, act))

    def forward(self, images: Tensor) -> Tensor:
        """Add what the levels give."""
        images = self.embed(images)
        size, parts = images.shape[2:], 2 ** len(self.mixers)
        if size[0] % parts or size[1] % parts:
            raise ShapeError(f"{size[0]} x {size[1]} positions cannot be halved {len(self.mixers)} times")
        smooth = self.reduce(images)
        bands = []
        for _ in self.mixers:
            bands.append(self.haar(smooth))
            smooth = bands[-1][:, ::4]
        mixed = self.mixers[-1](bands[-1])
        for level in reversed(range(len(self.mixers) - 1)):
            mixed = self.mixers[level](torch.cat([bands[level], mixed], 1))
        output: Tensor = images + mixed
        return output


class Haar(nn.Module):
    """One level of the orthonormal 2D Haar transform; (N, C, H, W) -> (N, 4 C, H / 2, W / 2).

    Of each channel come its mean, its differences between rows, between columns, and between both.

    Source: Mallat, A Theory for Multiresolution Signal Decomposition, 1989, doi:10.1109/34.192463.
    """

    filters: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("filters", self._make_filters(), persistent=False)

    def _make_filters(self) -> Tensor:
        sums, differences = torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0])
        pairs = [(sums, sums), (differences, sums), (sums, differences), (differences, differences)]
        filters = torch.stack([torch.outer(rows, columns) / 2 for rows, columns in pairs])
        return filters[:, None].repeat(self.channels, 1, 1, 1)

    def draw(self, generator: torch.Generator) -> None:
        """Write the filters."""
        self.filters.copy_(self._make_filters())

    def forward(self, images: Tensor) -> Tensor:
        """Transform (N, C, H, W)."""
        return functional.conv2d(images, self.filters, stride=2, groups=self.channels)


class _Mixer(nn.Sequential):
    """1x1 convolution, activation, 1x1 convolution, twice the size by deconvolution or copies, batch norm."""

    def __init__(self, in_channels: int, hidden: int, inner: int, out_channels: int, enlarge: str, act: str) -> None:
        if enlarge == "deconvolution":
            behind: tuple[nn.Module, ...] = (
                nn.Conv2d(hidden, inner, 1),
                nn.ConvTranspose2d(inner, out_channels, 4, 2, 1),
            )
        else:
            behind = (nn.Conv2d(hidden, out_channels, 1), nn.Upsample(scale_factor=2))
        super().__init__(nn.Conv2d(in_channels, hidden, 1), make_activation(act), *behind, nn.BatchNorm2d(out_channels))

    def deploy(self) -> nn.Module:
        """Fold the norm into the deconvolution, or put it before the copies."""
        first, act, second, enlarge, norm = self
        if isinstance(enlarge, nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            return nn.Sequential(first, act, second, fuse_conv_bn_eval(enlarge, norm, transpose=True))
        return nn.Sequential(first, act, second, norm, enlarge)
