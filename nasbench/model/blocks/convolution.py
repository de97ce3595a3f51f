"""Single layers as rows: a convolution, a pooling, a norm."""

from __future__ import annotations

from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act, make_activation, make_convolution
from nasbench.model.blocks.norms import LayerNorm2d
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("conv")
class Conv(nn.Sequential):
    """Convolution, batch norm, activation; the last two only where asked for.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Ioffe and Szegedy, Batch Normalization, 2015, arXiv:1502.03167, section 3.2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        act: str,
        bias: bool,
        norm: bool,
        groups: int,
    ) -> None:
        layers: list[nn.Module] = [
            make_convolution(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=bias)
        ]
        if norm:
            layers.append(nn.BatchNorm2d(out_channels))
        if act != "none":
            layers.append(make_activation(act))
        super().__init__(*layers)


@BLOCKS.register("fragments")
class Fragments(nn.Module):
    """Branches of 1x1 convolutions, each with batch norm and activation, that are added; the shape stays.

    Source: Ma et al., ShuffleNet V2, 2018, arXiv:1807.11164, guideline G3: one layer in many fragments is slower.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, act: str, branches: int, depth: int
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(conv_norm_act(in_channels, in_channels, 1, act=act) for _ in range(depth)))
            for _ in range(branches)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Add what the branches give."""
        total: Tensor = self.branches[0](images)
        for branch in list(self.branches)[1:]:
            total = total + branch(images)
        return total


@BLOCKS.register("max_pool")
class MaxPool(nn.MaxPool2d):
    """Largest value of each kernel x kernel window.

    (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)).

    Source: He et al., Deep Residual Learning, 2016, arXiv:1512.03385, table 1 (3x3, stride 2).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int) -> None:
        super().__init__(kernel, stride, padding=(kernel - 1) // 2)


@BLOCKS.register("norm_act")
class NormAct(nn.Sequential):
    """Batch norm and activation, as before the classifier of a network of pre-activated blocks; the shape stays.

    Source: He et al., Identity Mappings in Deep Residual Networks, 2016, arXiv:1603.05027, figure 1b.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, act: str) -> None:
        super().__init__(nn.BatchNorm2d(in_channels), make_activation(act))


@BLOCKS.register("layer_norm")
class ImageLayerNorm(LayerNorm2d):
    """Normalize the channels of each position, as behind a stage; (N, C, H, W) -> (N, C, H, W).

    Source: Ba et al., Layer Normalization, 2016, arXiv:1607.06450.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(in_channels)
