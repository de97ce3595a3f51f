"""What an axis shows: the unit that fits the values, and the words for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasbench.objectives import Objective

if TYPE_CHECKING:
    from matplotlib.axis import Axis as DrawnAxis


@dataclass(frozen=True, slots=True)
class Axis:
    """A stored figure times `scale` is what the axis shows."""

    objective: Objective
    scale: float
    label: str


_STEPS: dict[str, tuple[tuple[str, float], ...]] = {
    "s": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)),
    "bytes": (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("bytes", 1.0)),
    "J": (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6)),
    "count": (("billions", 1e9), ("millions", 1e6), ("thousands", 1e3), ("", 1.0)),
}
_NAMES = {
    "accuracy": "Top-1 accuracy",
    "latency": "Latency",
    "params": "Parameters",
    "macs": "MACs",
    "memory": "Memory",
    "energy": "Energy",
}


def make_axis(objective: Objective, values: Iterable[float], batch: int | None = None) -> Axis:
    """Choose the largest unit in which most values are at least 1; percent for a share.

    Args:
        objective: what the axis shows.
        values: stored values, in the objective's stored unit.
        batch: images in one inference, said on the axis of a latency or an energy when it is not 1.
    """
    name = _NAMES.get(objective.figure, objective.name)
    if objective.unit == "share of one":
        return Axis(objective, 100.0, f"{name} (%)")
    sizes = sorted(abs(value) for value in values)
    middle = sizes[len(sizes) // 2] if sizes else 0.0
    steps = _STEPS.get(objective.unit, ((objective.unit, 1.0),))
    unit, size = next((step for step in steps if middle >= step[1]), steps[-1] if sizes else steps[0])
    if objective.figure in ("latency", "energy") and batch not in (None, 1):
        name = f"{name} of a batch of {batch}"
    if objective.device is not None:
        name = f"{name} on {objective.device}"
    return Axis(objective, 1.0 / size, f"{name} ({unit})" if unit else name)


def number_ticks(axis: DrawnAxis) -> None:
    """Write plain numbers along a logarithmic axis, as many as its span needs; call it when its limits are final."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axis.get_view_interval()
    if high < 3 * low:
        axis.set_major_locator(AutoLocator())
        axis.set_minor_locator(NullLocator())
    else:
        subs = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5) if high < 500 * low else (1, 3)
        axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
