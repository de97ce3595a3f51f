"""A network as a table of block rows: the one thing that every part of nasbench passes around."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nasbench.errors import DefinitionError

Scalar = bool | int | float | str
"""What an option of a row may be."""


@dataclass(frozen=True, slots=True)
class Block:
    """One row. `options` holds only what differs from the kind's defaults, sorted by name.

    Two rows that build the same module are therefore equal, and a new option with a default changes no digest.
    Make one with `nasbench.space.kinds.make_block`.
    """

    kind: str
    in_channels: int
    out_channels: int
    stride: int = 1
    options: tuple[tuple[str, Scalar], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Give the row as JSON data."""
        return {
            "kind": self.kind,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "stride": self.stride,
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class Architecture:
    """A network with no choice left.

    `input_shape` is (channels, height, width). `space` names where it was decoded; it is no part of what the network
    is, so neither equality nor the digest looks at it.
    """

    input_shape: tuple[int, int, int]
    classes: int
    blocks: tuple[Block, ...]
    space: str = field(default="", compare=False)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits, equal for equal networks, on every machine and in every version."""
        parts: list[Any] = [list(self.input_shape), self.classes]
        parts += [[b.kind, b.in_channels, b.out_channels, b.stride, [list(o) for o in b.options]] for b in self.blocks]
        text = json.dumps(parts, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """Give the whole table as JSON data; `Architecture.from_dict` reads it back."""
        return {
            "space": self.space,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "blocks": [block.as_dict() for block in self.blocks],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Read what `as_dict` wrote; every row is checked against its kind.

        Raises:
            DefinitionError: a key is missing or a row does not fit its kind.
        """
        from nasbench.space.kinds import make_block  # kinds builds on Block

        try:
            channels, height, width = data["input_shape"]
            blocks = tuple(
                make_block(
                    row["kind"],
                    row["in_channels"],
                    row["out_channels"],
                    row["stride"],
                    row["options"],
                    f"blocks[{index}]",
                )
                for index, row in enumerate(data["blocks"])
            )
            return cls((channels, height, width), data["classes"], blocks, data.get("space", ""))
        except (KeyError, TypeError, ValueError) as error:
            raise DefinitionError(f"this is no architecture: {type(error).__name__} {error}") from error


def describe_options(options: Iterable[tuple[str, Scalar]]) -> str:
    """Show options as `kernel 5, expand 6`."""
    return ", ".join(f"{name} {value}" for name, value in options)
