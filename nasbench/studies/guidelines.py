"""ShuffleNet V2's guidelines as small networks of equal multiply-accumulates, compared in pairs on any device.

Source: Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, 2018, arXiv:1807.11164.
Differs: widths are multiples of 16 for which the multiply-accumulates are equal and not nearly so, so that a device
that computes in blocks of channels is asked about the guideline alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from nasbench.device.base import Device
from nasbench.errors import CandidateError
from nasbench.measure.compare import Comparison, Progress, compare
from nasbench.model.cost import count
from nasbench.records import CONFIRM, Cost
from nasbench.space.architecture import Architecture, Block, Scalar
from nasbench.space.kinds import make_block

SUPPORTED, CONTRADICTED, NO_DIFFERENCE = "supported", "contradicted", "no difference"
UNDECIDED, FAILED = "undecided", "failed"

_SIZE = 56
_CLASSES = 10
_LAYERS = 10


@dataclass(frozen=True, slots=True)
class Variant:
    """A small network: what it is called and its table of rows."""

    name: str
    architecture: Architecture

    @property
    def cost(self) -> Cost:
        """What it takes."""
        return count(self.architecture)


@dataclass(frozen=True, slots=True)
class Guideline:
    """What ShuffleNet V2 says, the network that it calls fast, and those of which it says that they are slower."""

    name: str
    says: str
    fast: Variant
    slower: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one variant: the ratio is its latency over that of the guideline's fast network.

    `reason` says how the comparison ended, or why there is none.
    """

    guideline: Guideline
    variant: Variant
    verdict: str
    comparison: Comparison | None
    reason: str


@cache
def guidelines() -> tuple[Guideline, ...]:
    """Give the four guidelines with their networks, each of ten 1x1 convolutions or blocks on 56 x 56 positions."""
    return (
        Guideline(
            "G1",
            "equal channel widths take least time",
            _stack("128 to 128", _pairs(128, 128)),
            (_stack("64 to 256", _pairs(64, 256)), _stack("32 to 512", _pairs(32, 512))),
        ),
        Guideline(
            "G2",
            "many groups take more time",
            _stack("1 group, width 128", _repeat("conv", 128, kernel=1)),
            (
                _stack("4 groups, width 256", _repeat("conv", 256, kernel=1, groups=4)),
                _stack("16 groups, width 512", _repeat("conv", 512, kernel=1, groups=16)),
            ),
        ),
        Guideline(
            "G3",
            "fragments take more time",
            _stack("1 layer of width 128", _repeat("fragments", 128)),
            (
                _stack("4 in series, width 64", _repeat("fragments", 64, depth=4)),
                _stack("2 branches of 2, width 64", _repeat("fragments", 64, branches=2, depth=2)),
                _stack("4 branches, width 64", _repeat("fragments", 64, branches=4)),
            ),
        ),
        Guideline(
            "G4",
            "element-wise operators take time of their own",
            _stack("bottlenecks, neither", _repeat("bottleneck", 128, act="none", shortcut="none")),
            (
                _stack("ReLU", _repeat("bottleneck", 128, shortcut="none")),
                _stack("shortcut", _repeat("bottleneck", 128, act="none")),
                _stack("ReLU and shortcut", _repeat("bottleneck", 128)),
            ),
        ),
    )


def check_guidelines(
    device: Device,
    *,
    seed: int = 0,
    watch: Callable[[Guideline, Variant, Progress], object] = lambda guideline, variant, progress: None,
    comparing: Callable[..., Comparison] = compare,
) -> Iterator[Finding]:
    """Compare every variant with the network that its guideline calls fast, and give each finding when it is there.

    One that cannot be measured on the device is a finding too.

    Args:
        device: open.
        seed: of weights and orders.
        watch: called before every process.
        comparing: compares two networks; tests bring their own.

    Raises:
        DeviceError: the device is gone.
    """
    for guideline in guidelines():
        for variant in guideline.slower:

            def note(progress: Progress, guideline: Guideline = guideline, variant: Variant = variant) -> None:
                watch(guideline, variant, progress)

            try:
                found = comparing(
                    device,
                    variant.architecture,
                    guideline.fast.architecture,
                    replace(CONFIRM, dtype=device.spec.dtype, seed=seed),
                    names=(variant.name, guideline.fast.name),
                    seed=seed,
                    watch=note,
                )
            except CandidateError as error:
                yield Finding(guideline, variant, FAILED, None, str(error))
            else:
                yield Finding(guideline, variant, _VERDICTS.get(found.verdict, UNDECIDED), found, found.stop)


_VERDICTS = {"slower": SUPPORTED, "faster": CONTRADICTED, "tie": NO_DIFFERENCE}


def _stack(name: str, blocks: Sequence[Block]) -> Variant:
    head = make_block("pool_linear", blocks[-1].out_channels, _CLASSES, 1, {}, name)
    return Variant(name, Architecture((blocks[0].in_channels, _SIZE, _SIZE), _CLASSES, (*blocks, head)))


def _pairs(narrow: int, wide: int) -> list[Block]:
    pair = [make_block("conv", *ends, 1, {"kernel": 1}, "G1") for ends in ((narrow, wide), (wide, narrow))]
    return pair * (_LAYERS // 2)


def _repeat(kind: str, width: int, **options: Scalar) -> list[Block]:
    return [make_block(kind, width, width, 1, options, kind)] * _LAYERS
