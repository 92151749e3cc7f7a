"""The factorised matrix of one subdomain: a preconditioner's solve, in the kind that the matrix turns out to have."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.direct import BACKENDS, default_backend
from romflow.linalg.solvers.pardiso import Pardiso
from romflow.linalg.solvers.protocol import DirectBackend, Kind
from romflow.linalg.solvers.superlu import SuperLUBackend

__all__ = ["LocalFactor"]

_ORDER: tuple[Kind, ...] = ("definite", "symmetric", "general")
_SINGLE = {"pardiso": Pardiso, "superlu": SuperLUBackend}
# Errors of a solve with a known solution: single precision that is worse is not worth its memory; a matrix that is
# worse in double precision is singular, also where the library replaced its pivots.
_SINGLE_ERROR, _DOUBLE_ERROR = 1e-3, 0.1


class LocalFactor:
    """Solves A X = B by one factorisation, without refinement: what a preconditioner needs.

    Parameters
    ----------
    A : csr (m, m)
        May have no rows; its diagonal is scaled to 1 in size first.
    kind : {"definite", "symmetric", "general"}
        The least general kind; the others follow where the factorisation refuses it.
    backend : str
        "auto" or a name of `romflow.linalg.solvers.direct.BACKENDS`.
    single : bool
        Factors in single precision, where the back end can and one solve is right to 1e-3; else in double.

    Raises
    ------
    SolveFailed
        The matrix is singular.

    Notes
    -----
    Only the factors are kept. After a failure inside the library `solve` answers NaN, so that all ranks see it in
    their next sum.

    Examples
    --------
    >>> LocalFactor(sp.csr_array(np.diag([2.0, 4.0])), "definite").solve(np.ones((2, 1)))[:, 0]
    array([0.5 , 0.25])
    """

    def __init__(self, A: sp.csr_array, kind: Kind, backend: str = "auto", single: bool = False) -> None:
        self._rows = A.shape[0]
        if self._rows == 0:
            return
        diagonal = np.abs(A.diagonal())
        self._scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))[:, None]
        rows = np.repeat(self._scale[:, 0], np.diff(A.indptr))
        A = sp.csr_array((A.data * rows * self._scale[A.indices, 0], A.indices, A.indptr), shape=A.shape)
        A = A if A.has_sorted_indices else sp.csr_array(A.sorted_indices())
        failure: SolveFailed | None = None
        for precision in ((True, False) if single else (False,)):
            for self.kind in _ORDER[_ORDER.index(kind):]:
                try:
                    self._engine = _factorised(A, self.kind, backend, precision)
                except SolveFailed as error:
                    failure = error
                    continue
                if self._error(A) <= (_SINGLE_ERROR if precision else _DOUBLE_ERROR):
                    return
        raise failure or SolveFailed(f"a local matrix of {self._rows} rows is singular to working precision; check the "
                                     "boundary conditions and the coefficients")

    def solve(self, B: np.ndarray) -> np.ndarray:
        """X (m, j) of A X = B (m, j)."""
        if self._rows == 0:
            return np.zeros(B.shape)
        try:
            return self._scale * np.asarray(self._engine.solve(self._scale * B)).reshape(B.shape)
        except SolveFailed:
            return np.full(B.shape, np.nan)

    def _error(self, A: sp.csr_array) -> float:
        """Relative error of one solve with a known solution, which is rough; infinite where it is not finite."""
        x = np.random.default_rng(0).standard_normal((self._rows, 1))
        error = np.asarray(self._engine.solve(A @ x)).reshape(x.shape) - x
        return float(np.nan_to_num(np.linalg.norm(error) / np.linalg.norm(x), nan=np.inf))


def _factorised(A: sp.csr_array, kind: Kind, backend: str, single: bool) -> DirectBackend:
    name = default_backend(A.shape[0], A.nnz, kind == "definite") if backend == "auto" else backend
    engine: DirectBackend = _SINGLE[name](kind, single=True) if single and name in _SINGLE else BACKENDS[name](kind)
    engine.analyse(A)
    engine.factorise(A)
    if isinstance(engine, Pardiso | SuperLUBackend):
        engine.forget_matrix()
    return engine
