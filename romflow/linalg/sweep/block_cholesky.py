"""Cholesky factorisation of a sum of dense matrices on a few index sets, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import SolveFailed


class BlockCholesky:
    """Factorises sum_q S_q, each S_q dense on some segments of the unknowns, in an order of little fill.

    Unknowns come in segments; two segments are coupled where one S_q holds both. The elimination order (least degree
    first) and the fill are found once; a solve works on dense blocks only. Cost: sum over segments of the cube of the
    front's width, a third of one dense factorisation for a 3 x 3 block.

    Parameters
    ----------
    bounds : (segments + 1,) int
        Segment i holds the unknowns bounds[i] .. bounds[i + 1] - 1.
    sets : sequence of int arrays
        Sorted unknowns of each S_q, made of whole segments.

    Examples
    --------
    >>> cholesky = BlockCholesky(np.array([0, 1, 2]), [np.array([0]), np.array([0, 1])])
    >>> cholesky.solve([np.array([[1.0]]), np.array([[1.0, 0.0], [0.0, 4.0]])], np.array([2.0, 4.0]))
    array([1., 1.])
    """

    def __init__(self, bounds: np.ndarray, sets: Sequence[np.ndarray]) -> None:
        self._n = int(bounds[-1])
        starts = bounds[:-1]
        self._segments = [slice(int(a), int(b)) for a, b in zip(starts, bounds[1:], strict=True)]
        members = [np.flatnonzero(np.isin(starts, chosen)) for chosen in sets]
        # Where each segment sits within each S_q.
        self._local = [[(int(i), slice(int(np.searchsorted(chosen, starts[i])),
                                       int(np.searchsorted(chosen, bounds[i + 1])))) for i in inside]
                       for chosen, inside in zip(sets, members, strict=True)]
        self._order, self._fronts = _elimination(len(starts), members, np.diff(bounds))

    def solve(self, parts: Sequence[np.ndarray], b: np.ndarray) -> np.ndarray:
        """x (m,) with (sum_q S_q) x = b, for the S_q in `parts`.

        Raises
        ------
        SolveFailed
            The sum is not positive definite.
        """
        if self._n == 0:
            return np.zeros(0)
        blocks = self._assembled(parts)
        factors: dict[int, np.ndarray] = {}
        x = np.array(b, dtype=float)
        try:
            for i, front in zip(self._order, self._fronts, strict=True):
                factors[i] = sl.cholesky(blocks[i, i], lower=True, check_finite=False)
                x[self._segments[i]] = self._forward(factors[i], x[self._segments[i]])
                self._eliminate(i, front, factors[i], blocks, x)
        except sl.LinAlgError:
            raise SolveFailed("the condensed interface matrix is not positive definite; use strategy = "
                              "\"direct\"") from None
        for i, front in zip(reversed(self._order), reversed(self._fronts), strict=True):
            y = x[self._segments[i]]
            for j in front:
                y = y - blocks[j, i].T @ x[self._segments[j]]
            x[self._segments[i]] = sl.solve_triangular(factors[i], y, lower=True, trans="T", check_finite=False)
        return x

    def _forward(self, L: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(sl.solve_triangular(L, b, lower=True, check_finite=False))

    def _assembled(self, parts: Sequence[np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
        """Blocks (i, j) with i eliminated after j or at once, with zeros where fill will be."""
        rank = {i: place for place, i in enumerate(self._order)}
        blocks: dict[tuple[int, int], np.ndarray] = {}
        for S, local in zip(parts, self._local, strict=True):
            for i, rows in local:
                for j, columns in local:
                    if rank[i] >= rank[j]:
                        known = blocks.get((i, j))
                        blocks[i, j] = S[rows, columns].copy() if known is None else known + S[rows, columns]
        return blocks

    def _eliminate(self, i: int, front: list[int], L: np.ndarray, blocks: dict[tuple[int, int], np.ndarray],
                   x: np.ndarray) -> None:
        for j in front:
            blocks[j, i] = self._forward(L, blocks[j, i].T).T
            x[self._segments[j]] -= blocks[j, i] @ x[self._segments[i]]
        for place, j in enumerate(front):
            for k in front[:place + 1]:
                update = blocks[j, i] @ blocks[k, i].T
                known = blocks.get((j, k))
                blocks[j, k] = -update if known is None else known - update


def _elimination(count: int, members: Sequence[np.ndarray], sizes: np.ndarray) -> tuple[list[int], list[list[int]]]:
    """Order of elimination by the least width of the front, and the front of each: later segments that it couples."""
    near: list[set[int]] = [set() for _ in range(count)]
    for inside in members:
        for i in inside:
            near[i] |= set(map(int, inside)) - {int(i)}
    left, order, fronts = set(range(count)), [], []
    while left:
        i = min(left, key=lambda i: (sum(int(sizes[j]) for j in near[i]), i))
        left.remove(i)
        order.append(i)
        fronts.append(near[i])
        for j in near[i]:
            near[j] |= near[i] - {j}
            near[j].discard(i)
    rank = {i: place for place, i in enumerate(order)}
    return order, [sorted(front, key=lambda j: rank[j]) for front in fronts]
