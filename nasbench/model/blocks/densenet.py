"""Dense blocks and transitions: DenseNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act, make_activation, make_convolution
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("dense_block")
class DenseBlock(nn.Module):
    """Layers that each take the block's input and the outputs of all layers before them.

    (N, C, H, W) -> (N, C + layers * growth, H, W). A layer is batch norm, activation, a 1x1 convolution to
    `bottleneck` times the growth, batch norm, activation and a 3x3 convolution to the growth; a bottleneck of 0 leaves
    the 1x1 convolution out.

    Source: Huang et al., Densely Connected Convolutional Networks, 2017, arXiv:1608.06993, equation 2 and section 3.
    Differs: activation is chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        layers: int,
        growth: int,
        bottleneck: int,
        act: str,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for channels in range(in_channels, out_channels, growth):
            inner = bottleneck * growth or channels
            layer = [nn.BatchNorm2d(channels), make_activation(act)]
            if bottleneck:
                layer += conv_norm_act(channels, inner, 1, act=act)
            self.layers.append(nn.Sequential(*layer, make_convolution(inner, growth, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Run the layers in order, and join their outputs behind the input."""
        made = [images]
        for layer in self.layers:
            made.append(layer(torch.cat(made, 1)))
        return torch.cat(made, 1)


@BLOCKS.register("dense_transition")
class DenseTransition(nn.Sequential):
    """Batch norm, activation, a 1x1 convolution to a share of the channels, average pooling.

    (N, C, H, W) -> (N, floor(compress * C), floor(H / stride), floor(W / stride)). A stride of 1 means no pooling.

    Source: Huang et al., Densely Connected Convolutional Networks, 2017, arXiv:1608.06993, section 3.
    Differs: activation is chosen by the space.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, compress: float, act: str) -> None:
        layers = [nn.BatchNorm2d(in_channels), make_activation(act), make_convolution(in_channels, out_channels, 1)]
        if stride > 1:
            layers.append(nn.AvgPool2d(stride))
        super().__init__(*layers)
