"""Inner products of models, checked before anything relies on them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError

__all__ = ["checked_inner_product"]


def checked_inner_product(X: sp.sparray, n: int) -> sp.csr_array:
    """X as CSR (n, n), made exactly symmetric where it is symmetric but for rounding.

    Raises
    ------
    ShapeError, InputError
        Wrong shape, values that are not real or not finite, asymmetry above 1e-12 of the largest entry.
    """
    X = sp.csr_array(X, copy=True)
    if X.shape != (n, n):
        raise ShapeError(f"the inner product has shape {X.shape}; the rule is ({n}, {n}), the shape of the operator")
    if X.dtype.kind not in "iufb" or not np.isfinite(X.data).all():
        raise InputError("the inner product has entries that are not finite real numbers; check its assembly")
    X = X.astype(np.float64, copy=False)
    X.sum_duplicates()
    skew = abs(X - X.T).max()
    if skew > 1e-12 * abs(X).max():
        raise InputError(f"the inner product is not symmetric (largest |X - X^T| is {skew:.2e}); the rule is a "
                         "symmetric positive definite matrix: give its symmetric part, or another matrix")
    return sp.csr_array(0.5 * (X + X.T)) if skew > 0.0 else X
