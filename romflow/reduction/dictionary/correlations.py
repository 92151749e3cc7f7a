"""The Gram matrix of all features, from which every projection error follows without another look at a field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.inner_product import InnerProduct

__all__ = ["Correlations", "correlations"]

# Square of the share of a sample's norm that its coordinates may lack.
_DROPPED = 1e-12

#: columns(numbers of samples) -> (n, sum of their sizes), the samples one after the other
Columns = Callable[[Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Correlations:
    """G = U^T X U for the columns U = [U_1 .. U_N] of N samples, U_i (n, k_i).

    Parameters
    ----------
    gram : (M, M)
        M = k_1 + .. + k_N.
    sizes : (N,)
        The k_i, at least 1.

    Raises
    ------
    ShapeError, InputError
        Not square, not symmetric, of another size than the sum of `sizes`, not finite, or with negative squares.

    Examples
    --------
    >>> import numpy as np
    >>> U = np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0]])
    >>> Correlations(U.T @ U, np.array([2, 1])).energy
    array([2., 8.])
    """

    gram: np.ndarray
    sizes: np.ndarray

    def __post_init__(self) -> None:
        G, sizes = np.asarray(self.gram, dtype=np.float64), np.asarray(self.sizes, dtype=np.int64)
        if sizes.ndim != 1 or not sizes.size or sizes.min() < 1:
            raise ShapeError("the sizes of the features must be a list of whole numbers, at least 1; a sample without "
                             "columns gives a column of zeros")
        if G.shape != (sizes.sum(), sizes.sum()):
            raise ShapeError(f"the Gram matrix has shape {G.shape} for {sizes.sum()} columns; give U^T X U of all")
        if not np.isfinite(G).all():
            bad = int(np.searchsorted(np.cumsum(sizes), np.argwhere(~np.isfinite(G))[0, 0], side="right"))
            raise InputError(f"the Gram matrix is not finite at sample {bad}; solve that sample again or leave it out")
        if G.diagonal().min() < 0.0 or np.abs(G - G.T).max() > 1e-8 * max(G.diagonal().max(), np.finfo(float).tiny):
            raise InputError("the Gram matrix is not symmetric, or has a negative square; give U^T X U, X symmetric "
                             "and positive definite")
        object.__setattr__(self, "gram", G)
        object.__setattr__(self, "sizes", sizes)

    @property
    def samples(self) -> int:
        """N."""
        return int(self.sizes.size)

    @cached_property
    def ends(self) -> np.ndarray:
        """First column of each sample, and M (N + 1,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def energy(self) -> np.ndarray:
        """||U_i||^2 (N,), summed over the columns of each sample."""
        return np.add.reduceat(self.gram.diagonal(), self.ends[:-1])

    @cached_property
    def coordinates(self) -> np.ndarray:
        """Z (R, M) with Z^T Z = G, R the numerical rank of all samples scaled alike: what is dropped of a column is at
        most 1e-6 of the norm of its sample.

        Pivoted Cholesky factorisation (Higham 1990), M R^2 flops.
        """
        scale = np.repeat(np.sqrt(self.energy), self.sizes)
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0.0)
        L, pivots, rank, _ = lapack.dpstrf(self.gram * inverse[:, None] * inverse, tol=_DROPPED, lower=1)
        if not scale.any():
            return np.zeros((0, scale.size))
        Z = np.zeros((rank, scale.size))
        Z[:, pivots - 1] = np.tril(L)[:, :rank].T
        return np.asarray(Z * scale)

    def columns(self, samples: Sequence[int] | np.ndarray) -> np.ndarray:
        """Numbers of the columns of these samples, one sample after the other."""
        return np.concatenate([np.arange(self.ends[i], self.ends[i + 1]) for i in samples])


def correlations(columns: Columns, sizes: Sequence[int] | np.ndarray, product: InnerProduct | None = None,
                 block: int = 64) -> Correlations:
    """G = U^T X U by pairs of blocks of samples: two blocks of columns are in memory at a time.

    Cost: n M^2 flops, N / (2 block) readings of all features; the result depends on `block` to rounding.

    Parameters
    ----------
    columns : callable samples -> (n, j)
        Columns of the samples that it is given, side by side (e.g. from feature files).
    sizes : (N,)
        Columns of each sample.
    product : InnerProduct, optional
        By default the Euclidean one (features that are weighted already).

    Raises
    ------
    InputError
        A feature is not finite; block < 1.
    ShapeError
        A block has another number of columns than `sizes` says, or of rows than the others.

    Examples
    --------
    >>> import numpy as np
    >>> U = np.arange(6.0).reshape(2, 3)
    >>> correlations(lambda samples: U[:, samples], [1, 1, 1], block=2).gram
    array([[ 9., 12., 15.],
           [12., 17., 22.],
           [15., 22., 29.]])
    """
    if block < 1:
        raise InputError(f"the Gram matrix got block = {block}; the rule is at least 1")
    sizes, X = np.asarray(sizes, dtype=np.int64), product or InnerProduct(None)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    G, tiles = np.zeros((ends[-1], ends[-1])), [range(a, min(a + block, sizes.size))
                                                for a in range(0, sizes.size, block)]
    rows: int | None = None
    for first, left in enumerate(tiles):
        U = _block(columns, left, sizes, rows)
        rows, XU = U.shape[0], X.apply(U)
        for right in tiles[first:]:
            V = U if right is left else _block(columns, right, sizes, rows)
            here, there = slice(ends[left[0]], ends[left[-1] + 1]), slice(ends[right[0]], ends[right[-1] + 1])
            G[here, there] = XU.T @ V
            G[there, here] = G[here, there].T
    return Correlations(0.5 * (G + G.T), sizes)


def _block(columns: Columns, samples: range, sizes: np.ndarray, rows: int | None) -> np.ndarray:
    U, wanted = np.asarray(columns(list(samples)), dtype=np.float64), int(sizes[list(samples)].sum())
    if U.ndim != 2 or U.shape[1] != wanted or rows not in (None, U.shape[0]):
        raise ShapeError(f"the features of samples {samples[0]} to {samples[-1]} have shape {U.shape}; the rule "
                         f"is ({'n' if rows is None else rows}, {wanted}): fields of one mesh, with the sizes told")
    if not np.isfinite(U).all():
        column = int(np.argwhere(~np.isfinite(U).all(axis=0))[0, 0])
        bad = samples[int(np.searchsorted(np.cumsum(sizes[list(samples)]), column, side="right"))]
        raise InputError(f"the feature of sample {bad} is not finite (NaN or infinity); solve it again or leave it out")
    return U
