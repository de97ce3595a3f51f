"""What a run is asked to do, and the parts that do it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
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

_DTYPES = ("fp32", "bf16")
_MEASURED = ("device", "batch", "dtype")
_ESTIMATED = ("accuracy", "data", "epochs")
_TRAINING_MEMORY = 0.8
"""Share of the machine's memory that the process which trains may take; beyond it the candidate is out_of_memory."""

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
    training_threads: int | None = None
    warm_start: bool = True
    early_stop: bool = True
    trials: int | None = None
    seconds: float | None = None

    def resolved(self) -> Settings:
        """Fix what depends on the working directory and on the cores of the moment, so that a run can go on."""
        name, equals, rest = (self.data or "").partition("=")
        path, comma, options = rest.partition(",")
        return replace(
            self,
            space=_absolute(self.space),
            device=_absolute(self.device),
            data=f"{name}={Path(path).resolve()}{comma}{options}" if equals else self.data,
            training_threads=self.training_threads or self.threads or len(host.available_cpus()),
        )

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
        again = replace(self, **given).resolved()
        for name in given:
            first, now = getattr(self, name), getattr(again, name)
            if now != first:
                raise DefinitionError(
                    f"the run was started with {name.replace('_', '-')} {_words(first)}, not {_words(now)}. "
                    "Leave the option out, or start a new run."
                )


def _absolute(name: str) -> str:
    is_path = name.endswith((".yaml", ".yml")) or "/" in name
    return str(Path(name).resolve()) if is_path else name


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


def refuse_unused(settings: Settings, given: Iterable[str]) -> None:
    """Refuse options that nothing of the search would look at.

    Raises:
        DefinitionError: there is one; the text says what would use it.
    """
    used = {*settings.objectives, *settings.limits}
    for names, users in ((_MEASURED, ("latency", "memory")), (_ESTIMATED, ("accuracy",))):
        for name in names:
            if name in given and not used & set(users):
                raise DefinitionError(f"--{name} has no effect without --objective {' or '.join(users)}")


def open_parts(settings: Settings) -> Parts:
    """Check the settings and open the parts; nothing is written yet.

    Raises:
        DefinitionError: a setting is wrong, with what is allowed.
        DatasetError: the data set cannot be read.
        DeviceError: the device cannot be used.
    """
    space = load_space(settings.space)
    check_sampler(settings.sampler, space)
    if settings.dtype not in _DTYPES:
        raise unknown_name("dtype", settings.dtype, _DTYPES)
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
    memory = host.host_record()["memory_bytes"]
    return open_accuracy(
        settings.accuracy,
        settings.data,
        epochs=settings.epochs,
        seed=settings.seed,
        threads=settings.training_threads or 1,
        memory_limit_bytes=int(_TRAINING_MEMORY * memory) if memory else None,
    )


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
        "command": ["nasbench", *sys.argv[1:]],
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
            raise DefinitionError(
                f"{what} is not what it was when the run was started: {_difference(stored, found)}. Start a new run."
            )


def _difference(before: Any, now: Any, where: str = "") -> str:
    """Say where two pieces of plain data differ first."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    return f"{where or 'it'} was {before!r} and is {now!r}"
