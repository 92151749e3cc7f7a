"""The partial derivatives of the coefficients of an affine decomposition: only those that are not zero."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ShapeError
from romflow.parameters.calculus import derivative
from romflow.parameters.expressions import Theta

__all__ = ["ThetaJacobian", "theta_jacobian"]

Array = NDArray[np.float64]


class ThetaJacobian:
    """d theta_q / d mu_j for the N pairs (q, j) in which it is not zero everywhere.

    Where a coefficient has a kink (``abs``, ``min``, ``max``), the derivative is the mean of those of both sides.

    Parameters
    ----------
    theta : Theta
        Q coefficients.
    names : sequence of str, optional
        Columns to differentiate by, in their order; default: all the columns of theta.

    Attributes
    ----------
    terms : (N,) int
        q of each pair.
    columns : (N,) int
        j of each pair, not falling.

    Raises
    ------
    ConfigError
        A name is not a column of theta.

    Examples
    --------
    >>> jacobian = ThetaJacobian(Theta(["a", "1", "a * b"], ["a", "b"]))
    >>> list(zip(jacobian.terms.tolist(), jacobian.columns.tolist()))
    [(0, 0), (2, 0), (2, 1)]
    >>> jacobian(np.array([[3.0, 5.0]]))
    array([[1., 5., 3.]])
    """

    terms: NDArray[np.intp]
    columns: NDArray[np.intp]

    def __init__(self, theta: Theta, names: Sequence[str] | None = None) -> None:
        self.names = theta.columns if names is None else tuple(names)
        used = [{theta.columns[value] for kind, value in program if kind == "column"} for program in theta.programs]
        terms: list[int] = []
        columns: list[int] = []
        texts: list[str] = []
        for j, name in enumerate(self.names):
            found = [q for q, words in enumerate(used) if name in words]
            partial = derivative(Theta([theta.expressions[q] for q in found], theta.columns), name)
            kept = [(q, text) for q, text in zip(found, partial.expressions, strict=True) if not _is_zero(text)]
            terms += [q for q, _ in kept]
            columns += [j] * len(kept)
            texts += [text for _, text in kept]
        self.terms, self.columns = np.array(terms, dtype=np.intp), np.array(columns, dtype=np.intp)
        self._theta, self.Q = Theta(texts, theta.columns), len(theta)
        self._filled, self._starts = np.unique(self.columns, return_index=True)

    def __len__(self) -> int:
        return len(self.terms)

    def __call__(self, mu: ArrayLike) -> Array:
        """The nonzero derivatives (b, N) at mu (b, p).

        Raises
        ------
        ShapeError
            mu does not have p columns.
        ParameterError
            A derivative is not finite at a row of mu, such as that of sqrt at 0.
        """
        return self._theta(mu)

    def contract(self, mu: ArrayLike, parts: NDArray[Any]) -> Array:
        """sum_q (d theta_q / d mu_j)(mu) parts_q as (j, k, b), for parts (Q, k, b) or, the same for all mu, (Q, k, 1).

        Cost: 2 N k b operations; no loop over b.

        Raises
        ------
        ShapeError, ParameterError
            As `__call__`, and where the parts do not fit.
        """
        weights = self(mu)
        b = weights.shape[0]
        if parts.ndim != 3 or parts.shape[0] != self.Q or parts.shape[2] not in (1, b):
            raise ShapeError(f"the parts have shape {parts.shape}; the rule is ({self.Q}, k, {b}) or ({self.Q}, k, 1)")
        total = np.zeros((len(self.names), parts.shape[1], b))
        if len(self):
            total[self._filled] = np.add.reduceat(weights.T[:, None, :] * parts[self.terms], self._starts, axis=0)
        return total


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0.0
    except ValueError:
        return False


def theta_jacobian(theta: Theta, names: Sequence[str] | None = None) -> ThetaJacobian:
    """`ThetaJacobian` of these coefficients, differentiated once for all who ask with the same texts and names.

    Examples
    --------
    >>> theta = Theta(["2 * a"], ["a"])
    >>> theta_jacobian(theta) is theta_jacobian(Theta(["2 * a"], ["a"]))
    True
    """
    return _cached(theta.expressions, theta.columns, theta.columns if names is None else tuple(names))


@lru_cache(maxsize=256)
def _cached(expressions: tuple[str, ...], columns: tuple[str, ...], names: tuple[str, ...]) -> ThetaJacobian:
    return ThetaJacobian(Theta(expressions, columns), names)
