"""What tests of a network's forms share: weights that hide nothing, and how far two outputs lie apart."""

import torch
from torch import nn

from nasbench.model.blocks.norms import LayerScale


def randomize_norms(network, seed=0):
    """Give norms and layer scales statistics and values that are not those of a fresh network.

    These statistics are of no data. Where branches are multiplied (VAN, StarNet), what they let grow is squared block
    by block, and ten blocks overflow: `settle_norms` is for whole networks.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, LayerScale):
            nn.init.uniform_(module.scale, 0.5, 1.5, generator=generator)
        if isinstance(module, nn.LayerNorm | nn.GroupNorm) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.3, generator=generator)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.3, generator=generator)


def settle_norms(network, image_shape, seed=3):
    """Give batch norms random scales, and the statistics of what flows through, so that no layer's output explodes."""
    randomize_norms(network, seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(
            torch.randn(2, *image_shape, generator=torch.Generator().manual_seed(seed)).to(type_of(network))
        )
    for norm in norms:  # behind a squeeze two values alone make a variance; near 0 it magnifies every rounding
        norm.running_var.clamp_(min=1e-3)


def type_of(network):
    return next(network.parameters()).dtype


def relative_difference(ours, reference):
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1))
