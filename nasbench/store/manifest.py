"""What every new run begins with: a folder of its own, and what its manifest says of the machine and the moment."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from nasbench import __version__, host
from nasbench.errors import RunNameError


def installed_version(package: str) -> str | None:
    """Give the version of an installed distribution, None when it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def circumstances(packages: Iterable[str]) -> dict[str, Any]:
    """Give the command, versions, state of the checkout, machine and time, as plain data for a manifest.

    Args:
        packages: distributions whose versions are written down; one that is not installed is None.
    """
    return {
        "command": ["nasbench", *sys.argv[1:]],
        "versions": {
            "nasbench": __version__,
            "python": sys.version.split()[0],
            **{name: installed_version(name) for name in packages},
        },
        "git": host.git_state(Path(__file__).parent),
        "host": host.host_record(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def dated_folder(*words: str) -> Path:
    """Give a folder in `results/` that does not exist yet, named by the day and some words."""
    stem = Path("results") / "-".join((date.today().isoformat(), *words))
    folder, number = stem, 2
    while folder.exists():
        folder, number = stem.with_name(f"{stem.name}-{number}"), number + 1
    return folder


def free_folder(asked: Path | None, *words: str) -> Path:
    """Give the folder that a user asked for, or else a dated one; it is made when there is something to write.

    Raises:
        RunNameError: it is a file, or holds something.
    """
    folder = asked or dated_folder(*words)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunNameError(f"{folder} is there already; choose another name")
    return folder
