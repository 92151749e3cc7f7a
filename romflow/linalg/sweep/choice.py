"""Which strategy next: a trial of each and the cheapest from then on, or a contextual bandit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.bandit import ContextualBandit
from romflow.linalg.learned_choice import LearnedChoice

_LOOK_AGAIN = 20
_NEAR = 1.6


class TrialChoice:
    """Tries each arm once, takes the cheapest, and looks again at a close rival every 20 systems.

    The cost of an arm is the least of its last two, because timings err upwards. An arm that failed twice is out; arms
    may be added on the way.

    Parameters
    ----------
    arms : sequence of str

    Examples
    --------
    >>> choice = TrialChoice(["a", "b"])
    >>> for cost in (3.0, 1.0):
    ...     choice.tell(choice.ask(0.0), 0.0, cost)
    >>> choice.ask(0.0), choice.why
    ('b', 'b: 1 s a system; a: 3 s')
    """

    def __init__(self, arms: Sequence[str]) -> None:
        self.arms = list(arms)
        self._costs: dict[str, list[float]] = {arm: [] for arm in self.arms}
        self._since = 0

    def add(self, arm: str) -> None:
        """One arm more, to be tried next, unless it is known."""
        if arm not in self.arms:
            self.arms.append(arm)
            self._costs[arm] = []

    def ask(self, context: float) -> str:
        """The arm to use; the context is not looked at."""
        for arm in self.arms:
            if not self._costs[arm]:
                return arm
        ranked = sorted(self._usable(), key=self.cost)
        if self._since >= _LOOK_AGAIN and len(ranked) > 1 and self.cost(ranked[1]) < _NEAR * self.cost(ranked[0]):
            self._since = 0
            return ranked[1]
        return ranked[0]

    def tell(self, arm: str, context: float, cost: float) -> None:
        """What the arm took; infinity where it failed."""
        self._costs[arm] = [*self._costs[arm], cost][-2:]
        self._since += 1

    def cost(self, arm: str) -> float:
        """Expected cost of an arm."""
        return min(self._costs[arm], default=math.inf)

    @property
    def why(self) -> str:
        """The arms with their costs, the cheapest first."""
        ranked = sorted((arm for arm in self.arms if self._costs[arm]), key=self.cost)
        first = "".join(f"{arm}: {_text(self.cost(arm))}{' a system' if i == 0 else ''}; " for i, arm in enumerate(ranked))
        return first.rstrip("; ")

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {"costs": {arm: [cost if math.isfinite(cost) else -1.0 for cost in costs]
                          for arm, costs in self._costs.items()}, "since": self._since}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        if not set(self.arms) <= set(state["costs"]):
            raise InputError(f"the stored choice knows {sorted(state['costs'])}, this one {sorted(self.arms)}; remove the "
                             "stored state, or name the same strategies")
        self.arms = list(state["costs"])
        self._costs = {arm: [cost if cost >= 0.0 else math.inf for cost in state["costs"][arm]] for arm in self.arms}
        self._since = int(state["since"])

    def _usable(self) -> list[str]:
        usable = [arm for arm in self.arms if self._costs[arm][-2:] not in ([math.inf], [math.inf, math.inf])]
        return usable or self.arms


class BanditChoice:
    """The arm by a contextual bandit, the context being log(max theta / min theta) of the system.

    Parameters
    ----------
    arms : sequence of str
    seed : int
    """

    def __init__(self, arms: Sequence[str], seed: int) -> None:
        self.arms = list(arms)
        self._learned = LearnedChoice(ContextualBandit(len(self.arms), (0.0, 12.0), seed), self.arms)

    def ask(self, context: float) -> str:
        """The arm to use."""
        return str(self._learned.choose(context)[1])

    def tell(self, arm: str, context: float, cost: float) -> None:
        """What the arm took; infinity where it failed."""
        self._learned.learn(self.arms.index(arm), context, max(cost, 1e-9))

    @property
    def why(self) -> str:
        """The arms with the systems they solved and their mean costs."""
        rows = self._learned.summary()
        return "; ".join(f"{row['arm']}: {row['pulls']} systems" +
                         ("" if row["mean_loss"] is None else f", {_text(row['mean_loss'])} each") for row in rows)

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return self._learned.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        self._learned.restore(state)


def contrast(theta: np.ndarray) -> float:
    """log(max |theta| / min |theta|) over the coefficients that are not zero.

    Examples
    --------
    >>> contrast(np.array([1.0, 0.0, -1.0]))
    0.0
    """
    sizes = np.abs(theta[theta != 0.0])
    return float(np.log(sizes.max() / sizes.min())) if sizes.size else 0.0


def _text(seconds: float) -> str:
    return "failed" if not math.isfinite(seconds) else f"{seconds:.2g} s"
