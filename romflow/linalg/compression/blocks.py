"""Parts of a snapshot matrix with their products by X, checked for numbers that are not finite."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct

__all__ = ["MEMORY", "check_shape", "diagonal_of", "squared_sum", "tiles", "weighted_rows"]

#: Bytes of snapshots that are held at a time, beside the basis and matrices of k x k.
MEMORY = 64 << 20


def tiles(total: int, length: int, source: SnapshotSource, memory: int, block: int | None) -> list[slice]:
    """Parts of `total` lines of `length` numbers each: `block` lines, or what a third of the memory holds."""
    size = block if block is not None else min(memory // 3, source.best) // (8 * max(length, 1))
    size = max(1, size)
    return [slice(start, min(start + size, total)) for start in range(0, total, size)]


def squared_sum(part: np.ndarray, where: str) -> float:
    """Sum of the squares of a part of the snapshots.

    Raises
    ------
    InputError
        A number is not finite, or its square is not.

    Examples
    --------
    >>> squared_sum(np.array([[3.0, 4.0]]), "rows 0 to 0")
    25.0
    """
    with np.errstate(over="ignore", invalid="ignore"):
        flat = part.ravel(order="K")
        total = float(flat @ flat)
    if np.isfinite(total):
        return total
    bad = np.argwhere(~np.isfinite(part))
    if len(bad):
        i, j = bad[0]
        raise InputError(f"the snapshots hold {part[i, j]} in {where} (entry {i}, {j} of that block), which is not "
                         "finite; solve these parameters again or leave them out")
    raise InputError(f"the snapshots in {where} are so large that their squares overflow; scale them")


def diagonal_of(product: InnerProduct) -> np.ndarray | None:
    """The diagonal d (n,) of X where X is diagonal, else None.

    Examples
    --------
    >>> diagonal_of(InnerProduct(sp.diags_array([4.0, 9.0])))
    array([4., 9.])
    """
    X = product.X
    if X is None or X.nnz != X.shape[0]:
        return None
    d = X.diagonal()
    return d if np.count_nonzero(d) == d.size else None


def check_shape(source: SnapshotSource, product: InnerProduct) -> None:
    """Raise ShapeError where X has another size than the snapshots."""
    if product.X is not None and source.k and product.X.shape[0] != source.n:
        raise ShapeError(f"the inner product is for vectors of {product.X.shape[0]} entries, the snapshots have "
                         f"{source.n}; give the matrix of the same unknowns")


def weighted_rows(source: SnapshotSource, product: InnerProduct,
                  parts: list[slice]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Triples (rows I, S[I], (X S)[I]); of a sparse X also the rows that X[I] touches are read."""
    d = diagonal_of(product)
    for rows in parts:
        if product.X is None:
            B = source.rows(rows)
            yield rows, B, B
        elif d is not None:
            B = source.rows(rows)
            yield rows, B, d[rows, None] * B
        else:
            Xr = product.X[rows]
            touched, inverse = np.unique(np.append(Xr.indices, np.arange(rows.start, rows.stop)), return_inverse=True)
            local = sp.csr_array((Xr.data, inverse[:Xr.nnz], Xr.indptr), shape=(Xr.shape[0], touched.size))
            S = source.take(touched)
            yield rows, S[inverse[Xr.nnz:]], local @ S
