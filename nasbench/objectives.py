"""What a search can optimize or limit, and where each figure is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from nasbench import units
from nasbench.errors import DefinitionError
from nasbench.records import Evaluation, Measurement
from nasbench.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure of a candidate. `column` is its name in the parquet files, `unit` what is stored there.

    `free` figures are counted from the architecture alone, so candidates beyond a limit on them cost nothing. With
    several devices, one that a device answers is named `latency@rpi4`, and so is its column; `figure` is its name
    without the device.
    """

    name: str
    column: str
    unit: str
    maximize: bool
    free: bool
    about: str
    read: Callable[[Evaluation], float | None]
    show: Callable[[float | None], str]
    parse: Callable[[str], float]

    @property
    def figure(self) -> str:
        """What is optimized, without the device."""
        return split_objective(self.name)[0]

    @property
    def device(self) -> str | None:
        """The device it is taken on, where it is named."""
        return split_objective(self.name)[1]

    def __reduce__(self) -> tuple[Callable[[str], Objective], tuple[str]]:
        """Travel to another process by name: what reads a figure is a function of no module."""
        return find_objective, (self.name,)

    def loss(self, value: float) -> float:
        """Turn a value into one that is better when smaller."""
        return -value if self.maximize else value


def split_objective(name: str) -> tuple[str, str | None]:
    """Give the figure and the device, if it names one, of an objective such as `latency@rpi4`."""
    figure, at, device = name.partition("@")
    return figure, device if at else None


def measured_on(evaluation: Evaluation, device: str) -> Measurement | None:
    """Give what was measured of a candidate on the device of that name."""
    return next((one for one in evaluation.measurements if one.device == device), None)


def _accuracy(evaluation: Evaluation) -> float | None:
    return evaluation.score.value if evaluation.score else None


_MEASURED: dict[str, Callable[[Measurement], float | None]] = {
    "latency": lambda measurement: measurement.latency_s,
    "memory": lambda measurement: measurement.peak_memory_bytes,
    "energy": lambda measurement: measurement.energy_j,
}

MEASURED = tuple(_MEASURED)
"""The figures that a device answers."""


def _first(figure: str) -> Callable[[Evaluation], float | None]:
    read = _MEASURED[figure]
    return lambda evaluation: read(evaluation.measurements[0]) if evaluation.measurements else None


def _at(figure: str, device: str) -> Callable[[Evaluation], float | None]:
    read = _MEASURED[figure]

    def find(evaluation: Evaluation) -> float | None:
        measurement = measured_on(evaluation, device)
        return read(measurement) if measurement else None

    return find


def _params(evaluation: Evaluation) -> float | None:
    return evaluation.cost.params if evaluation.cost else None


def _macs(evaluation: Evaluation) -> float | None:
    return evaluation.cost.macs if evaluation.cost else None


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "accuracy",
            "accuracy",
            "share of one",
            True,
            False,
            "top-1 on the validation split, 0 to 1",
            _accuracy,
            units.format_percent,
            units.parse_share,
        ),
        Objective(
            "latency",
            "latency_s",
            "s",
            False,
            False,
            "time of one inference of the whole batch on the device: median of the kept samples at the level screen, "
            "geometric mean of the medians of the processes at confirm",
            _first("latency"),
            units.format_seconds,
            units.parse_seconds,
        ),
        Objective(
            "params",
            "params",
            "count",
            False,
            True,
            "trainable parameters",
            _params,
            units.format_count,
            units.parse_count,
        ),
        Objective(
            "macs",
            "macs",
            "count",
            False,
            True,
            "multiply-accumulates for one image",
            _macs,
            units.format_count,
            units.parse_count,
        ),
        Objective(
            "memory",
            "peak_memory_bytes",
            "bytes",
            False,
            False,
            "growth of the measuring process's peak resident memory",
            _first("memory"),
            units.format_bytes,
            units.parse_bytes,
        ),
        Objective(
            "energy",
            "energy_j",
            "J",
            False,
            False,
            "energy of one inference of the whole batch, idle power included",
            _first("energy"),
            units.format_joules,
            units.parse_joules,
        ),
    )
}


@lru_cache(maxsize=256)
def find_objective(name: str) -> Objective:
    """Give an objective by its name, such as `accuracy`, `latency` or `latency@rpi4`.

    Without a device, what a device answers is that of the first one.

    Raises:
        UnknownNameError: there is no such figure.
        DefinitionError: no device answers it, and one is named.
    """
    figure, device = split_objective(name)
    if figure not in OBJECTIVES:
        raise unknown_name("objective", figure, OBJECTIVES)
    found = OBJECTIVES[figure]
    if device is None:
        return found
    if figure not in MEASURED:
        raise DefinitionError(f"{name}: {figure} does not depend on a device; write {figure}")
    if not device:
        raise DefinitionError(f"{name}: the name of a device is missing, as in {figure}@cpu")
    return replace(found, name=name, column=f"{found.column}@{device}", read=_at(figure, device))


def read_limits(texts: Iterable[str]) -> dict[str, float]:
    """Read limits such as `latency=5ms` and `params=5M`.

    Raises:
        UnknownNameError: what is limited is unknown.
        DefinitionError: a limit is no number with a fitting unit, or accuracy is given one.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DefinitionError(f"--max {text!r} has no value; write for example latency=5ms or params=5M")
        if split_objective(name)[0] not in OBJECTIVES:
            raise unknown_name("figure to limit", name, (o.name for o in OBJECTIVES.values() if not o.maximize))
        objective = find_objective(name)
        if objective.maximize:
            raise DefinitionError(f"--max {name} is not a limit: more {name} is better")
        if name in limits:
            raise DefinitionError(f"--max {name} is given twice")
        limits[name] = objective.parse(value)
        if limits[name] <= 0:
            raise DefinitionError(f"--max {text!r} leaves nothing; a limit is above 0")
    return limits
