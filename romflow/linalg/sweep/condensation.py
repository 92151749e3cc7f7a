"""Static condensation of an affine family: the inside of each term is eliminated once, for all theta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from romflow.core.errors import NotSupported, SolveFailed
from romflow.linalg.solvers.superlu import PANEL, nested_dissection
from romflow.linalg.sweep.block_cholesky import BlockCholesky

#: Most interface dofs whose dense Schur complements are kept.
MOST_INTERFACE = 4000
# A pivot that keeps less than this share of its diagonal entry is rounding.
_SINGULAR = 1e-14


def interface_of(terms: Sequence[sp.csr_array]) -> np.ndarray:
    """Which dofs (n,) belong to rows of more than one term: the interface; the others are inside of one term each."""
    return _touched(terms).sum(axis=0) > 1


def _touched(terms: Sequence[sp.csr_array]) -> np.ndarray:
    return np.stack([np.diff(term.indptr) > 0 for term in terms])


@dataclass(frozen=True)
class _Part:
    """One term: its inside dofs in elimination order, its interface dofs, LU of both, Schur complement S, and
    particular solutions A_II^{-1} F_I (inside, Qf)."""

    inside: np.ndarray
    interface: np.ndarray
    lu: Any
    shifted: np.ndarray
    S: np.ndarray
    particular: np.ndarray


class AffineCondensation:
    """Exact solves of sum_q theta_q A_q u = sum_f phi_f f_f by elimination that does not depend on theta.

    A dof whose row is touched by term q alone is eliminated with theta_q A_q,II, whose factor serves all theta:

        S(theta) = sum_q theta_q S_q,   S_q = A_q,GG - A_q,GI A_q,II^{-1} A_q,IG,
        g = f_G - sum_q A_q,GI A_q,II^{-1} f_I   (no theta in it),
        u_G = S(theta)^{-1} g,   u_I = theta_q^{-1} A_q,II^{-1} f_I - A_q,II^{-1} A_q,IG u_G.

    Set-up: one sparse factorisation a term with the interface ordered last; L_GG U_GG is S_q. A solve: a block Cholesky
    factorisation of the interface matrix and one substitution inside; no matrix of size n is factorised. Worth it where
    interfaces are small: a thermal block in 2-D, not bars in 3-D.

    Parameters
    ----------
    terms : sequence of sparse (n, n)
        Symmetric, each positive semidefinite.
    vectors : (n, Qf)

    Raises
    ------
    NotSupported
        More than 4000 interface dofs, or a dof that no term touches.
    SolveFailed
        The inside of a term is singular, or needs pivots off its diagonal.

    Examples
    --------
    >>> A = sp.diags_array([-np.ones(4), [2.0, 2.0, 2.0, 2.0, 1.0], -np.ones(4)], offsets=[-1, 0, 1]).tocoo()
    >>> left = sp.csr_array((A.data, (A.row, A.col)), shape=(9, 9))
    >>> right = sp.csr_array((A.data, (8 - A.row, 8 - A.col)), shape=(9, 9))
    >>> u = AffineCondensation([left, right], np.ones((9, 1))).solve(np.array([1.0, 2.0]), np.ones(1))
    >>> bool(np.allclose((left + 2.0 * right) @ u, 1.0))
    True
    """

    def __init__(self, terms: Sequence[sp.csr_array], vectors: np.ndarray) -> None:
        touched = _touched(terms)
        owners = touched.sum(axis=0)
        if not owners.all():
            raise NotSupported(f"dof {int(np.argmin(owners))} is touched by no term, so the matrix is singular")
        shared = np.flatnonzero(owners > 1)
        if shared.size > MOST_INTERFACE:
            raise NotSupported(f"{shared.size} dofs belong to several terms; condensation keeps dense matrices for at "
                               f"most {MOST_INTERFACE}: use strategy = \"multigrid\" or \"direct\"")
        self.n = vectors.shape[0]
        # Interface dofs with the same terms form a segment; blocks of the interface matrix are pairs of segments.
        _, segment = np.unique(touched[:, shared], axis=1, return_inverse=True)
        segment = segment.ravel()
        order = np.argsort(segment, kind="stable")
        self.interface = shared[order]
        self._bounds = np.concatenate([[0], np.cumsum(np.bincount(segment))]) if shared.size else np.zeros(1, dtype=int)
        self._rhs = vectors[self.interface].copy()
        position = np.full(self.n, -1)
        position[self.interface] = np.arange(shared.size)
        self._parts = [self._part(term, np.flatnonzero(rows & (owners == 1)),
                                  np.sort(position[rows & (owners > 1)]), vectors)
                       for term, rows in zip(terms, touched, strict=True)]
        self._cholesky = BlockCholesky(self._bounds, [part.interface for part in self._parts])

    def solve(self, theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
        """u (n,) for theta (Q,) > 0 and phi (Qf,).

        Raises
        ------
        SolveFailed
            The interface matrix is not positive definite.
        """
        if not (theta > 0.0).all():
            raise SolveFailed("condensation needs positive coefficients; use strategy = \"direct\"")
        u = np.empty(self.n)
        shared = self._cholesky.solve([weight * part.S for weight, part in zip(theta, self._parts, strict=True)],
                                      self._rhs @ phi)
        u[self.interface] = shared
        for weight, part in zip(theta, self._parts, strict=True):
            size = part.inside.size
            load = np.zeros(size + part.interface.size)
            load[size:] = part.shifted @ shared[part.interface]
            u[part.inside] = part.lu.solve(load)[:size] + (part.particular @ phi) / weight
        return u

    def _part(self, term: sp.csr_array, inside: np.ndarray, places: np.ndarray, vectors: np.ndarray) -> _Part:
        if inside.size:
            inside = inside[nested_dissection(sp.csc_array(term[inside][:, inside]))]
        dofs, size = np.concatenate([inside, self.interface[places]]), inside.size
        A = sp.csc_array(term[dofs][:, dofs])
        # A shift of the interface keeps floating terms regular; S_q is free of it again.
        shift = np.zeros(dofs.size)
        shift[size:] = np.abs(term.diagonal()).max()
        A = sp.csc_array(A + sp.diags_array(shift))
        try:
            lu = splu(A, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True}, **PANEL)
        except RuntimeError as error:
            raise SolveFailed(f"the inside of a term is singular ({error}); use strategy = \"direct\"") from None
        upper = lu.U.tocsc()
        _must_be_regular(lu, upper.diagonal()[:size], A.diagonal()[:size])
        shifted = (lu.L.tocsc()[size:, size:] @ upper[size:, size:]).toarray()
        load = np.zeros((dofs.size, vectors.shape[1]))
        load[:size] = vectors[inside]
        X = lu.solve(load)
        # X solves with a free interface; what its interface values bring inside is taken off.
        tail = np.zeros_like(load)
        tail[size:] = shifted @ X[size:]
        particular = X[:size] - lu.solve(tail)[:size]
        self._rhs[places] -= term[self.interface[places]][:, inside] @ particular
        return _Part(inside, places, lu, shifted, shifted - np.diag(shift[size:]), particular)


def _must_be_regular(lu: Any, pivots: np.ndarray, diagonal: np.ndarray) -> None:
    natural = np.arange(lu.perm_r.size)
    if not (np.array_equal(lu.perm_r, natural) and np.array_equal(lu.perm_c, natural)):
        raise SolveFailed("the inside of a term needs pivots off its diagonal, so it is not positive definite; use "
                          "strategy = \"direct\"")
    if (np.abs(pivots) <= _SINGULAR * np.abs(diagonal)).any():
        raise SolveFailed("the inside of a term is singular: it floats and shares no dof with another term; constrain "
                          "it, or use strategy = \"direct\"")
