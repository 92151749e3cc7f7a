"""The plain bandit that ignores the context: Tsallis-INF, the baseline of the contextual one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.learning.bandit_rules import (
    FAILURE,
    checked_arm,
    checked_arms,
    checked_loss,
    checked_state,
    draw,
    restored,
    restored_stream,
)

__all__ = ["TsallisInf"]

_NEWTON_STEPS = 100
# Arms told without being asked for may be arbitrarily improbable; below this the weight of an observation is capped.
_RAREST = 1e-9


class TsallisInf:
    """Follows the regularised leader with 1/2-Tsallis entropy: near the best fixed arm in the long run, context unused.

    Zimmert and Seldin 2021, algorithm 1 with importance weighting: w_a = 4 / (eta (L_a - x))^2 with x such that
    sum w = 1, eta = 2 / sqrt(t), L_a = sum of l / w_a over the pulls of a. The loss l in [0, 1] is log(loss) between
    the least and the largest finite loss seen so far, a failure (infinite loss) log(10) above the largest; a new
    extreme rescales all earlier losses too. Cost: K flops per Newton step of x, fewer than 20 steps.

    Parameters
    ----------
    arms : int
        K >= 2.
    seed : int

    Raises
    ------
    InputError
        Fewer than 2 arms, an unknown arm, a loss that is NaN or <= 0.

    Examples
    --------
    >>> bandit = TsallisInf(2, seed=0)
    >>> for _ in range(300):
    ...     arm = bandit.ask(None)
    ...     bandit.tell(arm, None, 1.0 + arm)
    >>> bandit.best(None)
    0
    """

    def __init__(self, arms: int, seed: int) -> None:
        self.arms, self.seed = checked_arms(arms), int(seed)
        self._stream = np.random.default_rng(self.seed)
        # Sums over the pulls of each arm, all divided by the probability of the pull: log(loss), 1, failures.
        self._sums = np.zeros((self.arms, 3))
        self._pulls = np.zeros(self.arms)
        self._range: list[float] | None = None
        self._count = 0

    def ask(self, context: Any = None) -> int:
        """An arm; the context is ignored."""
        return draw(self.probabilities(context), self._stream)

    def tell(self, arm: int, context: Any, loss: float) -> None:
        """Learn that `arm` took `loss` > 0 (infinity for a failure); tell what `ask` gave before the next `ask`."""
        arm, loss = checked_arm(arm, self.arms), checked_loss(loss)
        share = 1.0 / max(self.probabilities(context)[arm], _RAREST)
        if math.isinf(loss):
            self._sums[arm, 2] += share
        else:
            y = math.log(loss)
            self._range = [y, y] if self._range is None else [min(y, self._range[0]), max(y, self._range[1])]
            self._sums[arm, :2] += share * y, share
        self._pulls[arm] += 1.0
        self._count += 1

    def best(self, context: Any = None) -> int:
        """The most probable arm; changes nothing."""
        return int(np.argmax(self.probabilities(context)))

    def probabilities(self, context: Any = None) -> np.ndarray:
        """Probabilities (K,) with which `ask` draws."""
        L, eta = self._losses(), 2.0 / math.sqrt(max(self._count, 1))
        L, x = L - L.min(), -2.0 / eta
        for _ in range(_NEWTON_STEPS):
            w = 4.0 / (eta * (L - x)) ** 2
            step = (w.sum() - 1.0) / (eta * (w**1.5).sum())
            x -= step
            if abs(step) * eta < 1e-12:
                break
        return w / w.sum()

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, JSON-able; a restored bandit goes on bit for bit."""
        return self._identity() | {"sums": self._sums.tolist(), "pulls": self._pulls.tolist(), "range": self._range,
                                   "stream": self._stream.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state.

        Raises
        ------
        InputError
            The state is of another bandit, or damaged; this bandit is then unchanged.
        """
        checked_state(state, self._identity())
        sums, pulls = restored(state, "sums", (self.arms, 3)), restored(state, "pulls", (self.arms,))
        stream = restored_stream(state)
        if "range" not in state:
            raise InputError("the stored bandit has no usable 'range'; it is damaged: start anew")
        self._range = None if state["range"] is None else restored(state, "range", (2,)).tolist()
        self._sums, self._pulls, self._stream, self._count = sums, pulls, stream, int(pulls.sum())

    def _identity(self) -> dict[str, Any]:
        return {"kind": "tsallis-inf", "arms": self.arms, "seed": self.seed}

    def _losses(self) -> np.ndarray:
        if self._range is None:
            return self._sums[:, 2]
        low, high = self._range
        top = high + (math.log(FAILURE) if self._sums[:, 2].any() else 0.0)
        if top - low <= 1e-12 * max(abs(top), 1.0):
            return self._sums[:, 2]
        return (self._sums[:, 0] - low * self._sums[:, 1]) / (top - low) + self._sums[:, 2]
