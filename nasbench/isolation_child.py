"""The child side of `nasbench.isolation`: what runs in the process that may be lost.

Started by `Worker` as a fresh interpreter. Messages are JSON behind a length of four bytes, on a pipe of their own;
what the task prints goes to a file. NaN and infinity pass as they are, tuples arrive as lists.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import json
import os
import signal
import struct
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from nasbench.errors import Crashed, DeviceError, NasbenchError, OutOfMemory

HEADER = struct.Struct(">I")
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""Larger than any honest answer: 1,000 samples take about 20 kB."""

_PR_SET_PDEATHSIG = 1
_STACK_FRAMES = 4
_TEXT_LIMIT = 600


def encode(message: Mapping[str, Any]) -> bytes:
    """Give a message as it travels through a pipe: its length, and what `pack` gives. Raises as that."""
    body = pack(message)
    return HEADER.pack(len(body)) + body


def pack(message: Mapping[str, Any]) -> bytes:
    """Give a message as JSON.

    Raises:
        ValueError: it is larger than `MAX_MESSAGE_BYTES`.
        TypeError: it holds something that JSON has no form for.
    """
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body):,} bytes; at most {MAX_MESSAGE_BYTES:,} may pass")
    return body


def unpack(body: bytes, whose: str = "the") -> dict[str, Any]:
    """Read what `pack` gave; `whose` stands before "answer" in errors.

    Raises:
        Crashed: it is too large, no JSON, or no mapping.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise Crashed(f"{whose} answer has {len(body):,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Crashed(f"{whose} answer is no JSON: {clean(str(error), 100)}") from error
    if not isinstance(message, dict):
        raise Crashed(f"{whose} answer is no message but {clean(str(message), 100)}")
    return message


def clean(text: str, limit: int = _TEXT_LIMIT) -> str:
    """Give text from a candidate as one printable line; a candidate may not steer anybody's terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


class Link:
    """What a task holds of its supervisor."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers

    def phase(self, name: str) -> None:
        """Say that a new phase begins; the time limit of that name starts to run."""
        self._send(encode({"phase": name}))

    def report(self, progress: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the driver of progress and wait for its answer, `{}` when nobody there listens."""
        self._send(encode({"report": dict(progress)}))
        return self._receive()

    def _send(self, message: bytes) -> None:
        data = memoryview(message)
        while data:
            data = data[os.write(self._answers, data) :]

    def _receive(self) -> dict[str, Any]:
        (size,) = HEADER.unpack(self._read(HEADER.size))
        message: dict[str, Any] = json.loads(self._read(size))
        return message

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._requests, size - len(data))
            if not part:
                os._exit(0)  # the supervisor is gone or has closed us; nobody waits for an answer
            data += part
        return data


def main(setup_text: str) -> NoReturn:
    """Serve calls until the supervisor hangs up."""
    setup = json.loads(setup_text)
    _die_with(setup["parent"])
    stacks = setup["stacks"]
    faulthandler.enable(file=stacks)
    faulthandler.register(signal.SIGTERM, file=stacks, chain=True)  # says where it hangs, then ends
    for descriptor in (setup["requests"], setup["answers"], stacks):
        os.set_inheritable(descriptor, False)
    _bind_forks()
    link = Link(setup["requests"], setup["answers"])
    task = None
    while True:
        request = link._receive()
        try:
            if task is None:
                _prepare(setup["cpus"])
                module, _, function = setup["task"].partition(":")
                task = getattr(importlib.import_module(module), function)
            answer = encode({"done": task(request, link)})
        except BaseException as error:  # noqa: BLE001 - the fault border: it becomes an error of this candidate
            answer = encode(_describe(error))
        link._send(answer)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above could bind us to it
        os._exit(0)


def _bind_forks() -> None:
    """Make every process that this one forks die with it; a data loader's worker would outlive a killed driver."""
    parent = 0

    def before() -> None:
        nonlocal parent
        parent = os.getpid()

    def after_in_child() -> None:
        faulthandler.unregister(signal.SIGTERM)
        _die_with(parent)

    os.register_at_fork(before=before, after_in_child=after_in_child)


def _prepare(cpus: list[int] | None) -> None:
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            raise DeviceError(f"the cores {cpus} cannot be used: {error.strerror}") from error
    with contextlib.suppress(OSError):
        # When memory runs out, the kernel shall take the candidate and not the search.
        Path("/proc/self/oom_score_adj").write_text("1000")


def _describe(error: BaseException) -> dict[str, Any]:
    if isinstance(error, NasbenchError):
        return {"error": type(error).__name__, "text": clean(str(error), 4000)}
    place = frames_of(error.__traceback__)
    said = clean(str(error))
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    kind = OutOfMemory.__name__ if _is_out_of_memory(error) else "CandidateError"
    return {"error": kind, "text": f"{text}; in {place}" if place else text}


def _is_out_of_memory(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}  # torch's class by name: this file may not import torch
    said = str(error).lower()
    return (
        bool(names & {"MemoryError", "OutOfMemoryError"})
        or "defaultcpuallocator" in said
        or "cannot allocate memory" in said
    )


def frames_of(trace: TracebackType | None) -> str:
    """Give the innermost frames of a traceback as `inner (file.py:3) < outer (file.py:9)`."""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename != __file__]
    return clean(
        " < ".join(
            f"{frame.name} ({short_path(frame.filename)}:{frame.lineno})" for frame in frames[: -_STACK_FRAMES - 1 : -1]
        )
    )


def short_path(path: str) -> str:
    """Give the last folder and the name of a source file."""
    return "/".join(Path(path).parts[-2:])
