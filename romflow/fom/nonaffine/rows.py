"""Coefficients as tables, a row for a quadrature point and a column for a parameter, evaluated block by block."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from romflow.parameters.fields import FieldSample, ParametricField

_BLOCK = 32 << 20


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
    best, where = _largest(((rows, -values) for rows, values in FieldRows(field, points, mu).blocks()), len(mu))
    return -best, where


def largest_gaps(field: ParametricField, points: np.ndarray, mu: np.ndarray, functions: np.ndarray,
                 theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest |g - functions @ theta| (k,) over the rows of the table at each parameter, and the row (k,) where it is.

    Parameters
    ----------
    functions : (C P, M)
    theta : (M, k)
    """
    rows = FieldRows(field, points, mu).blocks()
    return _largest(((part, np.abs(values - functions[part] @ theta)) for part, values in rows), len(mu))


def _largest(blocks: Iterator[tuple[slice, np.ndarray]], k: int) -> tuple[np.ndarray, np.ndarray]:
    best, where = np.full(k, -np.inf), np.zeros(k, dtype=int)
    for rows, values in blocks:
        found = values.max(axis=0)
        better = found > best
        best[better] = found[better]
        # Quicker than argmax along the strided axis; of equal entries the first one stays.
        at, columns = np.nonzero((values == found) & better)
        where[columns[::-1]] = rows.start + at[::-1]
    return best, where
