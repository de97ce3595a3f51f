"""Classifiers: the last row of a network."""

from __future__ import annotations

from torch import nn

from nasbench.model.blocks.layers import make_activation
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("pool_linear")
class PoolLinear(nn.Sequential):
    """Average over the image, an optional hidden layer with activation, a linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes.

    Source: Lin et al., Network In Network, 2014, arXiv:1312.4400, section 3.2; the hidden layer behind the pooling:
    Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, figure 5.
    Differs: no dropout, which is a matter of training; the hidden layer is a linear one, equal to a 1x1 convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, hidden: int, hidden_bias: bool, act: str
    ) -> None:
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if hidden > 0:
            layers += [nn.Linear(in_channels, hidden, bias=hidden_bias), make_activation(act)]
        layers.append(nn.Linear(hidden or in_channels, out_channels))
        super().__init__(*layers)
