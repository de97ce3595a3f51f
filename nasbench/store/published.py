"""What papers state of a run's networks, in its manifest: as of the run's beginning, apart from what was found here.

manifest = {..., "published": describe_published({"resnet_18": Published.of(named, "resnet")})}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nasbench.space.space import NamedArchitecture

KEY = "published"
"""Where a manifest has the figures, by the name that a row has in `published`."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a source states of one network; None is not stated.

    `family` is the search space that names it, `top1` a share of one, `form` (training or deployed) what `params` and
    `macs` were counted on. Each of `latencies` has `device`, `ms` and `batch`, as the source has them.
    """

    source: str | None = None
    family: str | None = None
    top1: float | None = None
    params: int | None = None
    macs: int | None = None
    form: str | None = None
    latencies: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, named: NamedArchitecture, family: str) -> Published:
        """Give what a definition holds of a published architecture of a search space."""
        figures: dict[str, Any] = dict(named.published)
        counted = "params" in figures or "macs" in figures
        return cls(
            source=figures.get("source"),
            family=family,
            # A definition has percent; ten digits, since 69.76 / 100 is not the number that 0.6976 is.
            top1=round(figures["top1"] / 100, 10) if "top1" in figures else None,
            params=round(figures["params"]) if "params" in figures else None,
            macs=round(figures["macs"]) if "macs" in figures else None,
            form=figures.get("form", "training") if counted else None,
            latencies=tuple(
                {"device": one.device, "ms": float(f"{1e3 * one.latency_s:.12g}"), "batch": one.batch}
                for one in named.published_latencies
            ),
        )


def describe_published(figures: Mapping[str, Published]) -> dict[str, Any]:
    """Give figures by network as plain data for a manifest, without what is not stated."""
    return {
        name: {key: list(value) if key == "latencies" else value for key, value in asdict(one).items() if value}
        for name, one in figures.items()
    }


def read_published(manifest: Mapping[str, Any]) -> dict[str, Published]:
    """Read what `describe_published` wrote; nothing in the manifest of an older program."""
    return {name: _read(one) for name, one in (manifest.get(KEY) or {}).items()}


def _read(data: Mapping[str, Any]) -> Published:
    known: dict[str, Any] = {field.name: data[field.name] for field in fields(Published) if field.name in data}
    return Published(**known | {"latencies": tuple(known.get("latencies", ()))})
