"""Dissimilarities of all pairs of subspaces from the sines of their principal angles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.inner_product import InnerProduct

__all__ = ["chordal", "grassmann", "largest_sine", "principal_sines"]

# Below this square of the largest sine the difference I - C^T C has lost digits, and the residual is formed itself.
_NEAR = 1e-3
_ROUNDING = 8.0 * np.finfo(float).eps
_ORTHONORMAL = 1e-8
# Bytes of bases that are held at a time.
_MEMORY = 64 << 20


def chordal(U: Sequence[np.ndarray], V: Sequence[np.ndarray], product: InnerProduct | None = None) -> np.ndarray:
    """d_ij = (sum_l sin^2 theta_l + |k_i - k_j|)^{1/2} of the subspaces U_i and V_j, with principal angles theta_l.

    The angles that the smaller space lacks count as right angles, which makes this a metric for spaces of all
    dimensions together (Ye and Lim 2016, Section 5). The empty space is (k)^{1/2} away from one of k dimensions.

    Cost: 2 n (sum k_i)(sum k_j) flops, and 2 n (sum k_i + sum k_j)^2 more where spaces are nearly equal.

    Parameters
    ----------
    U : sequence of a arrays (n, k_i)
        X-orthonormal bases; k_i = 0 is allowed.
    V : sequence of b arrays (n, k_j)
        U itself gives a zero diagonal and an exactly symmetric D.
    product : InnerProduct, optional
        X; Euclidean where left out.

    Returns
    -------
    D : (a, b)

    Raises
    ------
    ShapeError
        Bases of different meshes, or no matrices.
    InputError
        A basis is not orthonormal, or not finite.

    Examples
    --------
    >>> x, y, both = np.eye(3)[:, :1], np.eye(3)[:, 1:2], np.eye(3)[:, :2]
    >>> chordal([x, both], [x, y, np.empty((3, 0))])
    array([[0.        , 1.        , 1.        ],
           [1.        , 1.        , 1.41421356]])
    """
    return _Spaces(U, V, product).all(lambda s, c: np.sqrt(np.sum(s**2, axis=-1)), 1.0)


def grassmann(U: Sequence[np.ndarray], V: Sequence[np.ndarray], product: InnerProduct | None = None) -> np.ndarray:
    """d_ij = (sum_l theta_l^2 + |k_i - k_j| pi^2 / 4)^{1/2}: the length of the shortest way between the subspaces.

    Angles are atan2 of sine and cosine, so that small and right ones keep their digits. Source, parameters, cost and
    errors as for :func:`chordal`.

    Examples
    --------
    >>> x, y = np.eye(2)[:, :1], np.eye(2)[:, 1:]
    >>> float(grassmann([x], [y])[0, 0]) == np.pi / 2
    True
    """
    return _Spaces(U, V, product).all(lambda s, c: np.sqrt(np.sum(np.arctan2(s, c)**2, axis=-1)), np.pi / 2)


def largest_sine(U: Sequence[np.ndarray], V: Sequence[np.ndarray], product: InnerProduct | None = None) -> np.ndarray:
    """d_ij = sin theta_max, the gap of the subspaces: the worst relative error of a member of one in the other.

    1 where the dimensions differ, for then the larger space has a member at a right angle to the smaller one. Source,
    parameters, cost and errors as for :func:`chordal`.

    Examples
    --------
    >>> x, y = np.eye(2)[:, :1], np.array([[0.8], [0.6]])
    >>> largest_sine([x], [x, y]).round(12)
    array([[0. , 0.6]])
    """
    return np.minimum(_Spaces(U, V, product).all(lambda s, c: s.max(axis=-1, initial=0.0), 1.0), 1.0)


def principal_sines(U: np.ndarray, V: np.ndarray, product: InnerProduct | None = None) -> np.ndarray:
    """Sines (min(k, l),) of the principal angles of two subspaces, rising (Bjorck and Golub 1973).

    They are the singular values of the smaller basis less its projection on the larger.

    Parameters
    ----------
    U : (n, k) X-orthonormal
    V : (n, l) X-orthonormal
    product : InnerProduct, optional

    Examples
    --------
    >>> principal_sines(np.eye(3)[:, :2], np.array([[1e-12], [0.0], [1.0]]))
    array([1.])
    """
    spaces = _Spaces([U], [V], product)
    return spaces.angles(np.array([0]), np.array([0]))[0][0]


class _Spaces:
    """Two lists of subspaces and the cosines between all their basis vectors."""

    def __init__(self, U: Sequence[np.ndarray], V: Sequence[np.ndarray], product: InnerProduct | None) -> None:
        self.product = product or InnerProduct(None)
        self.same = V is U
        self.U = _checked("U", U, self.product)
        self.V = self.U if self.same else _checked("V", V, self.product)
        if self.U and self.V and len(self.U[0]) != len(self.V[0]):
            raise ShapeError(f"subspaces of {len(self.U[0])} and of {len(self.V[0])} entries are not compared; the "
                             "rule is one mesh for all: solve them with the same model")
        self.sizes = [np.array([one.shape[1] for one in side], dtype=int) for side in (self.U, self.V)]
        self._starts = [np.concatenate([[0], np.cumsum(k)]).astype(int) for k in self.sizes]
        self._C = self.product.gram(np.hstack(self.U), np.hstack(self.V)) if self.U and self.V else np.zeros((0, 0))

    def all(self, measure: Callable[[np.ndarray, np.ndarray], np.ndarray], missing: float) -> np.ndarray:
        """D (a, b): the measure of the angles, and `missing` for each angle that the smaller space lacks."""
        k, j = self.sizes
        D = np.zeros((k.size, j.size))
        for size in np.unique(k):
            for other in np.unique(j):
                rows, columns = np.meshgrid(np.flatnonzero(k == size), np.flatnonzero(j == other), indexing="ij")
                found = measure(*self.angles(rows.ravel(), columns.ravel()))
                D[rows, columns] = np.hypot(found, missing * np.sqrt(abs(size - other))).reshape(rows.shape)
        if self.same:
            D = np.triu(D, 1)
            D = D + D.T
        return D

    def angles(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sines (pairs, l), rising, and cosines, falling, of pairs of spaces whose dimensions are the same a side."""
        C = np.stack([self._cosines(i, j) for i, j in zip(rows, columns, strict=True)])
        if C.shape[1] < C.shape[2]:
            C = C.transpose(0, 2, 1)
        if not C.shape[2]:
            return np.zeros((len(C), 0)), np.zeros((len(C), 0))
        M = np.eye(C.shape[2]) - C.transpose(0, 2, 1) @ C
        near = np.flatnonzero(np.trace(M, axis1=1, axis2=2) < _NEAR)
        height = max(1, _MEMORY // (32 * len(self._coordinates[0][0]) * C.shape[1])) if near.size else 1
        for start in range(0, near.size, height):
            part = near[start:start + height]
            M[part] = self._residuals(rows[part], columns[part], C[part])
        sines = np.sqrt(np.clip(np.linalg.eigvalsh(M), 0.0, 1.0))
        sines[sines < _ROUNDING] = 0.0
        return sines, np.clip(np.linalg.svd(C, compute_uv=False), 0.0, 1.0)

    def _cosines(self, i: int, j: int) -> np.ndarray:
        (a, b) = self._starts
        return self._C[a[i]:a[i + 1], b[j]:b[j + 1]]

    def _residuals(self, rows: np.ndarray, columns: np.ndarray, C: np.ndarray) -> np.ndarray:
        """Gram matrices (pairs, l, l) of the smaller bases less their projections on the larger; cosines C."""
        P, Q, X = self._coordinates
        large, small = np.stack([P[i] for i in rows]), np.stack([Q[j] for j in columns])
        if large.shape[2] < small.shape[2]:
            large, small = small, large
        R = small - large @ C
        if X is None:
            return np.asarray(R.transpose(0, 2, 1) @ R)
        flat = R.transpose(1, 0, 2).reshape(R.shape[1], -1)
        return np.asarray(R.transpose(0, 2, 1) @ (X @ flat).reshape(R.shape[1], len(R), -1).transpose(1, 0, 2))

    @cached_property
    def _coordinates(self) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
        """The bases in an orthonormal basis B of all of them, and B^T X B; as they are where that is no smaller."""
        spaces = self.U if self.same else [*self.U, *self.V]
        S = np.hstack(spaces)
        if S.shape[1] >= len(S):
            return self.U, self.V, self.product.X
        if self.product.X is None:
            X, (R,) = None, sl.qr(S, mode="r", check_finite=False)
        else:
            B, R = sl.qr(S, mode="economic", check_finite=False)
            X = self.product.gram(B, B)
        edges = np.cumsum([one.shape[1] for one in spaces])[:-1]
        found = np.split(R[:S.shape[1]], edges, axis=1)
        return found[:len(self.U)], found if self.same else found[len(self.U):], X


def _checked(name: str, U: Sequence[np.ndarray], product: InnerProduct) -> list[np.ndarray]:
    spaces = [np.asarray(one, dtype=np.float64) for one in U]
    for number, V in enumerate(spaces):
        if V.ndim != 2 or len(V) != len(spaces[0]):
            raise ShapeError(f"subspace {number} of {name} has a basis of shape {V.shape}; the rule is (n, k) with n = "
                             f"{len(spaces[0])} for all: solve them with the same model")
        if not np.isfinite(V).all():
            raise InputError(f"subspace {number} of {name} has entries that are NaN or infinite; bases are finite")
        if product.X is not None and product.X.shape[0] != len(V):
            raise ShapeError(f"subspace {number} of {name} has {len(V)} entries and the inner product '{product.name}' "
                             f"{product.X.shape[0]}; give bases of the mesh that the product belongs to")
        gap = np.abs(product.gram(V, V) - np.eye(V.shape[1])).max(initial=0.0)
        if gap > _ORTHONORMAL:
            raise InputError(f"the basis of subspace {number} of {name} is not orthonormal: |V^T X V - I| = {gap:.3g}; "
                             "orthonormalise it in the inner product that is given")
    return spaces
