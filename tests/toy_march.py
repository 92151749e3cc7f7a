"""A time-dependent model for tests of the store and the tasks: some parameters bring trouble on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.fom.protocol import Piece

#: Parameters at which a march fails, each in its way, at the time of index 7.
NAN, KILLS, FAILS, CRASHES, SHORT, STATUS = (-float(i) for i in range(1, 7))
#: A piece for each of these many times.
STEP = 2


class Marcher:
    """u_{k+1} = cos(mu u_k) + u_{k-1} / 3, each entry for itself, at K + 1 random times; it is logged."""

    def __init__(self, parameters: Any, base: Path | str = ".", n: int = 12, steps: int = 15) -> None:
        self.parameters, self.n, self.base = parameters, n, Path(base)
        self.times = np.concatenate([[0.0], np.cumsum(np.random.default_rng(3).uniform(0.1, 2.0, steps))])
        self.spec = {"n": n, "steps": steps}

    def solve(self, mu: np.ndarray) -> np.ndarray:
        return [piece.states[:, -1] for piece in self.march(mu)][-1]

    def march(self, mu: np.ndarray, resume: Any = None) -> Any:
        first, memory = resume or (0, {"before": np.zeros(self.n), "now": np.linspace(0.0, 1.0, self.n)})
        before, now = memory["before"], memory["now"]
        block = np.empty((self.n, STEP))  # used again for each piece
        for start in range(first, len(self.times), STEP):
            count = min(STEP, len(self.times) - start)
            for k in range(start, start + count):
                self.trouble(float(mu[0]), k, now)
                block[:, k - start] = now
                before, now = now, np.cos(mu[0] * now) + before / 3.0
                self.log(mu[0], k)
            states = block[:, :count]
            yield Piece(start, self.times[start:start + count], states, states[:2] ** 2, {"before": before, "now": now})

    def trouble(self, a: float, k: int, now: np.ndarray) -> None:
        if k != 7:
            return
        if a == NAN:
            now[3] = np.nan
        if a == FAILS:
            raise SolveFailed("no convergence", {"time": float(self.times[k])})
        if a in (KILLS, CRASHES) and not (self.base / "tried").exists():
            (self.base / "tried").touch()
            if a == CRASHES:
                raise ZeroDivisionError("no luck")
            os.kill(os.getpid(), signal.SIGKILL)

    def log(self, a: float, k: int) -> None:
        with open(self.base / "steps.txt", "a", encoding="utf-8") as log:
            log.write(f"{float(a)} {k}\n")

    def logged(self, a: float) -> list[int]:
        """Indices of the times that were marched through, in order."""
        words = [line.split() for line in (self.base / "steps.txt").read_text(encoding="utf-8").splitlines()]
        return [int(k) for value, k in words if float(value) == a]
