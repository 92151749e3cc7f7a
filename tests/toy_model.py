"""A full-order model for tests of the tasks: each solve costs what it is told, and some parameters bring trouble."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ParameterError, SolveFailed
from romflow.core.snapshot import Snapshot

#: Parameters at which a solve fails, each in its way.
CRASHES, KILLS, LEAVES, NAN, SHAPE, REPORTS, ODD_INFO, OUTSIDE, ONCE, CHILD = (-float(i) for i in range(1, 11))


class Toy:
    """State mu[0] * (1, 2, ... n), after `busy` seconds of work and `sleep` seconds of waiting; solves are logged."""

    def __init__(self, parameters: Any, base: Path, n: int = 50, busy: float = 0.0, sleep: float = 0.0,
                 broken: str = "") -> None:
        if broken:
            raise KeyError(broken)
        self.parameters, self.n, self.base, self.busy, self.sleep = parameters, n, Path(base), busy, sleep
        self.spec = {"n": n}

    def solve(self, mu: np.ndarray) -> Any:
        with open(self.base / "log.txt", "a", encoding="utf-8") as log:
            log.write(f"{mu[0]!r} {os.getpid()}\n")
        trouble = TROUBLE.get(float(mu[0]))
        if trouble is not None:
            return trouble(self, mu)
        time.sleep(self.sleep)
        end = time.process_time() + self.busy
        while time.process_time() < end:
            pass
        return Snapshot(mu[0] * np.arange(1.0, self.n + 1), [mu[0]], {"threads": os.environ.get("OMP_NUM_THREADS")})

    def crash(self, mu: np.ndarray) -> Any:
        raise ZeroDivisionError("no luck")

    def kill(self, mu: np.ndarray) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self, mu: np.ndarray) -> Any:
        raise SystemExit(3)

    def report(self, mu: np.ndarray) -> Any:
        raise SolveFailed("no convergence", {"iterations": np.int64(9), "residual": np.nan, "exit_code": 4,
                                             "stderr": "x", "solver": self})

    def outside(self, mu: np.ndarray) -> Any:
        raise ParameterError("mu[0] is outside my range.")

    def once(self, mu: np.ndarray) -> Any:
        """Fails at the first attempt only."""
        if (self.base / "tried").exists():
            return np.ones(self.n)
        (self.base / "tried").touch()
        raise ValueError("not yet")

    def child(self, mu: np.ndarray) -> Any:
        """Runs another program, which has a child of its own, both in sessions of their own."""
        script = "sleep 1000 & echo $! >> pids; echo $$ >> pids; wait"
        subprocess.run(["setsid", "sh", "-c", script], cwd=self.base, check=False)


TROUBLE = {CRASHES: Toy.crash, KILLS: Toy.kill, LEAVES: Toy.leave, NAN: lambda toy, mu: np.full(toy.n, np.nan),
           SHAPE: lambda toy, mu: np.ones(3), REPORTS: Toy.report, OUTSIDE: Toy.outside, ONCE: Toy.once,
           ODD_INFO: lambda toy, mu: Snapshot(np.ones(toy.n), None, {"odd": object()}), CHILD: Toy.child}
