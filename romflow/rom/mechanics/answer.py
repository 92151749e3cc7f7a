"""What a reduced mechanics model answers, and its state at one time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from romflow.rom.evolution_answer import EvolutionAnswer

__all__ = ["MechanicsAnswer", "ReducedState", "guarded"]

# A field that is smaller than this share of its largest norm in a run is measured against that share.
_SMALL = 1e-2


@dataclass(frozen=True)
class MechanicsAnswer(EvolutionAnswer):
    """Answer of a reduced mechanics model for b draws; output, error and coefficients are those of the last time.

    `coefficients` (r + L, b) and `trajectory` (K + 1, r + L, b) are those of the basis and then of the L liftings, as
    `lift` takes them. `norm` is ||p||_L2 at the last time, p the accumulated plastic strain (the stress where the law
    has none; `guarded`, for a body may end unloaded), and `error` the indicator's error of it, so that `relative_error`
    is the indicator; `error_series` holds the indicator itself, a relative error, at each time.

    Attributes
    ----------
    residual : (K + 1, b)
        Relative residual of the dual field that the indicator reads.
    dual : dict of str to (K + 1, n_q, b)
        Coefficients of each dual field.
    mu : (b, p)
    halvings : (b,) int
        Steps that had to be halved.
    """

    residual: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    dual: dict[str, np.ndarray] = field(default_factory=dict)
    mu: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    halvings: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))


def guarded(norm: np.ndarray) -> np.ndarray:
    """Norms (K + 1, b) that relative errors are measured against: at least a hundredth of the largest of each run.

    Examples
    --------
    >>> guarded(np.array([[0.0], [4.0], [1e-9]])).ravel().tolist()
    [0.04, 4.0, 0.04]
    """
    return np.asarray(np.maximum(norm, _SMALL * norm.max(axis=0, keepdims=True)))


@dataclass(frozen=True, eq=False)
class ReducedState:
    """The reduced body at one time, for b draws: all that the rest of its history depends on.

    Attributes
    ----------
    mu : (b, p)
    time : float
    coefficients : (r, b)
    rate : (r, b)
        Their increase a unit of time over the last step, from which the next is guessed.
    state : (s, m', b)
        Internal variables of the law at the reduced points.
    stress : (6, m', b)
    converged : (b,) bool
        False where a step failed; the column then keeps its last values.
    halvings : (b,) int
    """

    mu: np.ndarray
    time: float
    coefficients: np.ndarray
    rate: np.ndarray
    state: np.ndarray
    stress: np.ndarray
    converged: np.ndarray
    halvings: np.ndarray

    def columns(self, chosen: np.ndarray) -> ReducedState:
        """The state of some draws."""
        return ReducedState(self.mu[chosen], self.time, *(getattr(self, name)[..., chosen] for name in _FIELDS[2:]))

    def with_columns(self, chosen: np.ndarray, part: ReducedState) -> ReducedState:
        """The state with some draws replaced, at the time of those."""
        values = [getattr(self, name).copy() for name in _FIELDS[2:]]
        for name, value in zip(_FIELDS[2:], values, strict=True):
            value[..., chosen] = getattr(part, name)
        return ReducedState(self.mu, part.time, *values)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that it is, for a checkpoint: the run goes on from it to the same bits."""
        return {name: np.asarray(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> ReducedState:
        """The state that `to_arrays` described."""
        rest = (np.asarray(arrays[name]) for name in _FIELDS[2:])
        return cls(np.asarray(arrays["mu"]), float(arrays["time"]), *rest)


_FIELDS = ("mu", "time", "coefficients", "rate", "state", "stress", "converged", "halvings")
