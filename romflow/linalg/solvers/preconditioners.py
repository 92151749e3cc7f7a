"""Preconditioners by name: multigrid, incomplete factors, the diagonal; kept over changes of the matrix if it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spilu

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.names import nearest
from romflow.linalg.solvers.amg import KINDS, Multigrid

__all__ = ["PRECONDITIONERS", "Preconditioner", "definite_surrogate"]

PRECONDITIONERS = ("auto", "none", "jacobi", "ilu", *KINDS)
# A new hierarchy costs about as much as this many iterations more than new coarse operators.
_SET_UP = 10


class Preconditioner:
    """A preconditioner that follows its matrix: `setup` anew, `update` on kept prolongations while that pays.

    Parameters
    ----------
    kind : {"none", "jacobi", "ilu", "smoothed-aggregation", "ruge-stuben", "adaptive"}
    symmetric : bool
    surrogate : bool
        The matrix may be indefinite and the preconditioner must be definite: it is made for `definite_surrogate`.
    near_nullspace : (n, j), optional
    seed : int

    Raises
    ------
    ConfigError
        No preconditioner is called so.

    Examples
    --------
    >>> made = Preconditioner("jacobi", symmetric=True)
    >>> made.setup(sp.csr_array(np.diag([2.0, 4.0])))
    >>> made.apply(np.ones((2, 1)))[:, 0]
    array([0.5 , 0.25])
    """

    def __init__(self, kind: str, *, symmetric: bool, surrogate: bool = False,
                 near_nullspace: np.ndarray | None = None, seed: int = 0) -> None:
        if kind not in PRECONDITIONERS[1:]:
            raise ConfigError(f"no preconditioner is called '{kind}'" + nearest(kind, PRECONDITIONERS))
        self.kind, self.symmetric, self.surrogate = kind, symmetric, surrogate
        self.near_nullspace, self.seed = near_nullspace, seed
        self.kept = False
        self._fresh: int | None = None
        self._keep = kind in KINDS
        self._made: Any = None

    def setup(self, A: sp.csr_array) -> None:
        """Made anew for A."""
        self.kept, self._fresh = False, None
        self._made = self._make(definite_surrogate(A) if self.surrogate and self.kind != "none" else A)

    def update(self, A: sp.csr_array) -> None:
        """Made for A, on the prolongations of the matrix before, until `judge` finds that they do not pay."""
        if not (self._keep and isinstance(self._made, Multigrid)):
            self.setup(A)
            return
        self.kept = True
        self._made = self._made.refresh(definite_surrogate(A) if self.surrogate else A)

    def judge(self, iterations: int, columns: int) -> None:
        """Told after a solve how many iterations it took for this many right-hand sides.

        Prolongations are given up, for good, when they cost 10 iterations more than fresh ones did.
        """
        if not self.kept:
            self._fresh = iterations if self._fresh is None else max(self._fresh, iterations)
        elif self._fresh is not None and (iterations - self._fresh) * columns > _SET_UP:
            self._keep = False

    def apply(self, R: np.ndarray) -> np.ndarray:
        """Z (n, j) for R (n, j)."""
        if self._made is None:
            return R
        if isinstance(self._made, np.ndarray):
            return self._made[:, None] * R
        return self._made.apply(R) if isinstance(self._made, Multigrid) else self._made.solve(R)

    def _make(self, A: sp.csr_array) -> Any:
        if self.kind == "none":
            return None
        if self.kind == "jacobi":
            diagonal = np.abs(A.diagonal()) if self.surrogate else A.diagonal()
            if not diagonal.all():
                raise SolveFailed("the diagonal of the matrix has zeros, so that 'jacobi' cannot precondition it; use "
                                  "method = 'direct'")
            return 1.0 / diagonal
        if self.kind == "ilu":
            try:
                return spilu(A.tocsc(), drop_tol=1e-4, fill_factor=10)
            except RuntimeError as error:
                raise SolveFailed(f"the incomplete factorisation broke down ({error}); use method = 'direct'") from None
        return Multigrid(self.kind, near_nullspace=self.near_nullspace, symmetric=self.symmetric,
                         seed=self.seed).setup(A)


def definite_surrogate(A: sp.csr_array) -> sp.csr_array:
    """A definite matrix with the couplings of a symmetric A: off-diagonal -|a_ij|, diagonal at least their sum.

    Gershgorin's theorem makes it semidefinite; a thousandth of the largest diagonal entry makes it definite. It
    preconditions shifted Laplacians K - s M much as K does.

    Examples
    --------
    >>> definite_surrogate(sp.csr_array(np.array([[-1.0, 1.0], [1.0, 0.5]]))).toarray()
    array([[ 1.001, -1.   ],
           [-1.   ,  1.001]])
    """
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    off = rows != A.indices
    data = np.where(off, -np.abs(A.data), 0.0)
    sums = -np.bincount(rows, weights=data, minlength=A.shape[0])
    made = sp.csr_array((data, A.indices, A.indptr), shape=A.shape)
    diagonal = np.maximum(sums, np.where(sums > 0.0, 0.0, np.abs(A.diagonal())))
    total = sp.csr_array(made + sp.diags_array(diagonal + 1e-3 * diagonal.max()))
    total.sort_indices()
    return total
