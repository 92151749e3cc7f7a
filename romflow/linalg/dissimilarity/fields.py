"""Dissimilarities of all pairs of fields: the sine of their angle, and their Euclidean distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.inner_product import InnerProduct

__all__ = ["euclidean", "sine"]

# Below this square the difference 1 - c^2 has lost digits, and the residual is formed itself.
_NEAR = 1e-3
# Sines below this are the rounding of two fields that are multiples of each other.
_ROUNDING = 8.0 * np.finfo(float).eps
# With more pairs than this share of (a + b)^2 an orthonormal basis is cheaper than residuals of n entries.
_MANY = 0.125
# Bytes of residuals that are held at a time.
_MEMORY = 32 << 20


def sine(U: np.ndarray, V: np.ndarray, product: InnerProduct | None = None) -> np.ndarray:
    """sin of the angle between u_i and v_j: the relative error of one field projected on the other.

    s_ij = ||v_j - u_i (u_i, v_j)_X / ||u_i||_X^2||_X / ||v_j||_X = (1 - cos^2)^{1/2}, in [0, 1], symmetric, and blind
    to the scale and the sign of both fields (Daniel, Casenave, Akkari and Ryckelynck 2020). Where fields are nearly
    parallel the residual itself is formed (for many pairs in an orthonormal basis of all these fields), so that
    small angles keep their digits, which sqrt(1 - c^2) loses below 1e-8. A field that is zero spans nothing: its
    distance is 1 to every other field and 0 to a field that is zero too.

    Cost: 2 n a b flops, and 2 n (a + b)^2 more where fields are nearly parallel; no loop over pairs.

    Parameters
    ----------
    U : (n, a)
    V : (n, b)
        U itself gives a zero diagonal and an exactly symmetric D.
    product : InnerProduct, optional
        X; Euclidean where left out.

    Returns
    -------
    D : (a, b)

    Raises
    ------
    ShapeError
        No matrices, or fields of different meshes.
    InputError
        A field has an entry that is not finite.

    Examples
    --------
    >>> U = np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 3e-12]])
    >>> sine(U, U)
    array([[0.e+00, 1.e+00, 1.e-12],
           [1.e+00, 0.e+00, 1.e+00],
           [1.e-12, 1.e+00, 0.e+00]])
    """
    pair = _Pair(U, V, product, unit=True)
    D = np.sqrt(np.maximum(1.0 - pair.gram**2, 0.0))
    rows, columns = np.nonzero((D**2 < _NEAR) & pair.both)
    D[rows, columns] = pair.distances(rows, columns, pair.gram[rows, columns])
    D[D < _ROUNDING] = 0.0
    D[~pair.both] = (pair.left.zero[:, None] != pair.right.zero)[~pair.both]
    return pair.mirrored(np.minimum(D, 1.0))


def euclidean(U: np.ndarray, V: np.ndarray, product: InnerProduct | None = None) -> np.ndarray:
    """d_ij = ||u_i - v_j||_X, the baseline; the difference itself is formed where fields are close.

    Parameters, cost and errors as for :func:`sine`.

    Returns
    -------
    D : (a, b)

    Examples
    --------
    >>> euclidean(np.array([[0.0, 3.0]]), np.array([[4.0]]))
    array([[4.],
           [1.]])
    """
    pair = _Pair(U, V, product, unit=False)
    squares = pair.left.norms[:, None]**2 + pair.right.norms**2
    D2 = squares - 2.0 * pair.gram
    rows, columns = np.nonzero(D2 < _NEAR * squares)
    D = np.sqrt(np.maximum(D2, 0.0))
    D[rows, columns] = pair.distances(rows, columns, np.ones(rows.size))
    return pair.mirrored(D * pair.scale)


class _Side:
    """Fields of one side, each divided by a number: what overflows in a square does not overflow here."""

    def __init__(self, U: np.ndarray, product: InnerProduct, scale: float | None) -> None:
        self.fields = U / (np.where((peaks := np.abs(U).max(axis=0, initial=0.0)) > 0.0, peaks, 1.0)
                           if scale is None else scale)
        self.norms = product.norm(self.fields)
        self.zero = self.norms == 0.0
        if scale is None:
            self.fields /= np.where(self.zero, 1.0, self.norms)


class _Pair:
    """Two lists of fields, their products, and the distances of chosen pairs."""

    def __init__(self, U: np.ndarray, V: np.ndarray, product: InnerProduct | None, unit: bool) -> None:
        self.product = product or InnerProduct(None)
        same = V is U
        U = _checked("U", U, self.product)
        V = U if same else _checked("V", V, self.product)
        if len(U) != len(V):
            raise ShapeError(f"fields of {len(U)} and of {len(V)} entries are not compared; the rule is one mesh for "
                             "all: solve them with the same model")
        self.scale = 1.0 if unit else max(np.abs(U).max(initial=0.0), np.abs(V).max(initial=0.0)) or 1.0
        self.left = _Side(U, self.product, None if unit else self.scale)
        self.right = self.left if same else _Side(V, self.product, None if unit else self.scale)
        self.gram = self.product.gram(self.left.fields, self.right.fields)
        self.both = ~self.left.zero[:, None] & ~self.right.zero

    def distances(self, rows: np.ndarray, columns: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """||v_j - f u_i||_X of the pairs (i, j) with factors f."""
        if not rows.size:
            return np.zeros(0)
        P, Q, M = self._coordinates(rows.size)
        found, height = np.empty(rows.size), max(1, _MEMORY // (16 * len(P)))
        for start in range(0, rows.size, height):
            part = slice(start, start + height)
            R = Q[:, columns[part]] - P[:, rows[part]] * factors[part]
            found[part] = np.einsum("ij,ij->j", R, R if M is None else M @ R)
        return np.sqrt(np.maximum(found, 0.0))

    def _coordinates(self, pairs: int) -> tuple[np.ndarray, np.ndarray, Any]:
        """Fields (m, a), (m, b) in an orthonormal basis B of all of them, and B^T X B; as they are for few pairs."""
        same, (P, Q) = self.right is self.left, (self.left.fields, self.right.fields)
        if pairs <= _MANY * (P.shape[1] + (0 if same else Q.shape[1]))**2:
            return P, Q, self.product.X
        S = P if same else np.hstack([P, Q])
        if self.product.X is None:
            M, (R,) = None, sl.qr(S, mode="r", check_finite=False)
        else:
            B, R = sl.qr(S, mode="economic", check_finite=False)
            M = self.product.gram(B, B)
        R = R[:min(S.shape)]
        a = P.shape[1]
        return R[:, :a], R if same else R[:, a:], M

    def mirrored(self, D: np.ndarray) -> np.ndarray:
        """D, with its upper triangle below the diagonal too where both sides are the same fields."""
        if self.right is not self.left:
            return D
        upper = np.triu(D, 1)
        return np.asarray(upper + upper.T)


def _checked(name: str, U: np.ndarray, product: InnerProduct) -> np.ndarray:
    fields = np.asarray(U, dtype=np.float64)
    if fields.ndim != 2:
        raise ShapeError(f"{name} has shape {fields.shape}; the rule is fields as columns (n, a)")
    if product.X is not None and product.X.shape[0] != len(fields):
        raise ShapeError(f"{name} has fields of {len(fields)} entries and the inner product '{product.name}' "
                         f"{product.X.shape[0]}; give fields of the mesh that the product belongs to")
    wrong = np.flatnonzero(~np.isfinite(fields).all(axis=0))
    if wrong.size:
        raise InputError(f"field {wrong[0]} of {name} has entries that are NaN or infinite ({wrong.size} such fields); "
                         "fields are finite: leave out the solves that failed")
    return fields
