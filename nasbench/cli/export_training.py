"""The weights of an exported candidate: a run keeps none, and its training repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import typer

from nasbench.errors import DefinitionError

if TYPE_CHECKING:
    from nasbench.model.build import Network
    from nasbench.store.candidate import Candidate


def train_again(candidate: Candidate) -> Network:
    """Train a candidate by its run's recipe and seed; the weights are those that its score was taken with.

    Where training does not repeat, because the machine or its software is another, a warning says so.

    Raises:
        DefinitionError: the run's accuracy was not trained, or its data or recipe changed since.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from nasbench.accuracy.fit import load_weights
    from nasbench.accuracy.train import TrainedAccuracy
    from nasbench.model.build import build
    from nasbench.search.settings import Settings, open_accuracy_of

    settings = replace(Settings.of_manifest(candidate.manifest, candidate.run), workers=1)
    # Before the estimator is opened: a run of somebody else may name a module of its own.
    if settings.accuracy != "train" or not candidate.manifest.get("accuracy"):
        raise DefinitionError("--train repeats a run's training, and this run's accuracy was not trained")
    with open_accuracy_of(settings) as accuracy, TemporaryDirectory() as folder:
        assert isinstance(accuracy, TrainedAccuracy), "what trains"
        _check_description(candidate.manifest["accuracy"], dict(accuracy.description))
        weights = Path(folder) / "weights.npz"
        score = accuracy.estimate(candidate.architecture, lambda epoch, value: True, weights_path=weights)
        typer.echo(f"trained in {score.seconds:.1f} s to {100 * score.value:.2f} % on {score.split}", err=True)
        _compare(candidate, score.value)
        network = build(candidate.architecture)
        load_weights(network, weights)
        return network


def _compare(candidate: Candidate, value: float) -> None:
    """Say whether the accuracy of this training is the one of the run."""
    from nasbench.search.run import SAME_FUNCTION

    if candidate.accuracy is None:
        return
    if SAME_FUNCTION in candidate.details:
        typer.echo(
            f"note: the run's {100 * candidate.accuracy:.2f} % are of trial {candidate.details[SAME_FUNCTION]}, which "
            "computes the same with other initial weights",
            err=True,
        )
    elif value != candidate.accuracy:
        typer.echo(
            f"warning: the run scored {100 * candidate.accuracy:.4f} % and this training {100 * value:.4f} %, so "
            "these are not the weights of the run's figures. Compare torch and CPU with the run's manifest.",
            err=True,
        )


def _check_description(stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = sorted(key for key in {*stored, *now} if stored.get(key) != now.get(key))
    if changed:
        raise DefinitionError(
            f"{' and '.join(changed)} of the accuracy estimate changed since the run was started, so --train would not "
            "give the weights that were scored. Restore what changed, or leave --train out."
        )
