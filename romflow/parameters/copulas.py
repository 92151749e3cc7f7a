"""Copulas: how the inputs of a study depend on each other, apart from their single distributions."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from scipy.sparse.csgraph import connected_components

from romflow.core.errors import ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.correlation import correlation_factor
from romflow.parameters.distribution import INSIDE

__all__ = ["Copula", "Gaussian", "Independent", "Student", "copula_from_spec"]

Array = NDArray[np.float64]


class Copula(ABC):
    """The joint distribution function of p numbers that are uniform on (0, 1) each.

    Attributes
    ----------
    size : int
        p.
    groups : tuple of tuple of int
        Columns that depend on each other; different groups are independent.
    """

    kind: ClassVar[str]
    size: int

    @property
    @abstractmethod
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Columns that depend on each other; different groups are independent."""

    @abstractmethod
    def transform(self, unit: ArrayLike) -> Array:
        """Dependent numbers (k, p) in (0, 1) from independent ones `unit` (k, p) in [0, 1].

        Column j depends on the columns up to j of `unit` only (the inverse Rosenblatt transform), so that a point set
        that fills the cube evenly keeps its quality.
        """

    @abstractmethod
    def inverse(self, u: ArrayLike) -> Array:
        """Independent numbers (k, p) whose :meth:`transform` is `u` (k, p)."""

    @abstractmethod
    def log_density(self, u: ArrayLike) -> Array:
        """Logarithm of the density (k,) at u (k, p) in (0, 1); where an entry is 0 or 1, at the next number inside."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON form; :func:`copula_from_spec` reads it."""

    def _points(self, values: ArrayLike) -> Array:
        points = np.asarray(values, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self.size:
            raise ShapeError(f"{self.kind} copula: the points have shape {points.shape}; it must be (k, {self.size}).")
        if points.size and not (points.min() >= 0.0 and points.max() <= 1.0):
            row, column = np.argwhere(~((points >= 0.0) & (points <= 1.0)))[0]
            value = shown(float(points[row, column]))
            raise ParameterError(f"{self.kind} copula: entry [{row}, {column}] = {value} is outside [0, 1]; give "
                                 "probabilities.")
        return np.clip(points, INSIDE, 1.0 - INSIDE)


class Independent(Copula):
    """All p columns are independent.

    Examples
    --------
    >>> Independent(2).log_density([[0.3, 0.9]])
    array([0.])
    """

    kind: ClassVar[str] = "independent"

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ParameterError(f"independent copula: size = {shown(size)} is not a whole number from 1; give one.")
        self.size = size

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        return tuple((column,) for column in range(self.size))

    def transform(self, unit: ArrayLike) -> Array:
        return self._points(unit)

    def inverse(self, u: ArrayLike) -> Array:
        return self._points(u)

    def log_density(self, u: ArrayLike) -> Array:
        return np.zeros(len(self._points(u)))

    def spec(self) -> dict[str, Any]:
        return {"copula": self.kind, "size": self.size}


class _Elliptical(Copula):
    """What the Gaussian and the Student copula share: a correlation matrix and its Cholesky factor L (p, p)."""

    def __init__(self, correlation: ArrayLike) -> None:
        self.correlation, self._L = correlation_factor(correlation, f"{self.kind} copula")
        self.size = len(self.correlation)

    @cached_property
    def _inverse_factor(self) -> Array:
        return np.asarray(np.linalg.solve(self._L, np.eye(self.size)))

    @property
    def _log_determinant(self) -> float:
        return 2.0 * float(np.log(np.diag(self._L)).sum())


class Gaussian(_Elliptical, Copula):
    """The copula of a normal vector with this correlation: ``u = Phi(L Phi^-1(unit))``, ``L L^T`` = correlation.

    Its density is ``|R|^(-1/2) exp(-(z^T R^-1 z - z^T z) / 2)``, z = Phi^-1(u) (Song 2000, eq. 3).

    Parameters
    ----------
    correlation : (p, p)
        Symmetric, positive definite, ones on the diagonal; correlations of the normal scores, not of the inputs.

    Raises
    ------
    ShapeError, ParameterError
        Not such a matrix.

    Examples
    --------
    >>> Gaussian([[1.0, 0.5], [0.5, 1.0]]).transform([[0.5, 0.5]])
    array([[0.5, 0.5]])
    """

    kind: ClassVar[str] = "gaussian"

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        count, labels = connected_components(self.correlation != 0.0, directed=False)
        return tuple(tuple(int(column) for column in np.flatnonzero(labels == group)) for group in range(count))

    def transform(self, unit: ArrayLike) -> Array:
        z = _times(self._L, special.ndtri(self._points(unit)))
        return np.clip(special.ndtr(z), INSIDE, 1.0 - INSIDE)

    def inverse(self, u: ArrayLike) -> Array:
        z = _times(self._inverse_factor, special.ndtri(self._points(u)))
        return np.clip(special.ndtr(z), INSIDE, 1.0 - INSIDE)

    def log_density(self, u: ArrayLike) -> Array:
        z = special.ndtri(self._points(u))
        white = _times(self._inverse_factor, z)
        return np.asarray(0.5 * ((z * z).sum(axis=1) - (white * white).sum(axis=1) - self._log_determinant))

    def spec(self) -> dict[str, Any]:
        return {"copula": self.kind, "correlation": self.correlation.tolist()}


class Student(_Elliptical, Copula):
    """The copula of a Student vector: extremes come together, the more the fewer degrees of freedom.

    Column by column, given the columns before it is a scaled Student variable with more degrees of freedom: with
    w = L^-1 t, ``w_j = sqrt((nu + w_1^2 + ... + w_{j-1}^2) / (nu + j - 1)) T^-1_{nu+j-1}(unit_j)`` (Kotz and Nadarajah
    2004, eq. 1.16), t = L w, u = T_nu(t).

    Parameters
    ----------
    correlation : (p, p)
        As for :class:`Gaussian`.
    degrees : float
        Degrees of freedom nu > 0.

    Raises
    ------
    ShapeError, ParameterError
        Not such a matrix, or not a positive finite number.

    Examples
    --------
    >>> float(Student([[1.0, 0.0], [0.0, 1.0]], 3.0).log_density([[0.99, 0.99]])[0]) > 0.0
    True
    """

    kind: ClassVar[str] = "student"

    def __init__(self, correlation: ArrayLike, degrees: float) -> None:
        super().__init__(correlation)
        number = isinstance(degrees, int | float | np.integer | np.floating) and not isinstance(degrees, bool)
        if not number or not 0.0 < degrees < math.inf:
            raise ParameterError(f"student copula: degrees = {shown(degrees)} is not a positive number; give one, or "
                                 "take the gaussian copula for infinitely many.")
        self.degrees = float(degrees)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        return (tuple(range(self.size)),)

    def transform(self, unit: ArrayLike) -> Array:
        points = self._points(unit)
        w = np.empty_like(points)
        for column, scale in self._scales(w):
            w[:, column] = scale * special.stdtrit(self.degrees + column, points[:, column])
        return np.clip(special.stdtr(self.degrees, _times(self._L, w)), INSIDE, 1.0 - INSIDE)

    def inverse(self, u: ArrayLike) -> Array:
        w = _times(self._inverse_factor, special.stdtrit(self.degrees, self._points(u)))
        unit = np.empty_like(w)
        for column, scale in self._scales(w):
            unit[:, column] = special.stdtr(self.degrees + column, w[:, column] / scale)
        return np.clip(unit, INSIDE, 1.0 - INSIDE)

    def log_density(self, u: ArrayLike) -> Array:
        nu, p = self.degrees, self.size
        t = special.stdtrit(nu, self._points(u))
        white = _times(self._inverse_factor, t)
        constant = special.gammaln(0.5 * (nu + p)) + (p - 1) * special.gammaln(0.5 * nu)
        constant -= p * special.gammaln(0.5 * (nu + 1.0)) + 0.5 * self._log_determinant
        joint = 0.5 * (nu + p) * np.log1p((white * white).sum(axis=1) / nu)
        single = 0.5 * (nu + 1.0) * np.log1p(t * t / nu).sum(axis=1)
        return np.asarray(constant - joint + single)

    def spec(self) -> dict[str, Any]:
        return {"copula": self.kind, "correlation": self.correlation.tolist(), "degrees": self.degrees}

    def _scales(self, w: Array) -> Any:
        """(column, scale given the columns before it), in order; `w` is read up to the column before."""
        total = np.full(len(w), self.degrees)
        for column in range(self.size):
            yield column, np.sqrt(total / (self.degrees + column))
            total = total + w[:, column] ** 2


def _times(L: Array, rows: NDArray[Any]) -> Array:
    """``rows L^T`` (k, p) for lower triangular L; a row's bits do not depend on the rows beside it, as in a BLAS."""
    columns = np.ascontiguousarray(rows.T, dtype=np.float64)
    product = np.empty_like(columns)
    for row in range(len(L)):
        product[row] = L[row, row] * columns[row]
        for column in np.flatnonzero(L[row, :row]):
            product[row] += L[row, column] * columns[column]
    return np.ascontiguousarray(product.T)


_KEYS: dict[str, tuple[type[Copula], tuple[str, ...]]] = {
    "independent": (Independent, ("size",)),
    "gaussian": (Gaussian, ("correlation",)),
    "student": (Student, ("correlation", "degrees")),
}


def copula_from_spec(spec: Mapping[str, Any]) -> Copula:
    """The copula whose :meth:`Copula.spec` is `spec`.

    Raises
    ------
    ParameterError
        Unknown kind, unknown or missing key, wrong content.

    Examples
    --------
    >>> copula_from_spec({"copula": "gaussian", "correlation": [[1.0, 0.2], [0.2, 1.0]]}).groups
    ((0, 1),)
    """
    kind = str(spec.get("copula", "independent"))
    if kind not in _KEYS:
        raise ParameterError(f"no copula is called {shown(kind)}{nearest(kind, _KEYS)}")
    cls, keys = _KEYS[kind]
    _check_keys(kind, [str(key) for key in spec if key != "copula"], keys)
    return cls(**{key: spec[key] for key in keys})


def _check_keys(kind: str, given: Sequence[str], keys: Sequence[str]) -> None:
    for key in given:
        if key not in keys:
            raise ParameterError(f"copula {kind!r} has no key {shown(key)}{nearest(key, keys)}")
    for key in keys:
        if key not in given:
            raise ParameterError(f"copula {kind!r} needs the key {key!r}; it takes {', '.join(keys)}.")
