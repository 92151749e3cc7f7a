"""Solver parameters learnt along a sequence of systems: the contextual bandit (Chebyshev regression and SquareCB)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.learning.bandit_rules import (
    FAILURE,
    Bounds,
    ChebyshevFeatures,
    checked_arm,
    checked_arms,
    checked_loss,
    checked_state,
    draw,
    restored,
    restored_stream,
)

__all__ = ["ContextualBandit"]

# Before anything is known the noise of log(loss) is taken as 0.1, with the weight of 5 observations.
_NOISE, _NOISE_WEIGHT = 0.1, 5.0
_LEAST_VARIANCE = 1e-6
# A loss is taken as at most this many standard deviations above what was expected, once the arm is known.
_OUTLIER = 4.0


class ContextualBandit:
    """Chooses among solver settings by a context, and after some hundreds of systems beats the best fixed setting.

    Each arm a has a regression f_a of y = log(loss) on the context x in Chebyshev polynomials (ridge on all but the
    constant, so that an arm with one observation is flat). Arms of the coarse scan come first, once each. Then an arm
    is drawn by inverse-gap weighting (SquareCB, Foster and Rakhlin 2020, eq. 3; as used for solver parameters by
    Khodak et al. 2024):

        p_a = 1 / (K + gamma (f_a(x) - min f)),  the rest for the best arm,  gamma = boldness sqrt(t / (F s^2)),

    with K arms, t observations, F features and s^2 the mean squared one-step error of the regressions. The logarithm
    makes the choice independent of the loss's scale and damps heavy tails; on top, a loss of a known arm counts as
    at most 4 s above its expectation. A failure (infinite loss) counts as 10 times the largest finite loss so far,
    whatever comes later. Cost: F^3 flops a `tell`, K F an `ask` (about 30 us for F = 5).

    Parameters
    ----------
    arms : int
        K >= 2.
    bounds : (low, high), or d such pairs
        Range of the context; a context outside is clipped to it.
    seed : int
    degree : int
        Total degree of the polynomials; 4 gives F = 5 features for a scalar context.
    boldness : float
        Larger explores less.
    ridge : float
        Weight of the ridge, multiplied by the squared degree of each polynomial.
    scan : sequence of int, optional
        Arms of the coarse scan; all by default. Arms already told before their turn are left out.
    ordered : bool
        Neighbouring arms are alike (a grid of one parameter): an arm without observations is expected to lie between
        its neighbours. Otherwise it is expected to be as good as the best.

    Raises
    ------
    InputError, ShapeError
        Fewer than 2 arms, an unknown arm, a context or loss that is NaN, a loss <= 0, bounds out of order.

    Examples
    --------
    >>> bandit = ContextualBandit(3, (0.0, 1.0), seed=0)
    >>> for x in np.linspace(0.0, 1.0, 200):
    ...     arm = bandit.ask(x)
    ...     bandit.tell(arm, x, 10.0 + abs(arm - 2.0 * x))
    >>> bandit.best(0.0), bandit.best(1.0)
    (0, 2)
    """

    def __init__(self, arms: int, bounds: Bounds, seed: int, *, degree: int = 4, boldness: float = 2.0,
                 ridge: float = 1e-2, scan: Sequence[int] | None = None, ordered: bool = False) -> None:
        self.arms = checked_arms(arms)
        self._features = ChebyshevFeatures(bounds, degree)
        for name, value in (("boldness", boldness), ("ridge", ridge)):
            if not (math.isfinite(value) and value > 0.0):
                raise InputError(f"the bandit's {name} is {value}; the rule is a finite number above 0")
        self.boldness, self.ridge, self.seed, self.ordered = float(boldness), float(ridge), int(seed), bool(ordered)
        self._stream = np.random.default_rng(self.seed)
        planned = range(self.arms) if scan is None else dict.fromkeys(checked_arm(arm, self.arms) for arm in scan)
        self._scan = [int(arm) for arm in self._stream.permutation(np.array(list(planned), dtype=int))]
        F = self._features.size
        self._weights = np.diag(self.ridge * self._features.total_degree**2.0)
        # The constant needs a weight of its own only to keep the 1 x 1 case of no observation solvable.
        self._weights[0, 0] = 1e-9
        self._gram, self._moment = np.zeros((self.arms, F, F)), np.zeros((self.arms, F))
        self._failed, self._count = np.zeros((self.arms, F)), np.zeros(self.arms)
        self._noise = np.array([_NOISE_WEIGHT * _NOISE**2, _NOISE_WEIGHT])
        self._largest: float | None = None
        self._coefficients = np.zeros((self.arms, F))

    def ask(self, context: float | np.ndarray) -> int:
        """The arm to use for a system with this context ((), or (d,))."""
        x = self._features(context)
        while self._scan:
            arm = self._scan.pop(0)
            if self._count[arm] == 0.0:
                return arm
        return draw(self._weighting(x), self._stream)

    def tell(self, arm: int, context: float | np.ndarray, loss: float) -> None:
        """Learn that `arm` took `loss` > 0 (iterations, seconds; infinity for a failure) at this context.

        Any arm may be told at any time, also without `ask`: earlier measurements are a warm start.
        """
        arm, x, loss = checked_arm(arm, self.arms), self._features(context), checked_loss(loss)
        self._gram[arm] += np.outer(x, x)
        if math.isinf(loss):
            self._failed[arm] += x
        else:
            self._moment[arm] += self._tamed(arm, x, math.log(loss)) * x
            if self._largest is None or loss > self._largest:
                self._largest = loss
                for other in np.flatnonzero(self._failed[:, 0]):
                    self._fit(int(other))
        self._count[arm] += 1.0
        self._fit(arm)

    def best(self, context: float | np.ndarray) -> int:
        """The arm with the least expected loss; changes nothing."""
        return int(np.argmin(self._expected(self._features(context))))

    def expected(self, context: float | np.ndarray) -> np.ndarray:
        """Expected losses (K,), exp of the regressions."""
        return np.exp(self._expected(self._features(context)))

    def probabilities(self, context: float | np.ndarray) -> np.ndarray:
        """Probabilities (K,) with which `ask` draws once the coarse scan is over."""
        return self._weighting(self._features(context))

    @property
    def noise(self) -> float:
        """s, standard deviation of the one-step errors of log(loss)."""
        return math.sqrt(max(self._noise[0] / self._noise[1], _LEAST_VARIANCE))

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, JSON-able; a restored bandit goes on bit for bit."""
        return self._identity() | {
            "scan": list(self._scan), "gram": self._gram.tolist(), "moment": self._moment.tolist(),
            "failed": self._failed.tolist(), "count": self._count.tolist(), "noise": self._noise.tolist(),
            "largest": self._largest, "stream": self._stream.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a stored state.

        Raises
        ------
        InputError
            The state is of a bandit with other settings, or damaged; this bandit is then unchanged.
        """
        checked_state(state, self._identity())
        shapes = {"gram": self._gram.shape, "moment": self._moment.shape, "failed": self._failed.shape,
                  "count": (self.arms,), "noise": (2,)}
        found = {name: restored(state, name, shape) for name, shape in shapes.items()}
        stream, largest, scan = restored_stream(state), state.get("largest"), state.get("scan")
        if not isinstance(scan, list):
            raise InputError("the stored bandit has no usable 'scan'; it is damaged: start anew")
        scan = [checked_arm(arm, self.arms) for arm in scan]
        largest = None if largest is None else checked_loss(largest)
        self._scan, self._largest = scan, largest
        self._gram, self._moment, self._failed = found["gram"], found["moment"], found["failed"]
        self._count, self._noise, self._stream = found["count"], found["noise"], stream
        for arm in range(self.arms):
            self._fit(arm)

    def _identity(self) -> dict[str, Any]:
        f = self._features
        return {"kind": "contextual", "arms": self.arms, "low": f.low.tolist(), "high": f.high.tolist(),
                "degree": f.degree, "seed": self.seed, "boldness": self.boldness, "ridge": self.ridge,
                "ordered": self.ordered}

    def _fit(self, arm: int) -> None:
        if self._count[arm] == 0.0:
            self._coefficients[arm] = 0.0
            return
        failure = 0.0 if self._largest is None else math.log(FAILURE) + math.log(self._largest)
        right = self._moment[arm] + failure * self._failed[arm]
        self._coefficients[arm] = np.linalg.solve(self._gram[arm] + self._weights, right)

    def _tamed(self, arm: int, x: np.ndarray, y: float) -> float:
        """log(loss) without an outlier above; the noise level learns from it."""
        if self._count[arm] < 2 * self._features.size or self._failed[arm, 0]:
            return y
        expected = float(self._coefficients[arm] @ x)
        y = min(y, expected + _OUTLIER * self.noise)
        self._noise += [(y - expected) ** 2, 1.0]
        return y

    def _expected(self, x: np.ndarray) -> np.ndarray:
        y, known = self._coefficients @ x, self._count > 0.0
        if known.all() or not known.any():
            return y
        index = np.arange(self.arms)
        y[~known] = np.interp(index[~known], index[known], y[known]) if self.ordered else y[known].min()
        return y

    def _weighting(self, x: np.ndarray) -> np.ndarray:
        y = self._expected(x)
        best = int(np.argmin(y))
        gamma = self.boldness * math.sqrt(self._count.sum() / self._features.size) / self.noise
        p = 1.0 / (self.arms + gamma * (y - y[best]))
        p[best] = 0.0
        p[best] = 1.0 - p.sum()
        return p
