"""Write a definition as YAML that `nasbench.space.load` reads back: rows on one line each, and every text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_TEXTS = ("about", "source")


def write_definition(definition: Mapping[str, Any]) -> str:
    """Give the text of a definition from plain data; its keys come in the order that they have there."""
    lines: list[str] = []
    for key, value in definition.items():
        if key in _TEXTS:
            lines.append(f"{key}: {_quoted(str(value))}")
        elif key == "stages":
            lines += ["stages:", *(f"  - {flow(row)}" for row in value)]
        elif key in ("shared", "rule"):
            lines += [f"{key}:", *(f"  {flow(name)}: {flow(slot)}" for name, slot in value.items())]
        elif key == "architectures":
            lines.append("architectures:")
            for name, entries in value.items():
                lines += [f"  {flow(name)}:", *(f"    {inner}: {flow(given)}" for inner, given in entries.items())]
        else:
            lines.append(f"{key}: {flow(value)}")
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """Write a value as YAML on one line."""
    return _dump(value, default_flow_style=True)


def _quoted(text: str) -> str:
    # plain texts are read as numbers or flags where they look like them
    return _dump(text, default_style='"')


def _dump(value: Any, **style: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, width=1_000_000, allow_unicode=True, **style)
    return text.removesuffix("...\n").strip()
