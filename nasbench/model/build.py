"""From a table of rows to a torch module, with seeded initial weights."""

from __future__ import annotations

from math import sqrt
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nasbench.errors import OutOfMemory
from nasbench.model.trace import Shape, make_meta_module, trace_rows
from nasbench.space.architecture import Architecture

_LINEAR_STD = 0.01
"""As the reference code of MobileNetV2 and V3 draws the classifier."""


@runtime_checkable
class Drawn(Protocol):
    """A module that fills its own parameters and buffers: torch has no layer for them, or it starts otherwise."""

    def draw(self, generator: torch.Generator) -> None:
        """Overwrite the own parameters and buffers, not those of children, with initial values."""
        ...


class Network(nn.Module):
    """The rows of an architecture in order, one module each in `blocks`.

    (N, C, H, W) -> (N, classes). `deployed` says whether `nasbench.model.deploy` has made the inference form of it.
    """

    def __init__(self, blocks: list[nn.Module], *, deployed: bool = False) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.deployed = deployed

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits of (N, C, H, W)."""
        flow: Any = images  # images, tokens, or a pair of streams
        for block in self.blocks:
            flow = block(flow)
        logits: Tensor = flow
        return logits


def build(architecture: Architecture, seed: int = 0) -> Network:
    """Build a network in training mode on the CPU, its weights drawn from `seed` alone.

    torch's global random state is neither read nor moved, so the same seed gives the same weights anywhere.

    Raises:
        ShapeError: the rows do not fit each other; the text names the row.
        BuildError: a row cannot be built.
        OutOfMemory: the weights do not fit into memory.
    """
    shapes = (architecture.input_shape, *trace_shapes(architecture))
    network = Network([make_meta_module(*row) for row in zip(architecture.blocks, shapes, strict=False)])
    try:
        network.to_empty(device="cpu")
    except (MemoryError, RuntimeError) as error:
        count = sum(parameter.numel() for parameter in network.parameters())
        raise OutOfMemory(f"the {count:,} parameters do not fit into memory") from error
    initialize(network, seed)
    return network.train()


def check(architecture: Architecture) -> None:
    """Check that an architecture can be built, without building it; raises as `build` does."""
    trace_shapes(architecture)


def trace_shapes(architecture: Architecture) -> tuple[Shape, ...]:
    """Give the output shape of every row, without the batch; raises as `build` does."""
    return tuple(row.output_shape for row in trace_rows(architecture))


def initialize(network: nn.Module, seed: int) -> None:
    """Overwrite every parameter and buffer with an initial value drawn from `seed`.

    Convolutions are drawn as in He et al., Delving Deep into Rectifiers, 2015, arXiv:1502.01852, equation 14, with the
    outputs that one input reaches within its own group; torch's `kaiming_normal_` would count those of all groups and
    start depthwise convolutions too small.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, Drawn):
                module.draw(generator)
                continue
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
                module.weight.normal_(0.0, sqrt(2.0 / fan_out), generator=generator)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0.0, _LINEAR_STD, generator=generator)
            elif isinstance(module, nn.Conv1d | nn.ConvTranspose2d):
                fan_out = module.weight[0].numel()
                module.weight.normal_(0.0, sqrt(2.0 / fan_out), generator=generator)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
                module.reset_parameters()
                continue
            elif any(True for _ in module.parameters(recurse=False)) or any(
                True for _ in module.buffers(recurse=False)
            ):
                # to_empty left whatever was in memory there
                raise AssertionError(f"{name} ({type(module).__name__}) has weights that nothing initializes")
            else:
                continue
            if module.bias is not None:
                module.bias.zero_()
