"""What a run is asked to do, and the parts that do it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench import host
from nasbench.accuracy.base import Accuracy
from nasbench.accuracy.load import open_accuracy
from nasbench.device.base import Device
from nasbench.device.load import load_device, open_device
from nasbench.errors import DefinitionError
from nasbench.measure.cache import MeasurementCache
from nasbench.objectives import OBJECTIVES
from nasbench.pareto import MEASURED
from nasbench.records import CONFIRM, PROTOCOL, TimingPlan
from nasbench.registry import unknown_name
from nasbench.runtime.base import check_runtime
from nasbench.search.plan import SearchPlan
from nasbench.search.samplers import check_sampler
from nasbench.space.load import load_space
from nasbench.space.space import SearchSpace
from nasbench.store.manifest import circumstances

_MEASURING = ("device", "batch", "dtype", "fresh")
_CONFIRMING = ("confirm_processes",)
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
    dtype: str | None = None
    threads: int | None = None
    fresh: bool = False
    confirm_processes: int = CONFIRM.max_processes
    training_threads: int | None = None
    warm_start: bool = True
    early_stop: bool = True
    trials: int | None = None
    seconds: float | None = None

    def resolved(self) -> Settings:
        """Fix what depends on the device, the working directory and the cores of the moment, so that a run can go on.

        Raises as `load_device`.
        """
        name, equals, rest = (self.data or "").partition("=")
        path, comma, options = rest.partition(",")
        return replace(
            self,
            space=_absolute(self.space),
            device=_absolute(self.device),
            dtype=self.dtype or (load_device(self.device).dtype if self.measures() else None),
            data=f"{name}={Path(path).resolve()}{comma}{options}" if equals else self.data,
            training_threads=self.training_threads or self.threads or len(host.available_cpus()),
        )

    def measures(self) -> bool:
        """Say whether a device is asked for a figure."""
        return bool({*self.objectives, *self.limits} & set(MEASURED))

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any], run: object) -> Settings:
        """Read the settings of a run, whose folder is named in errors.

        Raises:
            DefinitionError: the run is no search.
        """
        if manifest.get("kind") == "bench":
            raise DefinitionError(f"{run} is a bench, which cannot be resumed or trained again; repeat its command")
        if not manifest.get("settings", {}).get("objectives"):
            raise DefinitionError(
                f"{run} is no search: its manifest has no objectives, so it cannot be resumed or trained again"
            )
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
    cache: MeasurementCache | None = None

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self.accuracy, self.device, self.cache):
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
    sought, used = {*settings.objectives}, {*settings.objectives, *settings.limits}
    for names, users, looked_at in (
        (_MEASURING, MEASURED, used),
        (_CONFIRMING, ("latency",), sought),  # a limit alone orders nothing that a confirmation could decide again
        (_ESTIMATED, ("accuracy",), used),
    ):
        for name in names:
            if name in given and not looked_at & set(users):
                option = name.replace("_", "-")
                raise DefinitionError(f"--{option} has no effect without --objective {' or '.join(users)}")


def open_parts(settings: Settings, say: Callable[[str], object] = warnings.warn) -> Parts:
    """Check the settings and open the parts; nothing is written yet but the cache of measurements.

    `say` takes what is wrong with the cache, which is never an error.

    Raises:
        DefinitionError: a setting is wrong, with what is allowed.
        DatasetError: the data set cannot be read.
        DeviceError: the device cannot be used.
    """
    space = load_space(settings.space)
    check_sampler(settings.sampler, space)
    if not space.choices:
        raise DefinitionError(f"{space.name} leaves no choice, so there is nothing to search")
    objectives = read_objectives(settings.objectives)
    device = _device(settings) if settings.measures() else None
    accuracy = open_accuracy_of(settings) if "accuracy" in (*objectives, *settings.limits) else None
    timing = TimingPlan(batch=settings.batch, energy="energy" in (*objectives, *settings.limits))
    if device is not None:
        timing = replace(timing, dtype=settings.dtype or device.spec.dtype)
    plan = SearchPlan(
        objectives,
        settings.limits,
        settings.sampler,
        settings.seed,
        timing,
        settings.warm_start,
        settings.early_stop,
        settings.confirm_processes,
    )
    with ExitStack() as stack:
        for part in (accuracy, device):
            if part is not None:
                stack.enter_context(part)
        if device is not None and plan.timing.energy and device.energy_source is None:
            raise DefinitionError(
                f"the energy of an inference cannot be read on device {device.spec.name!r} here; "
                "search by another objective or on another device"
            )
        if accuracy is not None and accuracy.classes is not None:
            space = space.with_classes(accuracy.classes)
        stack.pop_all()  # all are open: from here on `Parts` closes them
    return Parts(space, plan, accuracy, device, MeasurementCache(say=say) if device and not settings.fresh else None)


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
    check_runtime(spec.backend, spec.runtime, settings.dtype or spec.dtype)
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
        "fingerprint": _fingerprint(parts),
        "accuracy": dict(parts.accuracy.description) if parts.accuracy else None,
        "settings": asdict(settings) | {"objectives": list(settings.objectives), "limits": dict(settings.limits)},
        **circumstances(_VERSIONED),
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


def changed_machine(manifest: Mapping[str, Any], parts: Parts) -> str | None:
    """Say what the latencies depend on that changed since a run was started, if anything did."""
    before, now = manifest.get("fingerprint"), _fingerprint(parts)
    return None if before is None or now == before else _difference(before, now)


def _fingerprint(parts: Parts) -> dict[str, Any] | None:
    return {**parts.device.fingerprint(), "protocol": PROTOCOL} if parts.device else None


def _difference(before: Any, now: Any, where: str = "") -> str:
    """Say where two pieces of plain data differ first."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    return f"{where or 'it'} was {before!r} and is {now!r}"
