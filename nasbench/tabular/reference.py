"""What a user writes for a column of a table: `table:FILE#COLUMN`, with options after commas."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nasbench.errors import DefinitionError
from nasbench.registry import unknown_name

PREFIX = "table:"
_OPTIONS = ("unit", "least", "name")
_EXAMPLE = "table:latency_ms.csv.gz#raspi4"


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of a file.

    `unit` is what its numbers are in, where the file does not say. `least` is the smallest that is taken for a
    measurement, as it was written; None leaves that to the table. `name` is what a device of it is called.
    """

    path: str
    column: str
    unit: str | None = None
    least: str | None = None
    name: str = ""

    def __str__(self) -> str:
        options = [f"{key}={value}" for key in _OPTIONS if (value := getattr(self, key))]
        if self.name == default_name(self.column):
            options = [option for option in options if not option.startswith("name=")]
        return ",".join([f"{PREFIX}{self.path}#{self.column}", *options])


def is_reference(text: str) -> bool:
    """Say whether a text names a column of a table."""
    return text.startswith(PREFIX)


def parse_reference(text: str) -> Reference:
    """Read `table:FILE#COLUMN[,unit=ms][,least=0.5ms][,name=pi]`.

    Raises:
        DefinitionError: the text has another form.
        UnknownNameError: an option is unknown.
    """
    path, hash_sign, rest = text.removeprefix(PREFIX).rpartition("#")
    column, *options = rest.split(",")
    if not is_reference(text) or not hash_sign or not path or not column:
        raise DefinitionError(f"{text!r} names no column of a table; write table:FILE#COLUMN, such as {_EXAMPLE}")
    found = Reference(path, column, name=default_name(column))
    for option in options:
        key, equals, value = option.partition("=")
        if key not in _OPTIONS:
            raise unknown_name(f"option of {text!r}", key, _OPTIONS)
        if not equals or not value:
            raise DefinitionError(f"{text!r}: {key} has no value; write for example {_example(key)}")
        found = replace(found, **{key: value})
    return found


def check_name(reference: Reference) -> None:
    """Check that a device can be named so; raises DefinitionError."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", reference.name):
        raise DefinitionError(
            f"{str(reference)!r}: a device cannot be named {reference.name!r}; add ,name= with letters, digits, "
            "dots and dashes"
        )


def default_name(column: str) -> str:
    """Give the name of the device that a column is of: `rpi4` for `latency_s@rpi4`, else the column's own."""
    return column.rpartition("@")[2]


def resolve_reference(text: str) -> str:
    """Give the same reference with an absolute path."""
    found = parse_reference(text)
    return str(replace(found, path=str(Path(found.path).expanduser().resolve())))


def _example(key: str) -> str:
    return {"unit": "unit=ms", "least": "least=0.5ms", "name": "name=pi"}[key]
