"""PARDISO of Intel MKL through pypardiso: phase 11 once for a pattern, phase 22 for every matrix, phase 33 to solve."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_info

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.optional import load
from romflow.linalg.solvers.protocol import Kind

__all__ = ["Pardiso"]

_MATRIX_TYPE = {"definite": 2, "symmetric": -2, "general": 11}
_ANALYSE, _FACTORISE, _SOLVE, _RELEASE = 11, 22, 33, -1
_BLOCK = 8
_PRECISION = 27
# Values of `iparm` by their zero-based position: own values, METIS, no refinement, indices from zero.
_OPTIONS = {0: 1, 1: 2, 7: 0, 34: 1}
_PIVOTING = {"definite": {}, "symmetric": {9: 13, 10: 1, 12: 1, 20: 1}, "general": {9: 13, 10: 1, 12: 1}}


class Pardiso:
    """Supernodal factorisation of MKL on a nested-dissection ordering, one analysis for a pattern.

    Parameters
    ----------
    kind : {"definite", "symmetric", "general"}
        Cholesky and Bunch-Kaufman factorisations read the upper triangle only.
    single : bool
        Factorise and solve in single precision: half of the memory, for preconditioners.

    Raises
    ------
    ConfigError
        pypardiso or MKL is not there.

    Notes
    -----
    Threads: `MKL_NUM_THREADS` or `OMP_NUM_THREADS` where they are set, else as many as the BLAS of NumPy has, so that a
    limit set with threadpoolctl before the analysis holds here too. Memory is released with the object.

    Examples
    --------
    >>> from romflow.linalg.solvers.optional import problem
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> if not problem("pardiso"):
    ...     solver = Pardiso("definite")
    ...     solver.analyse(A)
    ...     solver.factorise(A)
    ...     bool(np.allclose(solver.solve(np.ones((2, 1))), 1.0))
    ... else:
    ...     True
    True
    """

    name = "pardiso"

    def __init__(self, kind: Kind, single: bool = False) -> None:
        # Every new solver of pypardiso searches the disk for MKL; the one that it makes on import has found it.
        self._library = load("pardiso").scipy_aliases.pypardiso_solver.libmkl
        self._call = self._library["pardiso"]
        self._kind = kind
        self._state, self._options = np.zeros(64, dtype=np.int64), np.zeros(64, dtype=np.int32)
        for position, value in (_OPTIONS | _PIVOTING[kind] | {_PRECISION: int(single)}).items():
            self._options[position] = value
        self._number = np.float32 if single else np.float64
        self._upper: np.ndarray | None = None
        self._analysed = False
        self._threads: int | None = None

    def analyse(self, A: sp.csr_array) -> None:
        """Phase 11; unsymmetric and indefinite matrices are matched and scaled by the values of this A."""
        self.release()
        self._threads = _asked_threads()
        if self._kind != "general":
            A = _with_diagonal(A)
            number = sp.csr_array((np.arange(1, A.nnz + 1), A.indices, A.indptr), shape=A.shape)
            upper = sp.csr_array(sp.triu(number, format="csr"))
            upper.sort_indices()
            self._upper, self._indices, self._indptr = upper.data - 1, upper.indices, upper.indptr
        self._nnz = A.nnz
        self._matrix = self._operand(A)
        self._run(_ANALYSE)
        self._analysed = True

    def factorise(self, A: sp.csr_array) -> None:
        """Phase 22 on the analysis of the pattern."""
        if self._upper is not None and A.nnz != self._nnz:
            A = _with_diagonal(A)
        self._matrix = self._operand(A)
        self._run(_FACTORISE)

    def solve(self, B: np.ndarray) -> np.ndarray:
        """Phase 33 for B (n, j), column by column where there are few: MKL is slower on thin blocks."""
        B = np.asfortranarray(B, dtype=self._number)
        if B.shape[1] >= _BLOCK:
            return self._run(_SOLVE, B)
        X = np.empty_like(B)
        for column in range(B.shape[1]):
            X[:, column] = self._run(_SOLVE, B[:, column])
        return X

    def forget_matrix(self) -> None:
        """Keep the factors and what MKL reads to solve; `factorise` needs `analyse` again."""
        self._upper = None

    @property
    def perturbed_pivots(self) -> int:
        """Pivots under 1e-13 of the matrix that were replaced in the last factorisation."""
        return 0 if self._kind == "definite" else int(self._options[13])

    def release(self) -> None:
        """Give the factors and the analysis back to the system (phase -1)."""
        if self._analysed:
            self._analysed = False
            self._run(_RELEASE)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.release()

    def _operand(self, A: sp.csr_array) -> sp.csr_array:
        if self._upper is not None:
            A = sp.csr_array((A.data[self._upper], self._indices, self._indptr), shape=A.shape)
        return _int32(A if A.dtype == self._number else A.astype(self._number))

    def _run(self, phase: int, B: np.ndarray | None = None) -> np.ndarray:
        """One call of PARDISO on the matrix at hand; B (n,) or (n, j) in Fortran order for the phase that solves."""
        A, B = self._matrix, np.zeros(0, dtype=self._number) if B is None else B
        X, error = np.empty_like(B, order="F"), ctypes.c_int32(0)
        columns = B.shape[1] if B.ndim == 2 else 1
        numbers = [ctypes.byref(ctypes.c_int32(value)) for value in (1, 1, _MATRIX_TYPE[self._kind], phase, A.shape[0])]
        arrays = [_pointer(array) for array in (A.data, A.indptr, A.indices, np.zeros(0, dtype=np.int32))]
        with _threads(self._library, self._threads):
            self._call(_pointer(self._state), *numbers, *arrays, ctypes.byref(ctypes.c_int32(columns)),
                       _pointer(self._options), ctypes.byref(ctypes.c_int32(0)), _pointer(B), _pointer(X),
                       ctypes.byref(error))
        if error.value != 0:
            raise SolveFailed(f"PARDISO stopped in phase {phase} on a {self._kind} matrix of {A.shape[0]} rows (error "
                              f"{error.value}): {_meaning(error.value, self._kind)}",
                              {"backend": "pardiso", "code": int(error.value)})
        return X


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _int32(A: sp.csr_array) -> sp.csr_array:
    """A with the 32-bit indices that this interface of MKL reads."""
    if A.indices.dtype == np.int32 and A.indptr.dtype == np.int32:
        return A
    return sp.csr_array((A.data, A.indices.astype(np.int32), A.indptr.astype(np.int32)), shape=A.shape)


def _with_diagonal(A: sp.csr_array) -> sp.csr_array:
    """A with every diagonal entry stored, as the symmetric formats ask for."""
    missing = np.setdiff1d(np.arange(A.shape[0]), A.indices[_on_diagonal(A)], assume_unique=True)
    if not missing.size:
        return A
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    full = sp.csr_array((np.append(A.data, np.zeros(missing.size)),
                         (np.append(rows, missing), np.append(A.indices, missing))), shape=A.shape)
    full.sort_indices()
    return full


def _on_diagonal(A: sp.csr_array) -> np.ndarray:
    return np.flatnonzero(A.indices == np.repeat(np.arange(A.shape[0]), np.diff(A.indptr)))


def _meaning(code: int, kind: str) -> str:
    if code == -4:
        return ("a pivot is zero or negative, so the matrix is not positive definite" if kind == "definite" else
                "a pivot is zero, so the matrix is singular; check the boundary conditions and the coefficients")
    return {-2: "not enough memory; take an iterative method", -3: "the ordering failed",
            -7: "the diagonal matrix is singular; check the boundary conditions"}.get(code, "see MKL's documentation")


@contextlib.contextmanager
def _threads(library: Any, number: int | None) -> Iterator[None]:
    if number is None:
        yield
        return
    before = library.MKL_Set_Num_Threads_Local(number)
    try:
        yield
    finally:
        library.MKL_Set_Num_Threads_Local(before)


def _asked_threads() -> int | None:
    for name in ("MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    blas = [int(pool["num_threads"]) for pool in threadpool_info()
            if pool["user_api"] == "blas" and pool["internal_api"] != "mkl"]
    return min(blas) if blas else None
