"""What a node answers, as data: bounded JSON and nothing else. Needs no Ray, and neither does reading it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nasbench.errors import Crashed, DeviceError
from nasbench.host import code_digest
from nasbench.isolation_child import clean, unpack

MOST_DEPTH = 20
"""Of lists and mappings in each other: many times what an honest answer has."""

MOST = 2**63
"""Numbers from a node are smaller than this, either way: a column of a table holds no larger integer."""

_NUMBERS = {int, float, bool}


def read(body: Any) -> dict[str, Any]:
    """Read a message from a node.

    Raises:
        Crashed: it is no bytes, or none that `unpack` reads.
    """
    if not isinstance(body, bytes):
        raise Crashed(f"the device answered with {type(body).__name__}; bytes are taken")
    return unpack(body, "the device's")


def check_about(about: Mapping[str, Any], packages: Sequence[str]) -> dict[str, Any]:
    """Check what a supervisor says of its node, see `Supervisor.describe`; gives it with every text as one line.

    Raises:
        Crashed: something is missing or of another kind.
    """
    checks: dict[str, Callable[[Any], bool]] = {
        "host": lambda value: isinstance(value, dict),
        "environment": lambda value: isinstance(value, dict),
        "cpus": lambda value: isinstance(value, list) and all(type(cpu) is int and 0 <= cpu < MOST for cpu in value),
        "energy_source": lambda value: value is None or isinstance(value, str),
        "temperature_c": lambda value: value is None or isinstance(value, int | float),
        "niceness": lambda value: type(value) is int and -MOST < value < MOST,
        "code": lambda value: isinstance(value, str),
        "versions": lambda value: (
            isinstance(value, dict)
            and {"nasbench", "python", *packages} <= set(value)
            and all(version is None or isinstance(version, str) for version in value.values())
        ),
    }
    for name, check in checks.items():
        if name not in about or not check(about[name]):
            raise Crashed(f"what it is has no {name}, or one that cannot be")
    return {str(name): cleaned(value) for name, value in about.items()}


def check_code(about: Mapping[str, Any], name: str) -> None:
    """Refuse a node on which other source runs than here, by what it says of itself.

    Raises:
        DeviceError: it does; the text has the digests of both.
    """
    if about["code"] != code_digest():
        raise DeviceError(
            f"another nasbench than what was shipped runs on {name} (source {about['code']} there, {code_digest()} "
            "here); remove the one that is installed or lies about there"
        )


def cleaned(value: Any, depth: int = MOST_DEPTH) -> Any:
    """Give data with every text as one printable line, so that no text from a node steers a terminal.

    NaN, infinity and integers from `MOST` on, which no record takes, become None: not known.

    Raises:
        Crashed: lists and mappings lie in each other deeper than `depth`.
    """
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value if _is_storable(value) else None
    if depth == 0:
        raise Crashed(f"the answer has lists and mappings more than {MOST_DEPTH} deep")
    if isinstance(value, dict):
        return {clean(str(key), 100): cleaned(entry, depth - 1) for key, entry in value.items()}
    if {*map(type, value)} <= _NUMBERS and all(map(_is_storable, value)):
        return value
    return [cleaned(entry, depth - 1) for entry in value]


def _is_storable(value: Any) -> bool:
    if isinstance(value, int):
        return -MOST < value < MOST
    return not isinstance(value, float) or math.isfinite(value)


def unpack_step(body: Any) -> tuple[str, dict[str, Any]]:
    """Read a step of a conversation; gives its kind and its content.

    The kind is `report`, which waits for its answer, `done`, or `error`, which says why there is no more.

    Raises:
        Crashed: it is none.
    """
    message = read(body)
    if message.get("error") is not None:
        return "error", {"error": str(message["error"]), "text": str(message.get("text", ""))}
    for kind in ("report", "done"):
        if isinstance(message.get(kind), dict):
            return kind, message[kind]
    raise Crashed(f"the device's answer is no step but {clean(str(message), 100)}")
