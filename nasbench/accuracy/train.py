"""Accuracy by training: every network gets the same short recipe and is scored on the validation split.

This side needs no torch: the training is `nasbench.accuracy.fit`, in one child process that is kept for the whole
search and started anew after a fault.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nasbench.accuracy.base import ChildAccuracy, GoOn
from nasbench.accuracy.data import DataRequest
from nasbench.errors import CandidateError, DatasetError, DefinitionError
from nasbench.isolation import Link, MakeWorker, Worker
from nasbench.records import Score
from nasbench.space.architecture import Architecture

VERSION = 1
"""Of how a recipe is carried out. Raise it when a change in `fit` changes scores: old ones then no longer compare."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. The same recipe for all makes their scores compare, if not their best.

    SGD with Nesterov momentum, one cycle of the learning rate with its peak after the share `warmup` of all steps,
    label smoothing, gradients clipped to `clip_norm`, no decay of norms and biases, images shifted and mirrored
    (`augment`).

    The numbers are the best of a few tried on mnist5k with five networks of 1,400 to 99,000 parameters, two seeds each:
    six epochs at a peak of 0.2 leave the smallest ten points behind. A peak of 1.0 gave that one three points more and
    the others one at most; 0.5 is kept as the safer choice for deeper networks.
    """

    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    warmup: float = 0.25
    clip_norm: float = 5.0
    augment: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("epochs", 1, 10_000),
            ("batch_size", 2, 65_536),
            ("learning_rate", 1e-8, 100.0),
            ("momentum", 1e-8, 0.9999),
            ("weight_decay", 0.0, 1.0),
            ("label_smoothing", 0.0, 0.9),
            ("warmup", 0.0, 0.9),
            ("clip_norm", 1e-8, 1e8),
            ("seed", 0, 2**63 - 1),
        ):
            value = getattr(self, name)
            if not least <= value <= most:  # NaN fails this too
                raise DefinitionError(f"recipe: {name} is {value}; {least} to {most} is allowed")


def default_rungs(epochs: int) -> tuple[int, ...]:
    """Give the epochs after a third and two thirds of the budget; none when that is the end.

    Over 30 networks trained for six epochs on mnist5k, the Spearman correlation with the final accuracy was 0.79 after
    epoch 1 and 0.96 after epoch 3: a first look before a third of the budget would end good networks.
    """
    return tuple(sorted({rung for rung in (-(-epochs // 3), -(-2 * epochs // 3)) if rung < epochs}))


def serve(request: dict[str, Any], link: Link) -> dict[str, Any]:
    """Answer one request in the child."""
    # Threads that wait for each other shall spin for some microseconds and then sleep. Never to spin made small
    # networks twice as slow on two quiet cores; to spin on, as OpenMP does by itself, made an epoch take 20 s instead
    # of 2 where another process wanted the cores. OpenMP reads this once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, products on a GPU are not repeatable
    from nasbench.accuracy import fit

    return fit.serve(request, link)


class TrainedAccuracy(ChildAccuracy):
    """Top-1 on the validation split after the last epoch of a fixed recipe.

    It is the value after the last epoch and not the best of all: the learning rate ends at zero, so the last network is
    the one that would be deployed, and the best of several looks would favour networks whose curves swing.

    `classes`, `description` and `dataset` are known once it is open.
    """

    name = "train"

    def __init__(
        self,
        data: DataRequest,
        recipe: Recipe | None = None,
        *,
        threads: int = 1,
        cpus: tuple[int, ...] | None = None,
        memory_limit_bytes: int | None = None,
        rungs: tuple[int, ...] | None = None,
        limit_s: float = 3600.0,
        data_limit_s: float = 600.0,
        on_gpu: bool = False,
        make_worker: MakeWorker = Worker,
    ) -> None:
        """Prepare; nothing is read or started before `open`.

        Args:
            data: what `parse_data` gave.
            recipe: how to train; the default is `Recipe()`.
            threads: of the training; a score belongs to its thread count.
            cpus: cores to stay on.
            memory_limit_bytes: of the child, the data included.
            rungs: epochs after which `go_on` is asked, below the recipe's; by default those of `default_rungs`.
            limit_s: for one whole training with its validation.
            data_limit_s: for reading and decoding the data.
            on_gpu: train on the first GPU that the child sees.
            make_worker: makes what runs the child, here or on a node.
        """
        self.data = data
        self.recipe = recipe or Recipe()
        self.rungs = default_rungs(self.recipe.epochs) if rungs is None else tuple(sorted(set(rungs)))
        if any(not 1 <= rung < self.recipe.epochs for rung in self.rungs):
            raise DefinitionError(f"rungs are {self.rungs}; from 1 to {self.recipe.epochs - 1} is allowed")
        if threads < 1:
            raise DefinitionError(f"threads is {threads}; a whole number from 1 is needed")
        self._threads = threads
        self._on_gpu = on_gpu
        self._limits_s = {"data": data_limit_s, "build": 30.0, "train": limit_s}
        self._facts: dict[str, Any] | None = None
        self._worker = make_worker(
            "nasbench.accuracy.train:serve", threads=threads, cpus=cpus, memory_limit_bytes=memory_limit_bytes
        )

    def open(self) -> None:
        """Read and check the data in the child.

        Raises:
            DatasetError: the data is absent, damaged, or does not fit the limits.
        """
        try:
            self._facts = self._worker.call(self._request("open"), limits_s=self._limits_s)
        except CandidateError as error:  # there is no candidate yet: it is the data that ran out of time or memory
            raise DatasetError(f"{self.data} cannot be loaded: {error}") from error
        self.classes = self._facts["classes"]

    @property
    def facts(self) -> Mapping[str, Any]:
        """Digest, classes, size (height, width), channels and images in each split of the data; opens when need be."""
        if self._facts is None:
            self.open()
        assert self._facts is not None
        return self._facts

    @property
    def has_test_split(self) -> bool:
        """Say whether the data has a test split."""
        return bool(self.facts["images"]["test"])

    @property
    def dataset(self) -> str:
        """Name and start of the digest, as scores carry it: other images under the same name are told apart."""
        return f"{self.data.name}@{self.facts['digest'][:12]}"

    @property
    def description(self) -> Mapping[str, Any]:
        """Give data, recipe and thread count."""
        return {
            "method": self.name,
            "version": VERSION,
            "data": {"name": self.data.name, **self.facts},
            "recipe": asdict(self.recipe),
            "rungs": list(self.rungs),
            "threads": self._threads,
            **({"on_gpu": True} if self._on_gpu else {}),
        }

    def estimate(self, architecture: Architecture, go_on: GoOn, weights_path: Path | None = None) -> Score:
        """Train one network and score it on the validation split; the test split is not looked at.

        `weights_path` is where the trained weights go (`nasbench.accuracy.fit.load_weights` reads them back).

        Raises:
            CandidateError: this network failed; its subclass says how.
            DatasetError: the data is gone or was changed.
        """
        return self._score(architecture, "val", go_on, weights_path)

    def identify(self, architecture: Architecture) -> str | None:
        """Run the network once in the child, see `digest_function`; None where it does not run."""
        request = self._request("identify") | {"architecture": architecture.as_dict()}
        try:
            answer = self._worker.call(request, limits_s=self._limits_s)
        except CandidateError:
            return None
        found: str | None = answer["function"]
        return found

    def final(self, architecture: Architecture, weights_path: Path | None = None) -> Score:
        """Train one network by the same recipe and score it once on the test split, for the figure that is reported.

        It learns from the train split only, so this is the very network whose validation score the search saw.

        Raises:
            CandidateError: this network failed.
            DatasetError: there is no test split.
        """
        if not self.facts["images"]["test"]:
            raise DatasetError(f"{self.data} has no test split, so there is no final score; add a folder test")
        return self._score(architecture, "test", lambda epoch, value: True, weights_path)

    def _score(self, architecture: Architecture, split: str, go_on: GoOn, weights_path: Path | None) -> Score:
        request = self._request("score") | {
            "digest": self.facts["digest"],
            "architecture": architecture.as_dict(),
            "recipe": asdict(self.recipe),
            "split": split,
            "rungs": list(self.rungs) if split == "val" else [],
            "weights_path": None if weights_path is None else str(weights_path.absolute()),
        }
        answer = self._worker.call(
            request,
            limits_s=self._limits_s,
            on_report=lambda report: {"go_on": bool(go_on(report["epoch"], report["value"]))},
        )
        return Score(
            value=answer["value"],
            metric="top1",
            method=self.name,
            dataset=self.dataset,
            split=split,
            seconds=answer["seconds"],
            finished=answer["finished"],
            curve=tuple((epoch, value) for epoch, value in answer["curve"]),
            details={"train_loss": answer["loss"], "seed": self.recipe.seed, "epochs": self.recipe.epochs},
        )

    def _request(self, do: str) -> dict[str, Any]:
        options = [list(pair) for pair in self.data.options]
        data = [self.data.name, self.data.path, options]
        return {"do": do, "threads": self._threads, "data": data, "on_gpu": self._on_gpu}
