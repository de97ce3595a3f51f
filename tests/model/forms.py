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


def relative_difference(ours, reference):
    return float((ours - reference).abs().max() / reference.abs().max().clamp(min=1))
