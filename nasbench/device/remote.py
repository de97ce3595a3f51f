"""A machine somewhere else as a device: a node of a Ray cluster that has the resource of the device's name.

The driver ships its own code, resolved records and, for a runtime that takes one, the exported graph. So the node needs
Ray, numpy, psutil and the runtime, and neither torch (but for torch's own runtimes) nor this project nor a definition.
There a supervisor runs every measurement in a child, with the same code, limits, gates and host record as here.

Ray repeats nothing; what is repeated is decided here and told in `Measurement.attempts`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nasbench
from nasbench.cluster.connection import connect
from nasbench.cluster.messages import check_code
from nasbench.cluster.post import START_LIMIT_S, Placement, Post, SupervisorDied
from nasbench.cluster.supervisor import FILE
from nasbench.cluster.worker import FILES, RemoteWorker, Shelf
from nasbench.device.base import Steer
from nasbench.device.cpu import TASK, TURNS_TASK, CpuDevice
from nasbench.device.graphs import Graph
from nasbench.device.loading import CANARY
from nasbench.errors import CandidateError, Crashed, DeviceError, DeviceLost
from nasbench.host import git_state
from nasbench.isolation import AnyWorker, OnReport
from nasbench.records import DeviceSpec, Measurement, TimingPlan
from nasbench.space.architecture import Architecture

PATIENCE_S = 60.0
"""How long a device that was lost is waited for."""

RETURN_LIMIT = 0.10
"""How far the canary may be from what it was before, when a device comes back."""

MOST_LOSSES = 2
"""Losses of the supervisor or the node under one network from which on the network counts as the cause."""

_EMULATED = "the processor is emulated, so that this time is no latency"
_RETRY_S = 2.0
_LEAST_START_S = 5.0
_RESTART_S = 30.0
_log = logging.getLogger(__name__)


class RemoteDevice(CpuDevice):
    """Times a network on whole cores of a node, in a fresh process each time.

    `pause` waits so many seconds; tests bring their own.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        *,
        task: str = TASK,
        turns_task: str = TURNS_TASK,
        patience_s: float = PATIENCE_S,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(replace(spec, cores=None), task=task, turns_task=turns_task)
        self.spec = spec
        self._patience_s = patience_s
        self._pause = pause
        self._post: Post | None = None
        self._shelf = Shelf()
        self._about: dict[str, Any] = {}
        self._canary_s: float | None = None
        self._place = ""
        self._loss: DeviceLost | None = None  # of a node that has not shown since that it is what it was

    def open(self) -> None:
        """Connect to the cluster, start the supervisor, and learn what the node is.

        Raises:
            DefinitionError: the address may not be used without a token.
            DeviceLost: the cluster or the node is not there.
            DeviceError: the node is in use, has too few cores, or lacks a package.
        """
        assert self.spec.address is not None and self.spec.resource is not None, "checked when the definition was read"
        cluster = self._open.enter_context(connect(self.spec.address))
        self._git = git_state(Path(nasbench.__file__).parent)
        self._post = Post(cluster, Placement(self.spec.name, {self.spec.resource: 1}))
        try:
            self._open.callback(self._post.close)
            self._post.open()
            self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the supervisor and disconnect; may come twice."""
        self._shelf.clear()
        self._post = None
        super().close()

    @property
    def place(self) -> str:
        """Say which machine the node is, so that what trains there can be kept off while this measures."""
        self._opened()
        return self._place

    @property
    def cpus(self) -> tuple[int, ...]:
        """Give the local cores that a measurement needs: none."""
        return ()

    @property
    def energy_source(self) -> str | None:
        """Name the node's energy counters; None where it has none to read."""
        source: str | None = self._about.get("energy_source")
        return source

    @property
    def about(self) -> Mapping[str, Any]:
        """What the node said of itself when it was last looked at: host, cpus, versions, temperature_c."""
        return self._about

    def fingerprint(self) -> dict[str, Any]:
        """Give the node's machine, cores and libraries' settings, and the versions of the software on both sides.

        Raises:
            DeviceError: the device is not open.
            BuildError: a package that the driver needs is not installed; the text says how to.
        """
        self._opened()
        # What the driver only exports with decides the graph; what executes it is on the node.
        exporting = {
            package: version
            for package, version in self._kind.versions().items()
            if package not in self._kind.executors
        }
        found = {package: self._about["versions"][package] for package in self._kind.executors}
        return {
            **self._about["host"],
            "cpus": self._about["cpus"],
            "environment": self._about["environment"],
            "software": {"nasbench": nasbench.__version__, **found, **exporting},
        }

    def take(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        """Time one network in a fresh process on the node.

        A network under which the supervisor or the node is lost gets another try, and after the second loss counts as
        crashed. A node that is lost is waited for, and has to measure the canary as before.

        Raises:
            CandidateError: this network failed.
            DeviceLost: the device did not come back, or the cluster is gone.
            DeviceError: the device cannot be used.
        """
        lost: list[dict[str, Any]] = []
        while True:
            self._await_return()
            try:
                if not self._opened().is_open:
                    self._restart()
                if self._canary_s is None:
                    self._canary_s = self._measure_canary()
            except DeviceLost as error:
                self._recover(error)
                continue
            try:
                return replace(self._take_once(architecture, plan), attempts=tuple(lost))
            except DeviceLost as error:
                lost.append({"attempt": len(lost) + 1, "device": self.spec.name, "why": str(error)})
                if len(lost) >= MOST_LOSSES:
                    self._note_loss(error)
                    self._opened().close()  # the next network starts another
                    whys = "; ".join(one["why"] for one in lost)
                    raise Crashed(f"{self.spec.name} was lost {len(lost)} times under it: {whys}") from error
                self._recover(error)

    def take_turns(self, architectures: Sequence[Architecture], plan: TimingPlan, steer: Steer) -> dict[str, Any]:
        """Hold several networks in one process on the node and time them in turns; raises as the contract says.

        Nothing is repeated here: whoever steers has seen what came so far.
        """
        self._await_return()
        if not self._opened().is_open:
            self._restart()
        try:
            told = super().take_turns(architectures, plan, steer)
        except DeviceLost as error:
            self._note_loss(error)
            raise
        if told["host"].get("emulated"):
            told["reasons"].append(_EMULATED)
        return told

    def request(
        self, architectures: Sequence[Architecture], plan: TimingPlan
    ) -> tuple[dict[str, Any], list[Graph | None]]:
        """Give what the measuring process is asked, as for cores, on the node's; raises likewise."""
        request, graphs = super().request(architectures, plan)
        return {**request, "cpus": self._about["cpus"]}, graphs

    def _worker(self, task: str) -> AbstractContextManager[AnyWorker]:
        return _ShippingWorker(
            self._shelf,
            self._opened(),
            task,
            threads=self.spec.threads,
            cpus=self._about["cpus"],
            memory_limit_bytes=self.spec.memory_limit_bytes,
        )

    def _take_once(self, architecture: Architecture, plan: TimingPlan) -> Measurement:
        return self._judged(super().take(architecture, plan))

    def _judged(self, measurement: Measurement) -> Measurement:
        """Give the verdict `emulated` to what no real processor ran.

        Raises:
            DeviceError: nobody said that the device is emulated.
        """
        if not measurement.host.get("emulated"):
            return measurement
        if not self.spec.emulated:
            raise DeviceError(
                f"the instructions of {self.spec.name} are emulated, so that its latencies mean nothing; to try it all "
                "the same, write emulated: true in its definition"
            )
        return replace(measurement, verdict="emulated", reasons=(_EMULATED, *measurement.reasons))

    def _opened(self) -> Post:
        if self._post is None:
            raise DeviceError(f"device {self.spec.name!r} is not open")
        return self._post

    def _look(self) -> None:
        """Ask what the node is, and whether it will do."""
        name, post = self.spec.name, self._opened()
        about = post.describe(self.spec.threads, self.spec.cores, self._kind.executors)
        if len(about["cpus"]) < self.spec.threads:
            among = f" among the cores {self.spec.cores!r}" if self.spec.cores else ""
            raise DeviceError(
                f"device {name!r} needs {self.spec.threads} physical cores, one a thread; {len(about['cpus'])} may be "
                f"used there{among}"
            )
        absent = [package for package in self._kind.executors if about["versions"][package] is None]
        if absent:
            raise DeviceError(
                f"{' and '.join(absent)} is not installed on {name}; there: pip install {' '.join(absent)}"
            )
        if bool(about["host"].get("emulated")) and not self.spec.emulated:
            raise DeviceError(
                f"the processor of {name} is emulated, so that its latencies mean nothing; to try it all the same, "
                "write emulated: true in its definition"
            )
        check_code(about, name)
        known = {part: self._about[part] for part in ("host", "cpus", "versions") if self._about}
        if changed := [part for part, value in known.items() if about[part] != value]:
            raise DeviceError(f"what answers as {name} is not what it was: {' and '.join(changed)} changed")
        if about["niceness"] > 0:
            _log.warning(
                "measurements on %s run with niceness %d; start its Ray with RAY_worker_niceness=0",
                name,
                about["niceness"],
            )
        self._about, self._place = about, post.place

    def _recover(self, error: DeviceLost) -> None:
        """Get the supervisor back, or the node, which has to show that it is what it was.

        Raises:
            DeviceLost: it does not come back in time.
        """
        if isinstance(error, SupervisorDied):
            _log.warning("%s; it is started again", error)
            with contextlib.suppress(DeviceError):  # a node that goes down ends it first: then it is waited for
                self._restart(_RESTART_S)
                return
        self._loss = error
        self._await_return()

    def _note_loss(self, error: DeviceLost) -> None:
        """Have the canary measured before the next network, if it was the node that was lost."""
        if not isinstance(error, SupervisorDied):
            self._loss = error

    def _await_return(self) -> None:
        """Wait for a node that was lost, if it was, and measure the canary there; raises as `_recover`."""
        error = self._loss
        if error is None:
            return
        _log.warning("device %s is lost (%s); it is waited for up to %g s", self.spec.name, error, self._patience_s)
        ends = time.monotonic() + self._patience_s
        while True:
            self._opened().cluster.check_head()
            try:
                self._restart(max(_LEAST_START_S, ends - time.monotonic()))
                self._check_canary()
                _log.warning("device %s is back", self.spec.name)
                self._loss = None
                return
            except DeviceError as again:
                if time.monotonic() >= ends:
                    raise DeviceLost(
                        f"device {self.spec.name!r} is lost and was not back within {self._patience_s:g} s: {again}"
                    ) from error
            self._pause(_RETRY_S)

    def _restart(self, limit_s: float = START_LIMIT_S) -> None:
        self._opened().reopen(limit_s)
        self._look()

    def _measure_canary(self) -> float | None:
        try:
            return self._take_once(CANARY, TimingPlan()).latency_s
        except CandidateError as error:
            raise DeviceError(f"the canary network failed on {self.spec.name}: {error}") from error

    def _check_canary(self) -> None:
        before_s, now_s = self._canary_s, self._measure_canary()
        if before_s and now_s and not self.spec.emulated and abs(now_s / before_s - 1) > RETURN_LIMIT:
            raise DeviceError(
                f"the canary network takes {now_s / before_s - 1:+.0%} of what it did before; "
                f"within {RETURN_LIMIT:.0%} is needed"
            )


class _ShippingWorker(RemoteWorker):
    """Puts the files of a request into the cluster, and in their places what stands for them."""

    def __init__(self, shelf: Shelf, post: Post, task: str, **options: Any) -> None:
        super().__init__(post, task, **options)
        self._shelf = shelf

    def call(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float], on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Run the task once; raises as `RemoteWorker.call`."""
        files: list[Any] = []

        def shipped(path: str | None) -> dict[str, int] | None:
            if path is None:
                return None
            files.append(self._shelf.put(path))
            return {FILE: len(files) - 1}

        def moved(side: Mapping[str, Any]) -> dict[str, Any]:
            return {**side, "graph": shipped(side["graph"]), "reference": shipped(side["reference"])}

        moving = {"sides": [moved(side) for side in request["sides"]], "tiny": moved(request["tiny"])}
        return super().call({**request, **moving, FILES: files}, limits_s=limits_s, on_report=on_report)
