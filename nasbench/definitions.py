"""Read YAML definitions strictly, and find them by name.

YAML's traps are closed here: only `true` and `false` are flags, `no` and `1:30` are texts, `1e-3` is a number; anchors,
tags, duplicate keys, several documents, deep nesting and large files are refused, each with file and line.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name
from nasbench.units import one_line

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_SHOWN = 60  # characters of somebody's text in an error
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times faster, and not always there
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a definition, which knows where it stands.

    `value` is a bool, int, float, str or None, a list of nodes, or a dict of nodes by key. `key` is the path in the
    file, such as `stages[1].kernel`.
    """

    value: Any
    path: str
    line: int
    key: str

    def error(self, message: str) -> DefinitionError:
        """Build the error that says `message` of this node, with file and line."""
        return DefinitionError(f"{self.path}:{self.line}: {self.key or 'the file'} {message}")

    def describe(self) -> str:
        """Say what came, for an error."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        if self.value is None:
            return "empty"
        if isinstance(self.value, str):
            return f"the text {one_line(self.value, _SHOWN)!r}"
        return f"{str(self.value).lower() if isinstance(self.value, bool) else self.value}"

    def mapping(self, required: Iterable[str] = (), optional: Iterable[str] = ()) -> dict[str, Node]:
        """Give the keys of a mapping; a missing or an unknown one is an error with a suggestion."""
        entries = self.entries()
        required = list(required)
        allowed = list(dict.fromkeys([*required, *optional]))
        for name, node in entries.items():
            if name not in allowed:
                close = difflib.get_close_matches(name, allowed, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                owner = self.key or "the file"
                raise DefinitionError(
                    f"{node.path}:{node.line}: {owner} has the unknown key {one_line(name, _SHOWN)!r}.{hint} "
                    f"Allowed: {', '.join(allowed)}."
                )
        for name in required:
            if name not in entries:
                raise self.error(f"lacks the key {name!r}")
        return entries

    def entries(self) -> dict[str, Node]:
        """Give the nodes of a mapping with free keys."""
        if not isinstance(self.value, dict):
            raise self.error(f"is {self.describe()}; a mapping is needed")
        return self.value

    def items(self) -> list[Node]:
        """Give the nodes of a list that is not empty."""
        if not isinstance(self.value, list):
            raise self.error(f"is {self.describe()}; a list is needed")
        if not self.value:
            raise self.error("is an empty list")
        return self.value

    def text(self) -> str:
        """Give a text."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error(f"is {self.describe()}; a text is needed")
        return self.value

    def flag(self) -> bool:
        """Give true or false."""
        if not isinstance(self.value, bool):
            raise self.error(f"is {self.describe()}; true or false is needed")
        return self.value

    def integer(self, low: int = 1, high: int = 1_000_000_000) -> int:
        """Give a whole number in a range."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.error(f"is {self.describe()}; a whole number from {low} to {high} is needed")
        return self.value

    def number(self, low: float = 0.0, high: float = 1e18) -> float:
        """Give a number in a range, as a float."""
        if not isinstance(self.value, int | float) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.error(f"is {self.describe()}; a number from {low:g} to {high:g} is needed")
        return float(self.value)

    def word(self, allowed: Iterable[str]) -> str:
        """Give one of a few words."""
        allowed = list(allowed)
        if self.value not in allowed:
            close = difflib.get_close_matches(str(self.value), allowed, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise self.error(f"is {self.describe()}.{hint} Allowed: {', '.join(allowed)}.")
        return str(self.value)

    def plain(self) -> Any:
        """Give the value without its places, as JSON data."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_definition(path: Path) -> Node:
    """Read one YAML file.

    Raises:
        DefinitionError: it is absent, too large, no YAML, or uses what definitions may not.
    """
    return parse_definition(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Read the text of one YAML file; raises DefinitionError when it is absent, too large or no text."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DefinitionError(f"{path}: the file is larger than {_MAX_BYTES:,} bytes; definitions are short")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise DefinitionError(f"{path}: cannot be read: {reason}") from error


def parse_definition(text: str, path: str) -> Node:
    """Read one YAML document from text; `path` is what errors call it. Raises as `read_definition`."""
    try:
        root = _Parser(text, path).document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DefinitionError(f"{place}: this is no YAML: {one_line(problem, _SHOWN)}") from error
    if not isinstance(root.value, dict):
        raise DefinitionError(f"{path}: the file holds {root.describe()}; a definition is a mapping")
    return root


class _Parser:
    """Builds nodes from YAML events. Events are read without recursion, so depth can be checked before it hurts."""

    def __init__(self, text: str, path: str) -> None:
        self._events = yaml.parse(text, Loader=_LOADER)
        self._path = path

    def document(self) -> Node:
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._refuse(event, "a second document begins; a file holds one")
                root = self._node(next(self._events), "", 0)
        return root or Node(None, self._path, 1, "")

    def _node(self, event: Any, key: str, depth: int) -> Node:
        line = _line(event)
        self._check_bare(event)
        if depth > _MAX_DEPTH:
            raise self._refuse(event, f"nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event.value) if event.implicit[0] else event.value
            return Node(value, self._path, line, key)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(item, f"{key}[{len(items)}]", depth + 1))
            return Node(items, self._path, line, key)
        entries: dict[str, Node] = {}
        while not isinstance(name := next(self._events), yaml.MappingEndEvent):
            self._check_bare(name)
            if not isinstance(name, yaml.ScalarEvent):
                raise self._refuse(name, "a key must be a plain word")
            if name.value in entries:
                raise self._refuse(
                    name,
                    f"the key {one_line(name.value, _SHOWN)!r} is given twice, "
                    f"first on line {entries[name.value].line}",
                )
            inner = f"{key}.{name.value}" if key else name.value
            node = self._node(next(self._events), inner, depth + 1)
            entries[name.value] = Node(node.value, self._path, _line(name), node.key)
        return Node(entries, self._path, line, key)

    def _check_bare(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            raise self._refuse(event, "anchors and aliases are not allowed; write the value out")
        if event.tag and event.tag != "!":
            raise self._refuse(event, f"the tag {one_line(event.tag, _SHOWN)} is not allowed")

    def _refuse(self, event: Any, message: str) -> DefinitionError:
        return DefinitionError(f"{self._path}:{_line(event)}: {message}")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str) -> bool | int | float | str | None:
    if text == "":
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


@dataclass(frozen=True, slots=True)
class Found:
    """Where a name leads. `hides` is the bundled file that a local one of the same name stands before."""

    path: Path
    hides: Path | None = None


def find_definition(what: str, folder: str, name: str) -> Found:
    """Find a definition: an explicit path, `./<folder>/<name>.yaml`, or the bundled one, in this order.

    Raises:
        UnknownNameError: there is none; the text lists those there are.
        DefinitionError: the path leads to no file, or the system refuses to look.
    """
    if name.endswith((".yaml", ".yml")) or "/" in name:
        path = Path(name)
        try:
            present = path.is_file()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DefinitionError(f"{one_line(name, _SHOWN)}: cannot be read: {reason}") from error
        if not present:
            raise DefinitionError(f"{name}: there is no such file")
        return Found(path)
    known = list_definitions(folder)
    if name not in known:
        raise unknown_name(what, one_line(name, _SHOWN), known)
    local, bundled = (place / f"{name}.yaml" for place in (Path(folder), _bundled(folder)))
    hides = bundled if known[name] == local and bundled.is_file() and not local.samefile(bundled) else None
    return Found(known[name], hides)


def list_definitions(folder: str) -> dict[str, Path]:
    """List the definitions in a folder of the working directory and those bundled, by name; local ones come first."""
    found: dict[str, Path] = {}
    for place in (Path(folder), _bundled(folder)):
        if place.is_dir():
            for path in sorted(place.glob("*.yaml")):
                found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _bundled(folder: str) -> Path:
    package = Path(__file__).resolve().parent
    installed = package / "_definitions" / folder
    return installed if installed.is_dir() else package.parent / folder
