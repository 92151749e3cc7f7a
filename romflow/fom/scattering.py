"""Element matrices scattered into one sparse matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["scattered"]

# Local entries below this share of the largest one are rounding of zero (right angles) and would only cause fill.
_ZERO = 1e-14


def scattered(cell_dofs: np.ndarray, local: np.ndarray, n: int) -> sp.csr_array:
    """Sum of element matrices: csr (n, n) with sorted, unique entries; zeros and fixed values are left out.

    Parameters
    ----------
    cell_dofs : (E, w) int
        -1 where a value is fixed.
    local : (E, w, w)
        Consumed: entries below 1e-14 of the largest one are set to zero.
    n : int
    """
    width = cell_dofs.shape[1]
    local[np.abs(local) <= _ZERO * np.abs(local).max(initial=0.0)] = 0.0
    rows = np.repeat(cell_dofs, width, axis=1).ravel()
    columns = np.tile(cell_dofs, (1, width)).ravel()
    values = local.reshape(-1)
    kept = (rows >= 0) & (columns >= 0) & (values != 0.0)
    return sp.csr_array(sp.coo_array((values[kept], (rows[kept], columns[kept])), shape=(n, n)).tocsr())
