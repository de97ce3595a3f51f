"""image_folder: a user's own images, one folder a class."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nasbench.accuracy.data import Dataset, Source, Split, hold_out
from nasbench.errors import DatasetError

_SUFFIXES = (".png", ".jpg", ".jpeg")
_IGNORED = ("Thumbs.db", "desktop.ini")
_NEEDS = "a folder with train/CLASS/*.png or *.jpg, and if you like val/CLASS and test/CLASS"
_VAL_SHARE = 0.1
_VAL_MOST = 5000
_DEFAULT_SIZE = 64


def _read_size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 8 <= int(text) <= 512:
        raise ValueError("a whole number of pixels from 8 to 512")
    return int(text)


def _read_flag(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("yes or no")
    return text == "yes"


def load_image_folder(path: Path, size: int = _DEFAULT_SIZE, mirror: bool = True) -> Dataset:
    """Decode every image once, to RGB of `size` x `size` pixels: scaled to cover it, then cropped to its centre.

    The folders of train/ are the classes, in the order of their names. Without val/ a fixed tenth of train is held out.
    """
    if not (path / "train").is_dir():
        raise DatasetError(f"{path} has no folder train; image_folder needs {_NEEDS}")
    names = tuple(sorted(entry.name for entry in _visible(path / "train") if entry.is_dir()))
    if len(names) < 2:
        raise DatasetError(f"{path / 'train'} has {len(names)} folders; one for each of two classes at least is needed")
    train = _read_split(path / "train", names, size)
    test = _read_split(path / "test", names, size) if (path / "test").exists() else None
    if (path / "val").exists():
        val = _read_split(path / "val", names, size)
    else:
        counts = np.bincount(train.labels, minlength=len(names))
        if counts.min() < 2:
            raise DatasetError(
                f"{path / 'train' / names[int(counts.argmin())]} has one image; without a folder val, two are needed"
            )
        train, val = hold_out(train, _VAL_SHARE, _VAL_MOST)
    return Dataset("image_folder", names, train, val, test, mirror)


IMAGE_FOLDER = Source(load_image_folder, _NEEDS, {"size": _read_size, "mirror": _read_flag})


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.name not in _IGNORED)


def _read_split(folder: Path, names: tuple[str, ...], size: int) -> Split:
    found = tuple(entry.name for entry in _visible(folder) if entry.is_dir())
    if found != names:
        odd = sorted(set(found) ^ set(names))
        raise DatasetError(f"{folder} and its neighbour train differ in the class folders {odd}; they must be the same")
    files = []
    for label, name in enumerate(names):
        members = _visible(folder / name)
        if not members:
            raise DatasetError(f"{folder / name} has no image")
        files += [(file, label) for file in members]
    images = np.empty((len(files), size, size, 3), dtype=np.uint8)
    for index, (file, _) in enumerate(files):
        images[index] = _decode(file, size)
    return Split(images, np.array([label for _, label in files], dtype=np.int64))


def _decode(file: Path, size: int) -> NDArray[np.uint8]:
    if file.suffix.lower() not in _SUFFIXES or not file.is_file():
        raise DatasetError(f"{file} is no {', '.join(_SUFFIXES)} file; convert it or move it away")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG", "JPEG")) as image:
                return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(f"{file} cannot be decoded: {error}") from error
