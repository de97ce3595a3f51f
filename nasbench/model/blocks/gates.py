"""Attention over channels and positions, for any space.

All of them keep the shape of (N, C, H, W) and take no stride; each is a row, and may be the `gate` of a residual block.
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend, to_images, to_tokens
from nasbench.model.blocks.layers import SqueezeExcite, conv_norm_act
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.van import LargeKernelAttention
from nasbench.space.kinds import find_kind
from nasbench.space.kinds.gates import GATES


def make_attention(name: str, channels: int, shape: tuple[int, int, int] | None) -> nn.Module | None:
    """Make what the option `gate` of a residual block names, None for none.

    Args:
        name: a key of `GATES`, or none.
        channels: channels of the images, which stay.
        shape: (channels, height, width) of the images; only a sized kind looks at it.
    """
    if name == "none":
        return None
    kind, given = GATES[name]
    options = find_kind(kind).values(given) | ({"shape": shape} if find_kind(kind).sized else {})
    module: nn.Module = BLOCKS.find(kind)(channels, channels, 1, **options)
    return module


def _reduced(channels: int, ratio: float, least: int = 1) -> int:
    return max(least, int(channels * ratio))


@BLOCKS.register("se")
class ChannelGate(SqueezeExcite):
    """Squeeze-and-excitation as a row. `ratio` of the channels are left between its two layers.

    Source: Hu et al., Squeeze-and-Excitation Networks, 2018, arXiv:1709.01507, figure 3 and table 10 (a 16th).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float, se_gate: str) -> None:
        super().__init__(in_channels, _reduced(in_channels, ratio), se_gate)


@BLOCKS.register("scse")
class ChannelAndSpatialGate(nn.Module):
    """Squeeze-and-excitation of the channels, and of the positions by one 1x1 convolution; the two are added.

    Source: Roy et al., Concurrent Spatial and Channel Squeeze & Excitation, 2018, arXiv:1803.02579.
    Differs: the layers have biases, which the paper's formulas leave out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float) -> None:
        super().__init__()
        self.channels = SqueezeExcite(in_channels, _reduced(in_channels, ratio), "sigmoid")
        self.positions = nn.Conv2d(in_channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scale (N, C, H, W) twice, and add."""
        gated: Tensor = self.channels(images) + images * self.positions(images).sigmoid()
        return gated


@BLOCKS.register("eca")
class EfficientChannelAttention(nn.Module):
    """Scale each channel by a gate computed from the means of its neighbours; kernel 0 follows from the channels.

    Source: Wang et al., ECA-Net, 2020, arXiv:1910.03151 (gamma 2, b 1).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int) -> None:
        super().__init__()
        if kernel == 0:
            near = int((log2(in_channels) + 1) / 2)
            kernel = max(3, near + 1 - near % 2)  # below 3 a channel would only look at itself
        self.mix = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scale the channels of (N, C, H, W)."""
        scales: Tensor = self.mix(images.mean((2, 3)).unsqueeze(1)).sigmoid()
        return images * scales.squeeze(1)[:, :, None, None]


_ELA = {"tiny": (5, 1, 32), "base": (7, 1, 16), "small": (5, 8, 16), "large": (7, 8, 16)}
"""Kernel, channels of one group of the convolution, groups of the norm."""


@BLOCKS.register("ela")
class EfficientLocalAttention(nn.Module):
    """Scale rows and columns by a convolution along the means of rows and of columns, with a group norm.

    Source: Xu and Wan, ELA, 2024, arXiv:2403.01123.
    Differs: rows and columns share the convolution and the norm, as in code written after the paper; no code of its
    authors is known to us.

    Raises:
        BuildError: the groups of the norm, or of the convolution, do not divide the channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, variant: str) -> None:
        super().__init__()
        kernel, width, groups = _ELA[variant]
        if in_channels % groups or in_channels % width:
            raise BuildError(
                f"{in_channels} channels are no multiple of {max(groups, width)}, as ELA {variant} needs them"
            )
        self.mix = nn.Conv1d(
            in_channels, in_channels, kernel, padding=kernel // 2, groups=in_channels // width, bias=False
        )
        self.norm = nn.GroupNorm(groups, in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Scale rows and columns of (N, C, H, W)."""
        rows: Tensor = self.norm(self.mix(images.mean(3))).sigmoid()
        columns: Tensor = self.norm(self.mix(images.mean(2))).sigmoid()
        return images * rows.unsqueeze(3) * columns.unsqueeze(2)


@BLOCKS.register("coord")
class CoordinateAttention(nn.Module):
    """Scale rows and columns by gates that a shared hidden layer computes from their means over all channels.

    `ratio` of the channels, at least 8, are left in the hidden layer.

    Source: Hou et al., Coordinate Attention, 2021, arXiv:2103.02907.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float) -> None:
        super().__init__()
        hidden = _reduced(in_channels, ratio, least=8)
        self.reduce = nn.Sequential(nn.Conv2d(in_channels, hidden, 1), nn.BatchNorm2d(hidden), nn.Hardswish())
        self.rows = nn.Conv2d(hidden, in_channels, 1)
        self.columns = nn.Conv2d(hidden, in_channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Scale rows and columns of (N, C, H, W)."""
        sides = images.shape[2:]
        means = torch.cat((images.mean(3, keepdim=True), images.mean(2, keepdim=True).transpose(2, 3)), 2)
        rows, columns = self.reduce(means).split(sides, 2)
        gated: Tensor = images * self.columns(columns.transpose(2, 3)).sigmoid() * self.rows(rows).sigmoid()
        return gated


@BLOCKS.register("cbam")
class ConvolutionalBlockAttention(nn.Module):
    """Scale the channels by two layers over their means and maxima, then the positions by a kxk convolution.

    Source: Woo et al., CBAM, 2018, arXiv:1807.06521, figures 1 and 2, equations 1 to 3.
    Differs: the layers over the channels have biases, as in the authors' code; the paper does not say.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float, kernel: int) -> None:
        super().__init__()
        hidden = _reduced(in_channels, ratio)
        self.channels = nn.Sequential(nn.Conv2d(in_channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, in_channels, 1))
        self.positions = conv_norm_act(2, 1, kernel)

    def forward(self, images: Tensor) -> Tensor:
        """Scale channels and positions of (N, C, H, W)."""
        means, most = images.mean((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        scaled = images * (self.channels(means) + self.channels(most)).sigmoid()
        seen = torch.cat((scaled.mean(1, keepdim=True), scaled.amax(1, keepdim=True)), 1)
        gated: Tensor = scaled * self.positions(seen).sigmoid()
        return gated


def _pool(images: Tensor, scores: Tensor) -> Tensor:
    """Average (N, C, H, W) over positions with weights from a softmax of (N, 1, H, W); (N, C, 1, 1)."""
    weights = scores.flatten(2).softmax(2).transpose(1, 2)
    return (images.flatten(2) @ weights).unsqueeze(3)


@BLOCKS.register("gc")
class GlobalContext(nn.Module):
    """Pool the image by one attention map, transform it in two layers with a layer norm, and add it everywhere.

    Source: Cao et al., GCNet, 2019, arXiv:1904.11492 (a 16th of the channels is left).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float) -> None:
        super().__init__()
        hidden = _reduced(in_channels, ratio)
        self.score = nn.Conv2d(in_channels, 1, 1)
        self.transform = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1), LayerNorm2d(hidden), nn.ReLU(), nn.Conv2d(hidden, in_channels, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the context to every position of (N, C, H, W)."""
        context: Tensor = self.transform(_pool(images, self.score(images)))
        return images + context


@BLOCKS.register("non_local")
class NonLocal(nn.Module):
    """Add to each position what self-attention over all positions gives, with a batch norm behind it.

    Where `simple`, all positions share one attention map, and one 1x1 convolution transforms what it pools.

    Source: Wang et al., Non-local Neural Networks, 2018, arXiv:1711.07971, figure 2 (embedded Gaussian) and section
    4 (the batch norm); simple: Cao et al., GCNet, 2019, arXiv:1904.11492.
    Differs: the scores are divided by the root of the inner channels, as in the authors' code and not in the formula.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, ratio: float, simple: bool) -> None:
        super().__init__()
        self.simple = simple
        if simple:
            self.score = nn.Conv2d(in_channels, 1, 1)
            self.transform = nn.Sequential(nn.Conv2d(in_channels, in_channels, 1))
            return
        inner = _reduced(in_channels, ratio)
        self.queries = nn.Conv2d(in_channels, inner, 1)
        self.keys = nn.Conv2d(in_channels, inner, 1)
        self.values = nn.Conv2d(in_channels, inner, 1)
        self.transform = nn.Sequential(nn.Conv2d(inner, in_channels, 1), nn.BatchNorm2d(in_channels))

    def forward(self, images: Tensor) -> Tensor:
        """Add the context of each position to (N, C, H, W)."""
        if self.simple:
            mixed = _pool(images, self.score(images))
        else:
            # one head; the exporter to ONNX refuses attention without that dimension
            tokens = (to_tokens(layer(images)).unsqueeze(1) for layer in (self.queries, self.keys, self.values))
            mixed = to_images(attend(*tokens).squeeze(1), *images.shape[2:])
        context: Tensor = self.transform(mixed)
        return images + context


@BLOCKS.register("gather_excite")
class GatherExcite(nn.Module):
    """Gather the surroundings of each position, and scale the position by them.

    `extent` is the side of the surroundings, 0 the whole image. They are averaged where nothing is `learned`; else
    depthwise convolutions gather them: one as large as the image, or 3x3 with stride 2 as often as needed. Where
    `both` are learned, two layers over the channels (a 16th of them left) stand between gathering and scaling.

    Source: Hu et al., Gather-Excite, 2018, arXiv:1810.12348; layers and norms as in the authors' models,
    github.com/hujie-frank/GENet, RN50-GEP.prototxt and RN50-GEPP.prototxt.

    Raises:
        BuildError: the whole image is to be gathered by a learned convolution, and its shape is not known.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        learned: str,
        extent: int,
        shape: tuple[int, int, int] | None,
    ) -> None:
        super().__init__()
        self.gather = self._make_gather(in_channels, learned != "none", extent, shape)
        hidden = _reduced(in_channels, 1 / 16)
        self.excite = (
            nn.Sequential(
                nn.ReLU(), nn.Conv2d(in_channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, in_channels, 1), nn.Sigmoid()
            )
            if learned == "both"
            else nn.Sigmoid()
        )

    @staticmethod
    def _make_gather(channels: int, learned: bool, extent: int, shape: tuple[int, int, int] | None) -> nn.Module:
        if not learned:
            if extent == 0:
                return nn.AdaptiveAvgPool2d(1)
            return nn.AvgPool2d(2 * extent - 1, extent, padding=extent - 1, count_include_pad=False)
        if extent:
            steps = int(log2(extent))
            return nn.Sequential(
                *(
                    conv_norm_act(channels, channels, 3, stride=2, groups=channels, act="none" if last else "relu")
                    for last in (step == steps - 1 for step in range(steps))
                )
            )
        if shape is None:
            raise BuildError("a convolution over the whole image needs the image's shape")
        whole = nn.Conv2d(channels, channels, shape[1:], groups=channels, bias=False)
        return nn.Sequential(whole, nn.BatchNorm2d(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Scale (N, C, H, W) by what surrounds each position."""
        scales: Tensor = self.excite(self.gather(images))
        if scales.shape[2:] != (1, 1):
            scales = functional.interpolate(scales, images.shape[2:])
        return images * scales


@BLOCKS.register("ulsam")
class SubspaceAttention(nn.Module):
    """Scale the positions by one attention map for each of the `subspaces`, groups of channels, and add the input.

    Source: Saini et al., ULSAM, 2020, arXiv:2006.15102; norms, activations and biases as in the authors' code,
    github.com/Nandan91/ULSAM, ulsam.py.
    Differs: the groups run as one grouped convolution, which computes the same.

    Raises:
        BuildError: the subspaces do not divide the channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, subspaces: int) -> None:
        super().__init__()
        if in_channels % subspaces:
            raise BuildError(f"{subspaces} subspaces do not divide {in_channels} channels evenly")
        self.subspaces = subspaces
        self.score = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 1, groups=in_channels),
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            nn.MaxPool2d(3, 1, padding=1),
            nn.Conv2d(in_channels, subspaces, 1, groups=subspaces),
            nn.BatchNorm2d(subspaces),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Scale the positions of (N, C, H, W) and add the input."""
        maps: Tensor = self.score(images).flatten(2).softmax(2)
        groups = images.reshape(images.shape[0], self.subspaces, -1, maps.shape[2])
        return images + (groups * maps.unsqueeze(2)).reshape(images.shape)


@BLOCKS.register("lka")
class LargeKernelGate(LargeKernelAttention):
    """Large kernel attention as a row: a kernel and its dilation, 21 and 3 in the paper.

    Source: Guo et al., Visual Attention Network, 2022, arXiv:2202.09741.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, dilation: int) -> None:
        super().__init__(in_channels, kernel, dilation)


@BLOCKS.register("lska")
class LargeSeparableKernelGate(nn.Module):
    """Large kernel attention whose depthwise convolutions are each one along rows and one along columns.

    A kernel K with the dilation d is a pair of 2d - 1, a dilated pair of floor(K / d), and a 1x1 convolution.

    Source: Lau et al., Large Separable Kernel Attention, 2023, arXiv:2309.01439.

    Raises:
        BuildError: the dilated pair would have an even kernel, which shifts the image.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, dilation: int) -> None:
        super().__init__()
        if kernel // dilation % 2 == 0:
            raise BuildError(
                f"the kernel {kernel} with the dilation {dilation} is a dilated one of {kernel // dilation}; "
                "an odd number is needed, so that padding keeps the size"
            )
        layers: list[nn.Module] = []
        for side, step in ((2 * dilation - 1, 1), (kernel // dilation, dilation)):
            reach = side // 2 * step
            for size, padding in (((1, side), (0, reach)), ((side, 1), (reach, 0))):
                layers.append(
                    nn.Conv2d(in_channels, in_channels, size, padding=padding, dilation=step, groups=in_channels)
                )
        self.attention = nn.Sequential(*layers, nn.Conv2d(in_channels, in_channels, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Weigh (N, C, H, W)."""
        gated: Tensor = images * self.attention(images)
        return gated
