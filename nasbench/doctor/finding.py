"""What a check found, and the one verdict over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OK, WARNING, PROBLEM, UNKNOWN = STATES = ("ok", "warning", "problem", "unknown")
"""A warning widens intervals or biases a figure; with a problem no measurement is worth its time. What the machine does
not tell is unknown, and counts for nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `device` is the one that it is about, "" for the whole machine.

    `found` is what is the case, in numbers. Where something is wrong, `why` says what it does to a measurement,
    `advice` what to do in words, and `command` what to type; each may be "".
    """

    name: str
    state: str
    found: str
    why: str = ""
    advice: str = ""
    command: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Fitness:
    """The verdict: `word` is yes, with care or no."""

    word: str
    warnings: int
    problems: int


def judge(findings: Sequence[Finding]) -> Fitness:
    """Say whether measurements here can be trusted: no with a problem, with care with a warning."""
    warnings, problems = (sum(finding.state == state for finding in findings) for state in (WARNING, PROBLEM))
    return Fitness("no" if problems else "with care" if warnings else "yes", warnings, problems)


def read_text(root: Path, name: str) -> str | None:
    """Read a small file of the kernel; None when it is not there or not for us."""
    try:
        return (root / name).read_text(errors="replace").strip()
    except OSError:
        return None


def read_integer(root: Path, name: str) -> int | None:
    """Read a file of the kernel that holds a whole number; None when there is no such number."""
    text = read_text(root, name)
    return int(text) if text and text.lstrip("-").isdigit() else None
