"""The inference form of a network: batch norms folded into convolutions, branches merged where a block can."""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nasbench.model.blocks.norms import LayerScale
from nasbench.model.blocks.reparam import gain_and_shift
from nasbench.model.build import Network


@runtime_checkable
class Deployable(Protocol):
    """A block with an inference form of its own, such as parallel branches that are one convolution then."""

    def deploy(self) -> nn.Module:
        """Give the module that computes the same in evaluation mode; called once, on a copy, before folding."""
        ...


def deploy(network: Network) -> Network:
    """Give the inference form of a network as a copy in evaluation mode; what it computes is that of `network.eval()`.

    Every latency is measured on this form, and weight bytes are counted on it.
    """
    with torch.no_grad():
        blocks = [fold(copy.deepcopy(block).eval()) for block in network.blocks]
    return Network(blocks, deployed=True).eval().requires_grad_(False)


def fold(module: nn.Module) -> nn.Module:
    """Change a module in evaluation mode into its inference form, in place where that is possible.

    In every `nn.Sequential` a batch norm or a layer scale that directly follows a convolution becomes part of it, and a
    batch norm of vectors becomes part of the linear layer behind it; any other batch norm stays.

    Source: Jacob et al., Quantization and Training of Neural Networks, 2018, arXiv:1712.05877, equation 14.
    """
    if isinstance(module, Deployable):
        return fold(module.deploy())
    for name, child in list(module.named_children()):
        folded = fold(child)
        if folded is not child:
            setattr(module, name, folded)
    if isinstance(module, nn.Sequential):
        _fold_sequence(module)
    return module


def _fold_sequence(layers: nn.Sequential) -> None:
    for index in reversed(range(1, len(layers))):
        first, second = layers[index - 1], layers[index]
        if isinstance(first, nn.BatchNorm1d) and isinstance(second, nn.Linear):
            layers[index - 1] = _absorb(first, second)
            del layers[index]
    index = 1
    while index < len(layers):
        first, second = layers[index - 1], layers[index]
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            layers[index - 1] = _fuse(first, second)
            del layers[index]
        elif isinstance(first, nn.Conv2d) and isinstance(second, LayerScale):
            layers[index - 1] = _scale(first, second)
            del layers[index]
        else:
            index += 1


def _fuse(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    if convolution.weight.is_meta:
        # There are no values to fold, and arithmetic on the meta device would be most of the time of counting a row.
        convolution.bias = nn.Parameter(torch.empty(convolution.out_channels, device="meta"))
        return convolution
    return fuse_conv_bn_eval(convolution, norm)


def _scale(convolution: nn.Conv2d, scale: LayerScale) -> nn.Conv2d:
    if not convolution.weight.is_meta:
        convolution.weight.mul_(scale.scale[:, None])
        if convolution.bias is not None:
            convolution.bias.mul_(scale.scale.flatten())
    return convolution


def _absorb(norm: nn.BatchNorm1d, linear: nn.Linear) -> nn.Linear:
    """Give the linear layer that does what a batch norm of vectors and a linear layer behind it do."""
    like = {"device": linear.weight.device, "dtype": linear.weight.dtype}
    absorbed = nn.Linear(linear.in_features, linear.out_features, **like)  # type: ignore[arg-type]
    if not linear.weight.is_meta:
        gain, shift = gain_and_shift(norm)
        absorbed.weight.copy_(linear.weight * gain)
        absorbed.bias.copy_(linear.weight @ shift)
        if linear.bias is not None:
            absorbed.bias.add_(linear.bias)
    return absorbed
