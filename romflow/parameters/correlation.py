"""Correlation matrices: the check, the Cholesky factor, and the nearest valid one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ParameterError, ShapeError
from romflow.core.names import nearest, shown

__all__ = ["correlation_factor", "correlation_of_pairs", "nearest_correlation"]

Array = NDArray[np.float64]

_SMALLEST = 1e-12


def correlation_factor(correlation: ArrayLike, who: str) -> tuple[Array, Array]:
    """The matrix R (p, p) as float64 and its lower Cholesky factor L (p, p), ``L L^T = R``.

    Parameters
    ----------
    correlation : (p, p)
    who : str
        Whose matrix it is, for the message.

    Raises
    ------
    ShapeError
        Not square.
    ParameterError
        An entry is not finite, the matrix is not symmetric, its diagonal is not 1, an entry is beyond -1 .. 1, or its
        smallest eigenvalue is not above 1e-12.

    Examples
    --------
    >>> correlation_factor([[1.0, 0.6], [0.6, 1.0]], "inputs")[1]
    array([[1. , 0. ],
           [0.6, 0.8]])
    """
    try:
        R = np.array(correlation, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{who}: the correlation matrix is no table of numbers; give (p, p) numbers.") from error
    if R.ndim != 2 or R.shape[0] != R.shape[1] or not R.size:
        raise ShapeError(f"{who}: the correlation matrix has shape {R.shape}; it must be square (p, p).")
    _check_entries(R, who)
    R = 0.5 * (R + R.T)
    np.fill_diagonal(R, 1.0)
    smallest = float(np.linalg.eigvalsh(R)[0])
    if smallest <= _SMALLEST:
        distance = float(np.linalg.norm(nearest_correlation(R) - R))
        raise ParameterError(f"{who}: the correlation matrix is not positive definite (smallest eigenvalue "
                             f"{smallest:.3g}); the nearest valid one is {distance:.3g} away (Frobenius norm, "
                             "nearest_correlation makes it): bring the correlations down or take that.")
    R.flags.writeable = False
    return R, np.asarray(np.linalg.cholesky(R))


def _check_entries(R: Array, who: str) -> None:
    rules = (
        (~np.isfinite(R), "is not finite; write a finite number"),
        (np.eye(len(R), dtype=bool) & (np.abs(R - 1.0) > 1e-12), "is on the diagonal, which must be 1"),
        (np.abs(R - R.T) > 1e-12, "differs from the entry mirrored at the diagonal; make the matrix symmetric"),
        (np.abs(R) > 1.0 + 1e-12, "is beyond -1 .. 1; write a correlation"),
    )
    for wrong, rule in rules:
        if wrong.any():
            row, column = (int(index) for index in np.argwhere(wrong)[0])
            raise ParameterError(f"{who}: correlation[{row}, {column}] = {shown(float(R[row, column]))} {rule}.")


def nearest_correlation(R: ArrayLike, smallest: float = 1e-8, sweeps: int = 200) -> Array:
    """The correlation matrix (p, p) nearest to the symmetric R (p, p) in the Frobenius norm, eigenvalues >= `smallest`.

    Alternating projections with Dykstra's correction onto the matrices with eigenvalues from `smallest` on and onto
    those with unit diagonal (Higham 2002, algorithm 3.3); stops when a sweep moves it by less than 1e-10; O(p^3) each.

    Raises
    ------
    ShapeError
        R is not square.
    ParameterError
        An entry is not finite.

    Examples
    --------
    >>> R = nearest_correlation([[1.0, 1.2], [1.2, 1.0]])
    >>> bool(abs(R[0, 1] - 1.0) < 1e-7)
    True
    """
    Y = np.array(R, dtype=np.float64)
    if Y.ndim != 2 or Y.shape[0] != Y.shape[1]:
        raise ShapeError(f"nearest_correlation: R has shape {Y.shape}; it must be square (p, p).")
    if not np.isfinite(Y).all():
        raise ParameterError("nearest_correlation: R has an entry that is not finite; write finite numbers.")
    correction = np.zeros_like(Y)
    for _ in range(sweeps):
        before = Y
        shifted = Y - correction
        values, vectors = np.linalg.eigh(0.5 * (shifted + shifted.T))
        X = (vectors * np.maximum(values, 2.0 * smallest)) @ vectors.T
        correction = X - shifted
        Y = X.copy()
        np.fill_diagonal(Y, 1.0)
        if np.linalg.norm(Y - before) < 1e-10:
            break
    return _lifted(Y, smallest)


def _lifted(Y: Array, smallest: float) -> Array:
    """Y drawn towards the identity until its smallest eigenvalue is `smallest`."""
    least = float(np.linalg.eigvalsh(Y)[0])
    if least >= smallest:
        return Y
    share = (smallest - least) / (1.0 - least)
    return np.asarray((1.0 - share) * Y + share * np.eye(len(Y)))


def correlation_of_pairs(columns: Sequence[str], pairs: Mapping[str, float]) -> Array:
    """The correlation matrix (p, p) with these entries and 0 elsewhere.

    Parameters
    ----------
    columns : sequence of str
        Names of the p columns.
    pairs : mapping
        "a, b" -> correlation of the columns a and b.

    Raises
    ------
    ParameterError
        A key does not name two different columns, or two keys name the same.

    Examples
    --------
    >>> correlation_of_pairs(["a", "b"], {"a, b": 0.5})
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    R = np.eye(len(columns))
    seen = set()
    for key, value in pairs.items():
        names = [name.strip() for name in str(key).split(",")]
        if len(names) != 2:
            raise ParameterError(f"copula: the pair {shown(key)} names {len(names)} columns; write \"a, b\" = number.")
        for name in names:
            if name not in columns:
                raise ParameterError(f"copula: no column is called {shown(name)}{nearest(name, columns)}")
        i, j = sorted(columns.index(name) for name in names)
        if i == j:
            raise ParameterError(f"copula: a pair correlates {names[0]!r} with itself; name two columns.")
        if (i, j) in seen:
            raise ParameterError(f"copula: the pair of {columns[i]!r} and {columns[j]!r} is there twice; remove one.")
        seen.add((i, j))
        R[i, j] = R[j, i] = value
    return R
