"""The mean of an output of a model with countably many inputs on a mesh, and its three errors one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown
from romflow.uq.draws import Draws
from romflow.uq.estimate import Estimate
from romflow.uq.intervals import student_interval

__all__ = ["DomainErrors", "DomainWish", "OutputErrors", "Truth", "domain_errors"]

Array = NDArray[np.float64]

#: Options of the model that are changed, mu (b, p) -> outputs (o, b); NaN where a solve has failed.
Truth = Callable[[Mapping[str, Any], Array], Array]

# Rates of truncation that are looked for, and columns that are evaluated at once.
_RATES = (0.05, 40.0)
_BATCH = 4096
# Orders of the mesh below this are taken for it.
_SLOWEST = 0.1


class _Inputs(Protocol):
    def ppf(self, unit: Array) -> Array:
        """Inputs (k, p) from numbers (k, p) in [0, 1]."""
        ...


@dataclass(frozen=True)
class DomainWish:
    """How the mean is found, and on which levels its errors are.

    Attributes
    ----------
    dimension : int
        s: inputs that are kept; the others have the value `neutral`.
    larger : int
        Against so many inputs the truncation is looked at.
    cells : int
        Of the mesh, in each direction; the error is looked at against twice and half as many.
    size : int
        Points of each shifted lattice, rounded up to a power of two.
    few : int, optional
        Points of each on which differences of levels are averaged; a quarter of `size` without.
    repetitions : int
        Independent random shifts.
    order : float
        p: the error of the mesh is proportional to cells^-p, or falls slower where the levels show it.
    neutral : float
        Value at which an input does nothing.
    seed : int
    confidence : float
    kind : str
        Of draws, see `romflow.uq.draws.Draws`; not "monte-carlo".

    Raises
    ------
    InputError
        A number breaks its rule.
    """

    dimension: int
    larger: int
    cells: int
    size: int = 256
    few: int | None = None
    repetitions: int = 16
    order: float = 2.0
    neutral: float = 0.0
    seed: int = 0
    confidence: float = 0.95
    kind: str = "lattice"

    def __post_init__(self) -> None:
        rules = {"dimension": 2, "larger": 3, "cells": 4, "size": 4, "repetitions": 2, "few": 1}
        for name, least in rules.items():
            value = getattr(self, name)
            if value is None and name == "few":
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(f"{name} = {shown(value)} of the splitting of errors; the rule is a whole number from "
                                 f"{least}")
        if self.larger <= self.dimension:
            raise InputError(f"larger = {self.larger} inputs against dimension = {self.dimension}; the rule is more of "
                             "them, such as twice as many")
        if self.cells % 2:
            raise InputError(f"cells = {self.cells} of the splitting of errors; the rule is an even number, for the "
                             "mesh with half as many is solved too")
        if self.few is not None and self.few > self.size:
            raise InputError(f"few = {self.few} points for differences, of size = {self.size}; the rule is at most so "
                             "many")
        if not 0.0 < self.confidence < 1.0 or not 0.0 < self.order < np.inf or not np.isfinite(self.neutral):
            raise InputError(f"confidence = {self.confidence}, order = {self.order}, neutral = {self.neutral} of the "
                             "splitting of errors; the rule is a confidence in (0, 1), an order above 0, numbers")
        if self.kind == "monte-carlo":
            raise InputError("kind = 'monte-carlo' has no independent repetitions of one rule; take \"lattice\" or "
                             "\"sobol\"")


@dataclass(frozen=True)
class OutputErrors:
    """The mean of one output and what is between it and the mean of the exact model.

    Attributes
    ----------
    mean : Estimate
        Of the model with s inputs on this mesh; its interval is that of the cubature, its model error the largest
        magnitudes of truncation and discretisation that their intervals allow.
    truncation : Estimate
        Mean with all inputs less mean with s inputs.
    discretisation : Estimate
        Mean of the exact solution less mean on this mesh.
    cubature : Estimate
        Standard error of the mean over the random shifts.
    total : Estimate
        Sum of the three magnitudes.
    truncation_rate, order : float or None
        r of s^-r and p of cells^-p as the levels show them; None where they show none.
    convergence : tuple of (int, float)
        Points of each shifted rule and the standard error that so many give.
    """

    mean: Estimate
    truncation: Estimate
    discretisation: Estimate
    cubature: Estimate
    total: Estimate
    truncation_rate: float | None
    order: float | None
    convergence: tuple[tuple[int, float], ...]

    def plain(self) -> dict[str, Any]:
        """JSON form: the attributes by name."""
        found = asdict(self)
        found["convergence"] = [{"points": n, "error": error} for n, error in self.convergence]
        return found


@dataclass(frozen=True)
class DomainErrors:
    """What `domain_errors` has found.

    Attributes
    ----------
    outputs : dict of str to OutputErrors
    dimensions, cells : tuple of 3 int
        Levels: fewer, wished, more.
    points, repetitions, evaluations, failed : int
        Points of each shifted rule, shifts, solves in all, and how many of them failed.
    """

    outputs: dict[str, OutputErrors]
    dimensions: tuple[int, int, int]
    cells: tuple[int, int, int]
    points: int
    repetitions: int
    evaluations: int
    failed: int

    def plain(self) -> dict[str, Any]:
        """JSON form for reports."""
        return {"dimensions": list(self.dimensions), "cells": list(self.cells), "points": self.points,
                "repetitions": self.repetitions, "evaluations": self.evaluations, "failed": self.failed,
                "outputs": {name: one.plain() for name, one in self.outputs.items()}}


def domain_errors(truth: Truth, inputs: _Inputs, wish: DomainWish, names: Sequence[str] = (),
                  batch: int = _BATCH) -> DomainErrors:
    """E q split: E q - Q = (E q - E q_s) + (E q_s - E q_sh) + (E q_sh - Q), Q the mean over shifted lattices.

    Each difference of levels is averaged over the same points of each shift, so that it is known far better than the
    means themselves. Truncation: the mean of q_S - q_s, S = `larger`, extrapolated by the rate that s / 2, s and S
    show (Djurdjevac et al. 2025, arXiv 2502.12345: it falls like a power of s). Mesh: Richardson's
    (q_{h/2} - q_h) 2^p / (2^p - 1), p the wished order, or the one that 2 h, h and h / 2 show where that is lower.
    Cubature: the standard error over the shifts (Dick, Kuo and Sloan 2013, Acta Numerica 22).
    They are estimates, not bounds.

    Parameters
    ----------
    truth : callable
        ({"cells": n}, mu (b, S)) -> outputs (o, b), NaN where a solve fails.
    inputs : object with `ppf`
        Of S = `wish.larger` columns, such as a `ParameterSpace`.
    wish : DomainWish
    names : sequence of str
        Of the outputs; output_0, ... without.
    batch : int
        Columns that `truth` gets at once; the answer does not depend on it.

    Raises
    ------
    ShapeError, InputError
        `truth` gives another shape or infinite numbers; all the solves of a shift fail.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> space = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=8)])
    >>> def truth(options, mu):
    ...     return ((mu**2 / np.arange(1, 9) ** 3).sum(axis=1) + 1.0 / options["cells"] ** 2)[None]
    >>> found = domain_errors(truth, space, DomainWish(4, 8, 10)).outputs["output_0"]
    >>> round(found.discretisation.value, 6), round(found.order, 3), round(found.truncation.value, 2)
    (-0.01, 2.0, 0.01)
    """
    levels = _Levels(truth, inputs, wish, batch)
    s, more, h = wish.dimension, wish.larger, wish.cells
    base = levels.means(s, h, levels.each)
    few = levels.few
    at = {(dimension, cells): levels.means(dimension, cells, few, base=(s, h))
          for dimension, cells in ((s // 2, h), (more, h), (s, h // 2), (s, 2 * h))}
    found = base[-1]
    o = found.shape[1]
    labels = tuple(names) or tuple(f"output_{i}" for i in range(o))
    if len(labels) != o:
        raise ShapeError(f"the splitting of errors got {len(labels)} names for {o} outputs; the rule is one for each")
    outputs = {}
    for i, name in enumerate(labels):
        cut = _truncation(-at[s // 2, h][-1][:, i], at[more, h][-1][:, i], wish)
        mesh = _discretisation(-at[s, h // 2][-1][:, i], at[s, 2 * h][-1][:, i], wish)
        outputs[name] = _put_together(np.array([one[:, i] for one in base]), cut, mesh, levels, wish)
    return DomainErrors(outputs, (s // 2, s, more), (h // 2, h, 2 * h), levels.each, wish.repetitions,
                        levels.evaluations, levels.failed)


class _Levels:
    """Means over the points of each shift, of levels or of their differences to a base level at the same points."""

    def __init__(self, truth: Truth, inputs: _Inputs, wish: DomainWish, batch: int) -> None:
        self._truth, self._inputs, self._wish, self._batch = truth, inputs, wish, batch
        self.draws = Draws(wish.kind, wish.size * wish.repetitions, wish.larger, wish.seed, wish.repetitions)
        self.each = self.draws.each
        self.few = min(self.each, max(1, self.each // 4) if wish.few is None else wish.few)
        self.evaluations = self.failed = 0
        self._kept: list[Array] = []

    def means(self, dimension: int, cells: int, count: int, base: tuple[int, int] | None = None) -> list[Array]:
        """Means (R, o) over the first 1, 2, 4, ... of `count` points; differences to the base level where given."""
        tables = [self._table(repetition, dimension, cells, count) for repetition in range(self._wish.repetitions)]
        if base is None:
            self._kept = [table[:, :self.few].copy() for table in tables]
            return [np.array([_mean(table[:, :n]) for table in tables]) for n in _powers(count)]
        return [np.array([_mean(table - kept) for table, kept in zip(tables, self._kept, strict=True)])]

    def _table(self, repetition: int, dimension: int, cells: int, count: int) -> Array:
        """Outputs (o, count)."""
        parts = []
        for start in range(0, count, self._batch):
            mu = np.array(self._inputs.ppf(self.draws.block(repetition, start, min(start + self._batch, count))))
            if mu.shape[1] != self._wish.larger:
                raise ShapeError(f"the inputs have {mu.shape[1]} columns; the rule is larger = {self._wish.larger}")
            mu[:, dimension:] = self._wish.neutral
            parts.append(self._answer(cells, mu))
        return np.hstack(parts)

    def _answer(self, cells: int, mu: Array) -> Array:
        q = np.atleast_2d(np.asarray(self._truth({"cells": cells}, mu), dtype=float))
        if q.ndim != 2 or q.shape[1] != len(mu):
            raise ShapeError(f"truth gave outputs of shape {q.shape} for {len(mu)} parameters; the rule is (o, b)")
        if np.isinf(q).any():
            raise InputError("truth gave infinite outputs; the rule is numbers, and NaN where a solve fails")
        self.evaluations += len(mu)
        self.failed += int(np.isnan(q).any(axis=0).sum())
        return q


def _mean(table: Array) -> Array:
    good = ~np.isnan(table).any(axis=0)
    if not good.any():
        raise InputError("all the solves of one shifted lattice have failed, so that there is no mean; look at the "
                         "model first")
    return np.asarray(table[:, good].mean(axis=1))


def _powers(count: int) -> list[int]:
    """1, 2, 4, ... and `count`."""
    found = [1 << k for k in range(count.bit_length()) if 1 << k < count]
    return [*found, count]


def _student(samples: Array, confidence: float, factor: float = 1.0) -> Estimate:
    """Mean of independent samples times a factor, with its interval."""
    value, low, high = (factor * number for number in student_interval(samples, confidence))
    return Estimate(value, min(low, high), max(low, high), 0.0, None)


def _truncation(before: Array, after: Array, wish: DomainWish) -> tuple[Estimate, float | None]:
    """Of E q - E q_s from the differences of the levels s / 2, s and s, S."""
    s0, s, S = wish.dimension // 2, wish.dimension, wish.larger
    first, second = float(before.mean()), float(after.mean())
    rate = _rate(lambda r: (s0**-r - s**-r) / (s**-r - float(S)**-r), first / second if second else np.nan)
    factor = 1.0 if rate is None else 1.0 / (1.0 - (S / s) ** -rate)
    return _student(after, wish.confidence, factor), rate


def _discretisation(before: Array, after: Array, wish: DomainWish) -> tuple[Estimate, float | None]:
    """Of E q - E q_h from the differences of the levels 2h, h and h, h / 2."""
    first, second = float(before.mean()), float(after.mean())
    order = float(np.log2(first / second)) if second and first / second > 1.0 else None
    slowest = wish.order if order is None else min(wish.order, max(order, _SLOWEST))
    return _student(after, wish.confidence, 1.0 / (1.0 - 2.0**-slowest)), order


def _rate(ratio: Callable[[float], float], wanted: float) -> float | None:
    """The r at which `ratio` has the wanted value; None where it is noise."""
    low, high = _RATES
    if not np.isfinite(wanted) or not ratio(low) < wanted < ratio(high):
        return None
    return float(brentq(lambda r: ratio(r) - wanted, low, high))


def _put_together(base: Array, cut: tuple[Estimate, float | None], mesh: tuple[Estimate, float | None],
                  levels: _Levels, wish: DomainWish) -> OutputErrors:
    """From means (sizes, R) of one output and the two differences."""
    R = wish.repetitions
    error = np.asarray(base.std(axis=1, ddof=1) / np.sqrt(R))
    tails = [float(stats.chi2.ppf(0.5 + side * wish.confidence / 2, R - 1)) for side in (1, -1)]
    low, high = (float(error[-1] * np.sqrt((R - 1) / tail)) for tail in tails)
    cubature = Estimate(float(error[-1]), low, high, 0.0, None)
    worst = sum(max(abs(one.low), abs(one.high)) for one, _ in (cut, mesh))
    mean = _student(base[-1], wish.confidence)
    mean = Estimate(mean.value, mean.low, mean.high, worst, "indicator")
    least = sum(max(0.0, one.low, -one.high) for one, _ in (cut, mesh))
    total = Estimate(abs(cut[0].value) + abs(mesh[0].value) + cubature.value, least + low, worst + high, 0.0, None)
    convergence = tuple(zip(_powers(levels.each), (float(one) for one in error), strict=True))
    return OutputErrors(mean, cut[0], mesh[0], cubature, total, cut[1], mesh[1], convergence)
