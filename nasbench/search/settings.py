"""What a run is asked to do, and the parts that do it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench import __version__, host
from nasbench.accuracy.base import Accuracy
from nasbench.accuracy.load import open_accuracy
from nasbench.device.base import Device
from nasbench.device.load import load_device, open_device
from nasbench.errors import DefinitionError
from nasbench.objectives import OBJECTIVES
from nasbench.records import TimingPlan
from nasbench.registry import unknown_name
from nasbench.search.run import SearchPlan
from nasbench.search.samplers import check_sampler
from nasbench.space.load import load_space
from nasbench.space.space import SearchSpace

_VERSIONED = ("torch", "optuna", "numpy", "pandas", "pyarrow", "moocore")


@dataclass(frozen=True)
class Settings:
    """The options of `nasbench search` that decide what a run is. Its manifest keeps them."""

    space: str
    device: str = "cpu"
    accuracy: str = "train"
    data: str | None = None
    epochs: int | None = None
    objectives: tuple[str, ...] = ("accuracy", "latency")
    limits: Mapping[str, float] = field(default_factory=dict)
    sampler: str = "tpe"
    seed: int = 0
    batch: int = 1
    dtype: str = "fp32"
    threads: int | None = None
    warm_start: bool = True
    early_stop: bool = True

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Settings:
        """Read the settings of a run."""
        known = {f.name for f in fields(cls)}
        kept = {key: value for key, value in manifest["settings"].items() if key in known}
        return cls(**{**kept, "objectives": tuple(kept["objectives"])})

    def confirm(self, given: Mapping[str, Any]) -> None:
        """Check that options given again when a run is resumed say what they said first.

        Raises:
            DefinitionError: one differs.
        """
        for name, value in given.items():
            if value is not None and value != getattr(self, name):
                raise DefinitionError(
                    f"the run was started with {name.replace('_', '-')} {_words(getattr(self, name))}, not "
                    f"{_words(value)}. Leave the option out, or start a new run."
                )


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={entry}" for key, entry in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


@dataclass(frozen=True)
class Parts:
    """What a search is made of, open until the context ends."""

    space: SearchSpace
    plan: SearchPlan
    accuracy: Accuracy | None
    device: Device | None

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self.accuracy, self.device):
            if part is not None:
                part.close()


def read_objectives(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of objectives.

    Raises:
        UnknownNameError: one is unknown.
        DefinitionError: one is given twice.
    """
    for name in names:
        if name not in OBJECTIVES:
            raise unknown_name("objective", name, OBJECTIVES)
    if len(set(names)) < len(names):
        raise DefinitionError(f"an objective is given twice: {', '.join(names)}")
    return names


def read_limits(texts: tuple[str, ...]) -> dict[str, float]:
    """Read limits such as `latency=5ms` and `params=5M`.

    Raises:
        UnknownNameError: what is limited is unknown.
        DefinitionError: a limit is no number with a fitting unit, or accuracy is given one.
    """
    limits: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DefinitionError(f"--max {text!r} has no value; write for example latency=5ms or params=5M")
        if name not in OBJECTIVES:
            raise unknown_name("figure to limit", name, (o.name for o in OBJECTIVES.values() if not o.maximize))
        if OBJECTIVES[name].maximize:
            raise DefinitionError(f"--max {name} is not a limit: more {name} is better")
        if name in limits:
            raise DefinitionError(f"--max {name} is given twice")
        limits[name] = OBJECTIVES[name].parse(value)
        if limits[name] <= 0:
            raise DefinitionError(f"--max {text!r} leaves nothing; a limit is above 0")
    return limits


def open_parts(settings: Settings) -> Parts:
    """Check the settings and open the parts; nothing is written yet.

    Raises:
        DefinitionError: a setting is wrong, with what is allowed.
        DatasetError: the data set cannot be read.
        DeviceError: the device cannot be used.
    """
    space = load_space(settings.space)
    check_sampler(settings.sampler, space)
    if not space.choices:
        raise DefinitionError(f"{space.name} leaves no choice, so there is nothing to search")
    plan = SearchPlan(
        read_objectives(settings.objectives),
        settings.limits,
        settings.sampler,
        settings.seed,
        TimingPlan(batch=settings.batch, dtype=settings.dtype),
        settings.warm_start,
        settings.early_stop,
    )
    device = _device(settings) if plan.uses("latency", "memory") else None
    accuracy = open_accuracy_of(settings) if plan.uses("accuracy") else None
    with ExitStack() as stack:
        for part in (accuracy, device):
            if part is not None:
                stack.enter_context(part)
        if accuracy is not None and accuracy.classes is not None:
            space = space.with_classes(accuracy.classes)
        stack.pop_all()  # all are open: from here on `Parts` closes them
    return Parts(space, plan, accuracy, device)


def open_accuracy_of(settings: Settings) -> Accuracy:
    """Make the estimator of a run; it is not open yet."""
    threads = settings.threads or len(host.available_cpus())
    return open_accuracy(settings.accuracy, settings.data, epochs=settings.epochs, seed=settings.seed, threads=threads)


def _device(settings: Settings) -> Device:
    spec = load_device(settings.device)
    return open_device(spec if settings.threads is None else replace(spec, threads=settings.threads))


def make_manifest(settings: Settings, parts: Parts) -> dict[str, Any]:
    """Write down all that a reader of the results may want to know, and all that resuming needs."""
    return {
        "space": parts.space.name,
        "space_digest": parts.space.digest,
        "space_size": str(parts.space.size()),
        "definition": Path(parts.space.path).read_text(encoding="utf-8"),
        "classes": parts.space.classes,
        "objectives": list(parts.plan.objectives),
        "limits": dict(parts.plan.limits),
        "sampler": settings.sampler,
        "seed": settings.seed,
        "device": parts.device.spec.name if parts.device else None,
        "device_digest": parts.device.spec.digest if parts.device else None,
        "accuracy": dict(parts.accuracy.description) if parts.accuracy else None,
        "settings": asdict(settings) | {"objectives": list(settings.objectives), "limits": dict(settings.limits)},
        "command": sys.argv,
        "versions": {
            "nasbench": __version__,
            "python": sys.version.split()[0],
            **{name: metadata.version(name) for name in _VERSIONED},
        },
        "git": host.git_state(Path(__file__).parent),
        "host": host.host_record(),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def confirm_manifest(manifest: Mapping[str, Any], parts: Parts) -> None:
    """Check that what a run rests on has not changed since it was started.

    Raises:
        DefinitionError: it has; the text says what.
    """
    now = {
        "the search space": (parts.space.digest, manifest["space_digest"]),
        "the device": (parts.device.spec.digest if parts.device else None, manifest["device_digest"]),
        "the accuracy estimate": (dict(parts.accuracy.description) if parts.accuracy else None, manifest["accuracy"]),
    }
    for what, (found, stored) in now.items():
        if found != stored:
            raise DefinitionError(f"{what} is not what it was when the run was started ({found} now, {stored} then)")
