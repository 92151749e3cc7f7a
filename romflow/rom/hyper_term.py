"""Reduced nonlinear terms that look at a few points alone: interpolation of N(u) on a collateral basis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.parameters.point_function import PointFunction

__all__ = ["HyperReducedTerm"]

# Numbers of the weighted values behind a chunk of Jacobians: they stay in the cache.
_JACOBIAN_NUMBERS = 400_000
# Values at points that are made at once along trajectories: they stay in the cache.
_CACHED_NUMBERS = 50_000


@dataclass(eq=False)
class HyperReducedTerm:
    """V^T N(V x) evaluated at the points that the m interpolation rows need, whatever the mesh has.

    With a collateral basis U of the values N(u) and interpolation rows P, N(u) ~= U (P^T U)^+ P^T N(u) (Chaturantabut
    and Sorensen 2010, 3.1-3.4; Haasdonk, Ohlberger and Rozza 2008, section 3 for schemes of finite volumes). As
    P^T N(u) = test g(gather u, data; mu, t), all that is left online is

        V^T N(V x) ~= load g(gather V x, data; mu, t),    load = V^T U (P^T U)^+ test.

    Cost: 2 (a + c) P r flops and P evaluations of g a state; three times that for a derivative with r columns.

    Attributes
    ----------
    function : PointFunction
        g: a values of the state to c values.
    data : (d, P')
        The points that the solution needs come first.
    gather : (a, P', r)
        Values of the basis at the points.
    load : (r, c, P)
        P <= P' points of the solution.
    wide : (m', c, P')
        g to coefficients on the larger collateral basis, of which the residual is made.
    evaluated : int
        How often g has been evaluated at a point so far.

    Examples
    --------
    >>> g = PointFunction(["u**2"], ["u"], [], ["a"])
    >>> term = HyperReducedTerm(g, np.empty((0, 1)), np.ones((1, 1, 1)), np.full((1, 1, 1), 3.0), np.ones((1, 1, 1)))
    >>> term.project(np.array([[2.0, 5.0]]), np.zeros((2, 1)))
    array([[12., 75.]])
    >>> term.jacobian(np.array([[2.0, 5.0]]), np.zeros((2, 1))).ravel()
    array([12., 30.])
    >>> term.evaluated
    4
    """

    function: PointFunction
    data: np.ndarray
    gather: np.ndarray
    load: np.ndarray
    wide: np.ndarray
    evaluated: int = field(default=0, compare=False)

    @classmethod
    def build(cls, restriction: Any, V: np.ndarray, collateral: np.ndarray, modes: int,
              points: int) -> HyperReducedTerm:
        """The term on a basis, from its restriction to the interpolation rows.

        Parameters
        ----------
        restriction : Restriction
            What a nonlinear term answers to `restrict(rows)`: rows (m',), dofs (s,), test (m', c P'), gather (a P', s),
            function, data (d, P').
        V : (n, r)
        collateral : (n, q')
            Nested basis of the values N(u).
        modes, points : int
            The first `modes` columns and the first `points` rows give the solution; all of them, its residual.

        Raises
        ------
        InputError
            More modes than rows, or the rows do not determine the modes.
        """
        rows, a = restriction.rows, len(restriction.function.inputs)
        total = restriction.test.shape[1] // len(restriction.function)
        test = restriction.test.toarray().reshape(len(rows), -1, total)
        small = interpolation(collateral[:, :modes], rows[:points], test[:points].reshape(points, -1))
        wide = interpolation(collateral, rows, test.reshape(len(rows), -1)).reshape(-1, *test.shape[1:])
        load = (V.T @ collateral[:, :modes] @ small).reshape(V.shape[1], *test.shape[1:])
        needed = np.any(test[:points] != 0.0, axis=(0, 1))
        order = np.argsort(~needed, kind="stable")
        gather = (restriction.gather @ V[restriction.dofs]).reshape(a, total, V.shape[1])
        return cls(restriction.function, np.ascontiguousarray(restriction.data[:, order]), gather[:, order],
                   np.ascontiguousarray(load[:, :, order[:np.count_nonzero(needed)]]), wide[:, :, order])

    @property
    def size(self) -> int:
        """Number r of basis vectors."""
        return int(self.gather.shape[2])

    @property
    def points(self) -> int:
        """Number P of points at which g is evaluated for a solution."""
        return int(self.load.shape[2])

    def project(self, x: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """V^T N(V x; mu, t) (r, b) for coefficients x (r, b) and parameters mu (b, p)."""
        g = self.function.values(self._states(self._gather, x), self._data, mu, t)
        self._count(g)
        return self._load @ _flat(g)

    def jacobian(self, x: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """Derivatives of `project` (b, r, r) with respect to x."""
        b, r = x.shape[1], self.size
        J = np.empty((b, r, r))
        chunk = max(1, _JACOBIAN_NUMBERS // max(1, self._gather.size))
        for start in range(0, b, chunk):
            part = slice(start, start + chunk)
            J[part] = self._jacobian(x[:, part], mu[part], t)
        return J

    def parameter_derivative(self, name: str, x: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """Derivatives of `project` (r, b) with respect to a parameter, at fixed x."""
        g = self.function.parameter_derivative(name, self._states(self._gather, x), self._data, mu, t)
        self._count(g)
        return self._load @ _flat(g)

    def coefficients(self, x: np.ndarray, mu: np.ndarray, t: float | None = None) -> np.ndarray:
        """Coefficients (m', b) of N(V x; mu, t) on the larger collateral basis."""
        w = self._states(np.reshape(self.gather, (self.data.shape[1] * len(self.gather), self.size)), x)
        g = self.function.values(w, self.data, mu, t)
        self._count(g)
        return self._wide @ _flat(g)

    def project_along(self, X: np.ndarray, mu: np.ndarray, times: np.ndarray) -> np.ndarray:
        """V^T N(V x) (K, r, b) along reduced trajectories X (K, r, b) at the times (K,)."""
        return self._along(self.project, self.size, X, mu, times)

    def coefficients_along(self, X: np.ndarray, mu: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Coefficients (K, m', b) along reduced trajectories X (K, r, b) at the times (K,).

        Where g does not depend on the time, few calls serve all times: a short batch costs as little as a long one.
        """
        return self._along(self.coefficients, len(self.wide), X, mu, times)

    def truncate(self, size: int) -> HyperReducedTerm:
        """The term on the first `size` basis vectors, by slicing alone."""
        return replace(self, gather=np.ascontiguousarray(self.gather[:, :, :size]), load=self.load[:size], evaluated=0)

    def rotated(self, G: np.ndarray) -> HyperReducedTerm:
        """The term on the basis V G, for G (r, r')."""
        return replace(self, gather=np.ascontiguousarray(self.gather @ G), load=np.tensordot(G, self.load, (0, 0)),
                       evaluated=0)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays, in the group "term" of a model file, and JSON metadata."""
        return ({"term/data": self.data, "term/gather": self.gather, "term/load": self.load, "term/wide": self.wide},
                {"function": self.function.to_spec()})

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> HyperReducedTerm:
        """The term that `to_arrays` described."""
        return cls(PointFunction.from_spec(metadata["function"]), arrays["term/data"], arrays["term/gather"],
                   arrays["term/load"], arrays["term/wide"])

    def _along(self, function: Callable[..., np.ndarray], rows: int, X: np.ndarray, mu: np.ndarray,
               times: np.ndarray) -> np.ndarray:
        K, r, b = X.shape
        timed = "t" in self.function.columns
        count = 1 if timed else max(1, _CACHED_NUMBERS // max(1, self.data.shape[1] * b))
        out = np.empty((K, rows, b))
        for start in range(0, K, count):
            part = slice(start, min(start + count, K))
            x = X[part].transpose(1, 0, 2).reshape(r, (part.stop - start) * b)
            values = function(x, np.tile(mu, (part.stop - start, 1)), float(times[start]) if timed else None)
            out[part] = values.reshape(rows, part.stop - start, b).transpose(1, 0, 2)
        return out

    def _jacobian(self, x: np.ndarray, mu: np.ndarray, t: float | None) -> np.ndarray:
        """One product with the gathered basis for the whole batch; the sum over the values of g comes before it."""
        a, P, r = len(self.function.inputs), self.points, self.size
        slopes = self.function.derivatives(self._states(self._gather, x), self._data, mu, t)
        weighted = np.zeros((x.shape[1], r, a, P))
        for (i, j), slope in slopes.items():
            weighted[:, :, j] += self.load[:, i] * slope.T[:, None]
        self.evaluated += P * x.shape[1]
        return (weighted.reshape(x.shape[1] * r, a * P) @ self._gather).reshape(x.shape[1], r, r)

    def _states(self, gather: np.ndarray, x: np.ndarray) -> np.ndarray:
        if x.ndim != 2 or x.shape[0] != self.size:
            raise ShapeError(f"coefficients have shape {x.shape}; the rule is ({self.size}, b), one column a state")
        return (gather @ x).reshape(len(self.gather), len(gather) // len(self.gather), x.shape[1])

    def _count(self, g: np.ndarray) -> None:
        self.evaluated += g.shape[1] * g.shape[2]

    @cached_property
    def _gather(self) -> np.ndarray:
        return np.reshape(self.gather[:, :self.points], (len(self.gather) * self.points, self.size))

    @cached_property
    def _data(self) -> np.ndarray:
        return np.ascontiguousarray(self.data[:, :self.points])

    @cached_property
    def _load(self) -> np.ndarray:
        return np.reshape(self.load, (self.size, len(self.function) * self.points))

    @cached_property
    def _wide(self) -> np.ndarray:
        return np.reshape(self.wide, (len(self.wide), self.wide.shape[1] * self.wide.shape[2]))


def _flat(g: np.ndarray) -> np.ndarray:
    """Values (c, P, b) as (c P, b)."""
    return g.reshape(g.shape[0] * g.shape[1], g.shape[2])


def interpolation(U: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(P^T U)^+ values (m, j) for a basis U (n, m) and values (k, j) at k >= m rows: least squares where k > m.

    Raises
    ------
    InputError
        Fewer rows than modes, or the rows do not determine the modes.

    Examples
    --------
    >>> interpolation(np.array([[1.0], [2.0], [2.0]]), np.array([0, 1]), np.array([[2.0], [4.0]]))
    array([[2.]])
    """
    m = U.shape[1]
    sampled = U[rows]
    if len(rows) < m or np.linalg.matrix_rank(sampled) < m:
        raise InputError(f"{len(rows)} interpolation rows do not determine {m} collateral modes; take fewer modes, or "
                         "other rows")
    return np.linalg.lstsq(sampled, values, rcond=None)[0]
