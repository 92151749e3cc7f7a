"""Workers on this machine, seen from the driver: started early, watched, and gone when the driver is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

from romflow.tasks.settings import thread_limits

__all__ = ["LocalWorkers"]

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from romflow.tasks.supervisor import main; main()"
_RESTARTS = 3
_LONG = 60.0  # seconds of life after which the supervisor's end is not the fault of its beginning
_GRACE = 5.0


class LocalWorkers:
    """Worker processes on this machine, kept alive by a supervisor process (see `romflow.tasks.supervisor`).

    They begin to import what they need at once, and to work after :meth:`connect`.

    Parameters
    ----------
    workers : int
        Number of workers; each does one solve at a time.
    threads : int
        Threads of BLAS and OpenMP in each.
    ranks : int, optional
        MPI ranks that each may start: its resource "ranks".

    Attributes
    ----------
    broken : str or None
        Why there are no workers any more, and what to do.
    """

    def __init__(self, workers: int, threads: int, ranks: int | None = None) -> None:
        self.broken: str | None = None
        self._workers, self._threads, self._ranks = workers, threads, ranks
        self._config: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._launch()

    def _launch(self) -> None:
        """Start a supervisor; it lives as long as the other end of its standard input."""
        self._begun = time.monotonic()
        standard_input, self._pipe = os.pipe()
        path = json.dumps([entry or os.getcwd() for entry in sys.path])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, path],
                stdin=standard_input,
                env={**os.environ, **thread_limits(self._threads)},
                start_new_session=True,
            )
        finally:
            os.close(standard_input)

    def connect(self, address: str, folder: str) -> None:
        """Tell the workers the scheduler's address and a folder for scratch files, and watch them from now on."""
        self._config = {"address": address, "workers": self._workers, "ranks": self._ranks, "folder": folder}
        self._send()
        threading.Thread(target=self._watch, name="romflow-workers", daemon=True).start()

    def want(self, tasks: int) -> None:
        """Nothing: as many workers as the study says are there, whatever waits."""

    def _send(self) -> None:
        with contextlib.suppress(OSError):  # it has ended: the watch sees that
            os.write(self._pipe, json.dumps(self._config).encode() + b"\n")

    def _watch(self) -> None:
        """Start the supervisor again if it ends, but not for ever."""
        ends = 0
        while True:
            code = self._process.wait()
            with self._lock:
                if self._closed:
                    return
                ends = 1 if time.monotonic() - self._begun > _LONG else ends + 1
                if ends > _RESTARTS:
                    self.broken = (f"the local workers ended {ends} times, at last with exit code {code}; look for "
                                   "their messages above, or set [cluster] kind = 'serial'")
                    return
                os.close(self._pipe)
                self._launch()
                self._send()

    def close(self) -> None:
        """Kill the workers and all that they run; what is stored stays whole."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._pipe)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
