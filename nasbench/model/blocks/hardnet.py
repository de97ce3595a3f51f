"""Harmonic dense blocks: HarDNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench.model.blocks.layers import conv_norm_act
from nasbench.model.blocks.registry import BLOCKS
from nasbench.space.kinds.hardnet import harmonic_links, harmonic_outputs, harmonic_width


@BLOCKS.register("hard_block")
class HardBlock(nn.Module):
    """Layers of 3x3 convolutions, each on the outputs of the layers that lie a power of 2 before it.

    (N, C_in, H, W) -> (N, C_out, H, W). Layer k takes the layers k - 2^i for every 2^i that divides k. The output is
    that of the odd layers and the last; the input is no part of it. Where `depthwise`, a layer is a 1x1 convolution
    and a depthwise 3x3 without activation.

    Source: Chao et al., HarDNet: A Low Memory Traffic Network, 2019, arXiv:1909.00948; rounding, the depthwise
    form and ReLU6: the authors' code, PingoLH/Pytorch-HarDNet, hardnet.py.
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
        multiplier: float,
        depthwise: bool,
        act: str,
    ) -> None:
        super().__init__()
        widths = [harmonic_width(layer, in_channels, growth, multiplier) for layer in range(layers + 1)]
        self.links = [harmonic_links(layer) for layer in range(1, layers + 1)]
        self.outputs = harmonic_outputs(layers)
        self.layers = nn.ModuleList()
        for links, width in zip(self.links, widths[1:], strict=True):
            taken = sum(widths[link] for link in links)
            if depthwise:
                pointwise = conv_norm_act(taken, width, 1, act=act)
                self.layers.append(nn.Sequential(pointwise, conv_norm_act(width, width, 3, groups=width)))
            else:
                self.layers.append(conv_norm_act(taken, width, 3, act=act))

    def forward(self, images: Tensor) -> Tensor:
        """Run the layers in order, and join what belongs to the output."""
        made = [images]
        for links, layer in zip(self.links, self.layers, strict=True):
            made.append(layer(torch.cat([made[link] for link in links], 1) if len(links) > 1 else made[links[0]]))
        return torch.cat([made[layer] for layer in self.outputs], 1)


@BLOCKS.register("hard_transition")
class HardTransition(nn.Sequential):
    """A convolution, then downsampling: max pooling, or a depthwise 3x3 without activation where `depthwise`.

    (N, C_in, H, W) -> (N, C_out, H', W'), where H' is floor(H / stride) for an even `pool_kernel` and
    ceil(H / stride) otherwise. A stride of 1 leaves the downsampling out.

    Source: Chao et al., HarDNet, 2019, arXiv:1909.00948; the stem, which has a 3x3 convolution and a 3x3 pooling: the
    authors' code, PingoLH/Pytorch-HarDNet, hardnet.py.
    Differs: activation and kernels are chosen by the space.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel: int,
        pool_kernel: int,
        depthwise: bool,
        act: str,
    ) -> None:
        layers: list[nn.Module] = [conv_norm_act(in_channels, out_channels, kernel, act=act)]
        if stride > 1 and depthwise:
            layers.append(conv_norm_act(out_channels, out_channels, 3, stride=stride, groups=out_channels))
        elif stride > 1:
            layers.append(nn.MaxPool2d(pool_kernel, stride, padding=(pool_kernel - 1) // 2))
        super().__init__(*layers)
