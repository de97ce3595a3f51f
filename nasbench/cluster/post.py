"""A supervisor on a node, seen from the driver: it is started, asked, watched and given up.

Ray repeats nothing here. A supervisor that died is told apart from a node that is gone, because the first may be
started again at once and the second has to come back first.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nasbench.cluster.connection import Cluster, Node
from nasbench.cluster.messages import check_about, unpack_step
from nasbench.cluster.supervisor import Supervisor
from nasbench.errors import CandidateError, DeviceError, DeviceLost, NasbenchError, OutOfMemory
from nasbench.isolation_child import clean, pack

START_LIMIT_S = 120.0
"""For a supervisor to come up: a node unpacks what is shipped and starts Python, which takes a small board its time."""

PULSE_S = 2.0
"""How often a supervisor that works is asked for a sign of life."""

SILENT_S = 7.0
"""How long it may owe that sign before its node counts as lost."""

NOWHERE = "?"
"""The place of a supervisor that has not answered yet, or is gone: no machine is called so."""

_TICK_S = 0.5
_END_LIMIT_S = 5.0
_NODE_LIMIT_S = 2.0
_CONTROL = "control"


class SupervisorDied(DeviceLost):
    """The process that supervised died, on a node that lives."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a supervisor may be: what it takes of a node. `name` is what people call the place."""

    name: str
    resources: Mapping[str, float] = field(default_factory=dict)
    cpus: float = 0
    gpus: float = 0


class Post:
    """One supervisor. It is started by `open`, and by `reopen` after it was lost."""

    def __init__(self, cluster: Cluster, placement: Placement) -> None:
        self.cluster = cluster
        self.placement = placement
        self.node: Node | None = None
        self._actor: Any = None
        self._attempt = 0

    @property
    def place(self) -> str:
        """Say which machine it is on: "" for this one, else the id of the node, and `NOWHERE` until it answers."""
        node = self.node  # read once: another thread may close it
        if node is None:
            return NOWHERE
        return "" if node.host == self.cluster.home else node.id

    def open(self, limit_s: float = START_LIMIT_S) -> None:
        """Start the supervisor and wait until it answers.

        Raises:
            DeviceLost: no node has what the placement asks for.
            DeviceError: somebody else has it, or the supervisor does not start.
        """
        import ray

        self._check_placement()
        make: Any = ray.remote  # whose stubs know no concurrency groups
        made = make(
            num_cpus=self.placement.cpus,
            num_gpus=self.placement.gpus,
            resources=dict(self.placement.resources),
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={_CONTROL: 1},  # one, so that a pause and its end come in this order
        )(Supervisor)
        try:
            with ray_errors(self.placement.name):
                self._actor = actor = made.remote()
                asked = actor.place.remote()
            where = self._wait(asked, limit_s=limit_s)
            self.node = next((node for node in self.cluster.nodes() if node.id == where), None)
            if self.node is None:
                raise DeviceLost(f"the node of {self.placement.name} is gone: the cluster does not know it any more")
        except CandidateError as error:
            self.close()
            raise DeviceError(f"the supervisor on {self.placement.name} did not start: {error}") from error
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether there is a supervisor, as far as is known."""
        return self._actor is not None

    def reopen(self, limit_s: float = START_LIMIT_S) -> None:
        """Give up what is left of the supervisor and start another; raises as `open`."""
        self.close()
        self.open(limit_s)

    def close(self) -> None:
        """End the supervisor, and with it the child; may come twice."""
        import ray

        actor, self._actor = self._actor, None
        self.node = None
        if actor is not None and not self.cluster.lost:
            with contextlib.suppress(Exception):
                ray.kill(actor, no_restart=True)

    def describe(self, threads: int, cores: str | None, packages: Sequence[str]) -> dict[str, Any]:
        """Ask what the node is, see `Supervisor.describe`; raises as `begin`."""
        asked = pack({"threads": threads, "cores": cores, "packages": list(packages)})
        try:
            kind, content = unpack_step(self._ask("describe", asked))
            if kind == "error":
                raise DeviceError(f"{self.placement.name}: {clean(content['text'])}")
            return check_about(content, packages)
        except CandidateError as error:
            raise DeviceError(f"{self.placement.name} does not say what it is: {error}") from error

    def begin(self, request: Mapping[str, Any], files: Sequence[Any] = ()) -> tuple[str, dict[str, Any]]:
        """Start a task, see `Supervisor.begin`, and give its first step.

        Raises:
            SupervisorDied: the supervisor died.
            DeviceLost: its node, or the head of the cluster, stopped answering.
            OutOfMemory: Ray ended the supervisor because the node ran out of memory.
            DeviceError: Ray failed in another way.
        """
        self._attempt += 1
        return self._step("begin", {**request, "attempt": self._attempt}, files)

    def reply(self, answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer a report and give the next step; raises as `begin`."""
        return self._step("reply", {"attempt": self._attempt, "answer": dict(answer)}, ())

    def give_up(self) -> None:
        """Have the child ended, whatever it is doing, and keep the supervisor; one that is gone has none."""
        actor = self._actor
        if actor is None:
            return
        self.abort()
        if not self.is_open:
            return
        try:
            with ray_errors(self.placement.name):
                asked = actor.end.remote()
            self._wait(asked, limit_s=_END_LIMIT_S)
        except (DeviceError, CandidateError):
            self.close()  # it does not obey; whoever wants a task next starts another

    def abort(self) -> None:
        """Kill the child of the task that runs, from any thread; a supervisor that is still to answer ends itself."""
        if self.node is None:
            self.close()
        else:
            self.control("abort", self._attempt)

    def control(self, method: str, *arguments: int) -> None:
        """Have the child paused, resumed or aborted, whatever it is doing.

        A supervisor that is gone has none, and neither has one that has not answered yet, which may take long to start.
        """
        import ray

        actor = self._actor
        if actor is None or self.node is None:
            return
        try:
            ray.get(getattr(actor, method).options(concurrency_group=_CONTROL).remote(*arguments), timeout=SILENT_S)
        except ray.exceptions.GetTimeoutError:
            self.close()  # what cannot be stopped is ended: somebody measures there
        except Exception:  # noqa: BLE001 - a supervisor that is gone disturbs nobody
            return

    def _step(self, method: str, request: Mapping[str, Any], files: Sequence[Any]) -> tuple[str, dict[str, Any]]:
        # In a list the files are references, which the supervisor fetches: as arguments they would be fetched before it
        # is called, and hold up whatever else is asked of it.
        return unpack_step(self._ask(method, pack(request), *([list(files)] if files else [])))

    def _ask(self, method: str, *arguments: Any) -> Any:
        actor, node = self._actor, self.node  # read once: another thread may close the post
        if actor is None or node is None:
            raise DeviceLost(f"there is no supervisor on {self.placement.name}")
        with ray_errors(self.placement.name):
            reference = getattr(actor, method).remote(*arguments)
        return self._wait(reference, node)

    def _wait(self, reference: Any, node: Node | None = None, *, limit_s: float | None = None) -> Any:
        """Wait for an answer as long as the supervisor shows that it lives, or up to a limit."""
        import ray

        began = time.monotonic()
        pulse, asked, next_pulse = None, 0.0, began + PULSE_S
        while True:
            try:
                return ray.get(reference, timeout=_TICK_S)
            except ray.exceptions.GetTimeoutError:
                pass
            except ray.exceptions.RayError as error:
                raise self._meaning(error, node) from error
            now = time.monotonic()
            self.cluster.check_head()
            if limit_s is not None:
                if now - began > limit_s:
                    raise DeviceError(self._describe_delay(limit_s))
                continue
            with ray_errors(self.placement.name):
                if pulse is not None and ray.wait([pulse], timeout=0)[0]:
                    pulse = None
                actor = self._actor
                if actor is not None and pulse is None and now >= next_pulse:
                    pulse = actor.pulse.options(concurrency_group=_CONTROL).remote()
                    asked, next_pulse = now, now + PULSE_S
            if pulse is not None and now - asked > SILENT_S:
                raise DeviceLost(f"{self.placement.name} gave no sign of life for {now - asked:.0f} s")

    def _meaning(self, error: Exception, node: Node | None) -> Exception:
        """Say what an error of Ray means for the device; `node` is where the supervisor was, None until it answers."""
        import ray

        name = self.placement.name
        said = _first_sentence(clean((str(error).strip().splitlines() or [type(error).__name__])[-1], 300))
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            self._actor = self.node = None
            return OutOfMemory(f"{name} ran out of memory and Ray ended what ran there: {said}")
        if isinstance(error, ray.exceptions.RuntimeEnvSetupError):
            return DeviceError(f"{name} could not unpack what was shipped: {said}")
        if isinstance(error, ray.exceptions.ActorUnavailableError | ray.exceptions.LocalRayletDiedError):
            return DeviceLost(f"{name} cannot be reached: {said}")
        dead = (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError)
        if not isinstance(error, dead):
            return DeviceError(f"{name}: {type(error).__name__}: {said}")
        self._actor = self.node = None
        if node is None:
            return DeviceError(f"the supervisor on {name} did not start: {said}")
        if _listens(node):
            return SupervisorDied(f"the supervisor on {name} died: {said}")
        return DeviceLost(f"the node of {name} is gone: {said}")

    def _check_placement(self) -> None:
        wanted = self.placement.resources
        living = [node for node in self.cluster.nodes() if node.alive]
        if wanted and not any(
            all(node.resources.get(name, 0) >= amount for name, amount in wanted.items()) for node in living
        ):
            names = ", ".join(sorted(wanted))
            raise DeviceLost(
                f"no node of the cluster at {self.cluster.address} has the resource {names!r}; start one there as "
                f"`nasbench worker-command {self.placement.name}` says ({len(living)} nodes are up)"
            )

    def _describe_delay(self, limit_s: float) -> str:
        import ray

        with ray_errors(self.placement.name):
            available = ray.available_resources()  # type: ignore[no-untyped-call]
        taken = [name for name, amount in self.placement.resources.items() if available.get(name, 0) < amount]
        if taken:
            return f"{self.placement.name} is in use by another run; it was waited for {limit_s:g} s"
        return f"the supervisor on {self.placement.name} did not come up within {limit_s:g} s"


@contextmanager
def ray_errors(name: str) -> Iterator[None]:
    """Turn what a call into Ray raises at once into an error of the device."""
    try:
        yield
    except NasbenchError:
        raise
    except Exception as error:
        said = clean((str(error).strip().splitlines() or [""])[-1], 300)
        raise DeviceError(f"{name}: {type(error).__name__}: {said}") from error


def _first_sentence(text: str) -> str:
    """Leave out the advice that Ray gives for every death alike."""
    return text.partition(". Worker exit type")[0].partition(" Some common causes")[0]


def _listens(node: Node) -> bool:
    """Say whether the node's own part of Ray still takes connections; the head may learn much later if not."""
    try:
        socket.create_connection((node.host, node.port), timeout=_NODE_LIMIT_S).close()
    except OSError:
        return False
    return True
