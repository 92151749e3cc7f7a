"""Inner products (u, v)_X = u^T X v and their dual norms."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.solvers.superlu import SuperLU, SuperLUFactor

_RULE = ("the rule is a symmetric positive definite matrix: give an energy or mass matrix without constrained rows")


class InnerProduct:
    """(u, v)_X = u^T X v with a symmetric positive definite X, or the Euclidean product where X is None.

    Parameters
    ----------
    X : sparse (n, n) or None
    name : str
        How reports name the norm.

    Raises
    ------
    ShapeError, InputError
        X is not square, not finite or not symmetric; positive definiteness is checked at the first factorisation.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> InnerProduct(sp.diags_array([4.0, 9.0])).norm(np.array([[1.0], [0.0]]))
    array([2.])
    """

    def __init__(self, X: sp.sparray | None, name: str = "X") -> None:
        self.name = name
        self.X = None if X is None else _symmetric(X)

    def apply(self, U: np.ndarray) -> np.ndarray:
        """X U for U (n, j)."""
        return U if self.X is None else self.X @ U

    def gram(self, U: np.ndarray, V: np.ndarray) -> np.ndarray:
        """U^T X V (i, j) for U (n, i), V (n, j)."""
        return U.T @ self.apply(V)

    def norm(self, U: np.ndarray) -> np.ndarray:
        """Norms ||u_j||_X (j,) of the columns of U (n, j)."""
        return np.sqrt(np.maximum(np.einsum("ij,ij->j", U, self.apply(U)), 0.0))

    def riesz(self, F: np.ndarray) -> np.ndarray:
        """Riesz representatives X^{-1} F (n, j) of functionals F (n, j)."""
        return F if self.X is None else self.factor.solve(F)

    def whiten(self, F: np.ndarray) -> np.ndarray:
        """Y (n, j) with Y^T Y = F^T X^{-1} F: functionals as vectors whose Euclidean geometry is the dual one."""
        return F if self.X is None else self.factor.whiten(F)

    def dual_norm(self, F: np.ndarray) -> np.ndarray:
        """Dual norms sup_v f(v) / ||v||_X = (f^T X^{-1} f)^{1/2} (j,) of the columns of F (n, j)."""
        return np.linalg.norm(self.whiten(F), axis=0)

    @cached_property
    def factor(self) -> SuperLUFactor:
        """Factorisation of X.

        Raises
        ------
        InputError
            X is not positive definite.
        """
        try:
            factor = SuperLU(symmetric=True).setup(self.X)
            negative = factor.negative_pivots
        except SolveFailed:
            raise InputError(f"the inner product '{self.name}' is singular or indefinite; {_RULE}") from None
        if negative:
            raise InputError(f"the inner product '{self.name}' has {negative} negative or zero pivots; {_RULE}")
        return factor


def _symmetric(X: sp.sparray) -> sp.csr_array:
    X = sp.csr_array(X)
    if X.shape[0] != X.shape[1]:
        raise ShapeError(f"an inner product needs a square matrix; this one has shape {X.shape}")
    if not np.isfinite(X.data).all():
        raise InputError("the inner product has entries that are not finite (NaN or infinity); check its assembly")
    scale = float(abs(X).max()) if X.nnz else 0.0
    defect = float(abs(X - X.T).max()) if X.nnz else 0.0
    if defect > 1e-10 * scale:
        raise InputError(f"the inner product is not symmetric: |X - X^T| = {defect:.3g} with |X| = {scale:.3g}; "
                         "give a symmetric positive definite matrix")
    return X
