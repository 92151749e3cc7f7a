"""Coarse spaces: columns that live on subdomains, their Galerkin operator, and its solve on every rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from romflow.core.errors import SolveFailed
from romflow.dd.communicator import agreed, gathered
from romflow.dd.layout import Layout
from romflow.dd.local_factor import LocalFactor
from romflow.dd.schwarz import Weighted

__all__ = ["CoarseSpace", "joined", "nicolaides"]

_DENSE = 2000
_DEPENDENT, _VANISHING, _HELD = 1e-10, 1e-13, 0.02


def nicolaides(one: Weighted, A: sp.csr_array, near_nullspace: np.ndarray | None) -> np.ndarray:
    """The near-null space on one subdomain, weighted: V_i = D_i N_i on each connected piece, orthonormal columns.

    Without a near-null space it is the constants (Nicolaides 1987); rigid-body modes for elasticity.

    Parameters
    ----------
    one : Weighted
    A : csr (local, local)
        For the pieces of the subdomain.
    near_nullspace : (local, j), optional

    Returns
    -------
    (m, k)
        Dependent columns are left out.
    """
    N = np.ones((one.dofs.size, 1)) if near_nullspace is None else near_nullspace[one.dofs]
    support = np.flatnonzero(one.weight > 0.0)
    if support.size == 0:
        return np.zeros((one.dofs.size, 0))
    count, piece = connected_components(A[one.dofs[support]][:, one.dofs[support]], directed=False)
    columns = np.zeros((one.dofs.size, count, N.shape[1]))
    columns[support, piece] = one.weight[support, None] * N[support]
    return _independent(columns.reshape(one.dofs.size, -1))


def _independent(V: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(V, axis=0)
    V = V[:, norms > 0.0] / norms[norms > 0.0]
    if V.shape[1] == 0:
        return V
    Q, R, _ = sl.qr(V, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(R))
    return Q[:, :int(np.count_nonzero(diagonal > _DEPENDENT * diagonal[0]))]


def joined(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """The columns of `new` (m, k) and, at most k of them, orthonormal ones of what `old` (m, l) adds to their span.

    What is shorter than 2 % of a column of `old` counts as held by `new`.

    Examples
    --------
    >>> joined(np.array([[1.0], [0.0], [0.0]]), np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])).shape
    (3, 2)
    """
    Q = sl.qr(new, mode="economic")[0] if new.shape[1] else new
    rest = old / np.maximum(np.linalg.norm(old, axis=0), np.finfo(float).tiny)
    for _ in range(2):
        rest = rest - Q @ (Q.T @ rest)
    U, lengths, _ = sl.svd(rest, full_matrices=False)
    return np.concatenate([new, U[:, lengths > _HELD][:, :new.shape[1]]], axis=1)


class CoarseSpace:
    """Z (n, m) with columns R_i^T W_i of all subdomains, E = Z^T A Z, and Q = Z E^{-1} Z^T. Collective throughout.

    Parameters
    ----------
    layout : Layout
    subdomains : list of Weighted
    blocks : list of (m_i, k_i)
        The columns W_i of each of the rank's subdomains, with their partition of unity.
    symmetric : bool
    backend : str
        Of the sparse factorisation, beyond 2,000 columns; up to there E is dense.

    Attributes
    ----------
    size : int
        m, the number of columns over all ranks.

    Notes
    -----
    Every rank factorises E, so that a coarse solve costs one sum of m numbers and no further message.
    """

    def __init__(self, layout: Layout, subdomains: Sequence[Weighted], blocks: Sequence[np.ndarray], symmetric: bool,
                 backend: str) -> None:
        self._layout, self._symmetric, self._backend = layout, symmetric, backend
        widths = np.array([block.shape[1] for block in blocks], dtype=np.int64)
        each = gathered(layout.comm, widths)
        self.size = int(sum(width.sum() for width in each))
        first = int(sum(width.sum() for width in each[:layout.comm.rank]))
        self._edges = first + np.concatenate([[0], np.cumsum(widths)])
        mine = _columns(layout.local, self.size, first, subdomains, blocks)
        self._all = layout.exchange.forward_rows(layout.exchange.add_rows(mine))
        self._Z = row_block(self._all, 0, layout.owned)

    def update(self, A: sp.csr_array) -> None:
        """E = Z^T A Z for another matrix (local, local), exact in all rows and columns of the overlapped unknowns.

        Raises
        ------
        SolveFailed
            E is singular; on all ranks.
        """
        if self.size == 0:
            return
        mine = sp.csr_array((self.size, self.size))
        with agreed(self._layout.comm, "forming the coarse operator"):
            for part in self._layout.part_slices:
                # Part by part: the image A Z of all rows at once would be larger than everything else.
                image = row_block(A, part.start, part.stop) @ self._all
                mine = mine + sp.csr_array(row_block(self._Z, part.start, part.stop).T) @ image
        entries = sp.coo_array(mine)
        rows, columns, values = (np.concatenate(gathered(self._layout.comm, array)) for array in (
            entries.row.astype(np.int32), entries.col.astype(np.int32), entries.data))
        E = sp.csr_array((values, (rows, columns)), shape=(self.size, self.size))
        if self._symmetric:
            E = sp.csr_array(0.5 * (E + E.T))
        with agreed(self._layout.comm, "factorising the coarse operator"):
            self._factorise(E)

    def block(self, one: Weighted, i: int) -> np.ndarray:
        """The columns (m, k) of the rank's i-th subdomain `one`, with their partition of unity."""
        return self._all[one.dofs][:, self._edges[i]:self._edges[i + 1]].toarray()

    def restrict(self, R: np.ndarray) -> np.ndarray:
        """Z^T R (m, j) of R (owned, j), the same on every rank."""
        mine = np.asarray(self._Z.T @ R)[None]
        return np.sum(np.concatenate(gathered(self._layout.comm, mine)), axis=0)

    def __call__(self, R: np.ndarray) -> np.ndarray:
        """Q R = Z E^{-1} Z^T R (owned, j)."""
        if self.size == 0:
            return np.zeros_like(R)
        return np.asarray(self._Z @ self._solve(self.restrict(R)))

    def _factorise(self, E: sp.csr_array) -> None:
        diagonal = np.abs(E.diagonal())
        if not (np.isfinite(E.data).all() and (diagonal > 0.0).all()):
            raise SolveFailed(f"the coarse operator ({self.size} columns) has a zero or undefined diagonal entry; the "
                              "matrix is singular or not definite: check the boundary conditions and coefficients")
        self._scale = 1.0 / np.sqrt(diagonal)[:, None]
        E = sp.csr_array(sp.diags_array(self._scale[:, 0]) @ E @ sp.diags_array(self._scale[:, 0]))
        self._sparse = LocalFactor(E, "definite" if self._symmetric else "general",
                                   self._backend) if self.size > _DENSE else None
        self._dense = None if self._sparse is not None else _dense_inverse(E.toarray(), self._symmetric)

    def _solve(self, F: np.ndarray) -> np.ndarray:
        F = self._scale * F
        return self._scale * (self._sparse.solve(F) if self._dense is None else self._dense(F))


def row_block(A: sp.csr_array, first: int, last: int) -> sp.csr_array:
    """The rows first .. last - 1 of A, as a view of its values."""
    begin, end = A.indptr[first], A.indptr[last]
    return sp.csr_array((A.data[begin:end], A.indices[begin:end], A.indptr[first:last + 1] - begin),
                        shape=(last - first, A.shape[1]))


def _dense_inverse(E: np.ndarray, symmetric: bool) -> Callable[[np.ndarray], np.ndarray]:
    """F -> E^{-1} F; combinations of columns that vanish are left out."""
    if symmetric:
        with suppress(sl.LinAlgError):
            factor = sl.cho_factor(E, lower=True, check_finite=False)
            if float(np.diag(factor[0]).min()) ** 2 > _VANISHING:
                return lambda F: np.asarray(sl.cho_solve(factor, F, check_finite=False))
        values, vectors = sl.eigh(E)
        keep = values > _VANISHING * values[-1]
        inverse = (vectors[:, keep] / values[keep]) @ vectors[:, keep].T
    else:
        inverse = sl.pinv(E, rtol=_VANISHING)
    return lambda F: np.asarray(inverse @ F)


def _columns(local: int, size: int, first: int, subdomains: Sequence[Weighted],
             blocks: Sequence[np.ndarray]) -> sp.csr_array:
    rows, columns, values = [], [], []
    for one, block in zip(subdomains, blocks, strict=True):
        support, width = np.flatnonzero(one.weight > 0.0), block.shape[1]
        rows.append(np.repeat(one.dofs[support], width))
        columns.append(np.tile(np.arange(first, first + width), support.size))
        values.append(block[support].ravel())
        first += width
    if not rows:
        return sp.csr_array((local, size))
    return sp.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                        shape=(local, size))
