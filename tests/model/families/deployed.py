"""Inference forms on the meta device: what they count, and which layers they have."""

from collections import Counter

import torch
from families.reference import counted_by_torch, published

from nasbench.model.build import Network, trace_shapes
from nasbench.model.deploy import deploy
from nasbench.model.trace import make_meta_module


def deployed(name):
    """Give the inference form of a published architecture on the meta device."""
    architecture = published(name)
    shapes = (architecture.input_shape, *trace_shapes(architecture))
    with torch.device("meta"):
        return deploy(Network([make_meta_module(*row) for row in zip(architecture.blocks, shapes, strict=False)]))


def counted_deployed(name):
    """Count parameters and MACs of the inference form, with torch's own counter."""
    return counted_by_torch(deployed(name), published(name).input_shape)


def layers_of(network):
    """Count the layers of each class."""
    return Counter(type(module).__name__ for module in network.modules())
