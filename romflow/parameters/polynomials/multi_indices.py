"""Sets of multi-indices: which products of polynomials of one variable span a space of polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, shown

__all__ = ["INDEX_SETS", "multi_indices"]

Integers = NDArray[np.int64]

#: total: sum_j d_j <= degree; hyperbolic: prod_j (d_j + 1) <= degree + 1.
INDEX_SETS = ("total", "hyperbolic")

MAX_TERMS, MAX_DEGREE = 20_000, 500


def multi_indices(p: int, degree: int, kind: str = "total", limits: Sequence[int] | None = None) -> Integers:
    """Degrees (m, p), by total degree: "total" sum_j d_j <= degree, "hyperbolic" prod_j (d_j + 1) <= degree + 1.

    Parameters
    ----------
    p, degree : int
    kind : {"total", "hyperbolic"}
    limits : (p,) int, optional
        Largest degree of each variable.

    Raises
    ------
    InputError
        Unknown kind, p < 1, a degree that is not within 0 .. 500, or more than 20,000 terms.

    Examples
    --------
    >>> multi_indices(2, 2).tolist()
    [[0, 0], [1, 0], [0, 1], [2, 0], [1, 1], [0, 2]]
    >>> len(multi_indices(10, 3, "hyperbolic"))
    76
    """
    for name, value, least, top in (("p", p, 1, MAX_TERMS), ("degree", degree, 0, MAX_DEGREE)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= top:
            raise InputError(f"polynomials have {name} = {shown(value)}; the rule is a whole number from {least} to "
                             f"{top}.")
    if kind not in INDEX_SETS:
        raise InputError(f"no set of multi-indices is called {shown(kind)}{nearest(kind, INDEX_SETS)}")
    most = np.full(p, degree, dtype=np.int64) if limits is None else np.asarray(limits, dtype=np.int64)
    generations = [_Generation(np.zeros((1, p), dtype=np.int64), np.zeros(1, dtype=np.int64), np.ones(1, np.int64))]
    total = 1
    for _ in range(degree):
        following = generations[-1].next(most, degree + 1 if kind == "hyperbolic" else None, MAX_TERMS - total)
        if following is None:
            raise InputError(f"polynomials of degree {degree} ({kind}) in {p} variables have more than {MAX_TERMS} "
                             "terms; lower the degree, or take the hyperbolic set.")
        total += len(following.rows)
        generations.append(following)
    return np.concatenate([generation.rows for generation in generations])


@dataclass(frozen=True)
class _Generation:
    """All multi-indices (c, p) of one total degree, with the last column of each that is not 0 and prod_j (d_j + 1)."""

    rows: Integers
    last: Integers
    product: Integers

    def next(self, most: Integers, bound: int | None, room: int) -> _Generation | None:
        """Those of the next degree, each from one parent: one more in its last column or a later one."""
        p = self.rows.shape[1]
        counts = p - self.last
        if counts.sum() > 100 * MAX_TERMS:
            return None
        parent = np.repeat(np.arange(len(self.rows)), counts)
        column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + self.last[parent]
        before = self.rows[parent, column]
        product = self.product[parent] // (before + 1) * (before + 2)
        allowed = before < most[column]
        if bound is not None:
            allowed &= product <= bound
        if np.count_nonzero(allowed) > room:
            return None
        rows = self.rows[parent[allowed]]
        rows[np.arange(len(rows)), column[allowed]] += 1
        return _Generation(rows, column[allowed], product[allowed])
