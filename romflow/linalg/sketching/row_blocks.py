"""A tall matrix as blocks of rows that can be read several times: array, memory map, sparse, callable or list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError

Rows = Callable[[slice], np.ndarray]
Tall = np.ndarray | sp.sparray | Rows | Sequence[np.ndarray]

BLOCK = 1 << 14


class RowBlocks:
    """The rows of a tall matrix (n, k) in order, as (start, block) pairs; no more than one block is held at a time.

    Parameters
    ----------
    A : (n, k) array or memory map, sparse (n, k), list of (m_i, k) blocks, or a callable rows(slice) -> (m, k)
    shape : (int, int), optional
        (n, k); needed for a callable.
    block : int
        Rows a block, where A leaves the choice.

    Raises
    ------
    InputError, ShapeError
        A callable without shape; blocks of different widths; fewer than two dimensions.

    Examples
    --------
    >>> import numpy as np
    >>> [(start, part.shape) for start, part in RowBlocks(np.ones((5, 2)), block=3)]
    [(0, (3, 2)), (3, (2, 2))]
    """

    def __init__(self, A: Tall, shape: tuple[int, int] | None = None, block: int = BLOCK) -> None:
        if block < 1:
            raise InputError(f"blocks of {block} rows were asked for; the rule is at least 1")
        self._list: list[np.ndarray] | None = None
        if callable(A):
            if shape is None:
                raise InputError("the matrix is a callable of rows without `shape`; give shape = (n, k)")
            self._rows: Rows = A
        elif isinstance(A, (list, tuple)) and A and np.ndim(A[0]) == 2:
            self._list = [np.asarray(part) for part in A]
            widths = {part.shape[1:] for part in self._list}
            if len(widths) != 1:
                raise ShapeError(f"the blocks of rows have widths {sorted(widths)}; the rule is the same k for each")
            shape = (sum(map(len, self._list)), *self._list[0].shape[1:])
        else:
            A = sp.csr_array(A) if sp.issparse(A) else np.asarray(A) if not isinstance(A, np.memmap) else A
            if A.ndim != 2:
                raise ShapeError(f"a tall matrix (n, k) is needed; this one has shape {A.shape}")
            self._rows, shape = A.__getitem__, A.shape
        self.shape, self._block = (int(shape[0]), int(shape[1])), block

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        start = 0
        for part in self._parts():
            yield start, part
            start += part.shape[0]

    def _parts(self) -> Iterator[np.ndarray]:
        if self._list is not None:
            yield from (part.astype(float, copy=False) for part in self._list)
            return
        n, k = self.shape
        for first in range(0, n, self._block):
            wanted = slice(first, min(first + self._block, n))
            part = self._rows(wanted)
            part = part.toarray() if sp.issparse(part) else part
            if np.iscomplexobj(part):
                raise InputError("the matrix is complex; give real and imaginary parts as a system of twice the size")
            part = np.asarray(part, dtype=float)
            if part.shape != (wanted.stop - first, k):
                raise ShapeError(f"rows {first} to {wanted.stop} of the matrix came with shape {part.shape}; the rule "
                                 f"is ({wanted.stop - first}, {k})")
            yield part
