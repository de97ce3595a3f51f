"""Run a task in a child process that may be lost without harm.

    with Worker("nasbench.device.measuring:measure", threads=1, memory_limit_bytes=4 << 30) as worker:
        answer = worker.call(request, limits_s={"build": 30.0, "timed": 6.0})

The child is a fresh interpreter in a session of its own that dies with the thread which started it. Whatever it does
(crash, hang in native code, ignore signals, eat memory, leave grandchildren, answer nonsense), `call` raises one error
of `nasbench.errors`, nothing of the child is left, and the next call starts a new one. Linux only.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol

import psutil

from nasbench import errors
from nasbench.errors import CandidateError, Crashed, DeviceError, NasbenchError, OutOfMemory, TimeLimitExceeded
from nasbench.isolation_child import HEADER, MAX_MESSAGE_BYTES, Link, clean, encode, short_path, unpack
from nasbench.units import format_bytes

__all__ = ["AnyWorker", "Link", "MakeWorker", "OnReport", "Worker"]

OnReport = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes what a task reports; what it returns is the answer to the task."""

START_LIMIT_S = 60.0
"""For the interpreter, the imports and what comes before the first phase of the task; `start` in limits_s overrides."""

_TICK_S = 0.2
_GRACE_S = 2.0
_OUTPUT_CAP_BYTES = 1 << 20
_MARK = "NASBENCH_WORKER"
_BOOT = (
    "import json,sys;a=sys.argv;sys.path[:]=json.loads(a[1]);del a[1:2];"
    "from nasbench.isolation_child import main;main(a[1])"
)
_FRAME = re.compile(r'^\s+File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)$')


class AnyWorker(Protocol):
    """Whoever runs a task in a child process, here or on a node of a cluster; `Worker` says what each does."""

    @property
    def place(self) -> str:
        """Say which machine the child is on, "" for this one."""

    @property
    def pid(self) -> int | None:
        """Give the process id of the child; None while there is none, and where it is on another machine."""

    def call(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float], on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Run the task once."""

    def pause(self) -> None:
        """Stop the child until `resume`."""

    def resume(self) -> None:
        """Let the child go on."""

    def abort(self) -> None:
        """Kill the child, from any thread."""

    def close(self) -> None:
        """End the child."""


class MakeWorker(Protocol):
    """Whoever makes a worker for a task: `Worker` itself, or a function that makes one on a node."""

    def __call__(
        self, task: str, *, threads: int, cpus: Sequence[int] | None, memory_limit_bytes: int | None
    ) -> AnyWorker:
        """Make it; nothing is started yet."""


class Worker:
    """One child process at a time, started at the first call and kept until a fault or `close`.

    `task` is `package.module:function`, called in the child as `function(request, link)`; it returns a dict of JSON
    data. `threads` is what the child's OpenMP and BLAS libraries start with, `cpus` its cores. Above
    `memory_limit_bytes` of memory, summed over the child and what it started, it is killed.

    One thread uses a worker at a time, and the child lives no longer than the thread that made the first call.
    """

    def __init__(
        self, task: str, *, threads: int, cpus: Sequence[int] | None = None, memory_limit_bytes: int | None = None
    ) -> None:
        self.task = task
        self._threads = threads
        self._cpus = list(cpus) if cpus else None
        self._memory_limit_bytes = memory_limit_bytes
        self._child: _Child | None = None
        self._paused = False
        self._pausing = threading.Lock()

    @property
    def place(self) -> str:
        """Say that the child is on this machine."""
        return ""

    @property
    def pid(self) -> int | None:
        """Give the process id of the child, None while there is none."""
        child = self._child  # read once: a watching thread asks while this one may discard it
        return child.process.pid if child else None

    def call(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float], on_report: OnReport | None = None
    ) -> dict[str, Any]:
        """Run the task once.

        `limits_s` holds a time limit for each phase that the task names; `start` is what comes before the first. What
        `on_report` returns is the answer to `link.report`; its own time counts for no limit.

        Raises:
            OutOfMemory: the child was over its memory limit, or could not allocate.
            TimeLimitExceeded: a phase took too long; the text says which, and where it hung.
            Crashed: the child died, or answered nonsense.
            CandidateError: any other exception in the task.
            NasbenchError: what the task raised itself, as the same class.
        """
        conversation = self.converse(request, limits_s=limits_s)
        try:
            report = next(conversation)
            while True:
                report = conversation.send(on_report(report) if on_report else {})
        except StopIteration as end:
            answer: dict[str, Any] = end.value
            return answer
        finally:
            conversation.close()

    def converse(
        self, request: Mapping[str, Any], *, limits_s: Mapping[str, float]
    ) -> Generator[dict[str, Any], Mapping[str, Any], dict[str, Any]]:
        """Run the task once as `call` does: yields each of its reports, is sent the answer, returns what it returns.

        A conversation that is closed before its end kills the child.
        """
        if self._child and self._child.process.poll() is not None:
            self._discard()  # it died while idle: nobody's candidate
        if self._child is None:
            self._start()
        assert self._child is not None
        try:
            answer = yield from self._exchange(self._child, encode(request), limits_s)
        except BaseException:
            self._discard()
            raise
        if "error" not in answer:
            return answer
        error = error_of(answer)
        if isinstance(error, OutOfMemory):
            self._discard()  # it keeps what it has allocated; after any other exception it is as good as before
        raise error

    def pause(self) -> None:
        """Stop the child until `resume`, for whoever needs the cores to itself; no time limit runs meanwhile.

        Called from any thread. A child that starts meanwhile is stopped too.
        """
        with self._pausing:
            self._paused = True
            if self._child:
                self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the child go on; called from any thread, and without harm when it is not paused."""
        with self._pausing:
            self._paused = False
            if self._child:
                self._child.signal(signal.SIGCONT)

    def abort(self) -> None:
        """Kill the child, from any thread; a call that waits for it ends with `Crashed`."""
        with self._pausing:
            if self._child:
                self._child.signal(signal.SIGKILL)

    def close(self) -> None:
        """End the child and everything it started."""
        if self._child:
            self._discard()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        with self._pausing:
            self._child = _Child(self.task, self._threads, self._cpus)
            if self._paused:
                self._child.signal(signal.SIGSTOP)

    def _discard(self) -> None:
        with self._pausing:
            child, self._child = self._child, None
        if child:
            child.end()

    def _exchange(
        self, child: _Child, request: bytes, limits_s: Mapping[str, float]
    ) -> Generator[dict[str, Any], Mapping[str, Any], dict[str, Any]]:
        phase, limit_s = "start", limits_s.get("start", START_LIMIT_S)
        now = time.monotonic()
        deadline = now + limit_s
        next_look = 0.0
        child.send(request)
        while True:
            before, now = now, time.monotonic()
            if self._paused:
                deadline += now - before
            message = child.receive(min(_TICK_S, max(0.0, deadline - time.monotonic())))
            if message is None:
                if child.process.poll() is not None:
                    raise Crashed(f"{child.describe_death()} in phase {phase!r}")
            elif "done" in message or "error" in message:
                return _answer_of(message)
            elif "phase" in message:
                phase = str(message["phase"])
                if phase not in limits_s:
                    raise AssertionError(f"{self.task} names the phase {phase!r}, for which no limit is given")
                limit_s = limits_s[phase]
                deadline = time.monotonic() + limit_s
            elif "report" in message:
                asked = time.monotonic()
                child.send(encode((yield message["report"])))
                waited_s = time.monotonic() - asked
                now += waited_s  # so that a pause meanwhile counts once
                deadline += waited_s
            else:
                raise Crashed(f"the answer is no message but {clean(str(message), 100)}")
            if time.monotonic() >= next_look:
                self._check_memory(child, phase)
                next_look = time.monotonic() + _TICK_S
            if time.monotonic() >= deadline:
                place = child.interrupt()
                where = f"; it was in {place}" if place else ""
                raise TimeLimitExceeded(f"phase {phase!r} took longer than its limit of {limit_s:g} s{where}")

    def _check_memory(self, child: _Child, phase: str) -> None:
        if self._memory_limit_bytes is None:
            return
        used = child.memory_bytes()
        if used > self._memory_limit_bytes and (used := child.proportional_bytes()) > self._memory_limit_bytes:
            limit = format_bytes(self._memory_limit_bytes)
            raise OutOfMemory(f"phase {phase!r} used {format_bytes(used)} of memory; the limit is {limit}")


def _answer_of(message: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in message:
        return {"error": str(message["error"]), "text": str(message.get("text", ""))}
    if not isinstance(message["done"], dict):
        raise Crashed(f"the answer is no mapping but {clean(str(message['done']), 100)}")
    answer: dict[str, Any] = message["done"]
    return answer


def error_of(answer: Mapping[str, Any]) -> NasbenchError:
    """Make the error that an answer tells of: `error` is the name of its class, `text` what it says."""
    kind = getattr(errors, answer["error"], None)
    if not (isinstance(kind, type) and issubclass(kind, NasbenchError)):
        kind = CandidateError
    return kind(clean(answer["text"], 4000))


class _Child:
    """A running child process and the ends of its pipes."""

    def __init__(self, task: str, threads: int, cpus: list[int] | None) -> None:
        self.mark = uuid.uuid4().hex
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - both are closed in `end`
        self._stacks: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # Appending lets `receive` cut the file while the child holds it open.
        fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)
        request_end, self._requests = os.pipe()
        self._answers, answer_end = os.pipe()
        setup = {
            "parent": os.getpid(),
            "requests": request_end,
            "answers": answer_end,
            "stacks": self._stacks.fileno(),
            "task": task,
            "cpus": cpus,
        }
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(_search_path()), json.dumps(setup)],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=(request_end, answer_end, self._stacks.fileno()),
                start_new_session=True,
                env=_environment(threads, self.mark),
            )
        except OSError as error:
            self._close()
            raise DeviceError(f"no child process can be started: {error.strerror}") from error
        finally:
            os.close(request_end)
            os.close(answer_end)
        self._watched = psutil.Process(self.process.pid)
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._hung_up = False
        os.set_blocking(self._requests, False)
        os.set_blocking(self._answers, False)

    def send(self, data: bytes) -> None:
        """Queue a message; `receive` writes it, so that a child which does not read cannot hold us."""
        self._outbox += data

    def receive(self, wait_s: float) -> dict[str, Any] | None:
        """Wait for one message; None when there is none in time or the child is gone."""
        if (message := self._next_message()) is not None:
            return message
        if self._hung_up:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(wait_s)
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if self._outbox:
                selector.register(self._requests, selectors.EVENT_WRITE)
            for key, _ in selector.select(wait_s):
                if key.fd == self._answers:
                    self._read()
                else:
                    self._write()
        if os.fstat(self._output.fileno()).st_size > _OUTPUT_CAP_BYTES:
            self._output.truncate(0)
        return self._next_message()

    def _read(self) -> None:
        part = os.read(self._answers, 1 << 20)
        self._inbox += part
        self._hung_up = not part

    def _write(self) -> None:
        try:
            del self._outbox[: os.write(self._requests, self._outbox)]
        except BrokenPipeError:
            self._outbox.clear()  # it is dying; the end of its answers says so

    def _next_message(self) -> dict[str, Any] | None:
        if len(self._inbox) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._inbox)
        if size > MAX_MESSAGE_BYTES:
            raise Crashed(f"the answer claims {size:,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken")
        end = HEADER.size + size
        if len(self._inbox) < end:
            return None
        body = bytes(self._inbox[HEADER.size : end])
        del self._inbox[:end]
        return unpack(body)

    def memory_bytes(self) -> int:
        """Give the resident memory of the child and its descendants; pages that they share count more than once."""
        return sum(_resident_bytes(pid) for pid in _tree(self.process.pid))

    def proportional_bytes(self) -> int:
        """Give the same with shared pages counted once; slow, so it is asked only when `memory_bytes` is too much."""
        total = 0
        for process in [self._watched, *self._descendants()]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
        return total

    def _descendants(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return self._watched.children(recursive=True)
        return []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and to what it started in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def interrupt(self) -> str:
        """Ask the child to end and give the place where it hung, "" when it did not say; SIGKILL follows in `end`."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE_S)
        return self._stack_top()

    def describe_death(self) -> str:
        """Say how the child died, and where."""
        code = self.process.wait()
        if code >= 0:
            text = f"the process ended by itself with exit code {code}"
        else:
            with contextlib.suppress(ValueError):
                text = f"the process was killed by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                text += " (by somebody, or by the kernel for lack of memory)"
        if place := self._stack_top():
            text += f", in {place}"
        self._output.seek(0)
        if lines := clean_lines(self._output.read(_OUTPUT_CAP_BYTES)):
            text += f"; its last line: {lines[-1]}"
        return text

    def _stack_top(self) -> str:
        self._stacks.seek(0)
        stacks = self._stacks.read(_OUTPUT_CAP_BYTES).decode(errors="replace")
        # Faulthandler names the thread that was hit "Current thread"; without it, the main thread comes last.
        blocks = re.split(r"^(?=Thread 0x|Current thread 0x)", stacks, flags=re.MULTILINE)
        block = next((block for block in blocks if block.startswith("Current thread")), blocks[-1])
        frames = [found for line in block.splitlines() if (found := _FRAME.match(line))]
        places = [
            f"{f['name']} ({short_path(f['file'])}:{f['line']})" for f in frames if "isolation_child" not in f["file"]
        ]
        return clean(" < ".join(places[:4]))

    def end(self) -> None:
        """Kill the child and all it started, and close everything.

        Raises:
            DeviceError: the child cannot be killed; what it uses stays in use.
        """
        doomed = self._descendants() + self._marked()
        self.signal(signal.SIGKILL)
        for process in doomed:
            with contextlib.suppress(psutil.Error):
                process.kill()
        for process in self._marked():  # born while we were at it
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._close()
        try:
            self.process.wait(5.0)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"process {self.process.pid} cannot be killed; the kernel holds it") from None

    def _marked(self) -> list[psutil.Process]:
        """Find what the child started even if it left its session and its parent: it inherited our mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != self.process.pid and process.environ().get(_MARK) == self.mark:
                    found.append(process)
        return found

    def _close(self) -> None:
        self._output.close()
        self._stacks.close()
        os.close(self._requests)
        os.close(self._answers)


def clean_lines(output: bytes) -> list[str]:
    """Give the printable lines of a captured output."""
    return [line for part in output.decode(errors="replace").splitlines() if (line := clean(part, 200))]


def _tree(pid: int) -> list[int]:
    """Give a process and its descendants; asking the kernel costs a tenth of looking at every process there is."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for path in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in path.read_text().split()]
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _search_path() -> list[str]:
    """Give this process's import path; a user's own modules lie in the working directory, whoever started us."""
    paths = [str(Path.cwd()) if path == "" else path for path in sys.path]
    return paths if str(Path.cwd()) in paths else [*paths, str(Path.cwd())]


def _environment(threads: int, mark: str) -> dict[str, str]:
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM")
    settings = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    return {**os.environ, **settings, _MARK: mark}
