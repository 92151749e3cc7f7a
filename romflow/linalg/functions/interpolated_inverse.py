"""P(theta) = sum_i w_i(theta) A(theta_i)^{-1}, the combination of kept factorisations that is nearest to A(theta)^{-1}.

The weights minimise || (I - P(theta) A(theta)) Omega ||_F with Omega (n, K) random (Zahm and Nouy 2016, section 2).
With A(theta) = sum_q theta_q A_q everything that depends on n is tabulated when a factorisation is added, so that the
weights of one theta cost a least-squares problem of d unknowns. Two departures from the paper: the table is sampled
on the left as well, Psi^T A_i^{-1} A_q Omega, so that a symmetric A needs L solves for each factor rather than K Q;
and least squares by QR of the table instead of its Gram matrix, whose square root of the rounding unit is a floor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.optimize import nnls
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import InputError, ShapeError, SolveFailed

# Samples wanted for each weight: fewer, and the fitted residual says little about the true one.
_SAMPLES_A_WEIGHT = 4
_MEMORY = 2**31


class Factor(Protocol):
    """A factorised matrix: ``solve(B (n, j)) -> A^{-1} B``."""

    def solve(self, B: np.ndarray) -> np.ndarray: ...


class InterpolatedInverse:
    """Weights (d,), preconditioner and residual of P(theta); P(theta_i) = A(theta_i)^{-1} at the chosen points.

    Cost of a factor of a symmetric A with nonzeros nnz: L solves, K Q nnz for the products with Omega and n K L Q
    flops for the samples (of a non-symmetric A, or with rows = None: K Q solves). Memory: K + L columns of length n and
    d Q K L numbers are kept. Cost of the weights of one theta: (1 + d Q) d (Q + d) flops,
    whatever n. Cost of a product with P: one solve for each weight that is not zero.

    Parameters
    ----------
    matrices : Q sparse (n, n)
        The affine terms.
    factors : d objects with ``solve``
    thetas : (d, Q)
        Coefficients of the factorised matrices.
    columns : int
        K, columns of Omega.
    rows : int or None
        L, columns of Psi. None samples on the right alone, as the paper does: d Q n K numbers are kept.
    seed : int
    symmetric : bool, optional
        Whether all terms are symmetric; None looks.

    Raises
    ------
    ShapeError, InputError
        Shapes do not fit, entries that are not finite, fewer than 4 samples (K L) for each factor.
    SolveFailed
        A factor gave values that are not finite.

    Examples
    --------
    >>> from scipy.sparse.linalg import splu
    >>> terms = [sp.eye_array(50, format="csr"), sp.diags_array(np.linspace(0.0, 1.0, 50), format="csr")]
    >>> thetas = np.array([[1.0, 0.0], [1.0, 3.0], [1.0, 9.0]])
    >>> factors = [splu((a * terms[0] + b * terms[1]).tocsc()) for a, b in thetas]
    >>> inverse = InterpolatedInverse(terms, factors, thetas)
    >>> bool(np.allclose(inverse.weights(thetas[1]), [0.0, 1.0, 0.0], atol=1e-12))
    True
    >>> inverse.residual(np.array([1.0, 5.0])) < 0.02
    True
    """

    def __init__(self, matrices: Sequence[sp.sparray], factors: Sequence[Factor], thetas: np.ndarray,
                 columns: int = 16, rows: int | None = 16, seed: int = 0, *, symmetric: bool | None = None) -> None:
        if len(matrices) == 0 or len(factors) != len(thetas):
            raise ShapeError(f"{len(matrices)} matrices, {len(factors)} factors and {len(thetas)} thetas; the rule is "
                             "at least one matrix, and one theta for each factor")
        self.matrices = [_checked(A, q, matrices[0].shape) for q, A in enumerate(matrices)]
        if columns < 1 or (rows is not None and rows < 1):
            raise InputError(f"columns is {columns} and rows is {rows}; the rule is at least 1 (or rows = None)")
        self.n, self.terms = self.matrices[0].shape[0], len(self.matrices)
        self.columns, self.rows, self.seed = columns, rows, seed
        self.symmetric = all(abs(A - A.T).max() <= 1e-12 * abs(A).max() for A in self.matrices) \
            if symmetric is None else symmetric
        rng = np.random.default_rng(seed)
        self._omega = rng.standard_normal((self.n, columns))
        self._psi = None if rows is None else rng.standard_normal((self.n, rows))
        self._identity = (self._omega if self._psi is None else self._psi.T @ self._omega).ravel()
        self.thetas = np.empty((0, self.terms))
        self.factors: list[Factor] = []
        self._samples: list[np.ndarray] = []
        self._small: np.ndarray | None = None
        for theta, factor in zip(thetas, factors, strict=True):
            self.add(theta, factor)

    @property
    def size(self) -> int:
        """Number d of factors."""
        return len(self.factors)

    def add(self, theta: np.ndarray, factor: Factor) -> None:
        """Take one more factorisation, of A(theta) with theta (Q,), into the combination."""
        theta, samples = self._coefficients(theta), self._identity.size
        if samples < _SAMPLES_A_WEIGHT * (self.size + 1):
            raise InputError(f"{samples} samples (columns x rows) for {self.size + 1} factors; the rule is at least "
                             f"{_SAMPLES_A_WEIGHT} a factor: make a new combination with more columns or rows")
        if 8 * samples * self.terms * (self.size + 1) > _MEMORY:
            raise InputError(f"{self.size + 1} factors and {self.terms} terms would keep "
                             f"{8e-9 * samples * self.terms * (self.size + 1):.1f} GB of samples; give `rows` (now "
                             f"{self.rows}), or fewer columns")
        table = self._sampled(factor)
        if not np.isfinite(table).all():
            raise SolveFailed("a factor gave values that are not finite; the matrix at this theta is singular",
                              {"theta": theta.tolist()})
        self._samples.append(table)
        self.factors.append(factor)
        self.thetas = np.vstack([self.thetas, theta])
        self._small = None

    def weights(self, theta: np.ndarray, *, nonnegative: bool = False, terms: int | None = None) -> np.ndarray:
        """Minimiser w (d,) of ||(I - P A(theta)) Omega||_F; a unit vector at a chosen point.

        Parameters
        ----------
        theta : (Q,)
        nonnegative : bool
            Only w >= 0: P is then positive definite where all A(theta_i) are, as conjugate gradients need.
        terms : int, optional
            At most that many weights that are not zero, found one by one (orthogonal matching pursuit).
        """
        return self._fitted(theta, nonnegative, terms)[0]

    def residual(self, theta: np.ndarray, *, nonnegative: bool = False, terms: int | None = None) -> float:
        """Estimate of ||I - P(theta) A(theta)||_F / ||I||_F for the weights with these options.

        The residual of the fit, enlarged by (1 - d / samples)^{-1/2} for having been fitted to the samples.
        """
        w, misfit = self._fitted(theta, nonnegative, terms)
        used = np.count_nonzero(w) / self._identity.size
        return float(misfit / np.linalg.norm(self._identity) / np.sqrt(1.0 - used))

    def preconditioner(self, theta: np.ndarray, *, nonnegative: bool = False,
                       terms: int | None = None) -> LinearOperator:
        """P(theta) as an operator v -> P v, also callable; symmetric where the matrices are.

        For conjugate gradients P must be positive definite too: it is with `nonnegative`, and whenever
        ||I - P A||_2 < 1; where `residual` is not small against 1 / sqrt(n), take `nonnegative`.
        """
        w = self.weights(theta, nonnegative=nonnegative, terms=terms)
        parts = [(w[i], self.factors[i]) for i in np.flatnonzero(w)]

        def apply(B: np.ndarray) -> np.ndarray:
            return sum((weight * factor.solve(B) for weight, factor in parts), np.zeros(B.shape))

        return LinearOperator((self.n, self.n), matvec=apply, matmat=apply, dtype=float)

    def _fitted(self, theta: np.ndarray, nonnegative: bool, terms: int | None) -> tuple[np.ndarray, float]:
        theta = self._coefficients(theta)
        if self.size == 0:
            raise InputError("the combination holds no factor yet; add one before asking for weights")
        if terms is not None and terms < 1:
            raise InputError(f"terms is {terms}; the rule is at least 1")
        table = self._compressed()
        target, B = table[:, 0], table[:, 1:].reshape(len(table), self.size, self.terms) @ theta
        fit = _nonnegative if nonnegative else _least_squares
        if terms is None or terms >= self.size:
            w = fit(B, target)
        else:
            w = _pursuit(B, target, terms, fit, signed=not nonnegative)
        return w, float(np.linalg.norm(target - B @ w))

    def _compressed(self) -> np.ndarray:
        """[identity, samples of every factor and term] up to an orthogonal factor: (min(samples, 1 + d Q), 1 + d Q)."""
        if self._small is None:
            table = np.vstack([self._identity[None], *self._samples]).T
            self._small = sl.qr(table, mode="economic")[1] if table.shape[0] > table.shape[1] else table
        return self._small

    def _sampled(self, factor: Factor) -> np.ndarray:
        """Psi^T A_i^{-1} A_q Omega for every q, (Q, samples)."""
        if self._psi is not None and self.symmetric:
            Y = factor.solve(self._psi)
            return np.stack([(Y.T @ (A @ self._omega)).ravel() for A in self.matrices])
        products = (factor.solve(A @ self._omega) for A in self.matrices)
        return np.stack([(Z if self._psi is None else self._psi.T @ Z).ravel() for Z in products])

    def _coefficients(self, theta: np.ndarray) -> np.ndarray:
        theta = np.asarray(theta, dtype=float)
        if theta.shape != (self.terms,):
            raise ShapeError(f"theta has shape {theta.shape}; the rule is ({self.terms},), one for each matrix")
        if not np.isfinite(theta).all():
            raise InputError(f"theta is {theta.tolist()}; the rule is finite coefficients")
        return theta


def greedy_inverse(matrices: Sequence[sp.sparray], factorise: Callable[[sp.csr_array], Factor], candidates: np.ndarray,
                   size: int, tolerance: float = 0.0, **options: int | bool | None) -> InterpolatedInverse:
    """Factorises at the candidate with the largest residual, from the most central one on, until `size` or tolerance.

    The largest ||I - P A||_F / ||I||_F over the candidates does not increase. Cost: `size` factorisations and the
    weights of all candidates after each.

    Parameters
    ----------
    matrices : Q sparse (n, n)
    factorise : callable A -> Factor
    candidates : (c, Q)
    size : int
        Largest number of factors.
    tolerance : float
        Stop where the largest residual over the candidates is at most this.
    **options
        As for `InterpolatedInverse`.

    Examples
    --------
    >>> from scipy.sparse.linalg import splu
    >>> terms = [sp.eye_array(50, format="csr"), sp.diags_array(np.linspace(0.0, 1.0, 50), format="csr")]
    >>> candidates = np.stack([np.ones(30), np.linspace(0.0, 9.0, 30)], axis=1)
    >>> greedy_inverse(terms, lambda A: splu(A.tocsc()), candidates, 9, 1e-3).size
    5
    """
    candidates = np.asarray(candidates, dtype=float)
    if candidates.ndim != 2 or len(candidates) == 0 or size < 1:
        raise InputError(f"candidates have shape {candidates.shape} and size is {size}; the rule is (c, Q) and at "
                         "least 1")
    made = InterpolatedInverse(matrices, [], np.empty((0, len(matrices))), **options)  # type: ignore[arg-type]
    spread = np.ptp(candidates, axis=0)
    spread[spread == 0.0] = 1.0
    at = int(np.argmin(np.abs((candidates - candidates.mean(axis=0)) / spread).max(axis=1)))
    while True:
        made.add(candidates[at], factorise(_assembled(made.matrices, candidates[at])))
        residuals = np.array([made.residual(theta) for theta in candidates])
        at = int(np.argmax(residuals))
        if made.size >= min(size, len(candidates)) or residuals[at] <= tolerance:
            return made


def _assembled(matrices: Sequence[sp.csr_array], theta: np.ndarray) -> sp.csr_array:
    return sp.csr_array(sum(value * A for value, A in zip(theta, matrices, strict=True)))


def _checked(A: sp.sparray, q: int, shape: tuple[int, ...]) -> sp.csr_array:
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape != shape:
        raise ShapeError(f"term {q} has shape {A.shape} and the first {shape}; the rule is square matrices of one "
                         "shape")
    A = sp.csr_array(A)
    if not np.isfinite(A.data).all():
        raise InputError(f"term {q} has entries that are not finite; check its assembly")
    return A


def _least_squares(B: np.ndarray, target: np.ndarray) -> np.ndarray:
    scale = np.linalg.norm(B, axis=0)
    scale[scale == 0.0] = 1.0
    return np.asarray(sl.lstsq(B / scale, target, cond=1e-13, lapack_driver="gelsy")[0]) / scale


def _nonnegative(B: np.ndarray, target: np.ndarray) -> np.ndarray:
    scale = np.linalg.norm(B, axis=0)
    scale[scale == 0.0] = 1.0
    return np.asarray(nnls(B / scale, target)[0]) / scale


def _pursuit(B: np.ndarray, target: np.ndarray, terms: int, fit: Callable[[np.ndarray, np.ndarray], np.ndarray], *,
             signed: bool) -> np.ndarray:
    norms, chosen, w = np.linalg.norm(B, axis=0), np.zeros(B.shape[1], dtype=bool), np.zeros(B.shape[1])
    for _ in range(terms):
        gain = (target - B @ w) @ B / np.where(norms > 0.0, norms, 1.0)
        gain = np.where(chosen, 0.0, np.abs(gain) if signed else gain)
        best = int(np.argmax(gain))
        if gain[best] <= 0.0:
            break
        chosen[best] = True
        w = np.zeros(B.shape[1])
        w[chosen] = fit(B[:, chosen], target)
    return w
