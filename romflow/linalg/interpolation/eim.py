"""Empirical interpolation: a few points and a few functions of a family that interpolate the whole family.

The recursive (product) form keeps the remainder R of the family and eliminates it as Gauss does, with the largest
entry as the pivot (Barrault, Maday, Nguyen and Patera 2004, written on the remainder):

    (i, j) = argmax |R|,   q = R[:, j] / R[i, j],   R <- R - q R[i, :]

It makes row i and column j exactly zero, so that no point is chosen twice and B = q_s(x_r) is unit lower triangular in
floating point too. The form that interpolates the given family anew in each step loses both near the rounding floor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.interpolation.rows import ArrayRows, Remainder, RowBlocks

__all__ = ["ROUNDING", "EmpiricalInterpolation", "empirical_interpolation"]

#: The remainder counts as rounding noise from this multiple of eps max |F| on.
ROUNDING = 4.0

_REASONS = {
    "tolerance": "the remainder fell to the tolerance",
    "rounding": "the family has no more independent functions than that in double precision",
    "max_terms": "as many terms as were allowed",
}


@dataclass(frozen=True, eq=False)
class EmpiricalInterpolation:
    """I[g] = sum_r c_r q_r with B c = g(points): exact at the points and on the span of the chosen functions.

    Attributes
    ----------
    basis : (n, m)
        q_r; q_r = 0 at the points before the r-th and q_r = 1 there.
    points : (m,) int
        Distinct, in the order in which they were chosen.
    B : (m, m)
        basis[points], unit lower triangular, the upper part exactly zero.
    functions : (m,) int
        Columns of the family from which the basis came.
    errors : (m + 1,)
        Largest (weighted) remainder of the family after 0 .. m terms.
    stopped : str
        "tolerance", "rounding" or "max_terms".

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 101)
    >>> found = empirical_interpolation(np.exp(-np.outer(x, np.linspace(1.0, 10.0, 50))), tolerance=1e-8)
    >>> new = np.exp(-3.21 * x)[:, None]
    >>> found.size < 12, bool(np.abs(found.interpolate(new[found.points]) - new).max() < 1e-7)
    (True, True)
    """

    basis: np.ndarray
    points: np.ndarray
    B: np.ndarray
    functions: np.ndarray
    errors: np.ndarray
    stopped: str

    @property
    def size(self) -> int:
        """Terms m."""
        return int(self.points.size)

    @property
    def reason(self) -> str:
        """Why the greedy ended, in words."""
        return f"{self.size} terms, remainder {self.errors[-1]:.2e}: {_REASONS[self.stopped]}"

    def coefficients(self, values: np.ndarray) -> np.ndarray:
        """Coefficients c (m, b) with B c = values (m, b), the values at the points. Cost: m^2 b flops.

        Raises
        ------
        ShapeError
            Not one value a point.
        """
        values = np.asarray(values, dtype=float)
        if values.shape[:1] != (self.size,):
            raise ShapeError(f"the interpolation got values of shape {values.shape}; the rule is ({self.size}, b): "
                             "one value for each of its points")
        if not self.size:
            return values.copy()
        return sl.solve_triangular(self.B, values, lower=True, unit_diagonal=True)

    def interpolate(self, values: np.ndarray) -> np.ndarray:
        """I[g] (n, b) from the values (m, b) at the points. Cost: n m b multiplications."""
        return self.basis @ self.coefficients(values)

    @cached_property
    def cardinal(self) -> np.ndarray:
        """Functions l (n, m) with l_s(x_r) = delta_rs, so that I[g] = cardinal @ g(points). Cost: n m^2 flops."""
        if not self.size:
            return self.basis
        return sl.solve_triangular(self.B, self.basis.T, lower=True, trans="T", unit_diagonal=True).T

    @cached_property
    def lebesgue_constant(self) -> float:
        """max over the n points of sum_r |l_r|: |g - I[g]| <= (1 + it) times the best error in the maximum norm."""
        return float(np.abs(self.cardinal).sum(axis=1).max(initial=0.0))

    def truncate(self, size: int) -> EmpiricalInterpolation:
        """The interpolation with the first `size` terms, by slicing alone: points and basis are nested.

        Raises
        ------
        InputError
            The size is negative or above m.
        """
        if not 0 <= size <= self.size:
            raise InputError(f"the interpolation has {self.size} terms and was to keep {size}; the rule is 0 to "
                             f"{self.size}")
        if size == self.size:
            return self
        return replace(self, basis=self.basis[:, :size], points=self.points[:size], B=self.B[:size, :size],
                       functions=self.functions[:size], errors=self.errors[:size + 1], stopped="max_terms")


def empirical_interpolation(family: np.ndarray | RowBlocks, tolerance: float = 0.0, max_terms: int | None = None, *,
                            weights: np.ndarray | None = None, strict: bool = False, first: int | None = None,
                            rounding: float = ROUNDING,
                            folder: str | Path | None = None) -> EmpiricalInterpolation:
    """Points and basis by the greedy in product form; the remainder max |F - I[F]| is at most tolerance max |F|.

    It stops at max |R| <= tolerance max |F|, at the rounding floor max |R| <= rounding eps max |F|, or after
    `max_terms` terms, and `.stopped` says which. Cost: 2 n k m flops in m passes over R (n, k), n m numbers for the
    basis. The result is the same to the bit for every division of F into blocks of rows.

    Parameters
    ----------
    family : (n, k) array, or an object with `shape` and `blocks() -> (slice, array)`
        Column j: values of the j-th function at the n points.
    tolerance : float
        From 0.
    max_terms : int, optional
    weights : (n,) array, optional
        Of the points, from 0 on; remainder and errors are then max w_i |R_ij|, and points of weight 0 are only carried
        along.
    strict : bool
        Raise where the rounding floor is met before `max_terms` terms; else there are fewer terms.
    first : int, optional
        The first function; without it, the one with the largest entry.
    rounding : float
        From 0, which goes on into the noise until R = 0: for studies of stability only.
    folder : path, optional
        Keep R in a temporary file there (8 n k bytes) instead of in memory; then about 130 MB beside the basis.

    Raises
    ------
    ShapeError, InputError
        No table, NaN or infinity, a bad option; `strict` and more terms wanted than the numerical rank; the first
        function vanishes.

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 21)
    >>> found = empirical_interpolation(np.stack([np.ones(21), x, x**2, 1.0 + x], axis=1), first=0)
    >>> found.size, found.stopped, sorted(x[found.points].round(12).tolist())
    (3, 'rounding', [-1.0, 0.0, 1.0])
    """
    table = ArrayRows(family) if isinstance(family, np.ndarray) else family
    n, k = table.shape
    most = min(n, k) if max_terms is None else max_terms
    _check(table.shape, tolerance, most, rounding, first)
    points: list[int] = []
    functions: list[int] = []
    basis: list[np.ndarray] = []
    with Remainder(table, _weights(weights, n), folder) as R:
        scale = R.largest[0]
        errors = [scale]
        while (stopped := _end(errors, tolerance * scale, rounding * np.finfo(float).eps * scale, most)) is None:
            i, j = R.largest[1:]
            if first is not None and not points:
                i, j = _largest_of(R, first, weights)
            column = R.column(j)
            basis.append(column / column[i])
            R.subtract(basis[-1], j, i)
            points.append(i)
            functions.append(j)
            errors.append(R.largest[0])
    if strict and stopped == "rounding" and max_terms is not None and len(points) < max_terms:
        raise InputError(f"max_terms = {max_terms} terms were asked for, but the family of {k} functions on {n} points "
                         f"has the numerical rank {len(points)} (remainder {errors[-1]:.2e} of {scale:.2e}); ask for "
                         f"at most {len(points)}, give more varied functions, or strict = False")
    q = np.stack(basis, axis=1) if basis else np.zeros((n, 0))
    return EmpiricalInterpolation(q, np.array(points, dtype=int), q[points], np.array(functions, dtype=int),
                                  np.array(errors), stopped)


def _end(errors: list[float], target: float, floor: float, most: int) -> str | None:
    if errors[-1] <= target and target >= floor:
        return "tolerance"
    if errors[-1] <= floor:
        return "rounding"
    return "max_terms" if len(errors) > most else None


def _largest_of(R: Remainder, j: int, weights: np.ndarray | None) -> tuple[int, int]:
    column = np.abs(R.column(j))
    i = int(np.argmax(column if weights is None else column * weights))
    if column[i] == 0.0:
        raise InputError(f"function {j} was to be the first and vanishes at every point; choose another, or none")
    return i, j


def _weights(weights: np.ndarray | None, n: int) -> np.ndarray | None:
    if weights is None:
        return None
    weights = np.asarray(weights, dtype=float)
    if weights.shape != (n,) or not (np.isfinite(weights) & (weights >= 0.0)).all():
        raise InputError(f"the weights of the points have shape {weights.shape}, or not all are finite and from 0 on; "
                         f"the rule is ({n},) such numbers, some of them positive")
    return weights


def _check(shape: tuple[int, int], tolerance: float, most: int, rounding: float, first: int | None) -> None:
    if not 0.0 <= tolerance < np.inf or not 0.0 <= rounding < np.inf:
        raise InputError(f"tolerance = {tolerance} and rounding = {rounding} of an interpolation must be finite "
                         "numbers from 0 on")
    if most < 1:
        raise InputError(f"max_terms = {most} of an interpolation; the rule is at least 1")
    if first is not None and not 0 <= first < shape[1]:
        raise InputError(f"function {first} was to be the first of {shape[1]}; the rule is 0 to {shape[1] - 1}")
