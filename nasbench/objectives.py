"""What a search can optimize or limit, and where each figure is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasbench import units
from nasbench.records import Evaluation


@dataclass(frozen=True, slots=True)
class Objective:
    """A figure of a candidate. `column` is its name in the parquet files, `unit` what is stored there.

    `free` figures are counted from the architecture alone, so candidates beyond a limit on them cost nothing.
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

    def loss(self, value: float) -> float:
        """Turn a value into one that is better when smaller."""
        return -value if self.maximize else value


def _accuracy(evaluation: Evaluation) -> float | None:
    return evaluation.score.value if evaluation.score else None


def _latency(evaluation: Evaluation) -> float | None:
    return evaluation.measurements[0].latency_s if evaluation.measurements else None


def _memory(evaluation: Evaluation) -> float | None:
    return evaluation.measurements[0].peak_memory_bytes if evaluation.measurements else None


def _energy(evaluation: Evaluation) -> float | None:
    return evaluation.measurements[0].energy_j if evaluation.measurements else None


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
            _latency,
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
            _memory,
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
            _energy,
            units.format_joules,
            units.parse_joules,
        ),
    )
}
