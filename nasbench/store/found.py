"""Parquet files of what a study or a check found: typed columns with units, and the circumstances of the finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasbench.errors import RunNameError
from nasbench.store.columns import Column
from nasbench.store.manifest import circumstances
from nasbench.store.parquet import make_table, read_sealed, write_table
from nasbench.store.schema import SCHEMA, dump_json

if TYPE_CHECKING:
    import pandas as pd

_PACKAGES = ("torch", "numpy", "pandas", "pyarrow")


def write_found(
    path: Path,
    columns: Sequence[Column],
    rows: Sequence[Any],
    kind: str,
    asked: Mapping[str, Any],
    packages: Iterable[str],
) -> None:
    """Write rows, whole or not at all.

    Args:
        path: the file; its stem is the table's name.
        columns: what is read of every row.
        rows: as many as there are findings so far.
        kind: what was done, such as claims.
        asked: the settings, plain data.
        packages: distributions whose versions are written down, besides those of every file.

    Raises:
        StoreError: it cannot be written.
    """
    manifest = {"kind": kind, "settings": dict(asked), **circumstances(sorted({*packages, *_PACKAGES}))}
    metadata = {
        "nasbench.schema": str(SCHEMA),
        "nasbench.table": path.stem,
        "nasbench.manifest": dump_json(manifest, "manifest"),
    }
    write_table(path, make_table(columns, rows, metadata))


def read_found(folder: Path, table: str) -> pd.DataFrame:
    """Read what `write_found` wrote, every byte checked.

    Raises:
        RunNameError: the folder has no such table.
        StoreError: it cannot be read; DamagedRunError where it was altered.
    """
    path = folder / f"{table}.parquet"
    try:
        frame: pd.DataFrame = read_sealed(path).to_pandas()
    except FileNotFoundError as error:
        raise RunNameError(f"{folder} has no {path.name}; `nasbench study` writes it") from error
    return frame
