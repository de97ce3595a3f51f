"""RepNeXt: depthwise convolutions of several sizes on shares of the channels, trained as parallel branches."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.layers import conv_norm_act, make_activation
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import add_up, as_convolution, fold_norm_before, in_series, kernel_of

Size = tuple[int, int]


def _depthwise(channels: int, size: Size, *, stride: Size = (1, 1), dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    padding = tuple((side - 1) * dilation // 2 for side in size)
    return nn.Conv2d(channels, channels, size, stride, padding, dilation, channels, bias=bias)  # type: ignore[arg-type]


class BranchedDepthwise(nn.Module):
    """The sum of depthwise convolutions and of pairs in series, 1xk then kx1; deployed, one convolution.

    (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)). The pairs have no bias, so that they can be merged.

    Source: Zhao et al., RepNeXt, 2024, arXiv:2406.16004: RepDWConvS and RepDWConvM; suous/RepNeXt,
    model/repnext.py.
    """

    def __init__(
        self, channels: int, stride: int, sizes: tuple[Size, ...], *, series: tuple[int, ...], corners: bool
    ) -> None:
        super().__init__()
        both = (stride, stride)
        self.parallel = nn.ModuleList(_depthwise(channels, size, stride=both) for size in sizes)
        if corners:
            self.parallel.append(_depthwise(channels, (2, 2), stride=both, dilation=2))
        self.series = nn.ModuleList(
            nn.Sequential(
                _depthwise(channels, (1, side), stride=(1, stride), bias=False),
                _depthwise(channels, (side, 1), stride=(stride, 1), bias=False),
            )
            for side in series
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add the branches up."""
        first, *others = (*self.parallel, *self.series)
        output: Tensor = first(images)
        for branch in others:
            output = output + branch(images)
        return output

    def deploy(self) -> nn.Conv2d:
        """Give the one convolution that all branches are."""
        like = self.parallel[0]
        assert isinstance(like, nn.Conv2d)
        kernels = [kernel_of(branch) for branch in self.parallel]
        kernels += [in_series(*pair) for pair in self.series]  # type: ignore[misc]
        return as_convolution(add_up(*kernels), like)


def _small(channels: int, stride: int) -> BranchedDepthwise:
    """Make the 3x3 branches: at stride 1 the 1x3 and the 3x1 lie side by side, above that they follow each other."""
    parallel = stride == 1
    sizes: tuple[Size, ...] = ((3, 3), (1, 3), (3, 1)) if parallel else ((3, 3),)
    return BranchedDepthwise(channels, stride, sizes, series=() if parallel else (3,), corners=True)


def _medium(channels: int, stride: int) -> BranchedDepthwise:
    return BranchedDepthwise(channels, stride, ((7, 7), (5, 3), (3, 5)), series=(7, 5), corners=False)


class ChunkedDepthwise(nn.Module):
    """Keep a quarter of the channels, and convolve the others with 3x3, 7x7, and 1xk and kx1; the shape stays.

    Source: Zhao et al., RepNeXt, 2024, arXiv:2406.16004: ChunkConv; suous/RepNeXt, model/repnext.py.
    """

    def __init__(self, channels: int, large: int) -> None:
        super().__init__()
        if channels % 4:
            raise BuildError(f"{channels} channels cannot be split in four quarters")
        quarter = channels // 4
        self.small = _small(quarter, 1)
        self.medium = _medium(quarter, 1)
        self.large = nn.Sequential(_depthwise(quarter, (1, large)), _depthwise(quarter, (large, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Convolve the quarters of the channels."""
        kept, small, medium, large = images.chunk(4, 1)
        return torch.cat((kept, self.small(small), self.medium(medium), self.large(large)), 1)


class CopiedDepthwise(nn.Module):
    """Convolve all channels with 3x3 and with 7x7, which doubles them.

    (N, C, H, W) -> (N, 2 * C, ceil(H / stride), ceil(W / stride)).

    Source: Zhao et al., RepNeXt, 2024, arXiv:2406.16004: CopyConv; suous/RepNeXt, model/repnext.py.
    Differs: the batch norm behind it is written as two, one for each half, so that both can be folded.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.small = nn.Sequential(_small(channels, stride), nn.BatchNorm2d(channels))
        self.medium = nn.Sequential(_medium(channels, stride), nn.BatchNorm2d(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Convolve twice."""
        return torch.cat((self.small(images), self.medium(images)), 1)


class NormedPointwise(nn.Module):
    """A batch norm, a 1x1 convolution with batch norm, an activation; deployed, no norm is left."""

    def __init__(self, in_channels: int, out_channels: int, act: str) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.convolution = conv_norm_act(in_channels, out_channels, 1)
        self.act = make_activation(act)

    def forward(self, images: Tensor) -> Tensor:
        """Norm, convolve, norm and activate."""
        output: Tensor = self.act(self.convolution(self.norm(images)))
        return output

    def deploy(self) -> nn.Sequential:
        """Give one convolution and the activation."""
        like = self.convolution[0]
        assert isinstance(like, nn.Conv2d)
        return nn.Sequential(as_convolution(fold_norm_before(kernel_of(self.convolution), self.norm), like), self.act)


@BLOCKS.register("repnext")
class RepNeXt(nn.Module):
    """Depthwise convolutions of several sizes, then two 1x1 convolutions.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). The shortcut is around the whole block; where the
    shape changes, around the 1x1 convolutions.

    Source: Zhao et al., RepNeXt, 2024, arXiv:2406.16004; suous/RepNeXt, model/repnext.py.
    Differs: where the output has not twice the channels of the input, a 1x1 convolution follows the copies.

    Raises:
        BuildError: the shape stays, and the channels are no multiple of 4.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, large: int, expand: float, act: str
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and in_channels == out_channels
        hidden = max(1, round(out_channels * expand))
        self.token_mixer: nn.Module
        if self.residual:
            self.token_mixer = ChunkedDepthwise(in_channels, large)
            first: nn.Module = NormedPointwise(in_channels, hidden, act)
        else:
            self.token_mixer = nn.Sequential(CopiedDepthwise(in_channels, stride))
            if out_channels != 2 * in_channels:
                self.token_mixer.append(conv_norm_act(2 * in_channels, out_channels, 1))
            first = conv_norm_act(out_channels, hidden, 1, act=act)
        self.channel_mixer = nn.Sequential(first, conv_norm_act(hidden, out_channels, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Mix positions, then channels."""
        mixed: Tensor = self.token_mixer(images)
        output: Tensor = self.channel_mixer(mixed)
        return output + (images if self.residual else mixed)
