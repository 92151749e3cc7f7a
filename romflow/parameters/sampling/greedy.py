"""Weak greedy sampling: ask where the reduced model's own estimate is worst, tell it the improved model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError
from romflow.core.names import nearest
from romflow.parameters.space import ParameterSpace

# Below this relative estimate a greedy that no longer halves it in three steps has met rounding.
_FLOOR = 1e-10
_STALLED_AFTER = 3
# What the basis leaves is small beside what the interpolation of coefficients leaves from this share on.
_SHARE = 0.1


class Greedy:
    """Parameters of a pool at which the error estimate is largest, until it is below the tolerance everywhere.

    The whole pool is evaluated in one batched call for each answer of `ask` (Hesthaven, Rozza and Stamm 2016,
    Algorithm 3.1). It stops when the relative estimate error / (norm - error) is at most `tolerance` on the pool, when
    `max_size` parameters were asked for or the basis has that many vectors, or when the estimate no longer falls
    because of rounding, or because interpolated coefficients alone make more of it than the tolerance and the basis
    a tenth of that.

    Parameters
    ----------
    space : ParameterSpace
    seed : int
        Seed of the pool.
    pool : int
        Training parameters.
    tolerance : float
        Relative error estimate to reach.
    max_size : int
        Parameters to ask for at most.
    batch : int
        Parameters asked for at a time (more than one lets workers run side by side).
    adaptive : bool
        After each step keep the parameters whose estimate exceeds the mean and draw the others anew, so that a small
        pool sees many parameters. The tolerance must be met twice, the second time on a fresh pool.
    criterion : {"absolute", "relative"}
        What is maximised: error, or error / norm.

    Attributes
    ----------
    history : list of dict
        size, max_estimate, max_relative_estimate (error / norm) and mu, for each step.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> Greedy(ParameterSpace([Parameter("a", Uniform(0.0, 1.0))]), pool=5).ask().shape
    (1, 1)
    """

    follows_estimates = True

    def __init__(self, space: ParameterSpace, seed: int = 0, pool: int = 200, tolerance: float = 1e-3,
                 max_size: int = 100, batch: int = 1, adaptive: bool = False, criterion: str = "absolute") -> None:
        for name, value in {"pool": pool, "batch": batch}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"[sampling] {name} = {value!r} is not a whole number from 1; give one.")
        if criterion not in ("relative", "absolute"):
            raise ConfigError(f"no criterion is called '{criterion}'{nearest(criterion, ['relative', 'absolute'])}")
        self.space, self.tolerance, self.max_size, self.batch = space, tolerance, max_size, batch
        self.adaptive, self.criterion = adaptive, criterion
        self.history: list[dict[str, Any]] = []
        self._rng = np.random.default_rng(seed)
        self._pool = space.sample(pool, self._rng)
        self._taken = np.zeros(pool, dtype=bool)
        self._merit = np.zeros(pool)
        self._asked = 0
        self._met = 0
        self._finished = False

    @property
    def solves(self) -> int:
        """Upper bound of the full-order solves."""
        return self.max_size if self.adaptive else min(self.max_size, len(self._pool))

    def ask(self) -> NDArray[np.float64]:
        """The next parameters (k, p), none when the greedy has ended."""
        free = np.flatnonzero(~self._taken)
        room = min(self.batch, self.max_size - self._asked, free.size)
        if self._finished or room <= 0:
            return np.empty((0, self.space.size))
        worst = free[np.argsort(-self._merit[free], kind="stable")[:room]]
        self._taken[worst] = True
        self._asked += room
        return self._pool[worst]

    def tell(self, rom: Any) -> None:
        """Take the improved reduced model: evaluate it on the pool, and decide whether to go on."""
        answer = rom.solve(self._pool)
        norm = np.where(answer.norm > 0.0, answer.norm, 1.0)
        relative = answer.error / norm
        self._merit = relative if self.criterion == "relative" else answer.error
        worst = int(np.argmax(self._merit))
        self.history.append({"size": int(rom.size), "max_estimate": float(np.max(answer.error)),
                             "max_relative_estimate": float(np.max(relative)) if rom.size else None,
                             "mu": self._pool[worst].tolist()})
        met = rom.size > 0 and bool(np.max(answer.relative_error) <= self.tolerance)
        self._met = self._met + 1 if met else 0
        full = rom.size >= self.max_size
        self._finished = self._met > int(self.adaptive) or full or self._stalled() or self._interpolated(answer)
        if self.adaptive and not self._finished:
            self._redraw(np.zeros_like(relative, dtype=bool) if met else self._merit > np.mean(self._merit), rom)

    def reject(self, mu: NDArray[np.float64]) -> None:
        """Never ask for these parameters (k, p) again, because their solves failed."""
        for row in np.atleast_2d(mu):
            self._taken |= np.all(self._pool == row, axis=1)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as JSON."""
        return {"pool": self._pool.tolist(), "taken": self._taken.tolist(), "merit": self._merit.tolist(),
                "asked": self._asked, "met": self._met, "finished": self._finished, "history": list(self.history),
                "rng": self._rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` gave."""
        self._pool = np.array(state["pool"], dtype=np.float64).reshape(-1, self.space.size)
        self._taken = np.array(state["taken"], dtype=bool)
        self._merit = np.array(state["merit"], dtype=np.float64)
        self._asked, self._met, self._finished = state["asked"], state["met"], state["finished"]
        self.history = list(state["history"])
        self._rng.bit_generator.state = state["rng"]

    def _stalled(self) -> bool:
        estimates = [h["max_relative_estimate"] for h in self.history if h["max_relative_estimate"] is not None]
        if len(estimates) <= _STALLED_AFTER or estimates[-1] > _FLOOR:
            return False
        return bool(estimates[-1] > 0.5 * estimates[-1 - _STALLED_AFTER])

    def _interpolated(self, answer: Any) -> bool:
        left = getattr(answer, "interpolation_error", None)
        if left is None or not len(answer.coefficients) or not np.isfinite(answer.error).all():
            return False
        norm = np.where(answer.norm > 0.0, answer.norm, 1.0)
        return bool(np.max(left / norm) > self.tolerance and np.max(answer.error - left) <= _SHARE * np.max(left))

    def _redraw(self, keep: NDArray[np.bool_], rom: Any) -> None:
        fresh = self.space.sample(int(np.count_nonzero(~keep)), self._rng)
        self._pool[~keep] = fresh
        self._taken[~keep] = False
        if len(fresh):
            answer = rom.solve(fresh)
            norm = np.where(answer.norm > 0.0, answer.norm, 1.0)
            self._merit[~keep] = answer.error / norm if self.criterion == "relative" else answer.error
