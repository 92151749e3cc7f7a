"""Sets of multi-indices: which products of polynomials of one variable span a space of polynomials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, shown

__all__ = ["INDEX_SETS", "multi_indices"]

Integers = NDArray[np.int64]

#: total: sum_j d_j <= degree; hyperbolic: prod_j (d_j + 1) <= degree + 1.
INDEX_SETS = ("total", "hyperbolic")

MAX_TERMS = 20_000


def multi_indices(p: int, degree: int, kind: str = "total", limits: Sequence[int] | None = None) -> Integers:
    """Degrees (m, p), sorted by total degree: "total" sum_j d_j <= degree, "hyperbolic" prod_j (d_j + 1) <= degree + 1.

    Parameters
    ----------
    p, degree : int
    kind : {"total", "hyperbolic"}
    limits : (p,) int, optional
        Largest degree of each variable.

    Raises
    ------
    InputError
        Unknown kind, p < 1, degree < 0, or more than 20,000 terms.

    Examples
    --------
    >>> multi_indices(2, 2).tolist()
    [[0, 0], [0, 1], [1, 0], [0, 2], [1, 1], [2, 0]]
    >>> len(multi_indices(10, 3, "hyperbolic"))
    76
    """
    for name, value, least in (("p", p, 1), ("degree", degree, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"polynomials have {name} = {shown(value)}; the rule is a whole number from {least}.")
    if kind not in INDEX_SETS:
        raise InputError(f"no set of multi-indices is called {shown(kind)}{nearest(kind, INDEX_SETS)}")
    found = np.zeros((1, 0), dtype=np.int64)
    left = np.array([degree if kind == "total" else degree + 1], dtype=np.int64)
    for j in range(p):
        most = left if kind == "total" else left - 1
        counts = (most if limits is None else np.minimum(most, limits[j])) + 1
        if counts.sum() > MAX_TERMS:
            raise InputError(f"polynomials of degree {degree} ({kind}) in {p} variables have more than {MAX_TERMS} "
                             "terms; lower the degree, or take the hyperbolic set.")
        rows = np.repeat(np.arange(len(found)), counts)
        d = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.column_stack([found[rows], d])
        left = left[rows] - d if kind == "total" else left[rows] // (d + 1)
    return found[np.argsort(found.sum(axis=1), kind="stable")]
