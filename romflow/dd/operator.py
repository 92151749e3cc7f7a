"""Products with a matrix whose rows are split over the ranks."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ShapeError
from romflow.dd.layout import Layout

__all__ = ["SplitMatrix"]


class SplitMatrix:
    """y = A x over owned unknowns; the values of the ghosts travel while the owned ones are multiplied.

    Parameters
    ----------
    layout : Layout
    A : csr (local, local)
        Its owned rows must be exact.

    Notes
    -----
    The owned rows are a view of A; only the columns of the ghosts, a thin strip, are copied.

    Examples
    --------
    >>> from romflow.dd.communicator import Single
    >>> from romflow.dd.decomposition import decompose
    >>> cells = np.array([[0, 1], [1, 2]])
    >>> layout = Layout(Single(), [decompose(cells, cells, np.array([[0.5], [1.5]]), parts=1).part(0)])
    >>> SplitMatrix(layout, sp.csr_array(np.diag([1.0, 2.0, 3.0]))) @ np.ones((3, 1))
    array([[1.],
           [2.],
           [3.]])
    """

    def __init__(self, layout: Layout, A: sp.csr_array) -> None:
        if A.shape != (layout.local, layout.local):
            raise ShapeError(f"the matrix of this rank has the shape {A.shape}; the rule is (local, local) = "
                             f"{(layout.local, layout.local)} with rows and columns in the order of Layout.dofs")
        self._layout, self._A = layout, A
        end = A.indptr[layout.owned]
        self._rows = sp.csr_array((A.data[:end], A.indices[:end], A.indptr[:layout.owned + 1]),
                                  shape=(layout.owned, layout.local))
        self._strip = self._rows[:, layout.owned:] if layout.comm.size > 1 else None

    @property
    def nnz(self) -> int:
        """Entries of the owned rows."""
        return int(self._rows.nnz)

    def rounding(self, X: np.ndarray) -> np.ndarray:
        """Norms (j,) of eps |A| |X|: about what the rounding of X alone does to A X. Collective; one copy of A."""
        size = SplitMatrix(self._layout, abs(self._A))
        return self._layout.norm(np.finfo(float).eps * (size @ np.abs(X)))

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        if self._strip is None:
            return self._rows @ X
        running = self._layout.exchange.begin(X)
        padded = np.zeros((self._layout.local, X.shape[1]))
        padded[:X.shape[0]] = X
        Y = self._rows @ padded
        Y += self._strip @ self._layout.exchange.end(running)
        return Y
