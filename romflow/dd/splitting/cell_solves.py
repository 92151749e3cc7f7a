"""Dirichlet solves in all coarse cells at once."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.dd.local_factor import LocalFactor
from romflow.dd.splitting.grid import TensorGrid

__all__ = ["CellSolves"]

# Grids like linspace repeat their steps up to rounding; a factor that differs by so little is the same.
_EQUAL = 1e-12


class CellSolves:
    """X = A_II^{-1} B for the unknowns inside the coarse cells, in the order `inside` (cell by cell).

    Where all cells have the same matrix (constant coefficients, uniform spacing) one factorisation of one cell serves
    all, with the cells as right-hand sides; else the block-diagonal matrix is factorised in one call.

    Attributes
    ----------
    inside : (cells * m,)
        The unknowns of A.
    shared : bool
        Whether one factor serves all cells.

    Examples
    --------
    >>> from romflow.dd.splitting.operators import tensor_operator
    >>> x = np.linspace(0.0, 1.0, 9)
    >>> grid = TensorGrid([x, x], 4)
    >>> CellSolves(tensor_operator([x, x]), grid, True).shared
    True
    """

    def __init__(self, A: sp.csr_array, grid: TensorGrid, symmetric: bool) -> None:
        self.inside = grid.cells.ravel()
        self._cells, self._width = grid.cells.shape
        blocks = sp.csr_array(A[self.inside][:, self.inside])
        blocks.sort_indices()
        self.shared = self._equal(blocks)
        matrix = sp.csr_array(blocks[:self._width, :self._width]) if self.shared else blocks
        self._factor = LocalFactor(matrix, "definite" if symmetric else "general")

    def _equal(self, blocks: sp.csr_array) -> bool:
        """Whether the blocks on the diagonal are one and the same."""
        counts = np.diff(blocks.indptr).reshape(self._cells, self._width)
        if (counts != counts[0]).any():
            return False
        first = np.arange(self._cells)[:, None] * self._width
        columns, values = (part.reshape(self._cells, -1) for part in (blocks.indices, blocks.data))
        same = np.abs(values - values[0]).max(initial=0.0) <= _EQUAL * np.abs(values).max(initial=0.0)
        return bool(same and ((columns - first) == columns[0]).all())

    def solve(self, B: np.ndarray) -> np.ndarray:
        """X (cells * m, j) for B (cells * m, j)."""
        if not self.shared:
            return self._factor.solve(B)
        j = B.shape[1]
        columns = B.reshape(self._cells, self._width, j).transpose(1, 0, 2).reshape(self._width, -1)
        X = self._factor.solve(np.ascontiguousarray(columns))
        return X.reshape(self._width, self._cells, j).transpose(1, 0, 2).reshape(B.shape)
