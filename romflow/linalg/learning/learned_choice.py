"""A bandit over anything: solver settings, preconditioner kinds, strategies of a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.learning.bandit_rules import checked_arm, checked_loss

__all__ = ["BestFixed", "Bandit", "LearnedChoice", "best_fixed"]


class Bandit(Protocol):
    """What `LearnedChoice` needs of a bandit."""

    arms: int

    def ask(self, context: Any) -> int:
        """The arm to use."""

    def tell(self, arm: int, context: Any, loss: float) -> None:
        """What it took."""

    def state(self) -> dict[str, Any]:
        """JSON-able."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""


class LearnedChoice:
    """Names the arms of a bandit, and keeps count of what each has cost.

    Parameters
    ----------
    bandit : ContextualBandit or TsallisInf
    arms : sequence
        One object an arm: a number, a dict of options, a solver, a callable.

    Raises
    ------
    ShapeError
        The bandit has another number of arms.

    Examples
    --------
    >>> from romflow.linalg.learning.bandit import ContextualBandit
    >>> choice = LearnedChoice(ContextualBandit(2, (0.0, 1.0), seed=1), ["jacobi", "amg"])
    >>> for x in np.linspace(0.0, 1.0, 40):
    ...     index, kind = choice.choose(x)
    ...     choice.learn(index, x, 12 if kind == "amg" else 90)
    >>> [row["arm"] for row in choice.summary() if row["pulls"] > 20]
    ['amg']
    """

    def __init__(self, bandit: Bandit, arms: Sequence[Any]) -> None:
        if len(arms) != bandit.arms:
            raise ShapeError(f"{len(arms)} arms are named and the bandit has {bandit.arms}; give one object an arm")
        self.bandit, self.arms = bandit, list(arms)
        self._tally = np.zeros((len(arms), 3))

    def choose(self, context: Any) -> tuple[int, Any]:
        """Index and object of the arm to use."""
        index = self.bandit.ask(context)
        return index, self.arms[index]

    def learn(self, index: int, context: Any, loss: float) -> None:
        """Loss > 0 of an arm (iterations or processor seconds; infinity for a failure)."""
        index, loss = checked_arm(index, len(self.arms)), checked_loss(loss)
        self.bandit.tell(index, context, loss)
        self._tally[index] += (1.0, 0.0, 1.0) if math.isinf(loss) else (1.0, loss, 0.0)

    def attempt(self, context: Any, solve: Callable[[Any], tuple[Any, float]]) -> Any:
        """solve(arm) -> (result, loss) with the chosen arm; a failed solve teaches infinity and is raised again."""
        index, arm = self.choose(context)
        try:
            result, loss = solve(arm)
        except SolveFailed:
            self.learn(index, context, math.inf)
            raise
        self.learn(index, context, loss)
        return result

    def summary(self) -> list[dict[str, Any]]:
        """For each arm: `arm`, `pulls`, `mean_loss` (None without a finite one), `failures`."""
        return [{"arm": arm, "pulls": int(pulls), "failures": int(failures),
                 "mean_loss": total / (pulls - failures) if pulls > failures else None}
                for arm, (pulls, total, failures) in zip(self.arms, self._tally.tolist(), strict=True)]

    def state(self) -> dict[str, Any]:
        """JSON-able: the bandit's state and the counts."""
        return {"bandit": self.bandit.state(), "tally": self._tally.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state."""
        tally = np.array(state["tally"] if isinstance(state, dict) and "tally" in state else [], dtype=float)
        if tally.shape != self._tally.shape:
            raise InputError(f"the stored choice has counts of shape {tally.shape}; the rule is {self._tally.shape}, "
                             "one row an arm: restore into a choice with the same arms")
        self.bandit.restore(state["bandit"])
        self._tally = tally


@dataclass(frozen=True)
class BestFixed:
    """The arm with the least mean loss, that mean, and the mean of the least loss of each instance."""

    arm: int
    mean: float
    optimum: float


def best_fixed(losses: np.ndarray) -> BestFixed:
    """The best single arm in hindsight, and the instance optimum: optimum <= mean always.

    Parameters
    ----------
    losses : (k, K)
        Loss of each arm for each instance.

    Examples
    --------
    >>> best_fixed(np.array([[1.0, 3.0], [5.0, 2.0]]))
    BestFixed(arm=1, mean=2.5, optimum=1.5)
    """
    L = np.asarray(losses, dtype=float)
    if L.ndim != 2 or 0 in L.shape or np.isnan(L).any():
        raise InputError(f"best_fixed needs a table (k, K) of losses without NaN; got shape {L.shape}")
    means = L.mean(axis=0)
    arm = int(np.argmin(means))
    return BestFixed(arm, float(means[arm]), float(L.min(axis=1).mean()))
