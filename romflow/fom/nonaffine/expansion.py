"""Coefficients as short sums theta_m(mu) l_m(x) by empirical interpolation at the quadrature points of a mesh."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.nonaffine.rows import FieldRows, largest_gaps, sample_at
from romflow.linalg.interpolation.eim import EmpiricalInterpolation, empirical_interpolation
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolatedField
from romflow.parameters.fields import FieldSample, ParametricField
from romflow.parameters.language import MAX_LENGTH, MAX_OPERATORS
from romflow.parameters.modal_field import ModalField
from romflow.parameters.space import ParameterSpace

# Points that the interpolation would take next, at which its error is watched.
WATCHED = 10
# The interpolation is checked at so many further parameters at least; at each of them the watched points see this
# share of its largest error, where that is no rounding noise.
CHECKED, _SEEN, _NOISE = 256, 0.7, 1e-13
# The greedy goes on to this share of the tolerance, to find the points that would have come next.
_FURTHER = 1e-3
_CORNERS = 32
# Characters and operators that a value takes in the text of an entry beside its own.
_AROUND = (40, 3)
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
        Watch the error at all the quadrature points; else at some among which the largest usually is.
    """

    tolerance: float = 1e-6
    max_terms: int = 40
    training: int = 128
    every_point: bool = False

    def __post_init__(self) -> None:
        number = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not number or not 0.0 <= self.tolerance < 1.0:
            raise ConfigError(f"tolerance = {shown(self.tolerance)} of an interpolation; the rule is a number from 0, "
                              "below 1")
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
    facts : dict
        How the interpolation went: "terms", "lebesgue_constant", "stopped" (tolerance, rounding or max_terms), and
        relative to the largest value the "training_error" and the "unseen_error" at further parameters. None where
        the sum is exact.
    """

    functions: np.ndarray
    texts: tuple[str, ...]
    watched: FieldSample | None
    cardinal: np.ndarray
    facts: dict[str, Any] | None = None

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


def check_parameters(space: ParameterSpace, training: int) -> np.ndarray:
    """Random parameters (k, p) beside those of the training, twice as many or more, always the same."""
    return space.sample(max(CHECKED, 2 * training), np.random.default_rng(1))


def expansion(field: ParametricField, points: np.ndarray, training: np.ndarray, wish: Wish,
              checks: np.ndarray | None = None) -> Expansion:
    """The field as a short sum: exact where its texts separate by themselves, else interpolated in cardinal form.

    theta_m(mu) = g(x_m; mu) at the interpolation points x_m, and l_m(x_k) = delta_mk: coefficients stay texts.

    Parameters
    ----------
    field : ParametricField
        With C components.
    points : (P, d)
    training : (k, p)
    wish : Wish
    checks : (k', p), optional
        Other parameters, at which the interpolation is checked; those of the training without.

    Raises
    ------
    ParameterError
        A value at these parameters is not finite.
    """
    C, P = field.size, len(points)
    nothing = np.zeros((0, 0))
    if not field.varies_with_parameters:
        return Expansion(field.values(points, training[:1]).reshape(C * P, 1), ("1",), None, nothing)
    if not field.varies_in_space:
        return Expansion(np.repeat(np.eye(C), P, axis=0), field.expressions, None, nothing)
    if isinstance(field, ModalField) and field.transform == "affine":
        return Expansion(points[:, field.skipped:], ("1", *field.columns), None, nothing)
    rows = FieldRows(field, points, training)
    memory = 8 * rows.shape[0] * rows.shape[1]
    found = empirical_interpolation(rows, wish.tolerance * _FURTHER, wish.max_terms + WATCHED,
                                    folder=tempfile.gettempdir() if memory > _IN_MEMORY else None)
    if not found.size:
        return Expansion(np.zeros((C * P, 1)), ("0",), None, nothing)
    kept = found.truncate(terms_for(found, wish))
    texts = tuple(sample_at(field, points, kept.points).texts())
    further = found.points[kept.size:kept.size + WATCHED]
    checks = training if checks is None else checks
    return _checked(field, points, checks, wish, kept, kept.cardinal, texts, further, found.errors[0])


def terms_for(found: EmpiricalInterpolation, wish: Wish) -> int:
    """The fewest terms, 1 to max_terms, whose error over the training set is at most the tolerance."""
    enough = np.flatnonzero(found.errors <= wish.tolerance * found.errors[0])
    return max(1, min(int(enough[0]) if enough.size else found.size, wish.max_terms, found.size))


def _checked(field: ParametricField, points: np.ndarray, checks: np.ndarray, wish: Wish, kept: EmpiricalInterpolation,
             functions: np.ndarray, texts: tuple[str, ...], further: np.ndarray, scale: float) -> Expansion:
    """The expansion with its facts and the points where its error is watched."""
    theta = Theta(texts, field.columns)(checks).T
    gaps, where = largest_gaps(field, points, checks, functions, theta)
    watched = (np.arange(len(functions)) if wish.every_point else
               watched_rows(field, points, checks, functions, theta, gaps, where, further, _NOISE * scale))
    facts = {"terms": len(texts), "stopped": _stopped(kept, wish), "training_error": float(kept.errors[-1] / scale),
             "unseen_error": float(gaps.max() / scale), "lebesgue_constant": kept.lebesgue_constant}
    return Expansion(functions, texts, sample_at(field, points, watched), functions[watched], facts)


def _stopped(kept: EmpiricalInterpolation, wish: Wish) -> str:
    if kept.errors[-1] <= wish.tolerance * kept.errors[0]:
        return "tolerance"
    return "max_terms" if kept.size >= wish.max_terms else "rounding"


def watched_rows(field: ParametricField, points: np.ndarray, checks: np.ndarray, functions: np.ndarray,
                 theta: np.ndarray, gaps: np.ndarray, where: np.ndarray, further: np.ndarray,
                 noise: float) -> np.ndarray:
    """Rows of a table to watch: those that come next, and as many as it takes to see the errors at the checks.

    Of the rows `where` (k,), in which the error at each of the k checks is largest, that is taken which shows most of
    them, until all are seen; then some where the cardinal functions are largest. Cost: M k^2 multiplications.
    """
    rows = np.unique(np.concatenate([where, further]))
    seen = np.abs(sample_at(field, points, rows).values(checks) - functions[rows] @ theta) >= _SEEN * gaps
    chosen = np.isin(rows, further)
    left = (gaps > noise) & ~seen[chosen].any(axis=0)
    while left.any():
        best = int(np.argmax(seen[:, left].sum(axis=1)))
        chosen[best] = True
        left &= ~seen[best]
    size = np.abs(functions).sum(axis=1)
    size[rows[chosen]] = np.inf
    return np.sort(np.argsort(-size, kind="stable")[:max(WATCHED, int(chosen.sum()))])


def joint_expansion(fields: Mapping[str, ParametricField], maps: Mapping[str, Any], points: np.ndarray,
                    training: np.ndarray, checks: np.ndarray, wish: Wish) -> dict[str, Expansion]:
    """All the coefficients of a matrix as sums with the same theta_m(mu) = A(mu)[i_m, j_m]: matrix interpolation.

    The matrices A(mu_j) of the training set are interpolated by their entries, A_I(mu) = sum_j c_j(mu) A(mu_j), which
    is the matrix of the coefficients g_I = sum_j c_j g(.; mu_j): the same error bounds hold. An entry is a text of the
    parameters, for few quadrature points reach it; where that would be too long to be read (in three dimensions), the
    values of the coefficients at single points, each relative to its largest, take the place of the entries. One set
    of terms serves coefficients that vary together, where interpolating each would add up their numbers of terms.

    Parameters
    ----------
    fields : mapping of str to ParametricField
        The coefficients of the operator.
    maps : mapping of str to sparse (nnz, C P)
        From their values to the entries.
    points, training, checks, wish
        As for `expansion`.
    """
    tables = {name: np.vstack([block for _, block in FieldRows(field, points, training).blocks()])
              for name, field in fields.items()}
    scales = {name: max(float(np.abs(table).max()), np.finfo(float).tiny) for name, table in tables.items()}
    entries = _entries_are_readable(fields, maps, points)
    first = [np.asarray(sum(maps[name] @ table for name, table in tables.items()))] if entries else []
    # Rows of weight zero are carried along: eliminated as the entries are, they stay accurate to rounding.
    weights = [np.ones(len(family)) for family in first]
    weights += [np.full(len(table), 0.0 if entries else 1.0 / scales[name]) for name, table in tables.items()]
    family = np.vstack([*first, *tables.values()])
    found = empirical_interpolation(family, wish.tolerance, wish.max_terms, weights=np.concatenate(weights))
    kept = found.truncate(terms_for(found, wish))
    text_of = _entry_text if entries else _value_text
    texts = tuple(text_of(int(row), fields, maps, points) for row in kept.points)
    theta, start, expansions = family[kept.points], len(weights[0]) if entries else 0, {}
    for name, field in fields.items():
        table, part = tables[name], slice(start, start + len(tables[name]))
        functions, start = kept.cardinal[part], part.stop
        further = empirical_interpolation(table - functions @ theta, 0.0, WATCHED).points
        expansions[name] = _checked(field, points, checks, wish, kept, functions, texts, further, scales[name])
    return expansions


def _entries_are_readable(fields: Mapping[str, ParametricField], maps: Mapping[str, Any], points: np.ndarray) -> bool:
    """Whether the text of each entry of the matrix is short enough."""
    characters = operators = np.zeros(1)
    for name, field in fields.items():
        for c in range(field.size):
            text = field.at(points[len(points) // 2], c)
            count = np.diff(maps[name][:, c * len(points):(c + 1) * len(points)].indptr)
            characters = characters + count * (len(text) + _AROUND[0])
            operators = operators + count * (sum(map(text.count, "+-*/,")) + _AROUND[1])
    return bool(characters.max() <= MAX_LENGTH and operators.max() <= MAX_OPERATORS)


def _value_text(row: int, fields: Mapping[str, ParametricField], maps: Mapping[str, Any], points: np.ndarray) -> str:
    for field in fields.values():
        if row < field.size * len(points):
            return sample_at(field, points, np.array([row])).texts()[0]
        row -= field.size * len(points)
    return "0"


def _entry_text(row: int, fields: Mapping[str, ParametricField], maps: Mapping[str, Any],
                points: np.ndarray) -> str:
    sums: dict[str, float] = {}
    for name, field in fields.items():
        found = maps[name][[row]]
        sample = sample_at(field, points, np.asarray(found.indices))
        for text, weight in zip(sample.texts(), found.data.tolist(), strict=True):
            sums[text] = sums.get(text, 0.0) + weight
    return " + ".join(f"({weight!r}) * ({text})" for text, weight in sums.items() if weight != 0.0) or "0"
