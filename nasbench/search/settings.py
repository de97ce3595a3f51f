"""What a run is asked to do, and the parts that do it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from nasbench import host
from nasbench.accuracy.base import Accuracy
from nasbench.accuracy.load import open_accuracy
from nasbench.accuracy.pool import AccuracyPool
from nasbench.cluster.connection import Cluster, connect
from nasbench.device.base import Device
from nasbench.device.load import load_device, open_device
from nasbench.errors import DefinitionError
from nasbench.isolation import MakeWorker, Worker
from nasbench.measure.cache import MeasurementCache
from nasbench.measure.published import find_published
from nasbench.objectives import MEASURED, find_objective, split_objective
from nasbench.records import CONFIRM, PROTOCOL, DeviceSpec, TimingPlan
from nasbench.registry import unknown_name
from nasbench.runtime.base import check_runtime
from nasbench.search.plan import SearchPlan
from nasbench.search.samplers import check_sampler
from nasbench.search.starts import front_of
from nasbench.space.architecture import Scalar
from nasbench.space.load import load_space
from nasbench.space.space import SearchSpace
from nasbench.store.manifest import circumstances
from nasbench.store.parquet import run_digests
from nasbench.store.published import KEY, describe_published
from nasbench.tabular.accuracy import open_table_accuracy
from nasbench.tabular.device import open_table_device, table_spec
from nasbench.tabular.reference import is_reference, parse_reference, resolve_reference

_MEASURING = ("devices", "batch", "dtype", "fresh")
_CONFIRMING = ("confirm_processes",)
_ESTIMATED = ("accuracy", "data", "epochs", "workers", "cluster", "worker_gpus")
_TRAINING_MEMORY = 0.8
"""Share of the machine's memory that the process which trains may take; beyond it the candidate is out_of_memory."""

_VERSIONED = ("torch", "optuna", "numpy", "pandas", "pyarrow", "moocore")


@dataclass(frozen=True)
class Settings:
    """The options of `nasbench search` that decide what a run is. Its manifest keeps them.

    Without objectives they are the accuracy and the latency on every device. With several devices, what a device
    answers is named with it, `latency@rpi4`; with one, the device is left out.

    Raises:
        UnknownNameError: an objective is no figure, or its device is none of `devices`.
        DefinitionError: an objective or a device is there twice, or an objective does not say which device it is of.
    """

    space: str
    devices: tuple[str, ...] = ("cpu",)
    accuracy: str = "train"
    data: str | None = None
    epochs: int | None = None
    objectives: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    sampler: str = "surrogate"
    seed: int = 0
    batch: int = 1
    dtype: str | None = None
    threads: int | None = None
    fresh: bool = False
    confirm_processes: int = CONFIRM.max_processes
    training_threads: int | None = None
    workers: int = 1
    cluster: str | None = None
    worker_gpus: float = 0.0
    warm_start: bool = True
    early_stop: bool = True
    share_equal: bool = True
    trials: int | None = None
    seconds: float | None = None
    stop_when_flat: int | None = None
    start_from: str | None = None

    def __post_init__(self) -> None:
        devices = [device_name(device) for device in self.devices]
        if len(set(devices)) < len(devices):
            hint = "; end a table's with ,name=OTHER" if any(map(is_reference, self.devices)) else ""
            raise DefinitionError(f"a device is given twice: {', '.join(devices)}{hint}")
        default = ("accuracy", *(f"latency@{device}" for device in devices))
        objectives = [_on_device(name, devices) for name in self.objectives or default]
        object.__setattr__(self, "objectives", read_objectives(tuple(objectives)))
        limits = {_on_device(name, devices): limit for name, limit in self.limits.items()}
        object.__setattr__(self, "limits", limits)

    def resolved(self) -> Settings:
        """Fix what depends on the device, the working directory and the cores of the moment, so that a run can go on.

        Raises as `load_device`.
        """
        name, equals, rest = (self.data or "").partition("=")
        path, comma, options = rest.partition(",")
        return replace(
            self,
            space=_absolute(self.space),
            devices=tuple(map(_absolute, self.devices)),
            accuracy=_absolute(self.accuracy) if is_reference(self.accuracy) else self.accuracy,
            dtype=self.dtype or (_load(self.devices[0]).dtype if self.measures() and not self.devices[1:] else None),
            start_from=None if self.start_from is None else str(Path(self.start_from).resolve()),
            data=f"{name}={Path(path).resolve()}{comma}{options}" if equals else self.data,
            training_threads=self.training_threads
            or self.threads
            or (1 if self.cluster else max(1, len(host.available_cpus()) // self.workers)),
        )

    def measures(self) -> bool:
        """Say whether a device is asked for a figure."""
        return any(split_objective(name)[0] in MEASURED for name in (*self.objectives, *self.limits))

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
        devices = kept.get("devices") or (manifest["settings"].get("device", "cpu"),)  # one alone in earlier runs
        kept.setdefault("share_equal", False)  # which there was not in earlier runs
        return cls(**{**kept, "objectives": tuple(kept["objectives"]), "devices": tuple(devices)})

    def confirm(self, given: Mapping[str, Any]) -> None:
        """Check that options given again when a run is resumed say what they said first.

        Raises:
            DefinitionError: one differs.
        """
        if "devices" in given and tuple(map(_absolute, given["devices"])) != self.devices:
            raise DefinitionError(
                f"the run was started with device {_words(self.devices)}, not {_words(given['devices'])}. "
                "Leave the option out, or start a new run."
            )
        again = replace(self, **given).resolved()
        for name in given:
            first, now = getattr(self, name), getattr(again, name)
            if now != first:
                raise DefinitionError(
                    f"the run was started with {_option(name)} {_words(first)}, not {_words(now)}. "
                    "Leave the option out, or start a new run."
                )


def device_name(name_or_path: str) -> str:
    """Give the name of a device that a user named, or whose file or column of a table they gave."""
    if is_reference(name_or_path):
        return parse_reference(name_or_path).name
    is_path = name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path
    return Path(name_or_path).stem if is_path else name_or_path


def _on_device(name: str, devices: Sequence[str]) -> str:
    """Give an objective the form that its number of devices asks for."""
    figure, device = split_objective(name)
    if figure not in MEASURED:
        return name
    if device is not None and device not in devices:
        raise unknown_name(f"device of {name!r}", device, devices)
    if len(devices) == 1:
        return figure
    if device is None:
        choices = " or ".join(f"{figure}@{one}" for one in devices)
        raise DefinitionError(f"{figure} is asked for and there are {len(devices)} devices; write {choices}")
    return name


def _absolute(name: str) -> str:
    if is_reference(name):
        return resolve_reference(name)
    is_path = name.endswith((".yaml", ".yml")) or "/" in name
    return str(Path(name).resolve()) if is_path else name


def _option(name: str) -> str:
    """Give the option that a setting has; one that is repeated is named in the singular."""
    return {"devices": "device", "objectives": "objective"}.get(name, name.replace("_", "-"))


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
    devices: tuple[Device, ...] = ()
    cache: MeasurementCache | None = None
    cluster: Cluster | None = None
    starts: Sequence[Mapping[str, Scalar]] = ()

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self.accuracy, *self.devices, self.cluster, self.cache):
            if part is not None:
                part.close()


def read_objectives(names: tuple[str, ...]) -> tuple[str, ...]:
    """Check the names of objectives.

    Raises:
        UnknownNameError: one is unknown.
        DefinitionError: one is given twice.
    """
    for name in names:
        find_objective(name)
    if len(set(names)) < len(names):
        raise DefinitionError(f"an objective is given twice: {', '.join(names)}")
    return names


def refuse_unused(settings: Settings, given: Iterable[str]) -> None:
    """Refuse options that nothing of the search would look at.

    Raises:
        DefinitionError: there is one; the text says what would use it.
    """
    sought = {split_objective(name)[0] for name in settings.objectives}
    used = sought | {split_objective(name)[0] for name in settings.limits}
    _refuse_beside_tables(settings, given)
    for names, users, looked_at in (
        (_MEASURING, MEASURED, used),
        (_CONFIRMING, ("latency",), sought),  # a limit alone orders nothing that a confirmation could decide again
        (_ESTIMATED, ("accuracy",), used),
    ):
        for name in names:
            if name in given and not looked_at & set(users):
                option = _option(name)
                raise DefinitionError(f"--{option} has no effect without --objective {' or '.join(users)}")


def _refuse_beside_tables(settings: Settings, given: Iterable[str]) -> None:
    """Refuse options that figures from tables leave nothing to do for."""
    looked_up = settings.measures() and all(map(is_reference, settings.devices))
    if looked_up:
        for name in ("batch", "dtype", "fresh", "confirm_processes"):
            if name in given:
                raise DefinitionError(
                    f"--{name.replace('_', '-')} has no effect on latencies from a table; leave it out"
                )
    if is_reference(settings.accuracy):
        for name in ("data", "epochs", "cluster", "worker_gpus", "workers", "share_equal", "early_stop"):
            if name in given:
                option = name.replace("_", "-")
                raise DefinitionError(f"--{option} has no effect on an accuracy from a table; leave it out")
        if looked_up and "threads" in given:
            raise DefinitionError("--threads has no effect on a search on tables; leave it out")


def open_parts(
    settings: Settings,
    say: Callable[[str], object] = warnings.warn,
    starts: Sequence[Mapping[str, Scalar]] | None = None,
) -> Parts:
    """Check the settings and open the parts; nothing is written yet but the cache of measurements.

    `say` takes what is wrong with the cache, which is never an error. `starts` are those of a run that goes on, so that
    the earlier run that they are of is not asked again.

    Raises:
        DefinitionError: a setting is wrong, with what is allowed.
        DatasetError: the data set cannot be read.
        DeviceError: the device cannot be used.
    """
    space = load_space(settings.space)
    check_sampler(settings.sampler, space)
    if not space.choices:
        raise DefinitionError(
            f"{space.name} leaves no choice, so there is nothing to search; "
            "`nasbench export --around 1` writes a space around a network"
        )
    if starts is None:
        starts = front_of(Path(settings.start_from), space) if settings.start_from else ()
    objectives, limits = settings.objectives, settings.limits
    figures = {split_objective(name)[0] for name in (*objectives, *limits)}
    specs = [_spec(settings, name) for name in settings.devices] if settings.measures() else []
    _check_emulated(specs)
    with ExitStack() as stack:
        cluster = stack.enter_context(_connect(settings)) if settings.cluster else None
        accuracy = _open_accuracy(settings, space, cluster) if "accuracy" in figures else None
        if accuracy is not None:
            stack.enter_context(accuracy)
            space = space if accuracy.classes is None else space.with_classes(accuracy.classes)
        named = zip(settings.devices, specs, strict=True) if specs else ()
        devices = tuple(_open_device(name, spec, space, say) for name, spec in named)
        dtypes = {spec.name: settings.dtype or spec.dtype for spec in specs}
        timing = TimingPlan(batch=settings.batch, energy="energy" in figures)
        if devices:
            timing = replace(timing, dtype=settings.dtype or specs[0].dtype)
        plan = SearchPlan(
            objectives,
            limits,
            settings.sampler,
            settings.seed,
            timing,
            settings.warm_start,
            settings.early_stop,
            settings.confirm_processes,
            dtypes if len(devices) > 1 else {},
            settings.workers,
            settings.share_equal,
        )
        for device in devices:
            stack.enter_context(device)
        _check_answers(plan, devices)
        stack.pop_all()  # all are open: from here on `Parts` closes them
    cached = any(device.measures for device in devices) and not settings.fresh
    cache = MeasurementCache(say=say) if cached else None
    return Parts(space, plan, accuracy, devices, cache, cluster, starts)


def _connect(settings: Settings) -> Cluster:
    from nasbench.cluster.node_worker import find_module

    assert settings.cluster is not None, "asked for where there is one"
    own = ":" in settings.accuracy and not is_reference(settings.accuracy)
    modules = find_module(settings.accuracy, Path.cwd()) if own else ()
    return connect(settings.cluster, modules)


def _check_emulated(specs: Sequence[DeviceSpec]) -> None:
    emulated = [spec.name for spec in specs if spec.emulated]
    if emulated and len(emulated) < len(specs):
        real = ", ".join(spec.name for spec in specs if not spec.emulated)
        raise DefinitionError(
            f"{', '.join(emulated)} is emulated, so that its latencies mean nothing beside those of {real}; search on "
            "them apart"
        )


def _check_answers(plan: SearchPlan, devices: Sequence[Device]) -> None:
    wanted = [find_objective(name) for name in (*plan.objectives, *plan.limits)]
    for device in devices:
        asked = {one.figure for one in wanted if one.device in (None, device.spec.name)}
        if "memory" in asked and not device.measures:
            raise DefinitionError(f"{device.spec.name} is a table of latencies, which says nothing of memory")
        if "energy" in asked and device.energy_source is None:
            raise DefinitionError(
                f"the energy of an inference cannot be read on device {device.spec.name!r} here; "
                "search by another objective or on another device"
            )


def _open_accuracy(settings: Settings, space: SearchSpace, cluster: Cluster | None) -> Accuracy:
    if not is_reference(settings.accuracy):
        return open_accuracy_of(settings, cluster)
    return open_table_accuracy(settings.accuracy, space)


def open_accuracy_of(settings: Settings, cluster: Cluster | None = None) -> Accuracy:
    """Make the estimator of a run that computes, here or on the nodes of a cluster; it is not open yet."""
    threads = settings.training_threads or 1
    memory = host.host_record()["memory_bytes"]
    limit = int(_TRAINING_MEMORY * memory / settings.workers) if memory else None
    make_worker: MakeWorker = Worker
    if cluster is not None:
        from nasbench.cluster.node_worker import node_workers

        # A node's memory is not ours: there Ray ends what takes too much of it.
        make_worker, limit = node_workers(cluster, settings.workers, cores=threads, gpus=settings.worker_gpus), None
    members = [
        open_accuracy(
            settings.accuracy,
            settings.data,
            epochs=settings.epochs,
            seed=settings.seed,
            threads=threads,
            memory_limit_bytes=limit,
            on_gpu=settings.worker_gpus > 0,
            make_worker=make_worker,
        )
        for _ in range(settings.workers)
    ]
    return members[0] if len(members) == 1 else AccuracyPool(members)


def _load(name: str) -> DeviceSpec:
    return table_spec(name) if is_reference(name) else load_device(name)


def _open_device(name: str, spec: DeviceSpec, space: SearchSpace, say: Callable[[str], object]) -> Device:
    if not is_reference(name):
        return open_device(spec)
    device, note = open_table_device(name, space)
    if note:
        say(note)
    return device


def _spec(settings: Settings, name: str) -> DeviceSpec:
    spec = _load(name)
    if is_reference(name):
        return spec
    check_runtime(spec.hardware, spec.runtime, settings.dtype or spec.dtype)
    return spec if settings.threads is None else replace(spec, threads=settings.threads)


def make_manifest(settings: Settings, parts: Parts) -> dict[str, Any]:
    """Write down all that a reader of the results may want to know, and all that resuming needs."""
    # what a paper states of a network for 1,000 classes is left out where it is trained for 10
    named = {one.name: one.architecture for one in parts.space.architectures}
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
        "device": parts.devices[0].spec.name if parts.devices else None,
        "devices": [{"name": device.spec.name, "digest": device.spec.digest} for device in parts.devices],
        "fingerprint": _fingerprint(parts),
        "accuracy": dict(parts.accuracy.description) if parts.accuracy else None,
        "settings": asdict(settings)
        | {
            "devices": list(settings.devices),
            "objectives": list(settings.objectives),
            "limits": dict(settings.limits),
        },
        "starts": [dict(start) for start in parts.starts],
        KEY: describe_published(find_published(named, [parts.space.path])),
        **circumstances(_VERSIONED),
    }


def confirm_manifest(manifest: Mapping[str, Any], parts: Parts) -> None:
    """Check that what a run rests on has not changed since it was started.

    Raises:
        DefinitionError: it has; the text says what.
    """
    now = {
        "the search space": (parts.space.digest, manifest["space_digest"]),
        "the device": ({device.spec.name: device.spec.digest for device in parts.devices}, run_digests(manifest)),
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
    """Give what the latencies depend on; by device where there are several."""
    if not parts.devices:
        return None
    known = {device.spec.name: dict(device.fingerprint()) for device in parts.devices}
    return {**(known if len(known) > 1 else next(iter(known.values()))), "protocol": PROTOCOL}


def _difference(before: Any, now: Any, where: str = "") -> str:
    """Say where two pieces of plain data differ first."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            if before.get(key) != now.get(key):
                return _difference(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    return f"{where or 'it'} was {before!r} and is {now!r}"
