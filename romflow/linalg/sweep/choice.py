"""Which strategy next: a trial of each and the cheapest from then on, or a contextual bandit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.learning.bandit import ContextualBandit
from romflow.linalg.learning.learned_choice import LearnedChoice

_LOOK_AGAIN = 20
_NEAR = 1.6
# The first timing of an arm, with caches cold, errs upwards by less than this factor.
_COLD = 2.0


class TrialChoice:
    """Tries each arm, takes the cheapest, and looks again at a close rival every 20 systems.

    The cost of an arm is the least of its last two, because timings err upwards; those within twice the cheapest have
    two trials. An arm that failed in its first trial, or twice in a row, is out; arms may be added on the way.

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
        ranked = sorted(self._usable() or self.arms, key=self.cost)
        for arm in ranked:
            if len(self._costs[arm]) == 1 and self.cost(arm) < _COLD * self.cost(ranked[0]):
                return arm
        if self._since >= _LOOK_AGAIN and len(ranked) > 1 and self.cost(ranked[1]) < _NEAR * self.cost(ranked[0]):
            self._since = 0
            return ranked[1]
        return ranked[0]

    def tell(self, arm: str, context: float, cost: float) -> None:
        """What the arm took; infinity where it failed."""
        self._costs[arm] = [*self._costs[arm], cost][-2:]
        self._since += 1

    @property
    def stuck(self) -> bool:
        """Whether every arm is out."""
        return not self._usable()

    def cost(self, arm: str) -> float:
        """Expected cost of an arm."""
        return min(self._costs[arm], default=math.inf)

    @property
    def why(self) -> str:
        """The arms with their costs, the cheapest first."""
        ranked = sorted((arm for arm in self.arms if self._costs[arm]), key=self.cost)
        costs = [f"{arm}: {_text(self.cost(arm))}" for arm in ranked]
        return "; ".join([*(f"{cost} a system" for cost in costs[:1]), *costs[1:]])

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {"costs": {arm: [cost if math.isfinite(cost) else -1.0 for cost in costs]
                          for arm, costs in self._costs.items()}, "since": self._since}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        costs = _stored(state, "costs", "since")["costs"]
        if not set(self.arms) <= set(costs):
            raise InputError(f"the stored choice knows {sorted(costs)}, this one {sorted(self.arms)}; remove the "
                             "stored state, or name the same strategies")
        self.arms = list(costs)
        self._costs = {arm: [cost if cost >= 0.0 else math.inf for cost in costs[arm]] for arm in self.arms}
        self._since = int(state["since"])

    def _usable(self) -> list[str]:
        return [arm for arm in self.arms if not self._costs[arm] or math.isfinite(self.cost(arm))]


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
        self._learned.restore(_stored(state, "bandit", "tally"))


def contrast(theta: np.ndarray) -> float:
    """log(max |theta| / min |theta|) over the coefficients that are not zero.

    Examples
    --------
    >>> contrast(np.array([1.0, 0.0, -1.0]))
    0.0
    """
    sizes = np.abs(theta[theta != 0.0])
    return float(np.log(sizes.max() / sizes.min())) if sizes.size else 0.0


def _stored(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The state, where it is one of this kind of choice."""
    if not isinstance(state, dict) or not set(keys) <= set(state):
        found = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise InputError(f"the stored choice has {found}; this one needs {list(keys)}: remove the stored state, or "
                         "take the strategy (\"auto\" or \"learned\") that wrote it")
    return state


def _text(seconds: float) -> str:
    return "failed" if not math.isfinite(seconds) else f"{seconds:.2g} s"
