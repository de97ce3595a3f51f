"""cifar10: from an .npz file, or from the original archive in its binary version."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasbench.accuracy.data import Dataset, Source, Split, hold_out
from nasbench.errors import DatasetError

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_RECORD_BYTES = 1 + 3 * 32 * 32
_FILE_BYTES = 10_000 * _RECORD_BYTES
"""A label and a red, a green and a blue plane, 10,000 times: the format as its page describes it."""

_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST_FILE = "test_batch.bin"
_PYTHON_FILE = re.compile(r"(data_batch_\d|test_batch|batches\.meta)")
_NEEDS = "an .npz with x_train, y_train, x_test and y_test, or cifar-10-binary.tar.gz, or the folder it unpacks to"
_VAL_SHARE = 0.1
_VAL_MOST = 5000


def load_cifar10(path: Path) -> Dataset:
    """Give CIFAR-10 with a tenth of its train images, at most 5,000, held out for validation. Test is its own test.

    Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
    """
    if path.is_dir():
        train, test = _from_folder(path)
    elif path.suffix == ".npz":
        train, test = _from_npz(path)
    elif path.name.endswith((".tar.gz", ".tgz", ".tar")):
        train, test = _from_archive(path)
    else:
        raise DatasetError(f"{path} is nothing that cifar10 is read from; give {_NEEDS}")
    counts = np.bincount(train.labels, minlength=len(_CLASSES))
    if counts.min() < 2:
        name = _CLASSES[int(counts.argmin())]
        raise DatasetError(f"{path}: {counts.min()} train images of {name!r}; two are needed to hold one out")
    rest, held = hold_out(train, _VAL_SHARE, _VAL_MOST)
    return Dataset("cifar10", _CLASSES, rest, held, test, mirror=True)


CIFAR10 = Source(load_cifar10, _NEEDS)


def _from_npz(path: Path) -> tuple[Split, Split]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            absent = [name for name in _ARRAYS if name not in archive.files]
            if absent:
                raise DatasetError(
                    f"{path} has no array {absent[0]!r}, only {sorted(archive.files)}; it needs {_ARRAYS}"
                )
            arrays = [archive[name] for name in _ARRAYS]
    except (
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise DatasetError(f"{path} is damaged or no .npz of plain arrays: {error}") from error
    x_train, y_train, x_test, y_test = arrays
    return _split(f"{path}: x_train", x_train, y_train), _split(f"{path}: x_test", x_test, y_test)


def _split(where: str, images: NDArray[Any], labels: NDArray[Any]) -> Split:
    if images.dtype != np.uint8 or images.shape[1:] != (32, 32, 3) or not len(images):
        raise DatasetError(f"{where} is {images.dtype} {images.shape}; uint8 (count, 32, 32, 3) is needed")
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1)):
        raise DatasetError(
            f"{where} has labels of {labels.dtype} {labels.shape}; whole numbers ({len(images)},) are needed"
        )
    labels = labels.reshape(-1)
    if labels.min() < 0 or labels.max() >= len(_CLASSES):
        raise DatasetError(f"{where} has labels from {labels.min()} to {labels.max()}; 0 to 9 are needed")
    return Split(images, labels.astype(np.int64))


def _from_folder(path: Path) -> tuple[Split, Split]:
    inner = path / "cifar-10-batches-bin"
    folder = inner if inner.is_dir() else path
    names = {entry.name for entry in folder.iterdir()}
    if "cifar-10-binary.tar.gz" in names and _TEST_FILE not in names:
        return _from_archive(folder / "cifar-10-binary.tar.gz")
    if _TEST_FILE not in names:
        python = names & {"cifar-10-batches-py", "cifar-10-python.tar.gz"} or list(
            filter(_PYTHON_FILE.fullmatch, names)
        )
        if python:
            raise _refuse_python(path)
    return _from_files(path, {n: (folder / n).read_bytes() for n in (*_TRAIN_FILES, _TEST_FILE) if n in names})


def _from_archive(path: Path) -> tuple[Split, Split]:
    try:
        # Nothing is unpacked: members are read by name into memory, so a hostile path in the archive leads nowhere.
        with tarfile.open(path) as archive:
            files = dict(_known_members(path, archive))
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DatasetError(f"{path} is damaged or no tar archive: {error}") from error
    return _from_files(path, files)


def _known_members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in archive:
        name = Path(member.name).name
        if _PYTHON_FILE.fullmatch(name):
            raise _refuse_python(path)
        if name not in _TRAIN_FILES and name != _TEST_FILE:
            continue
        if not member.isfile() or member.size > _FILE_BYTES:
            raise DatasetError(f"{path}: {name} is no file of at most {_FILE_BYTES:,} bytes")
        yield name, (archive.extractfile(member) or io.BytesIO()).read()


def _refuse_python(path: Path) -> DatasetError:
    return DatasetError(
        f"{path} is the Python version of CIFAR-10, which is made of pickles: reading one can run any code, so "
        "nasbench does not; get cifar-10-binary.tar.gz from the same page"
    )


def _from_files(path: Path, files: dict[str, bytes]) -> tuple[Split, Split]:
    absent = [name for name in (*_TRAIN_FILES, _TEST_FILE) if name not in files]
    if absent:
        raise DatasetError(f"{path} has no {', no '.join(absent)}; give {_NEEDS}")
    parts = [_records(path, name, files[name]) for name in _TRAIN_FILES]
    train = Split(np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts]))
    return train, _records(path, _TEST_FILE, files[_TEST_FILE])


def _records(path: Path, name: str, content: bytes) -> Split:
    if not content or len(content) % _RECORD_BYTES:
        raise DatasetError(
            f"{path}: {name} has {len(content):,} bytes, no multiple of {_RECORD_BYTES:,}; it is truncated or damaged"
        )
    rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, _RECORD_BYTES)
    images = np.ascontiguousarray(rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return _split(f"{path}: {name}", images, rows[:, 0])
