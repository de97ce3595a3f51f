"""A table of networks and their figures: CSV or parquet, one row a network."""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasbench import units
from nasbench.errors import DefinitionError, NasbenchError
from nasbench.registry import unknown_name
from nasbench.space.architecture import Scalar
from nasbench.space.nasbench201 import EDGES, architecture_of_index, parse_architecture
from nasbench.space.space import SearchSpace
from nasbench.tabular.reference import Reference

if TYPE_CHECKING:
    import pandas as pd

_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_UNIT = re.compile(r"_(ns|us|ms|s)$")
_TWENTIETH = 20
_DIGEST = re.compile(r"[0-9a-f]{16}")
_CELL_EDGES = {f"edge_{start}_{end}" for start, end in EDGES}

_digests: dict[tuple[str, str], list[str | None]] = {}
"""By space and file, the digest of each row's network: decoding all rows takes a second for 15,000."""


@dataclass(frozen=True)
class Table:
    """A file, read. `rows` gives the row of a network by its digest."""

    path: str
    sha256: str
    frame: pd.DataFrame
    stored_units: Mapping[str, str]
    rows: Mapping[str, int]
    key: str

    def column(self, name: str) -> NDArray[np.float64]:
        """Give a column as numbers, NaN where nothing is.

        Raises:
            UnknownNameError: there is no such column.
            DefinitionError: it holds something that is no number.
        """
        import pandas as pd

        if name not in self.frame:
            raise unknown_name(f"column of {self.path}", name, map(str, self.frame.columns))
        values = pd.to_numeric(self.frame[name], errors="coerce")
        wrong = values.isna() & self.frame[name].notna() & (self.frame[name].astype(str).str.strip() != "")
        if wrong.any():
            first = self.frame[name][wrong].iloc[0]
            raise DefinitionError(f"{self.path}: the column {name} holds {str(first)[:60]!r}, which is no number")
        return np.asarray(values, dtype=np.float64)

    def value(self, values: NDArray[np.float64], digest: str) -> float | None:
        """Give a network's entry of a column; None where the table has none."""
        row = self.rows.get(digest)
        return None if row is None or math.isnan(values[row]) else float(values[row])

    def known(self, values: NDArray[np.float64]) -> dict[str, float]:
        """Give the entries of a column that are there, by digest."""
        return {digest: float(values[row]) for digest, row in self.rows.items() if not math.isnan(values[row])}


def read_table(path: str, space: SearchSpace) -> Table:
    """Read a table of networks of a space.

    A row says which network it is by NAS-Bench-201's string (`arch`), by the choices of the space, one a column, by the
    network's digest (`architecture`), or by NAS-Bench-201's index (`index`); the first of these that the table has
    counts.

    Raises:
        DefinitionError: the file cannot be read, or does not say which networks its rows are.
    """
    frame, stored_units, sha256 = _read(Path(path))
    if not len(frame):
        raise DefinitionError(f"{path} has no rows")
    key = _find_key(path, frame, space)
    known = _digests.get((space.digest, sha256))
    if known is None:
        known = _digests[space.digest, sha256] = [_digest(space, key, row) for row in _key_rows(frame, key, space)]
    rows: dict[str, int] = {}
    for number, digest in enumerate(known):
        if digest is not None:
            rows.setdefault(digest, number)
    if not rows:
        raise DefinitionError(f"{path}: by its {key}, none of its {len(frame):,} rows is in the space {space.name}")
    return Table(path, sha256, frame, stored_units, rows, key)


def read_seconds(table: Table, reference: Reference) -> tuple[NDArray[np.float64], str | None]:
    """Give a column as seconds, NaN where there is no time to be believed, and a note on what was left out.

    Zero and less is none, and neither is what lies below `least`. Where that is not given, a table that another
    program wrote may hold faults near zero: what is below a twentieth of the median is left out, and said.

    Raises:
        UnknownNameError: there is no such column.
        DefinitionError: nothing says the unit, or `least` is no time.
    """
    seconds = table.column(reference.column) * seconds_per_unit(table, reference)
    positive = np.where(np.isfinite(seconds) & (seconds > 0), seconds, np.nan)
    if np.isnan(positive).all():
        raise DefinitionError(f"{table.path}: the column {reference.column} has no entry above 0")
    if reference.least is not None:
        least = 0.0 if reference.least == "0" else units.parse_seconds(reference.least)
        return np.where(positive >= least, positive, np.nan), None
    if table.stored_units:
        return positive, None
    least = float(np.nanmedian(positive)) / _TWENTIETH
    faults = int((positive < least).sum())
    if not faults:
        return positive, None
    note = (
        f"{reference.column} of {table.path}: {faults:,} of {len(positive):,} entries are below "
        f"{units.format_seconds(least)}, a twentieth of the median, and count as measuring faults; "
        "end the name with ,least=0 to take them, or with ,least=TIME to draw the line elsewhere"
    )
    return np.where(positive >= least, positive, np.nan), note


def read_shares(table: Table, reference: Reference) -> NDArray[np.float64]:
    """Give a column of accuracies as shares of one, NaN where there is none.

    Without a unit, a column with values beyond 1 is in percent.

    Raises:
        UnknownNameError: there is no such column.
        DefinitionError: an entry is no share, or the unit is another.
    """
    values = table.column(reference.column)
    if np.isnan(values).all():
        raise DefinitionError(f"{table.path}: the column {reference.column} has no entry")
    unit = reference.unit or ("percent" if np.nanmax(values) > 1 else "share")
    if unit not in ("percent", "share"):
        raise DefinitionError(f"{reference}: an accuracy has the unit percent or share, not {unit!r}")
    if reference.least is not None:
        raise DefinitionError(f"{reference}: least is for latencies; leave it out")
    shares = values / 100 if unit == "percent" else values
    if (shares < 0).any() or (shares > 1).any():
        worst = float(values[np.nanargmax(np.abs(shares - 0.5))])
        raise DefinitionError(f"{table.path}: the column {reference.column} holds {worst:g}, no accuracy in {unit}")
    return np.asarray(shares)


def interval_columns(table: Table, column: str) -> tuple[str, str] | None:
    """Name the columns with the ends of the interval of a latency, where the table has them."""
    figure, at, device = column.partition("@")
    if not figure.endswith("_s"):
        return None
    low, high = (f"{figure.removesuffix('_s')}_{end}_s{at}{device}" for end in ("low", "high"))
    return (low, high) if low in table.frame and high in table.frame else None


def seconds_per_unit(table: Table, reference: Reference) -> float:
    """Give how many seconds the unit of a column is; raises DefinitionError where nothing says it."""
    unit = reference.unit or table.stored_units.get(reference.column)
    if unit is None:
        named = (reference.column.partition("@")[0], Path(table.path).name.partition(".")[0])
        unit = next((match.group(1) for text in named if (match := _UNIT.search(text))), None)
    if unit is None:
        raise DefinitionError(
            f"{reference}: nothing says what unit {reference.column} is in; end the name with ,unit=ms, us or s"
        )
    try:
        return units.parse_seconds(f"1{unit}")
    except DefinitionError:
        raise DefinitionError(f"{reference}: {unit!r} is no unit of time; write ns, us, ms or s") from None


def _read(path: Path) -> tuple[pd.DataFrame, Mapping[str, str], str]:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.name.endswith(_ENDINGS):
        raise DefinitionError(f"{path} is no table: its name must end in {', '.join(_ENDINGS)}")
    path = path.expanduser()
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if path.name.endswith(".parquet"):
            stored = pq.read_table(path)
            described = {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in stored.schema}
            return (
                stored.to_pandas(ignore_metadata=True),
                {name: unit for name, unit in described.items() if unit},
                sha256,
            )
        separator = "\t" if ".tsv" in path.name else ","
        return pd.read_csv(path, sep=separator, dtype={"arch": str, "architecture": str}), {}, sha256
    except FileNotFoundError:
        raise DefinitionError(f"there is no file {path}") from None
    except (OSError, ValueError, pa.ArrowException, pd.errors.ParserError, EOFError, zlib.error) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise DefinitionError(f"{path} cannot be read as a table: {said}") from error


def _find_key(path: str, frame: pd.DataFrame, space: SearchSpace) -> str:
    """Say by what the rows name their networks."""
    names = {choice.name for choice in space.choices}
    if names == _CELL_EDGES and "arch" in frame:
        return "arch"
    if names and names <= set(frame.columns):
        return "choices"  # before digests, which hang on the number of classes too
    if "architecture" in frame and frame["architecture"].astype(str).str.fullmatch(_DIGEST.pattern).all():
        return "architecture"
    if names == _CELL_EDGES and "index" in frame:
        return "index"
    raise DefinitionError(
        f"{path} does not say which networks of {space.name} its rows are; it needs a column architecture with "
        "digests, "
        f"{'arch or index of NAS-Bench-201, ' if names == _CELL_EDGES else ''}or a column for each choice: "
        f"{', '.join(sorted(names))}"
    )


def _key_rows(frame: pd.DataFrame, key: str, space: SearchSpace) -> Sequence[Any]:
    if key != "choices":
        return list(frame[key])
    names = [choice.name for choice in space.choices]
    return frame[names].to_dict("records")


def _digest(space: SearchSpace, key: str, entry: Any) -> str | None:
    """Give the digest of the network that a row is of; None where it is none of the space."""
    if key == "architecture":
        return str(entry)
    read: Mapping[str, Callable[[Any], Mapping[str, Scalar]]] = {
        "arch": lambda text: parse_architecture(str(text)),
        "index": lambda index: architecture_of_index(int(index) if int(index) == index else -1),
        "choices": lambda choices: _choices(space, choices),
    }
    try:
        return space.decode_choices(read[key](entry)).digest
    except (NasbenchError, ValueError, TypeError, OverflowError):
        return None


def _choices(space: SearchSpace, entry: Mapping[str, Any]) -> dict[str, Scalar]:
    """Read a row's choices: numbers may stand as texts, and empty is a choice that does not exist there."""
    import pandas as pd

    chosen: dict[str, Scalar] = {}
    for choice in space.choices:
        value = entry[choice.name]
        if pd.isna(value) or value == "":
            continue
        texts = {str(member): member for member in choice.values}
        found = choice.find(value)
        if found is None and isinstance(value, float) and value.is_integer():
            found = choice.find(int(value))
        if found is None:
            found = texts.get(str(value))
        if found is None:
            raise DefinitionError(f"{choice.name} is {value!r}; allowed: {choice.describe()}")
        chosen[choice.name] = found
    return chosen
