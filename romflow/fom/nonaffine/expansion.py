"""Coefficients as short sums theta_m(mu) l_m(x) by empirical interpolation at the quadrature points of a mesh."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.linalg.interpolation.eim import EmpiricalInterpolation, empirical_interpolation
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolatedField
from romflow.parameters.fields import FieldSample, ParametricField
from romflow.parameters.space import ParameterSpace

# Points beyond those of the interpolation at which its error is watched.
WATCHED = 10
# The greedy goes on to this share of the tolerance, to find the points that would have come next.
_FURTHER = 1e-3
_CORNERS = 32
_BLOCK = 32 << 20
_IN_MEMORY = 512 << 20


@dataclass(frozen=True)
class Wish:
    """How far a coefficient is interpolated, from which parameters, and where its error is looked at.

    Attributes
    ----------
    tolerance : float
        Largest error over the training parameters and points, relative to the largest value.
    max_terms : int
    training : int
        Training parameters: corners of the space first, then random ones.
    every_point : bool
        Watch the error at all the quadrature points; else at some that the greedy would take next.
    """

    tolerance: float = 1e-6
    max_terms: int = 40
    training: int = 128
    every_point: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.tolerance < 1.0:
            raise ConfigError(f"tolerance = {self.tolerance} of an interpolation; the rule is a number from 0, below 1")
        for name in ("max_terms", "training"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} = {value!r} of an interpolation; the rule is a whole number from 1")


@dataclass(frozen=True, eq=False)
class Expansion:
    """g(x; mu) ~= sum_m theta_m(mu) l_m(x) at the P quadrature points.

    Attributes
    ----------
    functions : (C P, M)
        l_m, all points of component 0 first.
    texts : tuple of M str
        theta_m, arithmetic of the parameters.
    watched : FieldSample or None
        Where the error is looked at; None where the sum is exact.
    cardinal : (K, M)
        l_m at the watched points.
    lebesgue_constant : float
        Of the interpolation, 1 where the sum is exact.
    """

    functions: np.ndarray
    texts: tuple[str, ...]
    watched: FieldSample | None
    cardinal: np.ndarray
    lebesgue_constant: float = 1.0

    def error(self, weight: float, columns: tuple[str, ...]) -> InterpolatedField | None:
        """What it leaves, with the weight of its norm; None where the sum is exact."""
        if self.watched is None:
            return None
        return InterpolatedField(self.watched, Theta(self.texts, columns), self.cardinal, weight)


def training_parameters(space: ParameterSpace, count: int) -> np.ndarray:
    """Corners of the space, a quarter of `count` at most, then random parameters: (count, p), always the same."""
    rng = np.random.default_rng(0)
    p, most = space.size, min(_CORNERS, count // 4)
    corners = np.array(list(np.ndindex(*[2] * p))) if 2**min(p, 30) <= most else rng.integers(0, 2, (most, p))
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    unit = np.where(bounded, corners, np.where(corners == 0, 1e-3, 1 - 1e-3)).reshape(-1, p)
    return np.vstack([space.ppf(unit), space.sample(count - len(unit), rng)])


def expansion(field: ParametricField, points: np.ndarray, training: np.ndarray, wish: Wish) -> Expansion:
    """The field as a short sum: exact where its texts separate by themselves, else interpolated in cardinal form.

    theta_m(mu) = g(x_m; mu) at the interpolation points x_m, and l_m(x_k) = delta_mk: coefficients stay texts.

    Parameters
    ----------
    field : ParametricField
        With C components.
    points : (P, d)
    training : (k, p)
    wish : Wish

    Raises
    ------
    ParameterError
        A value at the training parameters is not finite.
    """
    C, P = field.size, len(points)
    nothing = np.zeros((0, 0))
    if not field.varies_with_parameters:
        return Expansion(field.values(points, training[:1]).reshape(C * P, 1), ("1",), None, nothing)
    if not field.varies_in_space:
        return Expansion(np.repeat(np.eye(C), P, axis=0), field.expressions, None, nothing)
    rows = FieldRows(field, points, training)
    memory = 8 * rows.shape[0] * rows.shape[1]
    found = empirical_interpolation(rows, wish.tolerance * _FURTHER, wish.max_terms + WATCHED,
                                    folder=tempfile.gettempdir() if memory > _IN_MEMORY else None)
    kept = found.truncate(terms_for(found, wish))
    cardinal, further = kept.cardinal, found.points[kept.size:kept.size + WATCHED]
    watched = np.arange(C * P) if wish.every_point else watched_rows(cardinal, kept.points, further)
    sample = sample_at(field, points, kept.points)
    return Expansion(cardinal, tuple(sample.texts()), sample_at(field, points, watched), cardinal[watched],
                     kept.lebesgue_constant)


def terms_for(found: EmpiricalInterpolation, wish: Wish) -> int:
    """The fewest terms, 1 to max_terms, whose error over the training set is at most the tolerance."""
    enough = np.flatnonzero(found.errors <= wish.tolerance * found.errors[0])
    return max(1, min(int(enough[0]) if enough.size else found.size, wish.max_terms, found.size))


def watched_rows(cardinal: np.ndarray, points: np.ndarray, further: np.ndarray) -> np.ndarray:
    """Rows of a table to watch: those that come next, filled up with those where the cardinal functions are largest."""
    size = np.abs(cardinal).sum(axis=1)
    size[points] = -1.0
    size[further] = np.inf
    return np.sort(np.argsort(-size, kind="stable")[:min(WATCHED, len(size) - len(points))])


def sample_at(field: ParametricField, points: np.ndarray, rows: np.ndarray) -> FieldSample:
    """The field at rows c P + k of its table: component c at point k."""
    components, places = np.divmod(rows, len(points))
    return FieldSample(field, points[places], components.astype(np.int64))


class FieldRows:
    """The table (C P, k) of a field at points and parameters, evaluated block by block.

    Parameters
    ----------
    field : ParametricField
    points : (P, d)
    mu : (k, p)
    """

    def __init__(self, field: ParametricField, points: np.ndarray, mu: np.ndarray) -> None:
        self._field, self._points, self._mu = field, points, mu
        self.shape = (field.size * len(points), len(mu))

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """(rows, values) from the first row to the last."""
        P, height = len(self._points), max(1, _BLOCK // (8 * len(self._mu)))
        for start in range(0, self.shape[0], P):
            for first in range(0, P, height):
                last = min(first + height, P)
                rows = np.arange(start + first, start + last)
                with np.errstate(all="ignore"):
                    values = sample_at(self._field, self._points, rows).values(self._mu)
                if not np.isfinite(values).all():
                    self._field.values(self._points[first:last], self._mu)
                yield slice(start + first, start + last), values


def smallest_values(field: ParametricField, points: np.ndarray, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest value (k,) over the points at each parameter, and the number (k,) of the point where it is."""
    least, where = np.full(len(mu), np.inf), np.zeros(len(mu), dtype=int)
    for rows, values in FieldRows(field, points, mu).blocks():
        at = values.argmin(axis=0)
        found = values[at, np.arange(len(mu))]
        better = found < least
        least[better], where[better] = found[better], at[better] + rows.start
    return least, where


def joint_expansion(fields: Mapping[str, ParametricField], maps: Mapping[str, Any], points: np.ndarray,
                    training: np.ndarray, wish: Wish) -> dict[str, Expansion]:
    """All the coefficients of a matrix as sums with the same theta_m(mu) = A(mu)[i_m, j_m]: matrix interpolation.

    The matrices A(mu_j) of the training set are interpolated by their entries, A_I(mu) = sum_j c_j(mu) A(mu_j), which
    is the matrix of the coefficients g_I = sum_j c_j g(.; mu_j): the same error bounds hold. An entry is a text of the
    parameters, for few quadrature points reach it. One set of terms serves coefficients that vary together, where
    interpolating each would add up their numbers of terms.

    Parameters
    ----------
    fields : mapping of str to ParametricField
        The coefficients of the operator.
    maps : mapping of str to sparse (nnz, C P)
        From their values to the entries.
    points, training, wish
        As for `expansion`.

    Raises
    ------
    ConfigError
        The text of an entry is longer than the language allows.
    """
    tables = {name: np.vstack([block for _, block in FieldRows(field, points, training).blocks()])
              for name, field in fields.items()}
    family = sum(maps[name] @ table for name, table in tables.items())
    found = empirical_interpolation(np.asarray(family), wish.tolerance, wish.max_terms)
    kept = found.truncate(terms_for(found, wish))
    # Fitting the chosen snapshots to the chosen entries gives every coefficient's own cardinal functions.
    chosen = np.asarray(family)[:, kept.functions]
    weights = np.linalg.inv(chosen[kept.points])
    texts = tuple(_entry_text(int(row), fields, maps, points) for row in kept.points)
    theta = np.asarray(family)[kept.points]
    return {name: _joint(field, tables[name], kept, weights, theta, texts, points, wish)
            for name, field in fields.items()}


def _joint(field: ParametricField, table: np.ndarray, kept: EmpiricalInterpolation, weights: np.ndarray,
           theta: np.ndarray, texts: tuple[str, ...], points: np.ndarray, wish: Wish) -> Expansion:
    functions = table[:, kept.functions] @ weights
    if wish.every_point:
        watched = np.arange(len(table))
    else:
        further = empirical_interpolation(table - functions @ theta, 0.0, WATCHED).points
        watched = watched_rows(functions, further[:0], further)
    return Expansion(functions, texts, sample_at(field, points, watched), functions[watched], kept.lebesgue_constant)


def _entry_text(row: int, fields: Mapping[str, ParametricField], maps: Mapping[str, Any],
                points: np.ndarray) -> str:
    sums: dict[str, float] = {}
    for name, field in fields.items():
        found = maps[name][[row]]
        sample = sample_at(field, points, np.asarray(found.indices))
        for text, weight in zip(sample.texts(), found.data.tolist(), strict=True):
            sums[text] = sums.get(text, 0.0) + weight
    return " + ".join(f"({weight!r}) * ({text})" for text, weight in sums.items() if weight != 0.0) or "0"
