"""A basis that grows and is transformed in place: at no time is there a second one of its size."""

from __future__ import annotations

import numpy as np

from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embeddings import embedding

__all__ = ["Modes"]

_TILE = 8 << 20
_DEFECT = 1e-15
_NOISE = 1e-10
_REPEATS = 3
_OVERSAMPLING = 4
_LOST = 2e-15


class Modes:
    """Modes V (n, r), kept as the rows of one array that is lengthened and shortened where it lies.

    Parameters
    ----------
    n : int

    Examples
    --------
    >>> modes = Modes(3)
    >>> modes.append(2)[:] = [[2.0, 0.0, 0.0], [2.0, 1.0, 0.0]]
    >>> coordinates = modes.whiten(InnerProduct(None), np.eye(2))
    >>> np.allclose(modes.V.T @ modes.V, np.eye(2))
    True
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self._rows = np.empty((0, n))

    @classmethod
    def of(cls, V: np.ndarray) -> Modes:
        """The columns of V (n, r), copied."""
        modes = cls(V.shape[0])
        modes.append(V.shape[1])[:] = V.T
        return modes

    @property
    def r(self) -> int:
        """Number of modes."""
        return len(self._rows)

    @property
    def V(self) -> np.ndarray:
        """The modes (n, r), a view which the next call of `append` or `transform` invalidates."""
        return self._rows.T

    def append(self, count: int) -> np.ndarray:
        """Room for `count` further modes, as rows (count, n) of zeros."""
        r = self.r
        self._resize(r + count)
        return self._rows[r:]

    def transform(self, T: np.ndarray) -> None:
        """V <- V T for T (r, j) with j <= r."""
        height = max(1, _TILE // (8 * max(self.r, 1)))
        for start in range(0, self.n, height):
            part = slice(start, start + height)
            self._rows[:T.shape[1], part] = T.T @ self._rows[:, part]
        self._resize(T.shape[1])

    def gram(self, product: InnerProduct) -> np.ndarray:
        """V^T X V (r, r), some columns of X V at a time."""
        if product.X is None:
            return self._rows @ self._rows.T
        C = np.empty((self.r, self.r))
        width = max(1, _TILE // (8 * max(self.n, 1)))
        for start in range(0, self.r, width):
            part = slice(start, start + width)
            C[:, part] = self._rows @ product.apply(self._rows[part].T)
        return 0.5 * (C + C.T)

    def whiten(self, product: InnerProduct, coordinates: np.ndarray, G: np.ndarray | None = None) -> np.ndarray:
        """Make V X-orthonormal; V K (n, j) of the coordinates K (r, j) stays what it is, and the new K is returned.

        V <- V G^{-1/2} with G = V^T X V (polar form), repeated until V^T X V = I to 1e-15 r. Directions with less than
        1e-10 of the largest share of G are noise and left out: the columns must have been scaled before.
        """
        G = self.gram(product) if G is None else G
        for _ in range(_REPEATS):
            if np.abs(G - np.eye(self.r)).max(initial=0.0) <= _DEFECT * max(self.r, 4):
                break
            values, Q = np.linalg.eigh(G)
            keep = values > _NOISE * max(values[-1], 0.0) if values.size else np.zeros(0, dtype=bool)
            root, Q = np.sqrt(values[keep]), Q[:, keep]
            # Where nothing is left out, the symmetric root keeps each mode nearest to what it was.
            turn = Q.T if keep.all() else np.eye(root.size)
            self.transform((Q / root) @ turn)
            coordinates = turn.T @ ((root[:, None] * Q.T) @ coordinates)
            G = self.gram(product)
        return coordinates

    def orthonormalise(self, product: InnerProduct, seed: int = 0) -> None:
        """Make V X-orthonormal whatever its condition; directions below 2e-15 of the largest are left out.

        The singular vectors of a sparse-sign sketch make the columns nearly orthonormal (sketched Cholesky QR,
        Balabanov 2022), which leaves to the Gram matrix what it can do without loss of digits.
        """
        if not self.r:
            return
        rows = _OVERSAMPLING * self.r
        sketched = self.V if rows >= self.n else embedding("sparse-sign", rows, self.n, seed).apply(self.V)
        _, sigma, Wt = np.linalg.svd(sketched, full_matrices=False)
        keep = sigma > _LOST * sigma[0]
        self.transform(Wt[keep].T / sigma[keep])
        self.whiten(product, np.zeros((self.r, 0)))

    def fix_signs(self) -> None:
        """Make the largest entry of each mode positive."""
        for row in self._rows:
            if row[np.argmax(np.abs(row))] < 0.0:
                row *= -1.0

    def _resize(self, count: int) -> None:
        # No view outlives the methods of this package's passes; a copy would double the memory.
        self._rows.resize((count, self.n), refcheck=False)
