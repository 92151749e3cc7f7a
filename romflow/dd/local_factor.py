"""The factorised matrix of one subdomain: a preconditioner's solve, in the kind that the matrix turns out to have."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.direct import BACKENDS, default_backend
from romflow.linalg.solvers.protocol import DirectBackend, Kind

__all__ = ["LocalFactor"]

_ORDER: tuple[Kind, ...] = ("definite", "symmetric", "general")


class LocalFactor:
    """Solves A X = B by one factorisation, without refinement: what a preconditioner needs.

    Parameters
    ----------
    A : csr (m, m)
        May have no rows.
    kind : {"definite", "symmetric", "general"}
        The least general kind; the others follow where the factorisation refuses it.
    backend : str
        "auto" or a name of `romflow.linalg.solvers.direct.BACKENDS`.

    Raises
    ------
    SolveFailed
        The matrix is singular.

    Examples
    --------
    >>> LocalFactor(sp.csr_array(np.diag([2.0, 4.0])), "definite").solve(np.ones((2, 1)))[:, 0]
    array([0.5 , 0.25])
    """

    def __init__(self, A: sp.csr_array, kind: Kind, backend: str = "auto") -> None:
        self.kind, self._asked, self._engine = kind, backend, None
        self.update(A)

    def update(self, A: sp.csr_array) -> None:
        """Factorise other numbers; the analysis is kept where the pattern is the same."""
        if A.shape[0] == 0:
            return
        pattern = (A.shape[0], A.nnz)
        for kind in _ORDER[_ORDER.index(self.kind):]:
            try:
                self._factorise(A, kind, pattern)
            except SolveFailed as error:
                failure = error
                self._engine = None
                continue
            return
        raise failure

    def _factorise(self, A: sp.csr_array, kind: Kind, pattern: tuple[int, int]) -> None:
        if self._engine is None or self.kind != kind or pattern != self._pattern:
            name = default_backend(*pattern, kind == "definite") if self._asked == "auto" else self._asked
            engine: DirectBackend = BACKENDS[name](kind)
            engine.analyse(A)
            self._engine, self.kind, self._pattern = engine, kind, pattern
        self._engine.factorise(A)

    def solve(self, B: np.ndarray) -> np.ndarray:
        """X (m, j) of A X = B (m, j)."""
        if B.shape[0] == 0 or self._engine is None:
            return np.zeros(B.shape)
        return np.asarray(self._engine.solve(B)).reshape(B.shape)
