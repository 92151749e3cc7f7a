"""Affine operators, vectors and outputs: sums of parameter-free terms with parameter-dependent coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import shown
from romflow.linalg.affine_pattern import AffinePattern
from romflow.parameters.expressions import Theta


class AffineOperator:
    """A(mu) = sum_q theta_q(mu) A_q on one sparsity pattern, the union of the patterns of its terms.

    Parameters
    ----------
    theta : Theta
        Q coefficients.
    matrices : sequence of sparse (n, m)
        Q terms; kept as CSR with sorted, unique entries.

    Raises
    ------
    ShapeError
        The number of terms is not the number of coefficients, or their shapes differ.
    InputError
        A term is not real or not finite.

    Examples
    --------
    >>> terms = [sp.diags_array([1.0, 0.0]), sp.diags_array([0.0, 1.0])]
    >>> operator = AffineOperator(Theta(["a", "2 * b"], ["a", "b"]), terms)
    >>> operator.assemble(np.array([3.0, 5.0])).toarray()
    array([[ 3.,  0.],
           [ 0., 10.]])
    """

    def __init__(self, theta: Theta, matrices: Sequence[sp.sparray]) -> None:
        _check_count(theta, len(matrices), "operator", "matrices")
        if not matrices:
            raise ShapeError("an affine operator has no terms; give at least one matrix")
        self.theta = theta
        self.matrices = [_csr(matrix, q) for q, matrix in enumerate(matrices)]
        self.shape = self.matrices[0].shape
        for q, matrix in enumerate(self.matrices):
            if matrix.shape != self.shape:
                raise ShapeError(f"operator term {q} has shape {matrix.shape}; term 0 has {self.shape}, and the rule "
                                 "is one shape for all")

    @property
    def Q(self) -> int:
        """Number of terms."""
        return len(self.matrices)

    @cached_property
    def symmetric(self) -> bool:
        """Whether every term equals its transpose, entry by entry and exactly."""
        return self.shape[0] == self.shape[1] and all((A != A.T).nnz == 0 for A in self.matrices)

    def assemble(self, mu: np.ndarray) -> sp.csc_array:
        """A(mu) for mu (p,): one sparse product for the values; indices are shared by all the matrices it returns.

        Cost: two operations an entry of a term. The pattern holds every entry of every term, also where
        theta_q(mu) = 0, so that a symbolic factorisation serves all mu. Its index arrays are read-only.
        """
        return self.combine(self._coefficients(mu))

    def combine(self, coefficients: np.ndarray) -> sp.csc_array:
        """sum_q c_q A_q for coefficients c (Q,), on the pattern of `assemble`."""
        return self._pattern.csc(coefficients)

    def apply(self, V: np.ndarray) -> np.ndarray:
        """A_q V (Q, n, j) for V (m, j): each term touches its own rows only."""
        V = np.asarray(V, dtype=np.float64)
        if V.ndim != 2 or V.shape[0] != self.shape[1]:
            raise ShapeError(f"the operator of shape {self.shape} is applied to an array of shape {V.shape}; the rule "
                             f"is ({self.shape[1]}, j)")
        out = np.zeros((self.Q, self.shape[0], V.shape[1]))
        for q, (rows, compressed) in enumerate(self._compressed):
            out[q, rows] = compressed @ V
        return out

    def project(self, V: np.ndarray, W: np.ndarray | None = None) -> np.ndarray:
        """W^T A_q V (Q, s, r) for V (m, r), W (n, s); W = V where it is not given."""
        V = np.asarray(V, dtype=np.float64)
        W = V if W is None else np.asarray(W, dtype=np.float64)
        for name, basis, length in (("V", V, self.shape[1]), ("W", W, self.shape[0])):
            if basis.ndim != 2 or basis.shape[0] != length:
                raise ShapeError(f"{name} has shape {basis.shape}; the operator {self.shape} needs ({length}, r)")
        return np.stack([W[rows].T @ (compressed @ V) for rows, compressed in self._compressed])

    def restrict(self, rows: np.ndarray) -> AffineOperator:
        """The operator (len(rows), m) of these rows."""
        return AffineOperator(self.theta, [A[np.asarray(rows)] for A in self.matrices])

    def _coefficients(self, mu: np.ndarray) -> np.ndarray:
        return _one(self.theta, mu)

    @cached_property
    def _compressed(self) -> list[tuple[np.ndarray, sp.csr_array]]:
        """(rows that hold entries, the term on these rows) of each term."""
        rows = [np.flatnonzero(np.diff(A.indptr)) for A in self.matrices]
        return [(r, A if r.size == A.shape[0] else A[r]) for r, A in zip(rows, self.matrices, strict=True)]

    @cached_property
    def _pattern(self) -> AffinePattern:
        return AffinePattern(self.matrices)


class AffineVector:
    """f(mu) = sum_q theta_q(mu) f_q.

    Parameters
    ----------
    theta : Theta
        Q coefficients.
    vectors : (n, Q) array

    Raises
    ------
    ShapeError, InputError
        The number of columns is not the number of coefficients; values are not finite.

    Examples
    --------
    >>> AffineVector(Theta(["a", "1"], ["a"]), np.array([[1.0, 1.0], [2.0, 0.0]])).assemble(np.array([3.0]))
    array([4., 6.])
    """

    def __init__(self, theta: Theta, vectors: np.ndarray) -> None:
        self.theta = theta
        self.vectors = _finite(vectors, "right-hand side")
        if self.vectors.ndim != 2:
            raise ShapeError(f"the right-hand side has shape {self.vectors.shape}; the rule is (n, Q)")
        _check_count(theta, self.vectors.shape[1], "right-hand side", "columns")

    @property
    def Q(self) -> int:
        """Number of terms."""
        return int(self.vectors.shape[1])

    def assemble(self, mu: np.ndarray) -> np.ndarray:
        """f(mu) (n,) for mu (p,)."""
        return self.vectors @ _one(self.theta, mu)

    def project(self, W: np.ndarray) -> np.ndarray:
        """W^T f_q as rows (Q, r) for W (n, r)."""
        return self.vectors.T @ W


class AffineOutputs:
    """Outputs s_i(mu) = sum_q theta_q(mu) L_q[i] u, linear in the state.

    Parameters
    ----------
    names : sequence of str
        o names, all different.
    theta : Theta
        Q coefficients.
    functionals : (Q, o, n) array

    Raises
    ------
    ShapeError, InputError, ConfigError
        Shapes do not fit, values are not finite, a name is used twice.

    Examples
    --------
    >>> outputs = AffineOutputs(["mean"], Theta(["1"], ["a"]), np.array([[[0.5, 0.5]]]))
    >>> outputs.evaluate(np.array([[1.0], [3.0]]), np.array([[9.0]]))
    array([[2.]])
    """

    def __init__(self, names: Sequence[str], theta: Theta, functionals: np.ndarray) -> None:
        self.names = tuple(names)
        self.theta = theta
        self.functionals = _finite(functionals, "outputs")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"the outputs {', '.join(self.names)} hold a name twice; give each its own")
        if self.functionals.ndim != 3 or self.functionals.shape[1] != len(self.names):
            raise ShapeError(f"the functionals of {len(self.names)} outputs have shape {self.functionals.shape}; the "
                             f"rule is (Q, {len(self.names)}, n)")
        _check_count(theta, self.functionals.shape[0], "outputs", "functionals")

    def evaluate(self, U: np.ndarray, mu: np.ndarray) -> np.ndarray:
        """Outputs (o, b) of the states U (n, b) at mu (b, p)."""
        if U.ndim != 2 or mu.ndim != 2 or U.shape != (self.functionals.shape[2], mu.shape[0]):
            raise ShapeError(f"states have shape {U.shape} and parameters {mu.shape}; the rule is "
                             f"({self.functionals.shape[2]}, b) and (b, p)")
        return np.einsum("bq,qob->ob", self.theta(mu), self.functionals @ U)

    def project(self, V: np.ndarray) -> np.ndarray:
        """Functionals on a basis: L_q V (Q, o, r) for V (n, r)."""
        return self.functionals @ V


def _one(theta: Theta, mu: np.ndarray) -> np.ndarray:
    """theta (Q,) at one parameter, (p,) or (1, p)."""
    row = np.atleast_2d(np.asarray(mu, dtype=np.float64))
    if row.shape != (1, len(theta.columns)):
        raise ShapeError(f"mu has shape {np.shape(mu)}; assembling needs one parameter ({len(theta.columns)},)")
    return np.asarray(theta(row)[0], dtype=np.float64)


def _check_count(theta: Theta, terms: int, owner: str, what: str) -> None:
    if len(theta.expressions) != terms:
        raise ShapeError(f"the {owner} has {terms} {what} and {len(theta.expressions)} theta coefficients; the rule is "
                         "one coefficient for each")


def _csr(matrix: Any, q: int) -> sp.csr_array:
    result = sp.csr_array(matrix, copy=True)
    if result.ndim != 2:
        raise ShapeError(f"operator term {q} has shape {result.shape}; the rule is a matrix (n, m)")
    if result.dtype.kind not in "iufb":
        raise InputError(f"operator term {q} has type {result.dtype}; the rule is real numbers")
    if not np.isfinite(result.data).all():
        raise InputError(f"operator term {q} has entries that are not finite (NaN or infinity); check its assembly")
    result = result.astype(np.float64, copy=False)
    result.sum_duplicates()
    return result


def _finite(values: Any, owner: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise InputError(f"the {owner} has type {array.dtype}; the rule is real numbers ({shown(array.shape)})")
    if not np.isfinite(array).all():
        raise InputError(f"the {owner} has values that are not finite (NaN or infinity); check the assembly")
    return np.ascontiguousarray(array, dtype=np.float64)
