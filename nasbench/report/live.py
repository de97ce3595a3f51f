"""The page of a search while it runs: a server of its own process, on loopback, that reads the run and writes nothing.

`LiveView` starts it, and closing the pipe to it, or dying, tells it that the search has ended. It keeps off the cores
that are measured on, where there are others, gives way to whatever else wants to run, and takes a hundredth of one core
at most for looking at the run, and that only while somebody has the page open.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nasbench.errors import NasbenchError, RunNameError, StoreError

if TYPE_CHECKING:
    from nasbench.store.parquet import Run

_START_S = 20.0
"""How long a search waits for the server's address before it goes on without."""

_LINGER_S = 15.0
"""How long the server stays when the search has ended, so that open pages hear of it."""

_LAST_LOOK_S = 300.0
"""How long the server waits, once the search has ended, for a look at the run that is under way."""

_LOOK_S = 1.0
_AGAIN_S = 5.0
"""How long a run that could not be read is left alone."""

_LONGEST_PROBLEM = 400
_BUSY = 0.01
_NICENESS = 19
"""The most there is: beside a search on one and the same core, the server gets a seventieth of it."""

_log = logging.getLogger("nasbench.report")


class LiveView:
    """A live view of a run while the context is open; `url` is None where it could not be started.

    Nothing that happens to the server reaches the search: it is another process, in a session of its own.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Say what to show, and on which port; 0 is any that is free."""
        self._words = [sys.executable, "-m", "nasbench.report.live", str(folder), str(port)]
        self._process: subprocess.Popen[bytes] | None = None
        self.url: str | None = None
        self.problem = ""

    def __enter__(self) -> Self:
        """Start the server and wait for its address, for some seconds at most."""
        try:
            self._process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            answer = self._read_answer()
        except OSError as error:
            self.problem = str(error)
            return self
        if answer.startswith("http://"):
            self.url = answer
        else:
            self.problem = answer or f"it said nothing for {_START_S:g} s"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the server that the search has ended, and do not wait for it."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            # It ends by itself soon; that it is our child shall not be said as a warning at our end.
            self._process.returncode = self._process.poll() or 0

    def _read_answer(self) -> str:
        assert self._process is not None and self._process.stdout is not None, "both were just made"
        ready, _, _ = select.select([self._process.stdout], [], [], _START_S)
        return self._process.stdout.readline().decode(errors="replace").strip() if ready else ""


class _Board:
    """What is served: the newest document as JSON, its version, and whether the search has ended.

    `problem` says why the run could not be looked at the last time, and is empty where it could. `is_last` says that
    the document is of the end of the search.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: Any = None
        self._next_s = 0.0
        self._looked_at_end = False
        self._page = b""
        self._document = b""
        self.version = 0
        self.problem = ""
        self.ended = False
        self.is_last = False

    def refresh(self) -> None:
        """Look at the run again, if it changed and the last look was long enough ago; a failure is told, not raised."""
        with self._lock:
            began, worked = time.monotonic(), time.thread_time()
            final = self.ended
            stamp = (final, *_stamp(self._folder))
            if stamp == self._seen or (began < self._next_s and final == self._looked_at_end):
                return
            self._looked_at_end = final
            wait_s = _LOOK_S
            try:
                document, page = _look(self._folder, final)
            except Exception as error:  # noqa: BLE001 - whatever it is: an empty page without a word helps nobody
                _log.warning("%s", error)
                self.problem = f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_PROBLEM]
                wait_s = _AGAIN_S
            else:
                self._document, self._page = document, page
                self._seen, self.problem, self.is_last = stamp, "", final
                self.version += 1
            finally:
                self._next_s = time.monotonic() + max(wait_s, (time.thread_time() - worked) / _BUSY)

    def page(self) -> bytes:
        """Give the whole page."""
        self.refresh()
        return self._page

    def document(self) -> bytes:
        """Give the document alone."""
        return self._document

    def news(self) -> bytes:
        """Say which version there is, whether the search has ended and this is its end, and what is wrong."""
        self.refresh()
        with self._lock:
            # Ended is said with the last document, or with why there is none: the page asks no more after it.
            ended = self._looked_at_end
            told = {"version": self.version, "ended": ended, "last": self.is_last, "problem": self.problem}
        return json.dumps(told).encode()

    def settle(self) -> bool:
        """Wait for a look that is under way, for some minutes at most; say whether anybody looked since the end."""
        if self._lock.acquire(timeout=_LAST_LOOK_S):
            self._lock.release()
        return self._looked_at_end


def _look(folder: Path, final: bool) -> tuple[bytes, bytes]:
    """Give the document of a run as it is now, as JSON and as a page; raises whatever reading it does."""
    # Here, since the address is said before these are loaded.
    from nasbench.report.data import make_document
    from nasbench.report.document import to_json
    from nasbench.report.page import make_page
    from nasbench.store.parquet import read_growing

    run = _read_last(folder) if final else read_growing(folder)
    document = replace(make_document([run], with_importance=final), live=True)
    return to_json(document).encode(), make_page(document).encode()


def _read_last(folder: Path) -> Run:
    """Read a run whose search has ended: its files, or its log where that is ahead because the search was killed."""
    from nasbench.store.log import RunLog
    from nasbench.store.parquet import read_flushed, read_growing

    try:
        run = read_flushed(folder)
    except (StoreError, FileNotFoundError):
        return read_growing(folder)
    with contextlib.suppress(RunNameError), RunLog.read(folder) as log:  # without its log, its files are all of it
        state = log.state.encode()
        if any((table.schema.metadata or {}).get(b"nasbench.state") != state for table in run.tables.values()):
            return read_growing(folder)
    return run


def _stamp(folder: Path) -> tuple[Any, ...]:
    """Give what changes when a row is committed or a file flushed; nothing is opened for it."""
    found: list[Any] = []
    for name in ("run.db", "run.db-wal", "evaluations.parquet", "pareto.parquet"):
        try:
            state = (folder / name).stat()
            found.append((state.st_size, state.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)


class _Handler(BaseHTTPRequestHandler):
    """Answers to GET alone, and to nobody who came by another name than this machine's own."""

    server_version = "nasbench"
    sys_version = ""
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        """Answer with the page, the document or the version."""
        if self.headers.get("Host") not in self.server.names:
            # A page of another site can name this port by a host of its own (DNS rebinding); its own name tells it.
            self._answer(403, "text/plain", b"this server answers to 127.0.0.1 and localhost alone\n")
            return
        board = self.server.board
        kinds = {
            "/": ("text/html; charset=utf-8", board.page),
            "/version": ("application/json", board.news),
            "/document": ("application/json", board.document),
        }
        if self.path not in kinds:
            self._answer(404, "text/plain", b"there are /, /version and /document\n")
            return
        kind, give = kinds[self.path]
        body = give()
        if body:
            self._answer(200, kind, body)
        else:
            why = f": {board.problem}" if board.problem else ""
            self._answer(503, "text/plain; charset=utf-8", f"the run cannot be read yet{why}\n".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError, TimeoutError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is the search's."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, board: _Board) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.board = board
        self.names = {f"{host}:{self.server_port}" for host in ("127.0.0.1", "localhost")}


def _give_way(folder: Path) -> None:
    """Let everything else run first, and leave the cores alone that the search measures on."""
    from nasbench.store.log import RunLog

    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
        if os.getsid(0) == os.getpid():
            # Where Linux shares cores between sessions first (sched(7), autogroup), nice counts within ours alone.
            Path("/proc/self/autogroup").write_text(str(_NICENESS))
    with contextlib.suppress(OSError, NasbenchError, AttributeError):
        with RunLog.read(folder) as log:
            measured = _measured_cpus(log.manifest)
        if others := os.sched_getaffinity(0) - measured:
            os.sched_setaffinity(0, others)


def _measured_cpus(manifest: Mapping[str, Any]) -> set[int]:
    """Give the cores that a search measures on, by its manifest, which nests them by device where there are several."""
    fingerprint = manifest.get("fingerprint") or {}
    places = [fingerprint, *(one for one in fingerprint.values() if isinstance(one, Mapping))]
    return {cpu for place in places for cpu in place.get("cpus") or ()}


def main(folder: Path, port: int) -> None:
    """Serve a run until standard input ends and a while after; the address, or why there is none, goes to stdout."""
    os.environ["OMP_NUM_THREADS"] = "1"
    board = _Board(folder)
    try:
        server = _Server(port, board)
    except (OSError, OverflowError) as error:
        print(f"port {port} cannot be had: {getattr(error, 'strerror', None) or error}", flush=True)
        return
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    _give_way(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()  # ends when the search closes its end, or is dead
    board.ended = True
    time.sleep(_LINGER_S)
    if board.settle():
        time.sleep(3 * _LOOK_S)  # the page gets its answer, and asks for the document after it
    server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
