"""Classifiers: the last row of a network."""

from __future__ import annotations

from torch import nn

from nasbench.model.blocks.layers import make_activation
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("pool_linear")
class PoolLinear(nn.Sequential):
    """Average over the image, an optional norm, optional hidden layers with activation, a linear classifier.

    (N, C, H, W) -> (N, classes). `out_channels` is the number of classes.

    Source: Lin et al., Network In Network, 2014, arXiv:1312.4400, section 3.2; the hidden layer behind the pooling:
    Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, figure 5; a layer norm there: Liu et al., A
    ConvNet for the 2020s, 2022, arXiv:2201.03545; a batch norm: Graham et al., LeViT, 2021, arXiv:2104.01136.
    Differs: no dropout, which is a matter of training; the hidden layer is a linear one, equal to a 1x1 convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        norm: str,
        hidden: int,
        hidden_layers: int,
        hidden_bias: bool,
        act: str,
    ) -> None:
        layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        if norm != "none":
            layers.append(nn.BatchNorm1d(in_channels) if norm == "batch" else nn.LayerNorm(in_channels, eps=1e-6))
        if hidden > 0:
            for width in (in_channels, *[hidden] * (hidden_layers - 1)):
                layers += [nn.Linear(width, hidden, bias=hidden_bias), make_activation(act)]
        layers.append(nn.Linear(hidden or in_channels, out_channels))
        super().__init__(*layers)
