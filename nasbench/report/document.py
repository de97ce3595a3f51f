"""What the page holds, as plain data: columns and not objects, so that 10,000 trials stay small.

The scripts read exactly this. Values are raw and SI; the page rounds them for eyes. A null is not measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

DOCUMENT = 3
"""Version of this layout; the script of a page is of the same version as its document."""


MANY = 1000
"""Above this many rows the points of a run are drawn by the graphics card."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A column of few different texts: `names`, and for each row the index of its own, null where it has none."""

    names: Sequence[str]
    codes: Sequence[int | None]

    @classmethod
    def of(cls, texts: Iterable[Any]) -> Coded:
        """Code texts, in the order in which they come; whatever is no text is null."""
        places: dict[str, int] = {}
        codes = [places.setdefault(text, len(places)) if isinstance(text, str) else None for text in texts]
        return cls(list(places), codes)


@dataclass(frozen=True, slots=True)
class Figure:
    """What an axis can show. `unit` is s, bytes, J, count or share of one; `intervals` says whether rows have some."""

    key: str
    label: str
    unit: str
    maximize: bool
    intervals: bool


@dataclass(frozen=True, slots=True)
class Values:
    """A figure of every row; `low`, `high` and `verdict` where it is a latency."""

    value: Sequence[float | None]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    verdict: Coded | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """The hypervolume as trials ended, which is another order than theirs where several run at a time.

    `row` is the place of each in the columns, `ended_s` since the first trial began. What has no time is not in it.
    """

    row: Sequence[int]
    ended_s: Sequence[float]
    hypervolume: Sequence[float]


@dataclass(frozen=True, slots=True)
class Rows:
    """The trials of a search or the rows of a bench, one entry each in every column.

    `series` is what the page can show or hide: the run of a search, a setting of a bench. `hypervolume` and
    `over_time` are empty for a bench.
    """

    trial: Sequence[int]
    series: Coded
    status: Coded
    error: Coded
    name: Coded
    architecture: Sequence[str]
    feasible: Sequence[int]
    choices: Mapping[str, Coded]
    figures: Mapping[str, Values]
    hypervolume: Sequence[float | None]
    over_time: Growth


@dataclass(frozen=True, slots=True)
class Member:
    """A row of the front. `row` is its place in the columns; `standing` says what confirming it found.

    `searched` are the figures of the search in the place of the confirmed ones; `fell` says that it left the front.
    """

    row: int
    standing: str
    fell: bool
    searched: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Layer:
    """A row of a network's table: what it is, what flows out of it, and what it takes for one image."""

    kind: str
    options: str
    stride: int
    shape: str
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Network:
    """The table of rows of one network."""

    input_shape: Sequence[int]
    layers: Sequence[Layer]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a latency rests on. Each of `processes` has the quantiles 0, 5, ... 100 % of its samples, in seconds."""

    row: int
    device: str
    latency_s: float
    low_s: float | None
    high_s: float | None
    verdict: str
    count: int
    masked: int
    pooled: Sequence[float]
    processes: Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Machine:
    """Every process that measured, in order of time. `seconds` are since `began`; `readings` what was seen of it."""

    began: str | None
    seconds: Sequence[float | None]
    trial: Sequence[int]
    device: Coded
    verdict: Coded
    readings: Mapping[str, Sequence[float | None]]
    reasons: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Canary:
    """Latency of the canary network in each round of a confirmation or a bench."""

    device: str
    rounds_s: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why candidates failed: what they have in common, how many there are, and the first of them."""

    status: str
    error: str
    count: int
    trials: Sequence[int]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much of what varies in an objective a choice explains, with the interval of that share."""

    objective: str
    method: str
    choices: Sequence[str]
    share: Sequence[float]
    low: Sequence[float | None]
    high: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command or program for one row, as a format string.

    `trials` are the numbers of the rows that it is for, None for all; one that is `named` needs a name that can be
    typed.
    `{trial}` stands for the row's number, `{shell}` for its name as a word of a shell, and `{literal}` for its name as
    a text in quotes for Python. A brace that is meant is doubled, so that no text of the run can be such a place.
    """

    about: str
    text: str
    trials: Sequence[int] | None = None
    named: bool = False


@dataclass(frozen=True, slots=True)
class RunPart:
    """One run of the page."""

    name: str
    kind: str
    sentence: str
    facts: Sequence[tuple[str, str]]
    objectives: Sequence[str]
    limits: Mapping[str, float]
    confirmed: bool
    rows: Rows
    members: Sequence[Member]
    samples: Sequence[Samples]
    machine: Machine
    canaries: Sequence[Canary]
    failures: Sequence[Reason]
    importance: Sequence[Importance]
    importance_note: str
    commands: Sequence[Command]
    repeat: str
    environment: Sequence[tuple[str, str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """All that the page shows.

    A `live` one is asked for again while its search runs. `graphics` says that some run has so many rows that the
    graphics card shall draw them.
    """

    title: str
    figures: Sequence[Figure]
    runs: Sequence[RunPart]
    networks: Mapping[str, Network]
    notes: Sequence[str] = field(default_factory=tuple)
    live: bool = False
    graphics: bool = False
    layout: int = DOCUMENT


def to_json(document: Document) -> str:
    """Write a document as JSON that can stand inside an HTML page: what could end a script is escaped."""
    text = json.dumps(document, default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no plain data")
