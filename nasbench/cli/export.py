"""`nasbench export`: a candidate of a run as a file that other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench.errors import DefinitionError

if TYPE_CHECKING:
    from nasbench.model.build import Network
    from nasbench.records import Evaluation
    from nasbench.store.log import RunLog

SUFFIXES = {"onnx": ".onnx", "pytorch": ".pt", "yaml": ".yaml"}


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
    trial: Annotated[int, typer.Option(min=0, help="Number of the trial, as the tables show it.")],
    to: Annotated[str, typer.Option("--format", metavar="|".join(SUFFIXES), help="What to write.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="The file.  [default: RUN-trialN.SUFFIX here]")] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train it again by the run's recipe first; else weights are random.")
    ] = False,
) -> None:
    """Write a candidate as ONNX, as a PyTorch file with weights, or as a definition that nasbench reads."""
    from nasbench.model.export import check_output, to_onnx, to_torch, to_yaml
    from nasbench.registry import unknown_name
    from nasbench.store.log import RunLog

    if to not in SUFFIXES:
        raise unknown_name("format", to, SUFFIXES)
    if train and to == "yaml":
        raise DefinitionError("--train trains weights, and a yaml definition holds none")
    path = out or Path(f"{run.resolve().name}-trial{trial}{SUFFIXES[to]}")
    check_output(path)
    with RunLog.read(run) as log:
        evaluation = _find(log, run, trial)
        architecture = evaluation.architecture
        if to == "yaml":
            path.write_text(to_yaml(architecture), encoding="utf-8")
        else:
            network = _network(log, evaluation, train)
            if to == "onnx":
                to_onnx(network, path, architecture.input_shape)
            else:
                to_torch(network, architecture, path)
    trained = "" if to == "yaml" else ", trained weights" if train else ", random weights (--train trains it)"
    typer.echo(f"wrote {path}: trial {trial}, architecture {architecture.digest}{trained}")


def _find(log: RunLog, run: Path, trial: int) -> Evaluation:
    for evaluation, _ in log.evaluations():
        if evaluation.trial == trial:
            return evaluation
    raise DefinitionError(f"{run} has no trial {trial}; it has {log.trial_count}, counted from 0")


def _network(log: RunLog, evaluation: Evaluation, train: bool) -> Network:
    """Build the candidate; trained, its weights are those that its score was taken with, since training repeats.

    Where training does not repeat, because the machine or its software is another, a warning says so.
    """
    from tempfile import TemporaryDirectory

    from nasbench.accuracy.fit import load_weights
    from nasbench.accuracy.train import TrainedAccuracy
    from nasbench.model.build import build
    from nasbench.search.run import SAME_FUNCTION
    from nasbench.search.settings import Settings, open_accuracy_of
    from nasbench.tabular.reference import is_reference

    architecture = evaluation.architecture
    if not train:
        return build(architecture)
    settings = replace(Settings.of_manifest(log.manifest, log.folder), workers=1)
    if is_reference(settings.accuracy):
        raise DefinitionError("--train repeats a run's training, and this run's accuracy is from a table")
    with open_accuracy_of(settings) as accuracy, TemporaryDirectory() as folder:
        if not isinstance(accuracy, TrainedAccuracy):
            raise DefinitionError("--train repeats a run's training, and this run's accuracy was not trained")
        _check_description(log.manifest["accuracy"], dict(accuracy.description))
        weights = Path(folder) / "weights.pt"
        score = accuracy.estimate(architecture, lambda epoch, value: True, weights_path=weights)
        typer.echo(f"trained in {score.seconds:.1f} s to {100 * score.value:.2f} % on {score.split}", err=True)
        scored = evaluation.score if evaluation.status == "complete" else None
        if scored is not None and SAME_FUNCTION in scored.details:
            typer.echo(
                f"note: the run's {100 * scored.value:.2f} % are of trial {scored.details[SAME_FUNCTION]}, which "
                "computes the same with other initial weights",
                err=True,
            )
        elif scored is not None and score.value != scored.value:
            typer.echo(
                f"warning: the run scored {100 * scored.value:.4f} % and this training {100 * score.value:.4f} %, so "
                "these are not the weights of the run's figures. Compare torch and CPU with the run's manifest.",
                err=True,
            )
        network = build(architecture)
        load_weights(network, weights)
        return network


def _check_description(stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = sorted(key for key in {*stored, *now} if stored.get(key) != now.get(key))
    if changed:
        raise DefinitionError(
            f"{' and '.join(changed)} of the accuracy estimate changed since the run was started, so --train would not "
            "give the weights that were scored. Restore what changed, or leave --train out."
        )
