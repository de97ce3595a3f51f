"""Train a network from its table of rows and score it. Runs in the child process of `TrainedAccuracy`.

The same request gives the same score, bit for bit, in every process on a machine with the same thread count: the
network is drawn from the recipe's seed, and so is every shuffle and every crop, apart from torch's global generator.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasbench.accuracy.data import DataRequest, Dataset, Split, load_data
from nasbench.accuracy.function import digest_function
from nasbench.accuracy.train import Recipe
from nasbench.errors import DatasetError, NanOutputError, ShapeError
from nasbench.isolation import Link
from nasbench.space.architecture import Architecture

Report = Callable[[int, float], bool]
_EVALUATION_BATCH = 250
_NORM_BATCHES = 8


def serve(request: dict[str, Any], link: Link) -> dict[str, Any]:
    """Answer one request of `TrainedAccuracy`.

    `open` looks at the data, `score` trains and scores one network, `identify` says what one computes.
    """
    torch.set_num_threads(request["threads"])
    torch.use_deterministic_algorithms(True)
    if request["do"] == "identify":
        link.phase("build")
        return {"function": digest_function(Architecture.from_dict(request["architecture"]))}
    link.phase("data")
    name, path, options = request["data"]
    dataset = _load_once(DataRequest(name, path, tuple((key, value) for key, value in options)))
    if request["do"] == "open":
        return _describe(dataset)
    if dataset.digest != request["digest"]:
        raise DatasetError(f"{name}: the files changed while the search ran; its scores would not compare")
    return _score(request, dataset, link)


@lru_cache(maxsize=1)
def _load_once(request: DataRequest) -> Dataset:
    return load_data(request)


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "digest": dataset.digest,
        "classes": dataset.classes,
        "size": list(dataset.size),
        "channels": dataset.channels,
        "images": {"train": len(dataset.train), "val": len(dataset.val), "test": len(dataset.test or ())},
    }


def _score(request: dict[str, Any], dataset: Dataset, link: Link) -> dict[str, Any]:
    from nasbench.model.build import build

    recipe = Recipe(**request["recipe"])
    architecture = Architecture.from_dict(request["architecture"])
    link.phase("build")
    started = time.perf_counter()
    torch.manual_seed(recipe.seed)  # for what draws from the global generator while it trains, such as dropout
    device = "cuda" if request["on_gpu"] else "cpu"
    network = build(architecture, recipe.seed).to(device)
    link.phase("train")
    images = Feed(dataset, architecture, recipe, device)
    split = dataset.val if request["split"] == "val" else dataset.test
    assert split is not None
    curve: list[tuple[int, float]] = []

    def go_on(epoch: int) -> bool:
        if epoch not in request["rungs"]:
            return True
        with settled_norms(network, images):
            curve.append((epoch, top1(network, images, split)))
        return bool(link.report({"epoch": epoch, "value": curve[-1][1]}).get("go_on", True))

    epochs, loss = fit(network, images, recipe, go_on)
    if not curve or curve[-1][0] != epochs:
        curve.append((epochs, top1(network, images, split)))
    if request["weights_path"] is not None:
        save_weights(network, Path(request["weights_path"]))
    return {
        "value": curve[-1][1],
        "curve": curve,
        "finished": epochs == recipe.epochs,
        "loss": loss,
        "seconds": time.perf_counter() - started,
    }


@dataclass(frozen=True)
class Feed:
    """Images of a data set in the form a network takes: normalised, its size, its channels, (N, C, H, W) in float32.

    They are shuffled and augmented on the processor, so that a seed means the same everywhere, and then moved to
    `device`, as torch names it.
    """

    dataset: Dataset
    architecture: Architecture
    recipe: Recipe
    device: str = "cpu"

    def __post_init__(self) -> None:
        channels, classes = self.architecture.input_shape[0], self.architecture.classes
        if channels != self.dataset.channels and self.dataset.channels != 1:
            raise ShapeError(f"the network takes {channels} channels, {self.dataset.name} has {self.dataset.channels}")
        if classes != self.dataset.classes:
            raise ShapeError(
                f"the network tells {classes} classes apart, {self.dataset.name} has {self.dataset.classes}"
            )

    def epoch(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the train split once in a new order, augmented; what does not fill a batch waits for another epoch."""
        split = self.dataset.train
        batch = min(self.recipe.batch_size, len(split))
        order = torch.randperm(len(split), generator=generator)
        for start in range(0, len(split) - batch + 1, batch):
            chosen = order[start : start + batch].numpy()
            images = torch.from_numpy(split.images[chosen])
            if self.recipe.augment:
                images = self._augment(images, generator)
            yield self.prepare(images), torch.from_numpy(split.labels[chosen]).to(self.device)

    def _augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Shift each image by up to an eighth of its size, black coming in; mirror half of them where that is sound."""
        count, height, width, _ = images.shape
        down, right = height // 8, width // 8
        padded = F.pad(images, (0, 0, right, right, down, down))
        tops = torch.randint(0, 2 * down + 1, (count,), generator=generator)
        lefts = torch.randint(0, 2 * right + 1, (count,), generator=generator)
        columns = torch.arange(width).repeat(count, 1)
        if self.dataset.mirror:
            mirrored = torch.rand(count, generator=generator) < 0.5
            columns[mirrored] = columns[mirrored].flip(1)
        rows = torch.arange(height) + tops[:, None]
        columns = columns + lefts[:, None]
        return padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]

    def prepare(self, images: Tensor) -> Tensor:
        """Turn (N, H, W, C) in uint8 into what the network takes."""
        mean, deviation = (torch.tensor(values) for values in self.dataset.normalisation)
        ready = ((images.float() / 255 - mean) / deviation).permute(0, 3, 1, 2)
        channels, *size = self.architecture.input_shape
        if list(ready.shape[2:]) != size:
            ready = F.interpolate(ready, size=size, mode="bilinear", antialias=True)
        return ready.expand(-1, channels, -1, -1).contiguous().to(self.device)


def fit(network: nn.Module, images: Feed, recipe: Recipe, go_on: Callable[[int], bool]) -> tuple[int, float]:
    """Train in place; gives the epochs done and the mean loss of the last one.

    Args:
        network: its parameters may be anything that is finite.
        images: what it learns from.
        recipe: how.
        go_on: asked after each epoch but the last.

    Raises:
        NanOutputError: the loss is NaN or infinite.
        ShapeError: the output is not (N, classes).
    """
    generator = torch.Generator().manual_seed(recipe.seed)
    batch = min(recipe.batch_size, len(images.dataset.train))
    steps_per_epoch = len(images.dataset.train) // batch
    total = steps_per_epoch * recipe.epochs
    optimizer = _optimizer(network, recipe)
    step = 0
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        losses = []
        for inputs, labels in images.epoch(generator):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * one_cycle((step + 0.5) / total, recipe.warmup)
            output = network(inputs)
            if output.shape != (len(labels), images.architecture.classes):
                raise ShapeError(
                    f"the output is {tuple(output.shape)}, not {(len(labels), images.architecture.classes)}"
                )
            loss = F.cross_entropy(output, labels, label_smoothing=recipe.label_smoothing)
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise NanOutputError(f"the loss is {losses[-1]} in step {len(losses)} of epoch {epoch}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimizer.step()
            step += 1
        if epoch < recipe.epochs and not go_on(epoch):
            break
    return epoch, float(np.mean(losses))


def one_cycle(progress: float, warmup: float) -> float:
    """Give the share of the peak learning rate after a share of all steps: up in a line, down along half a cosine.

    Source: Smith and Topin 2019, "Super-convergence", arXiv:1708.07120.
    Differs: a cosine down to zero in place of its two lines, and the momentum stays.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warmup) / (1 - warmup))))


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    # Norms and biases set a scale and not a direction: to decay them costs accuracy in short trainings.
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=True)


@torch.no_grad()
def top1(network: nn.Module, images: Feed, split: Split) -> float:
    """Give the share of a split that the network names right.

    Raises:
        NanOutputError: an output is NaN or infinite.
    """
    network.eval()
    right = 0
    for start in range(0, len(split), _EVALUATION_BATCH):
        output = network(images.prepare(torch.from_numpy(split.images[start : start + _EVALUATION_BATCH])))
        if not torch.isfinite(output).all():
            raise NanOutputError("an output on the validation images is NaN or infinite")
        labels = torch.from_numpy(split.labels[start : start + _EVALUATION_BATCH]).to(output.device)
        right += int((output.argmax(1) == labels).sum())
    return right / len(split)


@contextmanager
def settled_norms(network: nn.Module, images: Feed) -> Iterator[None]:
    """Give batch norms, for a while, the statistics of the weights of now; training goes on as if nobody had looked.

    In the middle of a cycle the weights move faster than the running averages follow. Without this, a look after the
    first of six epochs on mnist5k sees 10 to 18 % whatever the network; with it, 35 to 61 %, in the order of the end.

    Source: Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", arXiv:2105.07576, section 3.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    kept = [({name: value.clone() for name, value in norm.named_buffers()}, norm.momentum) for norm in norms]
    network.eval()  # nothing else may learn or draw random numbers here
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch then averages over all batches alike
        norm.train()
    batches = images.epoch(torch.Generator().manual_seed(images.recipe.seed))
    with torch.no_grad():
        for inputs, _ in islice(batches, _NORM_BATCHES):
            network(inputs)
    try:
        yield
    finally:
        for norm, (buffers, momentum) in zip(norms, kept, strict=True):
            for name, value in norm.named_buffers():
                value.copy_(buffers[name])
            norm.momentum = momentum


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the state as plain arrays by name in an .npz; the name appears when the file is whole."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        np.savez(file, **{name: value.cpu().numpy() for name, value in network.state_dict().items()})
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Put back what `save_weights` wrote; the network must be built from the same rows.

    Raises:
        DatasetError: the file is absent, damaged or of another network.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            state: Mapping[str, Tensor] = {name: torch.from_numpy(archive[name]) for name in archive.files}
        network.load_state_dict(state)
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise DatasetError(f"{path} holds no weights of this network: {error}") from error
