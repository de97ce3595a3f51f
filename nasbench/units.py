"""Numbers for eyes, and numbers from the command line. Everything stored is raw and SI; rounding happens here alone."""

from __future__ import annotations

import math
import re

from nasbench.errors import DefinitionError

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_COUNTS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_JOULES = {"nJ": 1e-9, "uJ": 1e-6, "mJ": 1e-3, "J": 1.0, "kJ": 1e3}
_BYTES = {"": 1.0, "B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


def parse_seconds(text: str) -> float:
    """Read a duration such as `5ms`, `20m` or `1.5h`, in seconds; a bare number has no unit and is refused."""
    return _parse(text, _SECONDS, "a duration", "5ms, 30s, 20m or 1.5h")


def parse_count(text: str) -> float:
    """Read a count such as `5M`, `300e6` or `1.2G`."""
    return _parse(text, _COUNTS, "a count", "500k, 5M or 1.2G")


def parse_bytes(text: str) -> float:
    """Read an amount of memory such as `64MiB` or `1.5GB`, in bytes."""
    return _parse(text, _BYTES, "an amount of memory", "64MiB, 500MB or 1.5GiB")


def parse_joules(text: str) -> float:
    """Read an energy such as `5mJ` or `1.5J`, in joules; a bare number has no unit and is refused."""
    return _parse(text, _JOULES, "an energy", "500uJ, 5mJ or 1.5J")


def parse_share(text: str) -> float:
    """Read a share of one, as `0.93` or `93%`."""
    return _parse(text, {"": 1.0, "%": 0.01}, "a share", "0.93 or 93%")


def _parse(text: str, units: dict[str, float], what: str, examples: str) -> float:
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z%]*)\s*", text)
    if match is None or match[2] not in units or not math.isfinite(float(match[1])):
        raise DefinitionError(f"{text!r} is not {what}; write for example {examples}")
    return float(match[1]) * units[match[2]]


def format_seconds(seconds: float | None) -> str:
    """Show a duration with three digits and a fitting unit."""
    if seconds is None or math.isnan(seconds):
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= scale:
            return f"{_digits(seconds / scale)} {unit}"
    return f"{_digits(seconds / 1e-9)} ns"


def format_clock(seconds: float) -> str:
    """Show a longer duration as `4:05` or `1:02:03`."""
    whole = max(0, round(seconds))
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def format_count(count: float | None) -> str:
    """Show a count with three digits: `5.48 M`, `217 M`, `4.09 G`."""
    if count is None or math.isnan(count):
        return "-"
    for unit, scale in ((" G", 1e9), (" M", 1e6), (" k", 1e3)):
        if abs(count) >= scale:
            return f"{_digits(count / scale)}{unit}"
    return f"{count:g}"


def format_size(count: int) -> str:
    """Show how many points a search space has: `15,625`, from 1e9 on `5.44e+20`; any whole number can be shown."""
    if count < 10**9:
        return f"{count:,}"
    exponent = math.floor(math.log10(count))  # takes an int beyond the range of floats, which str() may refuse
    digits = f"{10 ** (math.log10(count) - exponent):.3g}"
    if digits == "10":
        digits, exponent = "1", exponent + 1
    return f"{digits}e+{exponent:02d}"


def format_bytes(count: float | None) -> str:
    """Show an amount of memory in binary units."""
    if count is None or math.isnan(count):
        return "-"
    for unit, scale in (("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if abs(count) >= scale:
            return f"{_digits(count / scale)} {unit}"
    return f"{count:g} B"


def format_joules(joules: float | None) -> str:
    """Show an energy with three digits and a fitting unit."""
    if joules is None or math.isnan(joules):
        return "-"
    for unit, scale in (("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6)):
        if abs(joules) >= scale:
            return f"{_digits(joules / scale)} {unit}"
    return f"{_digits(joules / 1e-9)} nJ"


def format_percent(share: float | None) -> str:
    """Show a share of one as a percentage with two decimals."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.2f} %"


def format_between(value: float | None, low: float | None, high: float | None) -> str:
    """Show a figure with its interval, such as `1.012 (1.004 to 1.021)`: as many digits as tell its ends apart."""
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{value:.2f}"
    half = (high - low) / 2
    digits = max(2, min(4, math.ceil(-math.log10(half)))) if half > 0 else 2
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def one_line(text: str, most: int = 300) -> str:
    """Make any text fit for a comment, a heading or an error: on one line, of `most` printable characters."""
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= most else text[: most - 3] + "..."


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
