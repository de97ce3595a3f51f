"""What the tests of families share: our count of a published point, and torch's count of another project's model."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from nasbench.model.cost import count
from nasbench.space.load import find_architecture


def published(name):
    """Give a published architecture."""
    return find_architecture(name)[1].architecture


def counted(name):
    """Give parameters and MACs as nasbench counts them."""
    cost = count(published(name))
    return cost.params, cost.macs


def counted_by_torch(model, input_shape):
    """Count parameters, and MACs with torch's flop counter, of another project's model on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty((1, *input_shape), device="meta"))
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2
