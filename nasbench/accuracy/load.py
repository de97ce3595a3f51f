"""From what a user writes after `--accuracy` to an estimator."""

from __future__ import annotations

from nasbench.accuracy.base import Accuracy
from nasbench.accuracy.custom import CustomAccuracy
from nasbench.accuracy.data import parse_data
from nasbench.accuracy.train import Recipe, TrainedAccuracy
from nasbench.errors import DefinitionError
from nasbench.isolation import MakeWorker, Worker
from nasbench.registry import unknown_name

METHODS = {"train": "train each candidate by the same short recipe"}
"""What `--accuracy` takes besides `package.module:function`."""

DEFAULT_DATA = "mnist5k"


def open_accuracy(
    text: str = "train",
    data: str | None = None,
    *,
    epochs: int | None = None,
    seed: int = 0,
    threads: int = 1,
    cpus: tuple[int, ...] | None = None,
    memory_limit_bytes: int | None = None,
    limit_s: float = 3600.0,
    on_gpu: bool = False,
    make_worker: MakeWorker = Worker,
) -> Accuracy:
    """Give the estimator that a user asked for; it starts nothing before it is entered or opened.

    Args:
        text: a name in `METHODS`, or `package.module:function`.
        data: as `parse_data` reads it; None is mnist5k. Only for a method that looks at data.
        epochs: of a training; None is the recipe's default.
        seed: of a training.
        threads: of the estimate.
        cpus: cores for the estimate.
        memory_limit_bytes: of the child that estimates, the data included.
        limit_s: for one estimate.
        on_gpu: train on a GPU.
        make_worker: makes what runs the child, here or on a node.

    Raises:
        UnknownNameError: no method or data set is named so.
        DefinitionError: the options do not go together.
    """
    if ":" in text:
        for option, value in (("--data", data), ("--epochs", epochs)):
            if value is not None:
                raise DefinitionError(f"{option} {value}: --accuracy {text} takes none; only --accuracy train does")
        return CustomAccuracy(
            text,
            threads=threads,
            cpus=cpus,
            memory_limit_bytes=memory_limit_bytes,
            limit_s=limit_s,
            make_worker=make_worker,
        )
    if text not in METHODS:
        raise unknown_name("accuracy method", text, [*METHODS, "package.module:function"])
    return TrainedAccuracy(
        parse_data(DEFAULT_DATA if data is None else data),
        Recipe(seed=seed) if epochs is None else Recipe(epochs=epochs, seed=seed),
        threads=threads,
        cpus=cpus,
        memory_limit_bytes=memory_limit_bytes,
        limit_s=limit_s,
        on_gpu=on_gpu,
        make_worker=make_worker,
    )
