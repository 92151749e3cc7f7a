"""An affine family of systems, checked once, and one system of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest, shown
from romflow.linalg.affine_pattern import AffinePattern
from romflow.linalg.solvers.direct import BACKENDS

# Terms that differ from their transpose by less are made symmetric: an assembly's rounding.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Family:
    """What all systems of a sweep share.

    Attributes
    ----------
    terms : list of sparse (n, n)
    vectors : (n, Qf)
    symmetric : bool
    tolerance : float
        Relative residual.
    max_iterations : int
    reference : (Q,) or None
        theta of the multigrid prolongations; the first theta of the sweep where it is None.
    near_nullspace : (n, j) or None
    backend : str
        Direct back end, or "auto".
    """

    terms: list[sp.csr_array]
    vectors: np.ndarray
    symmetric: bool
    tolerance: float
    max_iterations: int
    reference: np.ndarray | None
    near_nullspace: np.ndarray | None
    backend: str

    @cached_property
    def pattern(self) -> AffinePattern:
        """Where A(theta) has entries."""
        return AffinePattern(self.terms if self.symmetric else [sp.csr_array(term.T) for term in self.terms])

    @property
    def inner_tolerance(self) -> float:
        """What iterations aim at, so that the check of their answer is no matter of the last bit."""
        return 0.99 * self.tolerance


class System:
    """A(theta) u = F phi, assembled when it is asked for."""

    def __init__(self, family: Family, theta: np.ndarray, phi: np.ndarray) -> None:
        self.family, self.theta, self.phi = family, theta, phi

    @cached_property
    def A(self) -> sp.csr_array:
        """A(theta) (n, n)."""
        return self.family.pattern.transposed(self.theta)

    @cached_property
    def b(self) -> np.ndarray:
        """F phi (n,)."""
        return self.family.vectors @ self.phi

    def residual(self, u: np.ndarray) -> float:
        """||b - A u|| / ||b||, or ||A u|| where b = 0."""
        scale = float(np.linalg.norm(self.b))
        return float(np.linalg.norm(self.b - self.A @ u)) / (scale or 1.0)


def checked_family(terms: Sequence[Any], vectors: Any, *, tolerance: float, max_iterations: int, reference: Any,
                   near_nullspace: Any, backend: str) -> Family:
    """The family of these terms (n, n) and vectors (n, Qf), as copies; terms that rounding made unsymmetric are mended.

    Raises
    ------
    ShapeError, InputError
        Shapes that do not fit, entries that are complex or not finite, numbers out of range.

    Examples
    --------
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0 - 1e-16, 2.0]]))
    >>> checked_family([A], np.ones((2, 1)), tolerance=1e-8, max_iterations=9, reference=None, near_nullspace=None,
    ...                backend="auto").symmetric
    True
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | np.floating) or not (
            0.0 < tolerance < 1.0):
        raise InputError(f"tolerance = {tolerance!r}; the rule is a number with 0 < tolerance < 1")
    check_whole("max_iterations", max_iterations, 1)
    if backend not in ("auto", *BACKENDS):
        raise ConfigError(f"no solver back end is called {backend!r}" + nearest(str(backend), ["auto", *BACKENDS]))
    F = real_array("the right-hand side vectors", vectors)
    if F.ndim != 2 or 0 in F.shape:
        raise ShapeError(f"the right-hand side vectors have shape {F.shape}; the rule is (n, Qf) with n and Qf of at "
                         "least 1, one column for each vector: for a single vector f give f[:, None]")
    if not len(terms):
        raise InputError("a sweep was given no terms; give the matrices A_q of A(theta) = sum_q theta_q A_q")
    matrices = [_checked(term, q, F.shape[0]) for q, term in enumerate(terms)]
    mended = list(takewhile(lambda term: term is not None, map(_symmetric, matrices)))
    symmetric = len(mended) == len(matrices)
    if symmetric:
        matrices = mended
    theta = None if reference is None else real_array("reference", reference)
    if theta is not None and theta.shape != (len(matrices),):
        raise ShapeError(f"reference has shape {theta.shape}; this family needs ({len(matrices)},)")
    modes = None if near_nullspace is None else real_array("near_nullspace", near_nullspace)
    if modes is not None and (modes.ndim != 2 or modes.shape[0] != F.shape[0] or modes.shape[1] == 0):
        raise ShapeError(f"near_nullspace has shape {modes.shape}; the rule is ({F.shape[0]}, j) with j of at least 1")
    return Family(matrices, F, symmetric, tolerance, max_iterations, theta, modes, backend)


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise InputError unless the value is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name} = {value!r}; the rule is a whole number from {least}")


def real_array(name: str, values: Any) -> np.ndarray:
    """A float64 copy of the values; InputError where they are complex or not finite."""
    array = np.asarray(values)
    if np.iscomplexobj(array):
        raise InputError(f"{name}: complex values; sweeps solve real systems, so give real and imaginary parts as a "
                         "system of twice the size")
    try:
        copy = np.array(array, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name} = {shown(values)} is no array of numbers; give numbers") from None
    if not np.isfinite(copy).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(copy))[0])
        raise InputError(f"{name}: the value at {list(at)} is {copy[at]}; give finite numbers")
    return copy


def _checked(term: Any, q: int, n: int) -> sp.csr_array:
    if np.shape(term) != (n, n):
        raise ShapeError(f"term {q} has shape {np.shape(term)} and the right-hand side vectors have {n} rows; the rule "
                         f"is (n, n) for the terms and (n, Qf) for the vectors, one column for each")
    if np.iscomplexobj(term if isinstance(term, np.ndarray) else term.data):
        raise InputError(f"term {q} is complex; sweeps solve real systems, so give real and imaginary parts as a "
                         "system of twice the size")
    A = sp.csr_array(term, dtype=float, copy=True)
    if not np.isfinite(A.data).all():
        raise InputError(f"term {q} has entries that are not finite (NaN or infinity); check its assembly")
    A.sum_duplicates()
    # Stored zeros cost time in every product and change nothing.
    A.eliminate_zeros()
    return A


def _symmetric(A: sp.csr_array) -> sp.csr_array | None:
    """A itself, A without the rounding by which it is not symmetric, or None."""
    skew = sp.csr_array(A - A.T)
    if not skew.nnz:
        return A
    if float(np.abs(skew.data).max()) > _ROUNDING * float(np.abs(A.data).max()):
        return None
    mended = sp.csr_array(0.5 * (A + A.T))
    mended.eliminate_zeros()
    return mended
