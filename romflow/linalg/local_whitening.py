"""Whitening of functionals that live on few dofs: only the part of the Cholesky factor that they reach is used."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from romflow.core.errors import ShapeError
from romflow.linalg.inner_product import InnerProduct

# Beyond this share of the factor's entries the whole forward substitution costs no more.
_SHARE = 0.6
# Below so many dofs one whole substitution is cheaper than one a term.
_SMALL = 2000


class LocalWhitening:
    """Equals `product.whiten` on functionals that vanish outside the dofs `support`, entry by entry to rounding.

    With X = P^T L D L^T P the whitened vector D^{-1/2} L^{-1} P f is zero outside the ancestors of the support in the
    elimination tree of L (Gilbert 1994), so that the triangular system on those rows is all there is to solve. On a
    nested-dissection ordering a term on one of nine subdomains reaches a fifth to a third of the entries of L. The
    setup costs one pass over that part of L, each functional two operations an entry of it.

    Parameters
    ----------
    product : InnerProduct
    support : (m,) int
        Dofs outside which the functionals are zero.

    Attributes
    ----------
    rows : (i,) int or None
        Where the whitened vectors may differ from zero; None stands for everywhere.

    Examples
    --------
    >>> product = InnerProduct(sp.diags_array([4.0, 9.0, 16.0]))
    >>> local = LocalWhitening(product, np.array([1]))
    >>> local.whiten(np.array([[3.0]]))
    array([[1.]])
    """

    def __init__(self, product: InnerProduct, support: np.ndarray) -> None:
        self._product = product
        self.support = np.unique(np.asarray(support, dtype=np.intp))
        self.rows: np.ndarray | None = None
        n = None if product.X is None else product.X.shape[0]
        if n is None:
            self.rows, self._root, self._lower = self.support, np.ones(self.support.size), None
            return
        if self.support.size and not (0 <= self.support[0] and self.support[-1] < n):
            raise ShapeError(f"the support holds dof {self.support[-1]}, the inner product is for {n}; the rule is "
                             f"0 .. {n - 1}")
        self._n = n
        if 2 * self.support.size > n:
            return
        L, root, place = product.factor.triangle()
        reached = _reached(L, place[self.support])
        part = sp.csc_array(L[:, reached][reached])
        if part.nnz > _SHARE * L.nnz:
            return
        self.rows, self._root = reached, root[reached]
        self._place = np.searchsorted(reached, place[self.support])
        part.sort_indices()
        self._lower = splu(part, permc_spec="NATURAL", diag_pivot_thresh=0.0, relax=1, panel_size=1)

    def whiten(self, F: np.ndarray) -> np.ndarray:
        """The entries `rows` of Q^{-T} F (i, j), all n of them where `rows` is None.

        Parameters
        ----------
        F : (m, j)
            The entries `support` of the functionals.
        """
        if F.ndim != 2 or F.shape[0] != self.support.size:
            raise ShapeError(f"functionals on {self.support.size} dofs were given as an array {F.shape}; the rule is "
                             f"({self.support.size}, j)")
        if self.rows is None:
            full = np.zeros((self._n, F.shape[1]))
            full[self.support] = F
            return self._product.whiten(full)
        if self._lower is None:
            return F
        Y = np.zeros((self.rows.size, F.shape[1]), order="F")
        Y[self._place] = F
        Y = self._lower.solve(Y)
        Y *= self._root[:, None]
        return Y


class WhitenedTerms:
    """Whitened columns A_q v of an affine operator, each term through the part of the factor that it reaches.

    Parameters
    ----------
    product : InnerProduct
    matrices : sequence of sparse (n, n)
        A_q.

    Examples
    --------
    >>> product = InnerProduct(sp.diags_array([4.0, 9.0]))
    >>> terms = WhitenedTerms(product, [sp.csr_array(np.diag([2.0, 0.0])), sp.csr_array(np.diag([0.0, 3.0]))])
    >>> terms.dense(np.array([[[2.0], [0.0]], [[0.0], [3.0]]]))[:, 0]
    array([[1., 0.],
           [0., 1.]])
    """

    def __init__(self, product: InnerProduct, matrices: Any) -> None:
        self._product = product
        self.locals: list[LocalWhitening] = []
        if matrices[0].shape[0] >= _SMALL:
            self.locals = [LocalWhitening(product, _nonempty_rows(A)) for A in matrices]

    def parts(self, AV: np.ndarray) -> list[tuple[np.ndarray | None, np.ndarray]]:
        """Pairs of rows (None: all) and values (i, j) of the whitened A_q V, for AV (Q, n, j)."""
        if not self.locals:
            return [(None, Y) for Y in self.dense(AV).transpose(2, 0, 1)]
        return [(local.rows, local.whiten(term[local.support])) for local, term in zip(self.locals, AV, strict=True)]

    def dense(self, AV: np.ndarray) -> np.ndarray:
        """The whitened columns (n, j, Q) of AV (Q, n, j)."""
        Q, n, j = AV.shape
        if not self.locals:
            return self._product.whiten(AV.transpose(1, 2, 0).reshape(n, j * Q)).reshape(n, j, Q)
        Y = np.zeros((n, j, Q))
        for q, (rows, values) in enumerate(self.parts(AV)):
            Y[slice(None) if rows is None else rows, :, q] = values
        return Y


def _nonempty_rows(A: Any) -> np.ndarray:
    return np.flatnonzero(np.diff(sp.csr_array(A).indptr))


def _reached(L: sp.csc_array, start: np.ndarray) -> np.ndarray:
    """Rows of L^{-1} b that may differ from zero where b does so in `start`, sorted."""
    n = L.shape[0]
    parent = np.full(n, -1, dtype=np.intp)
    below = np.diff(L.indptr) > 1
    parent[below] = L.indices[L.indptr[:-1][below] + 1]
    marked = np.zeros(n, dtype=bool)
    front = np.unique(start)
    while front.size:
        marked[front] = True
        above = np.unique(parent[front])
        above = above[above >= 0]
        front = above[~marked[above]]
        if not front.size:
            # The tree describes a Cholesky pattern; entries that cancelled exactly may have left it.
            touched = L[:, np.flatnonzero(marked)].indices
            front = np.unique(touched[~marked[touched]])
    return np.flatnonzero(marked)
