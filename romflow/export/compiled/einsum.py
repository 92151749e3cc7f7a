"""Products as C text: a vector by a matrix wherever that is what the spec says, otherwise plain loops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Product", "packed", "product_of"]

# A constant is packed where that leaves out so much of it.
_PACKED = 0.75


@dataclass(frozen=True)
class Product:
    """y[B, J] = sum_K x[B, K] M[B, K, J]: for each of `batch` a vector by a matrix (rows, columns).

    Attributes
    ----------
    vector, matrix : int
        Which operand is which.
    axes : tuple of int
        Axes of the matrix operand in the order B, K, J.
    across : tuple of int
        The same in the order B, J, K: if these are its own, its rows are multiplied.
    batch, rows, columns : int
    """

    vector: int
    matrix: int
    axes: tuple[int, ...]
    across: tuple[int, ...]
    batch: int
    rows: int
    columns: int


def product_of(spec: str, shapes: Sequence[tuple[int, ...]], constant: Sequence[bool]) -> Product | None:
    """How an einsum of two operands is a vector by a matrix; None if it is not.

    Examples
    --------
    >>> found = product_of("ba,a->b", [(3, 2), (2,)], [True, False])
    >>> found.axes, found.rows, found.columns
    ((1, 0), 2, 3)
    """
    left, _, out = spec.partition("->")
    letters = left.split(",")
    sizes = {letter: size for own, shape in zip(letters, shapes, strict=True)
             for letter, size in zip(own, shape, strict=True)}
    for matrix in sorted((0, 1), key=lambda k: (not constant[k], -len(letters[k]))):
        vector = 1 - matrix
        own, other = letters[matrix], letters[vector]
        summed = [letter for letter in other if letter not in out]
        batch = [letter for letter in other if letter in out]
        free = [letter for letter in out if letter not in other]
        plain = len(set(own)) == len(own) and len(set(other)) == len(other)
        if not plain or other != "".join(batch + summed) or out != "".join(batch + free):
            continue
        if sorted(own) != sorted(batch + summed + free):
            continue
        axes, across = (tuple(own.index(letter) for letter in order)
                        for order in (batch + summed + free, batch + free + summed))
        counts = (_count(sizes, part) for part in (batch, summed, free))
        return Product(vector, matrix, axes, across, *counts)
    return None


def _count(sizes: dict[str, int], letters: Sequence[str]) -> int:
    return int(np.prod([sizes[letter] for letter in letters], dtype=int))


def packed(matrix: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """The rows (k, j) of a matrix in fours without the columns in which all four are zero, before and after.

    Returns
    -------
    For each four the first column that is kept and the one after the last, and all numbers that are kept, rows that
    make no four whole at the end; None where little is left out.

    Examples
    --------
    >>> ends, kept = packed(np.eye(8, 60))
    >>> ends.tolist(), kept.size
    ([0, 4, 4, 8], 32)
    """
    rows, columns = matrix.shape
    whole = rows - rows % 4
    ends, numbers = [], []
    for group in matrix[:whole].reshape(whole // 4, 4, columns):
        found = np.flatnonzero(np.any(group != 0.0, axis=0))
        first, stop = (int(found[0]), int(found[-1]) + 1) if found.size else (0, 0)
        ends += [first, stop]
        numbers.append(group[:, first:stop].ravel())
    kept = np.concatenate([*numbers, matrix[whole:].ravel()])
    if not ends or kept.size > _PACKED * matrix.size:
        return None
    return np.array(ends, dtype=np.int64), kept
