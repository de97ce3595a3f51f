"""One-shot aggregation: VoVNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act, make_convolution, make_gate
from nasbench.model.blocks.registry import BLOCKS


@BLOCKS.register("separable_conv")
class SeparableConv(nn.Sequential):
    """Depthwise kxk without norm, pointwise 1x1 with batch norm and activation.

    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Source: Chollet, Xception, 2017, arXiv:1610.02357, section 3; in VoVNet: timm, vovnet.py.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, kernel: int, act: str) -> None:
        super().__init__(
            make_convolution(in_channels, in_channels, kernel, stride=stride, groups=in_channels),
            *conv_norm_act(in_channels, out_channels, 1, act=act),
        )


class EffectiveSqueezeExcite(nn.Module):
    """Scale each channel by a gate computed with one 1x1 convolution from the means of all; the shape stays.

    Source: Lee and Park, CenterMask, 2020, arXiv:1911.06667.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)
        self.gate = make_gate("hard_sigmoid")

    def forward(self, images: Tensor) -> Tensor:
        """Scale the channels of (N, C, H, W)."""
        scales: Tensor = self.gate(self.mix(images.mean((2, 3), keepdim=True)))
        return images * scales


@BLOCKS.register("osa")
class OneShotAggregation(nn.Module):
    """A chain of kxk convolutions, whose outputs and input one 1x1 convolution joins; above stride 1 max pooling first.

    (N, C_in, H, W) -> (N, C_out, H', W'), where H' is ceil((H - 3) / stride) + 1 above stride 1. Adds its input where
    `residual` is set and the shapes agree. Where `depthwise`, the convolutions of the chain are separable, behind a
    1x1 convolution to their width.

    Source: Lee et al., An Energy and GPU-Computation Efficient Backbone Network, 2019, arXiv:1904.09730;
    residual and effective squeeze-and-excitation: Lee and Park, CenterMask, 2020, arXiv:1911.06667; the depthwise form:
    timm, vovnet.py.
    Differs: kernel and activation are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        width: int,
        layers: int,
        kernel: int,
        depthwise: bool,
        residual: bool,
        ese: bool,
        act: str,
    ) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, stride, ceil_mode=True) if stride > 1 else None
        self.reduce = conv_norm_act(in_channels, width, 1, act=act) if depthwise and in_channels != width else None
        chain: list[nn.Module] = []
        for layer in range(layers):
            if depthwise:
                chain.append(SeparableConv(width, width, 1, kernel=kernel, act=act))
            else:
                chain.append(conv_norm_act(width if layer else in_channels, width, kernel, act=act))
        self.chain = nn.ModuleList(chain)
        self.join = conv_norm_act(in_channels + layers * width, out_channels, 1, act=act)
        self.excite = EffectiveSqueezeExcite(out_channels) if ese else None
        self.residual = residual and stride == 1 and in_channels == out_channels

    def forward(self, images: Tensor) -> Tensor:
        """Run the chain, and join what its layers give."""
        if self.pool is not None:
            images = self.pool(images)
        made = [images]
        flow = images if self.reduce is None else self.reduce(images)
        for layer in self.chain:
            flow = layer(flow)
            made.append(flow)
        output: Tensor = self.join(torch.cat(made, 1))
        if self.excite is not None:
            output = self.excite(output)
        return images + output if self.residual else output
