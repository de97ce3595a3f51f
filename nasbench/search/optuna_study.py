"""A stored run as a study of Optuna, for the tools that read one; nothing of it goes back into the run."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from nasbench.definitions import parse_definition
from nasbench.errors import DefinitionError
from nasbench.importance import order_values
from nasbench.objectives import Objective, find_objective
from nasbench.search.samplers import distribution_of
from nasbench.space.architecture import Scalar
from nasbench.space.load import read_space
from nasbench.store.parquet import Run, label_runs

if TYPE_CHECKING:
    import pandas as pd

optuna.logging.set_verbosity(optuna.logging.WARNING)

_ATTRIBUTES = (
    *("status", "error", "of_trial", "published", "feasible", "on_front", "architecture", "final_accuracy", "dataset"),
    *("latency_s", "latency_low_s", "latency_high_s", "latency_verdict", "device", "runtime", "threads", "batch"),
    *("dtype", "reused_from"),
    *("peak_memory_bytes", "energy_j", "params", "macs"),
)
"""Columns of `evaluations.parquet` that a trial carries as user attributes, where they are not null."""

_UNFINISHED = ("pruned", "infeasible")


def build_storage(runs: Sequence[Run]) -> BaseStorage:
    """Put searches into a storage of Optuna in this process's memory, a study each under the run's name.

    A trial has the number, the choices, the values of the objectives, the times and the state of its row: complete, or
    pruned where its estimate was ended or a limit was seen beforehand, or failed; a duplicate has those of its first.
    How far it is beyond each limit, in the run's order, is a constraint and the attribute `beyond_NAME`; the accuracy
    after each epoch is an intermediate value, and what else there is a user attribute.

    Raises:
        DefinitionError: a run is a bench, which has no objectives, or is named twice.
    """
    folders = [run.folder.resolve() for run in runs]
    for at, run in enumerate(runs):
        if folders[at] in folders[:at]:
            raise DefinitionError(f"{run.folder} is named twice; a run is one study, so name it once")
    storage = InMemoryStorage()
    for run, name in zip(runs, label_runs(runs), strict=True):
        if not run.objectives:
            raise DefinitionError(f"{run.folder} is a bench, which has no objectives; a study is made of a search")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(
                storage=storage,
                study_name=name,
                directions=["maximize" if objective.maximize else "minimize" for objective in run.objectives],
            )
            study.set_metric_names([objective.name for objective in run.objectives])
        study.set_user_attr("command", " ".join(run.manifest.get("command") or ()))
        for trial in _make_trials(run):
            study.add_trial(trial)
    return storage


def _make_trials(run: Run) -> Iterable[FrozenTrial]:
    chosen = [json.loads(text) if isinstance(text, str) else {} for text in run.evaluations["choices"]]
    distributions = _find_distributions(run.manifest, chosen)
    first = run.evaluations.set_index("trial")
    for choices, (_, row) in zip(chosen, run.evaluations.iterrows(), strict=True):
        figures = first.loc[row["of_trial"]] if row["status"] == "duplicate" else row
        yield _make_trial(run, row, figures, choices, distributions)


def _make_trial(
    run: Run,
    row: pd.Series[Any],
    figures: pd.Series[Any],
    choices: Mapping[str, Scalar],
    distributions: Mapping[str, BaseDistribution],
) -> FrozenTrial:
    import pandas as pd

    values = [_known(figures[objective.column]) for objective in run.objectives]
    state = TrialState.PRUNED if figures["status"] in _UNFINISHED else TrialState.FAIL
    if figures["status"] == "complete" and None not in values:
        state = TrialState.COMPLETE
    constraints = _find_constraints(run.limits, figures) if state == TrialState.COMPLETE else {}
    curve = json.loads(row["accuracy_curve"]) if isinstance(row["accuracy_curve"], str) else []
    trial = create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=dict(choices),
        distributions={name: distributions[name] for name in choices},
        intermediate_values={int(epoch): float(value) for epoch, value in curve},
        user_attrs={name: value for name in _ATTRIBUTES if (value := _known(row[name])) is not None}
        | {f"beyond_{name}": value for name, value in constraints.items()},
        # Both Optuna and optuna-dashboard 0.21 read this; of what Optuna 5 writes itself the dashboard knows nothing.
        system_attrs={"constraints": list(constraints.values())} if constraints else {},
    )
    if not pd.isna(row["started_at"]):
        # Optuna's times are without a zone, and so these are of UTC.
        trial.datetime_start = row["started_at"].tz_localize(None).to_pydatetime()
        trial.datetime_complete = trial.datetime_start + pd.Timedelta(seconds=row["duration_s"] or 0).to_pytimedelta()
    return trial


def _known(value: Any) -> Any:
    """Give a stored value as plain data, None for a null."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value


def _find_constraints(limits: Mapping[str, float], row: pd.Series[Any]) -> dict[str, float]:
    """Give how far a trial is beyond each limit, at most 0 when it keeps it; nothing where that is not known."""
    found: dict[str, float] = {}
    for name, limit in limits.items():
        objective: Objective = find_objective(name)
        value = _known(row[objective.column])
        if value is not None:
            found[name] = objective.loss(value) - objective.loss(limit)
    return found


def _find_distributions(
    manifest: Mapping[str, Any], chosen: Sequence[Mapping[str, Scalar]]
) -> dict[str, BaseDistribution]:
    """Give what each choice is drawn from: as the run's own definition says, else the values that were tried."""
    defined = _read_distributions(manifest)
    found: dict[str, BaseDistribution] = {}
    for name in dict.fromkeys(name for trial in chosen for name in trial):
        values = [trial[name] for trial in chosen if name in trial]
        known = defined.get(name)
        fits = known is not None and all(_holds(known, value) for value in values)
        found[name] = known if known is not None and fits else CategoricalDistribution(order_values(values))
    return found


def _read_distributions(manifest: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    text = manifest.get("definition")
    if not isinstance(text, str):
        return {}
    try:
        space = read_space(parse_definition(text, "the run's definition"))
    except DefinitionError:  # that of another nasbench
        return {}
    return {choice.name: distribution_of(choice) for choice in space.choices}


def _holds(distribution: BaseDistribution, value: Scalar) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:
        return False
