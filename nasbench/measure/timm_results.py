"""timm's table of ImageNet accuracies, `results-imagenet.csv`, as what is published of the networks of a run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from nasbench.errors import DefinitionError
from nasbench.model.foreign import TIMM, is_timm, name_foreign
from nasbench.space.architecture import Architecture
from nasbench.store.published import Published

_COLUMNS = ("model", "img_size", "top1")


def read_timm_results(path: Path) -> dict[tuple[str, int], float]:
    """Read top-1 accuracies, each a share of one, by the name at timm with its tag and the side of the test image.

    Raises:
        DefinitionError: it cannot be read or is no such table; the text says which line.
    """
    found: dict[tuple[str, int], float] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DefinitionError(
                    f"{path}: lacks the column {missing[0]!r}; timm's results-imagenet.csv is needed, whose first line "
                    f"has {', '.join(_COLUMNS)} among others"
                )
            for row in reader:
                size, top1 = _read_row(row, f"{path}:{reader.line_num}")
                if found.setdefault((row["model"], size), top1) != top1:
                    raise DefinitionError(
                        f"{path}:{reader.line_num}: has {row['model']} at {size} pixels again, with another top1"
                    )
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DefinitionError(f"{path}: is no table of text: {error}") from error
    return found


def state_timm(networks: Mapping[str, Architecture], path: Path) -> dict[str, Published]:
    """Give what timm's table states of those networks that are timm's, by the names of this run.

    A network has an entry only if the table has its tag at the very size of its input: at another size it is as fast
    and as accurate as another network.

    Raises:
        DefinitionError: as `read_timm_results`.
    """
    results = read_timm_results(path)
    found = {}
    for name, architecture in networks.items():
        _, height, width = architecture.input_shape
        if is_timm(architecture) and height == width:
            top1 = results.get((name_foreign(architecture).removeprefix(TIMM), height))
            if top1 is not None:
                found[name] = Published(source=f"timm, {path.name}", top1=top1)
    return found


def _read_row(row: Mapping[str, str | None], where: str) -> tuple[int, float]:
    try:
        size, percent = int(row["img_size"] or ""), float(row["top1"] or "")
    except ValueError as error:
        raise DefinitionError(
            f"{where}: img_size is {row['img_size']!r} and top1 {row['top1']!r}; a whole number and a number are needed"
        ) from error
    if not row["model"] or not 0 <= percent <= 100:
        raise DefinitionError(f"{where}: model is {row['model']!r} and top1 {percent:g}; a name and percent are needed")
    # ten digits, since 77.698 / 100 is not the number that 0.77698 is
    return size, round(percent / 100, 10)
