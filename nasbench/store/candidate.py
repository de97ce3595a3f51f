"""One trial of a stored run: its network, and what is needed to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nasbench.errors import DefinitionError
from nasbench.space.architecture import Architecture
from nasbench.store.database import DATABASE
from nasbench.store.log import RunLog
from nasbench.store.parquet import read_run


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trial's network.

    `published` is the name of the network that the trial is, if it has one. `accuracy` is the estimate, a share of one,
    of a trial that is complete, and `details` what the estimator said of it.
    """

    run: Path
    trial: int
    manifest: Mapping[str, Any]
    architecture: Architecture
    published: str | None = None
    accuracy: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The run and the trial, as `RUN#TRIAL`."""
        return f"{self.run.resolve().name}#{self.trial}"


def read_candidate(run: Path, trial: int) -> Candidate:
    """Read a trial from the log of a run, or from its parquet files, which keep the networks of the front alone.

    Raises:
        DefinitionError: the run has no such trial, or does not keep its network.
        RunNameError: there is no such run.
    """
    if (run / DATABASE).is_file():
        return _from_log(run, trial)
    import pandas as pd

    stored = read_run(run)
    front = stored.pareto
    rows = front[front["trial"] == trial]
    if rows.empty:
        kept = ", ".join(map(str, front["trial"])) or "none"
        raise DefinitionError(f"{run} has no log, and of its front alone the networks are stored: trials {kept}")
    row = rows.iloc[0]
    complete = row["status"] == "complete" and pd.notna(row["accuracy"])
    return Candidate(
        run,
        trial,
        stored.manifest,
        Architecture.from_dict(json.loads(row["architecture_rows"])),
        row["published"] if pd.notna(row["published"]) else None,
        float(row["accuracy"]) if complete else None,
        json.loads(row["estimate_details"]) if pd.notna(row["estimate_details"]) else {},
    )


def _from_log(run: Path, trial: int) -> Candidate:
    with RunLog.read(run) as log:
        for one, _ in log.evaluations():
            if one.trial == trial:
                score = one.score if one.status == "complete" else None
                return Candidate(
                    run,
                    trial,
                    log.manifest,
                    one.architecture,
                    one.published,
                    None if score is None else score.value,
                    {} if score is None else score.details,
                )
        raise DefinitionError(f"{run} has no trial {trial}; it has {log.trial_count}, counted from 0")
