"""ConvNeXt, InceptionNeXt and ConvFirst: stem, blocks and head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import ShortcutBranch, conv_norm_act, make_activation, make_convolution
from nasbench.model.blocks.norms import GlobalResponseNorm, LayerNorm2d, LayerScale
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import fold_norm_before, kernel_of


class Added(nn.Module):
    """A branch, to whose output its input is added."""

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        """Add the branch to (N, C, H, W)."""
        output: Tensor = images + self.branch(images)
        return output


class NormedConvolution(nn.Sequential):
    """A batch norm and a convolution without padding or groups, which for inference are one convolution."""

    def __init__(self, in_channels: int, out_channels: int, patch: int = 1) -> None:
        super().__init__(nn.BatchNorm2d(in_channels), nn.Conv2d(in_channels, out_channels, patch, patch))

    def deploy(self) -> nn.Module:
        """Give the convolution that the norm is part of."""
        norm, convolution = self
        assert isinstance(norm, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d)
        weight, bias = fold_norm_before(kernel_of(convolution), norm)
        convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
        return convolution


@BLOCKS.register("patchify")
class Patchify(nn.Sequential):
    """A convolution of patches of stride x stride that do not overlap, and a norm.

    (N, C_in, H, W) -> (N, C_out, floor(H / stride), floor(W / stride)).

    Source: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545, section 2.2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: str) -> None:
        layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, stride, stride)]
        if norm != "none":
            layers.append(nn.BatchNorm2d(out_channels) if norm == "batch" else LayerNorm2d(out_channels))
        super().__init__(*layers)


@BLOCKS.register("convnext")
class ConvNeXt(nn.Sequential):
    """Depthwise kxk, layer norm, 1x1 expand, activation, 1x1 project, layer scale, and a shortcut.

    (N, C_in, H, W) -> (N, C_out, floor(H / stride), floor(W / stride)). Where the shape changes, a layer norm and a
    convolution of patches of stride x stride come first. `grn` puts a global response norm behind the activation, in
    place of the layer scale.

    Source: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545, figure 4 and section 2.6; `grn`: Woo et al.,
    ConvNeXt V2, 2023, arXiv:2301.00808, figure 5.
    Differs: kernel, expansion and activation are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        expand: float,
        grn: bool,
        act: str,
    ) -> None:
        inner = int(expand * out_channels)
        branch: list[nn.Module] = [
            make_convolution(out_channels, out_channels, kernel, groups=out_channels, bias=True),
            LayerNorm2d(out_channels),
            make_convolution(out_channels, inner, 1, bias=True),
            make_activation(act),
        ]
        if grn:
            branch.append(GlobalResponseNorm(inner))
        branch.append(make_convolution(inner, out_channels, 1, bias=True))
        if not grn:
            branch.append(LayerScale(out_channels))
        layers: list[nn.Module] = [Added(nn.Sequential(*branch))]
        if stride > 1 or in_channels != out_channels:
            layers = [LayerNorm2d(in_channels), nn.Conv2d(in_channels, out_channels, stride, stride), *layers]
        super().__init__(*layers)


class InceptionMixer(nn.Module):
    """Depthwise 3x3, 1xb and bx1 convolutions on a share of the channels each, nothing on the others.

    Source: Yu et al., InceptionNeXt, 2023, arXiv:2303.16900; sail-sg/inceptionnext, models/inceptionnext.py.

    Raises:
        BuildError: a share holds no channel, or three shares hold more than all.
    """

    def __init__(self, channels: int, share: float, band: int) -> None:
        super().__init__()
        part = int(channels * share)
        if not 0 < 3 * part <= channels:
            raise BuildError(
                f"three times {part} channels (share {share:g}) do not fit into {channels}; 1 is the least"
            )
        self.parts = [channels - 3 * part, part, part, part]
        self.square = nn.Conv2d(part, part, 3, padding=1, groups=part)
        self.row = nn.Conv2d(part, part, (1, band), padding=(0, band // 2), groups=part)
        self.column = nn.Conv2d(part, part, (band, 1), padding=(band // 2, 0), groups=part)

    def forward(self, images: Tensor) -> Tensor:
        """Mix the positions of (N, C, H, W)."""
        kept, square, row, column = torch.split(images, self.parts, dim=1)
        return torch.cat((kept, self.square(square), self.row(row), self.column(column)), 1)


@BLOCKS.register("metanext")
class MetaNeXt(nn.Sequential):
    """A depthwise operator, batch norm, 1x1 expand, activation, 1x1 project, layer scale, and a shortcut.

    (N, C_in, H, W) -> (N, C_out, floor(H / stride), floor(W / stride)). Where the shape changes, a batch norm and a
    convolution of patches of stride x stride come first. `mixer` is the operator: a depthwise convolution, or
    Inception, of which alone `share` is the share of the channels in each of three branches, and `band` their length.

    Source: Yu et al., InceptionNeXt, 2023, arXiv:2303.16900; sail-sg/inceptionnext, models/inceptionnext.py.
    Differs: expansion and activation are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        mixer: str,
        share: float,
        band: int,
        expand: float,
        act: str,
    ) -> None:
        inner = int(expand * out_channels)
        operator: nn.Module
        if mixer == "inception":
            operator = InceptionMixer(out_channels, share, band)
        else:
            operator = make_convolution(out_channels, out_channels, int(mixer[0]), groups=out_channels, bias=True)
        branch = nn.Sequential(
            operator,
            NormedConvolution(out_channels, inner),
            make_activation(act),
            make_convolution(inner, out_channels, 1, bias=True),
            LayerScale(out_channels),
        )
        layers: list[nn.Module] = [Added(branch)]
        if stride > 1 or in_channels != out_channels:
            layers = [NormedConvolution(in_channels, out_channels, stride), *layers]
        super().__init__(*layers)


@BLOCKS.register("convfirst")
class ConvFirst(ShortcutBranch):
    """Grouped kxk with batch norm, 1x1 expand with batch norm and activation, linear 1x1 project with batch norm.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree. A group has
    `group_width` channels.

    Source: Lavin, On the Efficiency of Convolutional Neural Networks, 2024, arXiv:2404.03617; the layers: the author's
    code, andravin/spio, scripts/profile_block.py.
    Differs: kernel and activation are chosen by the space.

    Raises:
        BuildError: the input channels are no multiple of the group width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        group_width: int,
        expand: float,
        act: str,
    ) -> None:
        if in_channels % group_width:
            raise BuildError(f"the {in_channels} input channels are no multiple of the group width {group_width}")
        inner = int(expand * in_channels)
        branch = nn.Sequential(
            conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels // group_width),
            conv_norm_act(in_channels, inner, 1, act=act),
            conv_norm_act(inner, out_channels, 1),
        )
        super().__init__(in_channels, out_channels, stride, branch)


@BLOCKS.register("metanext_head")
class MetaNeXtHead(nn.Sequential):
    """Average over the image, a hidden layer of `expand` times the channels, activation, layer norm, classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes.

    Source: Yu et al., InceptionNeXt, 2023, arXiv:2303.16900; the layers: the authors' code,
    sail-sg/inceptionnext, models/inceptionnext.py.
    Differs: no dropout, which is a matter of training.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, expand: float, act: str) -> None:
        hidden = int(expand * in_channels)
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(in_channels, hidden),
            make_activation(act),
            nn.LayerNorm(hidden, eps=1e-6),
            nn.Linear(hidden, out_channels),
        )
