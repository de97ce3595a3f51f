"""Data sets for image classification: their names, the record they become, and what every one of them must satisfy.

A user writes `--data NAME`, `--data NAME=PATH` or `--data NAME=PATH,option=value`. `parse_data` reads that and touches
no file; `load_data` gives a checked `Dataset`. Each data set is a file of its own here and one line in `DATASETS`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import DatasetError, DefinitionError
from nasbench.registry import Registry, unknown_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATASETS = Registry(
    "data set",
    {
        "mnist5k": "nasbench.accuracy.mnist:MNIST5K",
        "cifar10": "nasbench.accuracy.cifar:CIFAR10",
        "image_folder": "nasbench.accuracy.folder:IMAGE_FOLDER",
    },
)
"""Every data set by name. Nothing of one is imported until it is asked for."""

_SPLIT_SEED = 20240229
"""Of every split that is drawn here. A score of another split is another score, so this never changes."""

_OPTIONS = re.compile(r"(?P<path>.*?)(?P<options>(?:,[a-z_]+=[^,=/]*)*)")


@dataclass(frozen=True)
class Split:
    """Images (count, height, width, channels) in uint8 and their labels (count,) in int64, from 0."""

    images: NDArray[Any]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[Any]) -> Split:
        """Give the images at these indices, in this order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, decoded, in three splits that share no image.

    `train` is learnt from, `val` decides between candidates, and `test` is for the figure that is reported at the end;
    it is None when the user's folder has none. `mirror` says whether an image seen in a mirror keeps its label.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    val: Split
    test: Split | None
    mirror: bool

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.train.images.shape[1], self.train.images.shape[2])

    @property
    def channels(self) -> int:
        """1 for grey, 3 for red, green and blue."""
        return int(self.train.images.shape[3])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything here but the name; scores compare only under equal digests."""
        content = hashlib.sha256(repr((self.class_names, self.mirror)).encode())
        for split in (self.train, self.val, self.test):
            if split is None:
                content.update(b"none")
                continue
            content.update(repr(split.images.shape).encode())
            content.update(split.images.tobytes())
            content.update(split.labels.astype("<i8").tobytes())
        return content.hexdigest()

    @cached_property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel over the train split, with pixels from 0 to 1."""
        import numpy as np

        means, deviations = [], []
        levels = np.arange(256, dtype=np.float64) / 255
        for channel in range(self.channels):
            # counting is exact, so the figures do not depend on the order in which a machine sums
            counts = np.bincount(self.train.images[..., channel].ravel(), minlength=256)
            mean = float((counts * levels).sum() / counts.sum())
            variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
            means.append(mean)
            deviations.append(variance**0.5 or 1.0)
        return tuple(means), tuple(deviations)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a data set comes from: what stands behind a name in `DATASETS`.

    `needs_path` says what PATH has to be, None when there is none. `options` are names with the reader of their text,
    which raises ValueError with what is allowed.
    """

    load: Callable[..., Dataset]
    needs_path: str | None = None
    options: Mapping[str, Callable[[str], Any]] | None = None


@dataclass(frozen=True, slots=True)
class DataRequest:
    """What a user asked for with `--data`, its name and options checked, its files not yet looked at."""

    name: str
    path: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        text = self.name if self.path is None else f"{self.name}={self.path}"
        return text + "".join(f",{name}={value}" for name, value in self.options)


def parse_data(text: str) -> DataRequest:
    """Read `NAME`, `NAME=PATH` or `NAME=PATH,option=value`.

    A relative path is taken from the working directory of now and `~` is the home, so that the request means the same
    in another process.

    Raises:
        UnknownNameError: no data set or option is named so.
        DefinitionError: a path is missing or one too many, or an option has a wrong value.
    """
    name, equals, rest = text.partition("=")
    source: Source = DATASETS.find(name)
    if source.needs_path is None:
        if equals:
            raise DefinitionError(f"--data {text}: {name} comes with nasbench and takes no path; write --data {name}")
        return DataRequest(name)
    match = _OPTIONS.fullmatch(rest)
    path = match["path"] if match else rest
    if not path:
        raise DefinitionError(f"--data {text}: {name} needs a path; write --data {name}=PATH, {source.needs_path}")
    pairs = []
    for part in match["options"].split(",")[1:] if match else ():
        option, _, value = part.partition("=")
        if option not in (source.options or {}):
            raise unknown_name(f"option of the data set {name}", option, source.options or {})
        _read_option(text, source, option, value)
        pairs.append((option, value))
    return DataRequest(name, str(Path(path).expanduser().absolute()), tuple(pairs))


def _read_option(text: str, source: Source, option: str, value: str) -> Any:
    assert source.options is not None
    try:
        return source.options[option](value)
    except ValueError as error:
        raise DefinitionError(f"--data {text}: {option} is {value!r}; {error} is needed") from error


def load_data(request: DataRequest) -> Dataset:
    """Give the data, decoded and checked.

    Raises:
        DatasetError: it is absent, damaged, or of another form.
    """
    source: Source = DATASETS.find(request.name)
    options = {name: _read_option(str(request), source, name, value) for name, value in request.options}
    try:
        if request.path is None:
            dataset = source.load(**options)
        else:
            path = Path(request.path)
            if not path.exists():
                raise DatasetError(f"{path} does not exist; {request.name} needs {source.needs_path}")
            dataset = source.load(path, **options)
    except OSError as error:
        raise DatasetError(f"{error.filename or request.path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise DatasetError(f"{request} does not fit into memory") from error
    for what, split in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test)):
        if split is not None:
            check_split(f"{request}, split {what}", split, dataset, needs_all=what == "train")
    return dataset


def check_split(where: str, split: Split, dataset: Dataset, needs_all: bool) -> None:
    """Raise DatasetError unless a split can be learnt from, or scored, together with the rest of its data set."""
    import numpy as np

    images, labels = split.images, split.labels
    if dataset.classes < 2:
        raise DatasetError(f"{where}: there is one class only ({dataset.class_names}); two are needed to tell apart")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DatasetError(
            f"{where}: the images are {images.dtype} of the shape {images.shape}; "
            "uint8 (count, height, width, 1 or 3) is needed, none of them 0"
        )
    if images.shape[1:] != dataset.train.images.shape[1:]:
        raise DatasetError(
            f"{where}: images are {images.shape[1:]}, those of the train split {dataset.train.images.shape[1:]}"
        )
    if labels.shape != images.shape[:1]:
        raise DatasetError(f"{where}: {len(images)} images, but labels of the shape {labels.shape}")
    outside = (labels < 0) | (labels >= dataset.classes)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise DatasetError(
            f"{where}: label {first} is {labels[first]}; labels are whole numbers from 0 to {dataset.classes - 1}"
        )
    counts = np.bincount(labels, minlength=dataset.classes)
    if needs_all and counts.min() == 0:
        absent = dataset.class_names[int(counts.argmin())]
        raise DatasetError(f"{where}: no image of the class {absent!r}; every class needs one at least")


def stratified(labels: NDArray[Any], counts: Callable[[int], tuple[int, ...]]) -> list[NDArray[Any]]:
    """Split indices so that every class is shared out alike. The same labels give the same split for ever.

    Args:
        labels: (count,) whole numbers.
        counts: says for a class of n images how many go to each part but the last, which gets the rest.

    Returns:
        One sorted array of indices a part; together they hold every index once.
    """
    import numpy as np

    # NumPy promises that this generator never changes its stream, which it does not promise of the newer ones.
    generator = np.random.RandomState(_SPLIT_SEED)
    parts: list[list[NDArray[Any]]] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ends = np.cumsum(counts(len(members)))
        parts.append(np.split(generator.permutation(members), ends))
    return [np.sort(np.concatenate(pieces)) for pieces in zip(*parts, strict=True)]


def hold_out(train: Split, share: float, most: int) -> tuple[Split, Split]:
    """Take a fixed stratified share, at most about `most` images, out of a train split; gives (rest, held out)."""
    share = min(share, most / max(len(train), 1))
    held, rest = stratified(train.labels, lambda n: (min(max(1, round(n * share)), n - 1),))
    return train.take(rest), train.take(held)
