"""What tests of a network's forms share: weights that hide nothing, and how far two outputs lie apart."""

import torch
from torch import nn

from nasbench.model.blocks.norms import LayerScale


def randomize_norms(network, seed=0):
    """Give norms and layer scales statistics and values that are not those of a fresh network."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, LayerScale):
            nn.init.uniform_(module.scale, 0.5, 1.5, generator=generator)
        if isinstance(module, nn.LayerNorm | nn.GroupNorm) and module.weight is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
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


def type_of(network):
    return next(network.parameters()).dtype


def relative_difference(ours, reference):
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1))
