"""What the bandits share: refusals, the random stream in a JSON-able state, Chebyshev features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ShapeError

Bounds = tuple[float, float] | Sequence[tuple[float, float]]
# A failure counts as this many times the largest finite loss seen so far.
FAILURE = 10.0
_MOST_FEATURES = 200


def checked_arms(arms: int) -> int:
    """`arms`, a whole number of at least 2."""
    if isinstance(arms, bool) or not isinstance(arms, (int, np.integer)) or arms < 2:
        raise InputError(f"a bandit has {arms!r} arms; the rule is a whole number of at least 2")
    return int(arms)


def checked_arm(arm: int, arms: int) -> int:
    """`arm`, a whole number in 0 .. arms - 1."""
    if isinstance(arm, bool) or not isinstance(arm, (int, np.integer)) or not 0 <= arm < arms:
        raise InputError(f"no arm is called {arm!r}; known: 0 .. {arms - 1}")
    return int(arm)


def checked_loss(loss: float) -> float:
    """`loss`, positive; infinity means that the solve failed."""
    value = float(loss)
    if not value > 0.0:
        raise InputError(f"the loss of an arm is {value}; the rule is loss > 0, infinity for a failure: "
                         "add 1 to an iteration count that may be zero")
    return value


class ChebyshevFeatures:
    """Products of Chebyshev polynomials of total degree at most `degree` on a box; 1 + degree of them in one variable.

    Parameters
    ----------
    bounds : (low, high), or d such pairs
    degree : int

    Examples
    --------
    >>> ChebyshevFeatures((0.0, 2.0), 2)(2.0)
    array([1., 1., 1.])
    """

    def __init__(self, bounds: Bounds, degree: int) -> None:
        box = np.atleast_2d(np.asarray(bounds, dtype=float))
        if box.ndim != 2 or box.shape[1] != 2:
            raise ShapeError(f"the context bounds have shape {box.shape}; the rule is (low, high) or d such pairs")
        if not (np.isfinite(box).all() and (box[:, 0] < box[:, 1]).all()):
            raise InputError(f"the context bounds are {box.tolist()}; the rule is finite low < high")
        if isinstance(degree, bool) or not isinstance(degree, (int, np.integer)) or degree < 0:
            raise InputError(f"the degree of the regression is {degree!r}; the rule is a whole number of at least 0")
        self.low, self.high, self.degree, self.dimension = box[:, 0], box[:, 1], int(degree), len(box)
        self.size = math.comb(self.dimension + self.degree, self.degree)
        if self.size > _MOST_FEATURES:
            raise InputError(f"a context of dimension {self.dimension} and degree {degree} has {self.size} features; "
                             f"the rule is at most {_MOST_FEATURES}: lower the degree, or reduce the context")
        powers = itertools.product(range(self.degree + 1), repeat=self.dimension)
        kept = sorted((p for p in powers if sum(p) <= self.degree), key=lambda p: (sum(p), p))
        self.powers = np.array(kept).reshape(self.size, self.dimension)
        self.total_degree = self.powers.sum(axis=1)

    def __call__(self, context: float | np.ndarray) -> np.ndarray:
        """Features (size,) of one context, clipped to the box.

        Raises
        ------
        InputError, ShapeError
            The context is not finite, or has another dimension.
        """
        z = np.atleast_1d(np.asarray(context, dtype=float))
        if z.shape != (self.dimension,):
            raise ShapeError(f"the context has shape {z.shape}; the rule is ({self.dimension},), the bounds' dimension")
        if not np.isfinite(z).all():
            raise InputError(f"the context is {z.tolist()}; the rule is a finite value: check the parameter it is of")
        scaled = (2.0 * np.clip(z, self.low, self.high) - self.low - self.high) / (self.high - self.low)
        return np.cos(self.powers * np.arccos(np.clip(scaled, -1.0, 1.0))).prod(axis=1)


def checked_state(state: Any, identity: dict[str, Any]) -> dict[str, Any]:
    """`state` if it has the keys of `identity` with the same values."""
    if not isinstance(state, dict):
        raise InputError(f"the state of a bandit is a dict made by its state(); this one is a {type(state).__name__}")
    for name, own in identity.items():
        if state.get(name) != own:
            raise InputError(f"the stored bandit has {name} = {state.get(name)!r} and this one {own!r}; "
                             "restore into a bandit made with the same settings")
    return state


def restored(state: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The finite array called `name` of a stored state."""
    try:
        found = np.array(state[name], dtype=float)
    except (KeyError, TypeError, ValueError):
        raise InputError(f"the stored bandit has no usable '{name}'; it is damaged: start anew") from None
    if found.shape != shape or not np.isfinite(found).all():
        raise InputError(f"the stored bandit's '{name}' has shape {found.shape} or values that are not finite; "
                         f"the rule is {shape}: it is damaged, start anew")
    return found


def restored_stream(state: dict[str, Any]) -> np.random.Generator:
    """The random stream of a stored state, where it was."""
    stream = np.random.default_rng(0)
    try:
        stream.bit_generator.state = state["stream"]
    except (KeyError, TypeError, ValueError):
        raise InputError("the stored bandit has no usable 'stream'; it is damaged: start anew") from None
    return stream


def draw(probability: np.ndarray, stream: np.random.Generator) -> int:
    """An index drawn with the given probabilities (one uniform number is used)."""
    ladder = np.cumsum(probability)
    return int(min(np.searchsorted(ladder, stream.random() * ladder[-1], side="right"), probability.size - 1))
