"""One part of a split model: its operators on the unknowns that its own cells touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class PartOperators:
    """Operators of one part, not assembled over the interfaces: sums over the parts are the global quantities.

    With R_i the restriction of a global state (n,) to the closure of part i (n_c entries: what the part owns first),
    A_q = sum_i R_i^T operator[q] R_i, and so for X, the right-hand side (R_i^T rhs) and the outputs (outputs R_i).

    Attributes
    ----------
    number : int
        Number of the part.
    start : int
        Global number of the first unknown that the part owns.
    owned : int
        Unknowns that the part owns: entries start .. start + owned - 1 of a state, rows 0 .. owned - 1 of the closure.
    dofs : (n_c,) int64
        Global number of each entry of the closure.
    operator : list of Q csr (n_c, n_c)
        Terms of the operator, from the part's own cells alone.
    product : csr (n_c, n_c)
        The inner product X, from the part's own cells alone: symmetric positive semi-definite.
    rhs : (n_c, Qf)
        Terms of the right-hand side; each unknown is counted by its owner (zero in the rows of others).
    outputs : (Ql, o, n_c) or None
        Functionals of the outputs, counted likewise.
    """

    number: int
    start: int
    owned: int
    dofs: np.ndarray
    operator: list[sp.csr_array]
    product: sp.csr_array
    rhs: np.ndarray
    outputs: np.ndarray | None

    @property
    def n_closure(self) -> int:
        """Unknowns that the part's own cells touch."""
        return int(self.dofs.size)
