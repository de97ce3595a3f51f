"""iFormer for mobile applications: convolutional blocks and single-head modulation attention."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.errors import BuildError
from nasbench.model.blocks.attention import attend, to_images, to_tokens
from nasbench.model.blocks.layers import ShortcutBranch, conv_norm_act
from nasbench.model.blocks.registry import BLOCKS
from nasbench.model.blocks.reparam import add_up, as_convolution, identity_kernel, kernel_of


@BLOCKS.register("iformer_conv")
class IFormerConv(ShortcutBranch):
    """Depthwise kxk, 1x1 expand, activation, 1x1 project, each with batch norm.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)). Adds the input when the shapes agree.

    Source: Zheng, iFormer: Integrating ConvNet and Transformer for Mobile Application, 2025, arXiv:2501.15369.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, kernel: int, expand: float, act: str
    ) -> None:
        hidden = int(in_channels * expand)
        branch = nn.Sequential(
            conv_norm_act(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
            conv_norm_act(in_channels, hidden, 1, act=act),
            # without its small start the 45 branches of iFormer-L2 pass 10^12 before training
            conv_norm_act(hidden, out_channels, 1, ends_branch=stride == 1 and in_channels == out_channels),
        )
        super().__init__(in_channels, out_channels, stride, branch)


class _Positions(nn.Module):
    """Add a depthwise convolution of the images to them; one convolution at inference.

    Source: Chu et al., Conditional Positional Encodings for Vision Transformers, 2021, arXiv:2102.10882.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.spatial = conv_norm_act(channels, channels, kernel, groups=channels, ends_branch=True)

    def forward(self, images: Tensor) -> Tensor:
        """Add positions to (N, C, H, W)."""
        positions: Tensor = self.spatial(images)
        return images + positions

    def deploy(self) -> nn.Module:
        """Give the convolution that holds the shortcut as a 1 in its middle."""
        convolution = self.spatial[0]
        assert isinstance(convolution, nn.Conv2d)
        return as_convolution(add_up(kernel_of(self.spatial), identity_kernel(convolution)), convolution)


class _ModulationAttention(nn.Module):
    """Attention of one head whose values and gate pass a sigmoid; (N, C, H, W) keeps its shape."""

    def __init__(self, channels: int, reduce: int) -> None:
        super().__init__()
        if reduce > channels:
            raise BuildError(f"{channels} channels cannot be reduced {reduce} times for the attention")
        width = channels // reduce
        self.queries = conv_norm_act(channels, width, 1)
        self.keys = conv_norm_act(channels, width, 1)
        self.project = conv_norm_act(channels, channels, 1, ends_branch=True)
        self.values_and_gate = conv_norm_act(channels, 2 * channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Let every position attend to all."""
        values, gate = self.values_and_gate(images).sigmoid().chunk(2, dim=1)
        queries, keys, values = (to_tokens(part)[:, None] for part in (self.queries(images), self.keys(images), values))
        mixed = to_images(attend(queries, keys, values)[:, 0], *images.shape[2:])
        output: Tensor = self.project(mixed * gate)
        return output


@BLOCKS.register("iformer_shma")
class IFormerSHMA(nn.Module):
    """Convolutional positions, single-head modulation attention, two pointwise layers, each added to its input.

    (N, C, H, W) keeps its shape. Queries and keys have a `reduce`-th of the channels.

    Source: Zheng, iFormer: Integrating ConvNet and Transformer for Mobile Application, 2025, arXiv:2501.15369;
    that the values pass a sigmoid as the gate does is from the authors' code.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        reduce: int,
        expand: float,
        act: str,
    ) -> None:
        super().__init__()
        hidden = int(in_channels * expand)
        self.positions = _Positions(in_channels, kernel)
        self.attention = _ModulationAttention(in_channels, reduce)
        self.pointwise = nn.Sequential(
            conv_norm_act(in_channels, hidden, 1, act=act), conv_norm_act(hidden, in_channels, 1, ends_branch=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Run the block on (N, C, H, W)."""
        flow: Tensor = self.positions(images)
        flow = flow + self.attention(flow)
        output: Tensor = flow + self.pointwise(flow)
        return output
