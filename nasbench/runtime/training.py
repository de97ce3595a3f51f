"""A training step of torch, operator by operator: gradients to zero, forward, loss, backward, update."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nasbench.errors import BuildError, ShapeError
from nasbench.runtime.eager import Eager, first_tensor

_MOMENTUM = 0.9
"""As Goyal et al., Accurate, Large Minibatch SGD, 2017, arXiv:1706.02677, section 5.1."""

_SEED = 0
"""Of the labels, and of what dropout and its like draw in a step."""


class Training(Eager):
    """torch eager, of which a call is one training step and gives the logits of its forward pass.

    The learning rate is 0: all the work is done and the weights stay, so that the same input gives the same output. A
    batch norm uses the statistics of the batch; the running ones move, and nothing reads them.
    """

    form = "training"

    def convert(self, network: nn.Module, dtype: torch.dtype) -> nn.Module:
        """Give the module on the device with loss and optimizer around it.

        Raises:
            BuildError: it has no weights to train.
        """
        return _Step(super().convert(network, dtype), self._generator())

    def context(self) -> AbstractContextManager[Any]:
        """Record what gradients need."""
        return torch.enable_grad()

    def _generator(self) -> torch.Generator:
        """Give the generator that torch draws from on the device."""
        if self.device == "cpu":
            return torch.default_generator
        return torch.cuda.default_generators[torch.device(self.device).index]


class _Step(nn.Module):
    """A network whose call is a training step: cross-entropy against fixed labels, SGD with momentum.

    (N, C, H, W) -> (N, classes), detached; a network that puts out (N, classes, H, W) has a label for every place. The
    gradients of a step stay until the next one.
    """

    def __init__(self, network: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if not weights:
            raise BuildError("the network cannot be trained: none of its weights takes a gradient")
        self.network = network
        self._generator = generator
        self._optimizer = torch.optim.SGD(weights, lr=0.0, momentum=_MOMENTUM)
        self._labels: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Run one step."""
        self._generator.manual_seed(_SEED)  # dropout is work too, and has to drop the same each time
        self._optimizer.zero_grad()
        logits = self._run(images)
        if self._labels is None:  # how many classes there are shows in the first call
            self._labels = draw_labels(logits)
        functional.cross_entropy(logits, self._labels).backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return logits.detach()

    def _run(self, images: Tensor) -> Tensor:
        try:
            return first_tensor(self.network(images))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise BuildError(
                f"a batch norm cannot be trained on one value for each channel, which it gets at a batch of "
                f"{len(images)}; take a larger batch"
            ) from error


def draw_labels(logits: Tensor) -> Tensor:
    """Draw a class for each image, or for each place of it, from a fixed seed.

    Raises:
        ShapeError: what the network puts out has no dimension of classes behind the batch.
    """
    if logits.ndim < 2:
        raise ShapeError(f"the network puts out {tuple(logits.shape)}; training needs logits, (batch, classes)")
    generator = torch.Generator().manual_seed(_SEED)
    shape = (logits.shape[0], *logits.shape[2:])
    return torch.randint(logits.shape[1], shape, generator=generator).to(logits.device)
