"""Nonlinear terms that act point by point: N(u) = T g(G u), with derivatives and with the rows of a few equations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.fom.nonlinear.point_jacobian import PointJacobian
from romflow.parameters.point_function import PointFunction

__all__ = ["PointTerm", "Restriction"]


class PointTerm:
    """N(u; mu, t) = test @ g(gather @ u, data; mu, t): linear in the values that g takes at P points.

    Finite elements: points are quadrature points, `gather` gives the field and its derivatives there, `test` holds
    weights times shape functions. Finite volumes: points are cells or faces. Values are ordered component by component:
    component i at point q is row i P + q.

    Parameters
    ----------
    test : sparse (n, c P)
    gather : sparse (a P, n)
    function : PointFunction
        g, with a inputs and c expressions.
    data : (d, P) array, optional
        What belongs to the points: d rows, one for each name in `function.data`; none by default.
    cells : (P,) array of int, optional
        Cell that a point belongs to; by default every point is its own.

    Attributes
    ----------
    evaluated : int
        Points at which g or its derivatives have been evaluated so far, counted once for each state.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit each other; values are not finite.

    Examples
    --------
    >>> cube = PointFunction(["a * u**3"], ["u"], [], ["a"])
    >>> term = PointTerm(sp.eye_array(2), sp.eye_array(2), cube)
    >>> term.evaluate(np.array([[1.0], [2.0]]), np.array([[0.5]]))
    array([[0.5],
           [4. ]])
    >>> term.jacobian(np.array([1.0, 2.0]), np.array([0.5])).toarray()
    array([[1.5, 0. ],
           [0. , 6. ]])
    >>> term.evaluated
    4
    """

    def __init__(self, test: sp.sparray, gather: sp.sparray, function: PointFunction, data: np.ndarray | None = None,
                 cells: np.ndarray | None = None) -> None:
        self.test, self.gather = _csr(test, "test"), _csr(gather, "gather")
        self.function = function
        self.P = _points(self.test, self.gather, function)
        self.data = np.empty((0, self.P)) if data is None else np.ascontiguousarray(data, dtype=np.float64)
        self.cells = np.arange(self.P) if cells is None else np.asarray(cells)
        if self.data.shape != (len(function.data), self.P) or self.cells.shape != (self.P,):
            raise ShapeError(f"data of points have shape {self.data.shape} and their cells {self.cells.shape}; the "
                             f"rule is ({len(function.data)}, {self.P}) and ({self.P},)")
        if not np.isfinite(self.data).all():
            raise InputError("data of points are not all finite; check the coordinates and coefficients")
        self.evaluated = 0

    @property
    def n(self) -> int:
        """Number of equations, and of unknowns."""
        return int(self.test.shape[0])

    def evaluate(self, U: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """N(U) (n, b) for states U (n, b) and parameters mu (b, p); one state (n,) and (p,) give (n,).

        Values that overflow come back as inf or NaN. Cost: two sparse products and c functions of P b points.
        """
        return _evaluated(self, U, mu, t)

    def jacobian(self, u: np.ndarray, mu: np.ndarray, t: float | None = None) -> sp.csc_array:
        """dN/du (n, n) at u (n,) and mu (p,); every matrix it returns shares one (read-only) pattern.

        Cost: one function for each pair (i, j) of `function.pairs` at P points, small dense products for each cell and
        one sum over their entries; no index is sorted after the first call.
        """
        slopes = self._slopes(u, mu, t)
        return self._scatter.matrix({pair: slope[:, 0] for pair, slope in slopes.items()})

    def derivative(self, u: np.ndarray, direction: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """(dN/du) d (n, j) at u (n,) and mu (p,) for directions d (n, j), without the matrix."""
        rates = (self.gather @ direction).reshape(len(self.function.inputs), self.P, -1)
        out = np.zeros((len(self.function), *rates.shape[1:]))
        for (i, j), slope in self._slopes(u, mu, t).items():
            out[i] += slope * rates[j]
        return np.asarray(self.test @ out.reshape(self.test.shape[1], -1))

    def parameter_derivative(self, name: str, u: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """dN/d name (n,) at u (n,) and mu (p,).

        Raises
        ------
        ConfigError
            There is no such parameter.
        """
        w = _gathered(self, u[:, None])
        self.evaluated += self.P
        values = self.function.parameter_derivative(name, w, self.data, mu[None], t)
        return np.asarray(self.test @ values.reshape(-1))

    def restrict(self, rows: np.ndarray) -> Restriction:
        """What the equations `rows` (m,) need: their points, and the unknowns that these points look at.

        Cost: indexing; nothing is evaluated.
        """
        rows = np.asarray(rows)
        picked = self.test[rows]
        points = np.unique(picked.indices % self.P)
        c, a = len(self.function), len(self.function.inputs)
        test = picked[:, (np.arange(c)[:, None] * self.P + points).ravel()]
        gather = self.gather[(np.arange(a)[:, None] * self.P + points).ravel()]
        dofs = np.unique(gather.indices)
        return Restriction(rows, dofs, sp.csr_array(test), sp.csr_array(gather[:, dofs]), self.function,
                           np.ascontiguousarray(self.data[:, points]), self.cells[points], points)

    def _slopes(self, u: np.ndarray, mu: np.ndarray, t: float | None) -> dict[tuple[int, int], np.ndarray]:
        w = _gathered(self, u[:, None])
        self.evaluated += self.P
        return self.function.derivatives(w, self.data, mu[None], t)

    @cached_property
    def _scatter(self) -> PointJacobian:
        return PointJacobian(self.test, self.gather, self.cells, self.function.pairs)

    @cached_property
    def _identity(self) -> bool:
        return _is_identity(self.gather)


@dataclass(eq=False)
class Restriction:
    """Some equations of a `PointTerm`, with the points and the unknowns that they need and no others.

    N(u)[rows] = test @ g(gather @ u[dofs], data; mu, t).

    Attributes
    ----------
    rows : (m,) array of int
    dofs : (s,) array of int
        Rising.
    test : csr (m, c P')
    gather : csr (a P', s)
    function : PointFunction
    data : (d, P')
    cells : (P',)
    points : (P',) array of int
        Points of the whole term.
    evaluated : int
        As for `PointTerm`.
    """

    rows: np.ndarray
    dofs: np.ndarray
    test: sp.csr_array
    gather: sp.csr_array
    function: PointFunction
    data: np.ndarray
    cells: np.ndarray
    points: np.ndarray
    evaluated: int = 0

    @property
    def P(self) -> int:
        """Number of points."""
        return int(self.points.size)

    def evaluate(self, values: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """N(U)[rows] (m, b) from the values U[dofs] (s, b) and mu (b, p); (s,) and (p,) give (m,)."""
        return _evaluated(self, values, mu, t)

    @cached_property
    def _identity(self) -> bool:
        return _is_identity(self.gather)


def _evaluated(term: PointTerm | Restriction, U: np.ndarray, mu: np.ndarray, t: float | None) -> np.ndarray:
    single = U.ndim == 1
    states, rows = (U[:, None], np.atleast_2d(mu)) if single else (U, mu)
    w = _gathered(term, states)
    term.evaluated += term.P * states.shape[1]
    values = term.function.values(w, term.data, rows, t)
    if single:
        return np.asarray(term.test @ values.reshape(-1))
    return np.asarray(term.test @ values.reshape(-1, states.shape[1]))


def _gathered(term: PointTerm | Restriction, U: np.ndarray) -> np.ndarray:
    """Values (a, P, b) of the states at the points."""
    if U.ndim != 2 or U.shape[0] != term.gather.shape[1]:
        raise ShapeError(f"states have shape {U.shape}; the rule is ({term.gather.shape[1]}, b)")
    values = U if term._identity else term.gather @ U
    return np.asarray(values).reshape(len(term.function.inputs), term.P, U.shape[1])


def _points(test: sp.csr_array, gather: sp.csr_array, function: PointFunction) -> int:
    c, a, n = len(function), len(function.inputs), test.shape[0]
    count = gather.shape[0] // a
    if test.shape != (n, c * count) or gather.shape != (a * count, n) or n == 0:
        raise ShapeError(f"test has shape {test.shape} and gather {gather.shape}; the rule is (n, {c} P) and "
                         f"({a} P, n) for one number P of points")
    return int(count)


def _is_identity(A: sp.csr_array) -> bool:
    n = A.shape[0]
    return bool(A.shape == (n, n) and A.nnz == n and (A.indices == np.arange(n)).all() and (A.data == 1.0).all()
                and (np.diff(A.indptr) == 1).all())


def _csr(matrix: sp.sparray, name: str) -> sp.csr_array:
    A = sp.csr_array(matrix).astype(np.float64, copy=False)
    A.sum_duplicates()
    if not np.isfinite(A.data).all():
        raise InputError(f"the matrix {name!r} of a nonlinear term has entries that are not finite; check its assembly")
    return A
