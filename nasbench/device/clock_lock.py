"""A GPU held at one clock, and given back whatever happens: by us at the end, by a guard process if we are killed.

The guard is `python -m nasbench.device.clock_lock <UUID>`. It waits at a pipe from this process; when that closes
without a word, this process has died, and the guard resets the clocks.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from types import TracebackType
from typing import IO, cast

from nasbench.device.nvml import Gpu, open_gpu
from nasbench.errors import DeviceError

_DONE = b"done"
_GUARD_LIMIT_S = 5.0


class ClockLock:
    """Holds the SM clock at what the board can keep up, as far as that is permitted.

    `hertz` is the clock it is held at, None when it is not, and `state` says which and why. What somebody set with
    `nvidia-smi --lock-gpu-clocks` before is reset too: NVML does not tell what it was.
    """

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._guard: subprocess.Popen[bytes] | None = None
        self.hertz = gpu.sustained_clock_hz()
        if self.hertz is None:
            self.state = "clocks are not locked: the board states no clock that it can keep up"
            return
        # The guard comes first: killed between the two, we would leave a locked clock behind.
        self._guard = _start_guard(gpu.uuid)
        if (refusal := gpu.lock_clock(self.hertz)) is None:
            self.state = f"the SM clock is locked at {self.hertz / 1e6:.0f} MHz"
        else:
            self.hertz = None
            self._dismiss()
            self.state = f"clocks are not locked: {refusal}"

    def close(self) -> None:
        """Let the clock go; may come twice."""
        if self._guard is None:
            return
        try:
            refusal = self._gpu.unlock_clock()
        except DeviceError:
            refusal = None  # with the GPU its clocks are gone
        if refusal is None:
            self._dismiss()
        else:  # the guard may have more luck, at the end of its pipe
            self._dismiss(word=b"")
        self.hertz = None

    def __enter__(self) -> ClockLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dismiss(self, word: bytes = _DONE) -> None:
        guard, self._guard = self._guard, None
        assert guard is not None, "only a guard that was started is dismissed"
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            guard.communicate(word, timeout=_GUARD_LIMIT_S)
        guard.kill()
        guard.wait()


def _start_guard(uuid: str) -> subprocess.Popen[bytes]:
    """Start the guard in a session of its own, so that Ctrl-C does not reach it."""
    return subprocess.Popen(
        [sys.executable, "-m", "nasbench.device.clock_lock", uuid],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def guard(uuid: str, pipe: IO[bytes]) -> None:
    """Wait until the pipe closes, and reset the clocks unless it said that all is done."""
    if pipe.read() != _DONE:
        gpu = open_gpu(0, visible=uuid)
        gpu.unlock_clock()
        gpu.close()


if __name__ == "__main__":
    guard(sys.argv[1], cast(IO[bytes], sys.stdin.buffer))
