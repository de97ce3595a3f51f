"""Claims that one network is faster or smaller than another, read from YAML into frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nasbench.definitions import Node, read_definition
from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.runtime.base import RUNTIMES
from nasbench.space.architecture import Architecture, Scalar, describe_options
from nasbench.space.kinds import find_kind, make_block
from nasbench.space.load import find_architecture, read_network

CLAIMS = Path(__file__).with_name("claims.yaml")
"""The claims that come with nasbench."""

TOLERANCES = {"latency": 0.05, "params": 0.01, "macs": 0.01}
"""What a claim may be about, and how far beyond it a claim still holds: papers round, and so do their clocks."""

_REQUIRED = ("families", "source", "says", "claimed_on", "equal")
_CHECKED = ("first", "second", "at_most", "figure", "tolerance", "runtime", "batch")
_OPTIONAL = (*_CHECKED, "note", "not_here")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two of a claim, and what to call it.

    `stated` is a count that the source states of a network that is not built here; `architecture` is None then.
    """

    name: str
    architecture: Architecture | None
    stated: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """What is checked: the first takes at most `at_most` of what the second takes, of a figure, within `tolerance`.

    `runtime` stands in place of the device's; None is that of the device. `batch` is the images in one inference.
    """

    first: Side
    second: Side
    at_most: float
    figure: str = "latency"
    tolerance: float = TOLERANCES["latency"]
    runtime: str | None = None
    batch: int = 1

    @property
    def bound(self) -> float:
        """The largest ratio with which the claim holds."""
        return self.at_most * (1 + self.tolerance)

    @property
    def words(self) -> str:
        """Say the figure with what it is taken with, such as `latency, training, batch 4`."""
        batch = f"batch {self.batch}" if self.batch > 1 else None
        return ", ".join(filter(None, (self.figure, self.runtime, batch)))


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a paper.

    `says` is the claim in our words, `claimed_on` the device or setting that the paper made it for, `equal` what the
    two have in common there (accuracy, multiply-accumulates), `note` what was chosen where the paper leaves it open.
    `pair` is None for a claim that cannot be checked here; `not_here` says why.
    """

    name: str
    families: tuple[str, ...]
    source: str
    says: str
    claimed_on: str
    equal: str
    pair: Pair | None
    note: str | None = None
    not_here: str | None = None


def load_claims(path: Path = CLAIMS) -> tuple[Claim, ...]:
    """Read a file of claims.

    Raises:
        DefinitionError: it is not what it has to be; the text has file and line.
    """
    entries = read_definition(path).mapping(("schema", "claims"))
    entries["schema"].integer(1, 1)
    return tuple(_read_claim(name, node) for name, node in entries["claims"].entries().items())


def choose_claims(claims: Sequence[Claim], families: Sequence[str], names: Sequence[str]) -> list[Claim]:
    """Give the claims of some families and some by name, in their order; all of them when neither is asked for.

    Raises:
        UnknownNameError: no claim is of the family or has the name.
    """
    known = sorted({family for claim in claims for family in claim.families})
    for family in families:
        if family not in known:
            raise unknown_name("family with claims", family, known)
    for name in names:
        if name not in {claim.name for claim in claims}:
            raise unknown_name("claim", name, [claim.name for claim in claims])
    if not families and not names:
        return list(claims)
    return [claim for claim in claims if claim.name in names or set(claim.families) & set(families)]


def _read_claim(name: str, node: Node) -> Claim:
    entries = node.mapping(_REQUIRED, _OPTIONAL)
    not_here = entries["not_here"].text() if "not_here" in entries else None
    checked = [key for key in _CHECKED if key in entries]
    if not_here is not None and checked:
        raise entries[checked[0]].error(f"is given for a claim that is not checked ({name} has not_here)")
    return Claim(
        name=name,
        families=tuple(item.text() for item in entries["families"].items()),
        **{key: entries[key].text() for key in ("source", "says", "claimed_on", "equal")},
        pair=None if not_here is not None else _read_pair(node, entries),
        note=entries["note"].text() if "note" in entries else None,
        not_here=not_here,
    )


def _read_pair(node: Node, entries: Mapping[str, Node]) -> Pair:
    for key in ("first", "second", "at_most"):
        if key not in entries:
            raise node.error(f"lacks the key {key!r}, and has no not_here that says why it is not checked")
    figure = entries["figure"].word(TOLERANCES) if "figure" in entries else "latency"
    pair = Pair(
        first=_read_side(entries["first"]),
        second=_read_side(entries["second"]),
        at_most=entries["at_most"].number(0.001, 1000.0),
        figure=figure,
        tolerance=entries["tolerance"].number(0.0, 1.0) if "tolerance" in entries else TOLERANCES[figure],
        runtime=entries["runtime"].word(RUNTIMES) if "runtime" in entries else None,
        batch=entries["batch"].integer(1, 1024) if "batch" in entries else 1,
    )
    for key in ("runtime", "batch"):
        if key in entries and figure != "latency":
            raise entries[key].error(f"is given for a claim of {figure}, which are counted; only a latency has it")
    for key, side in (("first", pair.first), ("second", pair.second)):
        if side.stated is not None and pair.figure == "latency":
            raise entries[key].error("states a count, and a latency is claimed; measured networks have to be built")
    return pair


def _read_side(node: Node) -> Side:
    """Read a published name, one with other options, a count that the source states, or a network row by row."""
    if isinstance(node.value, str):
        return _published(node)[0]
    if "stated" in node.entries():
        entries = node.mapping(("called", "stated"))
        return Side(entries["called"].text(), None, entries["stated"].number(1.0))
    if "table" in node.entries():
        entries = node.mapping(("called", "input", "classes", "table"))
        return Side(entries["called"].text(), read_network(node))
    entries = node.mapping(("of", "options"), ("where",))
    base, architecture = _published(entries["of"])
    options = {key: _scalar(one) for key, one in entries["options"].entries().items()}
    where = {key: _scalar(one) for key, one in entries["where"].entries().items()} if "where" in entries else {}
    try:
        varied = vary(architecture, options, where)
    except DefinitionError as error:
        raise node.error(str(error)) from error
    return Side(f"{base.name} with {describe_options(options.items())}", varied)


def _published(node: Node) -> tuple[Side, Architecture]:
    try:
        _, named = find_architecture(node.text())
    except DefinitionError as error:
        raise node.error(f"is {node.describe()}: {error}") from error
    return Side(named.name, named.architecture), named.architecture


def _scalar(node: Node) -> Scalar:
    if isinstance(node.value, bool | int | float | str):
        return node.value
    raise node.error(f"is {node.describe()}; one value is needed")


def vary(architecture: Architecture, options: Mapping[str, Scalar], where: Mapping[str, Scalar]) -> Architecture:
    """Set options in every row that has them all and whose own options, and kind as `block`, are as `where` says.

    Raises:
        DefinitionError: no row is changed, or a value is not allowed.
    """
    rows = list(architecture.blocks)
    for index, row in enumerate(rows):
        kind = find_kind(row.kind)
        values = {**kind.values(dict(row.options)), "block": row.kind}
        if all(name in values for name in options) and all(values.get(key) == value for key, value in where.items()):
            rows[index] = make_block(
                row.kind, row.in_channels, row.out_channels, row.stride, {**dict(row.options), **options}, row.kind
            )
    changed = replace(architecture, blocks=tuple(rows))
    if changed == architecture:
        raise DefinitionError(f"changes nothing: no row has {', '.join(options)} with other values")
    return changed
