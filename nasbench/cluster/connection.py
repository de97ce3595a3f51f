"""The one connection that this process may have to a Ray cluster, and what is known of its nodes.

Ray itself may wait for minutes for a cluster that is not there, end the process that asked, or answer a wrong token
with a stack trace. So before this process connects, the port is tried, and then a child that can be ended.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import nasbench
from nasbench.cluster.address import Address, check_reachable, check_token, parse_address
from nasbench.errors import CandidateError, DefinitionError, DeviceError, DeviceLost, TimeLimitExceeded
from nasbench.isolation import Link, Worker
from nasbench.isolation_child import clean

PROBE_LIMIT_S = 15.0
"""How long a child may take to connect once the port has answered."""

HEAD_LIMIT_S = 10.0
"""How long the head may be silent before it counts as lost. Ray ends a process whose head is gone for 60 s."""

_HEAD_LOOK_S = 2.0
_SHUTDOWN_LIMIT_S = 5.0

# Set in this process before Ray is imported: it reports to nobody, and a node may have another patch release of Python,
# since what is shipped is source and what is answered is JSON.
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, as its head knows it. `resources` are all it has, taken or not."""

    id: str
    host: str
    port: int
    alive: bool
    resources: Mapping[str, float]


class Cluster:
    """An open connection. Several parts of a run share it; the last one to close it disconnects.

    `home` is the address of this machine in the cluster.
    """

    def __init__(self, address: Address, home: str, modules: tuple[str, ...] = ()) -> None:
        self.address = address
        self.home = home
        self.modules = modules
        self._users = 0
        self._silent_since: float | None = None
        self._next_look = 0.0
        self._lost = False
        self._lock = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the head was found to be gone."""
        return self._lost

    def nodes(self) -> list[Node]:
        """List the nodes, also those that are gone.

        Raises:
            DeviceLost: the head is gone.
        """
        import ray

        self.check_head(at_once=True)
        return read_nodes(ray.nodes())  # type: ignore[no-untyped-call]

    def check_head(self, at_once: bool = False) -> None:
        """Look now and then whether the head still listens, since calls to it wait for a minute when it does not.

        Raises:
            DeviceLost: it has not for `HEAD_LIMIT_S`; with `at_once`, it does not now.
        """
        with self._lock:
            now = time.monotonic()
            if self._lost:
                raise self._head_lost()
            if now < self._next_look and not at_once:
                return
            self._next_look = now + _HEAD_LOOK_S
            try:
                check_reachable(self.address, _HEAD_LOOK_S)
                self._silent_since = None
            except DeviceLost as error:
                self._silent_since = self._silent_since or now
                self._lost = time.monotonic() - self._silent_since >= HEAD_LIMIT_S
                if self._lost or at_once:
                    raise self._head_lost() from error

    def close(self) -> None:
        """Give up one use of the connection; with the last it ends."""
        with _connecting:
            self._users -= 1
            if self._users > 0:
                return
            _forget(self)
        _shut_down(self._lost)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _head_lost(self) -> DeviceLost:
        return DeviceLost(f"the head of the cluster at {self.address} does not answer any more")


_current: Cluster | None = None
_connecting = threading.Lock()


def connect(address: str, modules: tuple[str, ...] = ()) -> Cluster:
    """Connect to the cluster whose head is at `host:port`; this machine has to be one of its nodes.

    What every process gets that we start on a node is shipped now, once for the whole connection: this package, as it
    is at this moment, and `modules`, which are further files and folders of Python code.

    Raises:
        DefinitionError: the address is none, may not be used without a token, or another cluster is in use already.
        DeviceLost: nobody answers there.
        DeviceError: the cluster refuses: a wrong token, other versions, or this machine is no node of it.
    """
    global _current
    with _connecting:
        wanted = parse_address(address)
        if _current is None:
            check_token(wanted)
            check_reachable(wanted)
            probe(wanted)
            _current = _connect(wanted, modules)
        if _current.address != wanted:
            raise DefinitionError(
                f"one run reaches one cluster: {_current.address} is in use and {wanted} was asked for"
            )
        assert set(modules) <= set(_current.modules), "code is shipped with the first connection"
        _current._users += 1
        return _current


def probe(address: Address) -> list[Node]:
    """Connect and disconnect in a child process, and list the nodes.

    Raises:
        DeviceError: the cluster refuses, does not answer in time, or takes this machine for another one.
    """
    try:
        with Worker("nasbench.cluster.connection:probe_task", threads=1) as worker:
            answer = worker.call({"address": str(address)}, limits_s={"start": 30.0, "connect": PROBE_LIMIT_S})
    except TimeLimitExceeded as error:
        raise DeviceError(
            f"something listens at {address}, but no connection was made in {PROBE_LIMIT_S:g} s: its token is not ours "
            f"(RAY_AUTH_TOKEN or its file), or this machine is no node of it: ray start --address={address}"
        ) from error
    except CandidateError as error:
        raise DeviceError(f"{address} answers, but no Ray cluster takes this machine there: {error}") from error
    return [Node(**node) for node in answer["nodes"]]


def probe_task(request: Mapping[str, Any], link: Link) -> dict[str, Any]:
    """Connect in the child of `probe`."""
    _prepare_environment()
    # Ray looks for this machine's own node for so long, and says then that there is none.
    os.environ["RAY_gcs_server_request_timeout_seconds"] = "8"  # noqa: SIM112 - Ray's own spelling
    import ray

    link.phase("connect")
    _init(request["address"])
    nodes = read_nodes(ray.nodes())  # type: ignore[no-untyped-call]
    check_home(_home(nodes), request["address"])
    return {"nodes": [vars_of(node) for node in nodes]}


def read_nodes(told: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Read what Ray tells of nodes."""
    return [
        Node(
            str(node["NodeID"]),
            str(node["NodeManagerAddress"]),
            int(node["NodeManagerPort"]),
            bool(node["Alive"]),
            {str(name): float(amount) for name, amount in node.get("Resources", {}).items()},
        )
        for node in told
    ]


def vars_of(node: Node) -> dict[str, Any]:
    """Give a node as plain data."""
    return {
        "id": node.id,
        "host": node.host,
        "port": node.port,
        "alive": node.alive,
        "resources": dict(node.resources),
    }


def _connect(address: Address, modules: tuple[str, ...]) -> Cluster:
    _prepare_environment()
    _init(str(address), _shipped(modules))
    import ray

    return Cluster(address, _home(read_nodes(ray.nodes())), modules)  # type: ignore[no-untyped-call]


def _home(nodes: Sequence[Node]) -> str:
    """Give the address of the node that Ray connected this process through, "" when it is not among them."""
    import ray

    home = ray.get_runtime_context().get_node_id()
    return next((node.host for node in nodes if node.id == home), "")


def check_home(host: str, address: str) -> None:
    """See that the node which Ray connected through is on this machine, as far as the network goes.

    Ray takes a node whose processes it sees. In a container or namespace that may be one of another network, and what
    runs in the cluster would then wait in vain for this process.

    Raises:
        DeviceError: the address of the node is none of ours.
    """
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probing:
            probing.bind((host, 0))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise DeviceError(
                f"Ray connected through the node at {host}, which is no address of this machine; run nasbench where "
                f"that node runs, or start a node here with: ray start --address={address}"
            ) from error


def _prepare_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _init(address: str, runtime_env: Mapping[str, Any] | None = None) -> None:
    import ray

    with contextlib.suppress(AttributeError):
        # Ray prints what goes wrong on a node to our stdout, where JSON may be; we say it ourselves.
        ray._private.worker.print_to_stdstream = lambda *arguments, **options: None
    on_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if on_main else None
    try:
        ray.init(
            address=address,
            namespace="nasbench",
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
            runtime_env=dict(runtime_env) if runtime_env else None,
        )
    except Exception as error:
        raise DeviceError(f"no connection to the cluster at {address}: {_reason(error)}") from error
    finally:
        if on_main:
            signal.signal(signal.SIGTERM, handler)  # Ray puts its own there


def _shipped(modules: Sequence[str]) -> dict[str, Any]:
    return {
        "py_modules": [str(Path(nasbench.__file__).parent), *modules],
        "excludes": ["**/__pycache__/**", "_definitions/**"],
        "env_vars": {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
    }


def _reason(error: Exception) -> str:
    """Give what an error of Ray says, in one line that helps."""
    said = clean(str(error), 400)
    if "authenticat" in said.lower() or "token" in said.lower():
        return (
            f"the cluster does not accept our token; RAY_AUTH_TOKEN or its file must be the same on all nodes ({said})"
        )
    if any(words in said for words in ("No node info found", "node_ip_address", "Can't find")):
        return f"this machine is no node of the cluster; join it with: ray start --address=HEAD:PORT ({said})"
    return said or type(error).__name__


def _forget(cluster: Cluster) -> None:
    global _current
    if _current is cluster:
        _current = None


def _shut_down(lost: bool) -> None:
    """Disconnect; a head that is gone may keep Ray waiting, and then it is left to the end of the process."""
    import ray

    if lost:
        # Whatever Ray still wants to tell the head at exit would wait for it too.
        with contextlib.suppress(Exception):
            atexit.unregister(ray._private.worker.shutdown)
    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(_SHUTDOWN_LIMIT_S)
    if thread.is_alive():
        _disconnecting.append(thread)
        with contextlib.suppress(Exception):
            atexit.unregister(ray._private.worker.shutdown)


_disconnecting: list[threading.Thread] = []


def leave(code: int) -> None:
    """End this process if a disconnection still waits for a head that is gone; else do nothing.

    With a thread inside of Ray, the ordinary end of a process is a segmentation fault.
    """
    if any(thread.is_alive() for thread in _disconnecting):
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code)
