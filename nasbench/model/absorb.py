"""Fold batch norms into convolutions in a network that nasbench did not build, by what flows where in one run of it.

A copy of it is run once on the meta device, where nothing is computed, and every operation is looked at. So it does
not matter how the network is written: what holds for the operations holds for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Rest = Callable[[nn.BatchNorm2d], nn.Module | None]
"""Gives what is left of a norm's module once its convolution does its work; None where that is not known."""

_NORMS = (torch.ops.aten.native_batch_norm, torch.ops.aten._native_batch_norm_legit_no_training)


def rest_of_plain(norm: nn.BatchNorm2d) -> nn.Module | None:
    """Give nothing in the place of torch's own batch norm; a subclass may do more than that one does."""
    return nn.Identity() if type(norm) is nn.BatchNorm2d else None


def find_norms(network: nn.Module, input_shape: tuple[int, ...]) -> list[tuple[str, str]]:
    """Find each convolution and the batch norm that can become part of it, by their names in the network.

    Such a norm takes what one convolution puts out, nothing else takes that, and each is used once and has one name. A
    convolution that changes its weights before it uses them has no such norm.

    Args:
        network: in evaluation mode, on the meta device; it may be spoiled for any other device afterwards, since a
            network may keep what it made of the first input.
        input_shape: (channels, height, width) of one image.

    Raises:
        Exception: whatever the network's own code does not do on the meta device.
    """
    flow = _Flow()
    with torch.no_grad(), flow:
        output = network(torch.empty((1, *input_shape), device="meta"))
    seen_outside = {id(leaf) for leaf in tree_leaves(output)}
    held = Counter(id(child) for parent in network.modules() for child in parent._modules.values())
    convolutions, norms = {}, {}
    for name, module in network.named_modules():
        if held[id(module)] > 1:
            continue  # whatever takes its place would get one of its names only
        if isinstance(module, nn.Conv2d):
            convolutions[id(module.weight)] = name
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            norms[id(module.running_mean)] = name
    return [
        (convolutions[weight], norms[mean])
        for between, mean in flow.normed
        if (weight := flow.convolved.get(between)) in convolutions
        and mean in norms
        and all(flow.uses[key] == 1 for key in (between, mean, weight))
        and between not in seen_outside
    ]


def absorb_norms(network: nn.Module, found: Iterable[tuple[str, str]], rest: Rest = rest_of_plain) -> None:
    """Make batch norms part of their convolutions, in place; the network computes the same afterwards.

    Args:
        network: in evaluation mode, on any device.
        found: what `find_norms` gave for a network with the same modules.
        rest: what takes the place of a norm; where it gives None the norm stays.

    Raises:
        Exception: whatever folding raises; the network may compute something else then, and is of no use.
    """
    for first, second in found:
        convolution, norm = network.get_submodule(first), network.get_submodule(second)
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        left = rest(norm)
        if left is not None:
            network.set_submodule(first, fuse_conv_bn_eval(convolution, norm))
            network.set_submodule(second, left)


class _Flow(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps which tensor a convolution made with which weight, and which tensor a batch norm takes, all by `id`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: Counter[int] = Counter()
        self.convolved: dict[int, int] = {}
        self.normed: list[tuple[int, int]] = []
        self._alive: list[Any] = []  # an id is that of one tensor only as long as the tensor lives

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self._alive.append((args, kwargs, output))
        self.uses.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        kind = func._overloadpacket  # type: ignore[attr-defined]
        if kind is torch.ops.aten.convolution:
            self.convolved[id(output)] = id(args[1])
        elif kind in _NORMS and isinstance(args[3], Tensor):
            self.normed.append((id(args[0]), id(args[3])))
        return output
