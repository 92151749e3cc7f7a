"""Sparse direct solves for a family of matrices on one pattern (SuperLU on a nested-dissection ordering)."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.solvers.facts import graph_dimension
from romflow.linalg.solvers.matrix_input import Pattern
from romflow.linalg.solvers.protocol import Kind

# One column a panel: on nested-dissection orderings SuperLU's wider panels cost more than they bring.
PANEL = {"relax": 2, "panel_size": 1}
_FLAT, _WIDE = 2.5, 8
# Orderings that are kept: stiffness, mass and product of one mesh have one pattern.
_KEPT = 4

_orderings: OrderedDict[bytes, np.ndarray] = OrderedDict()
_lock = threading.Lock()


def nested_dissection(A: sp.csc_array) -> np.ndarray:
    """Fill-reducing ordering of the pattern of A + A^T (METIS nested dissection); the last ones are kept.

    Parameters
    ----------
    A : sparse (n, n)

    Returns
    -------
    (n,) int
        ``order`` such that ``A[order][:, order]`` has little fill.
    """
    key = hashlib.sha256(A.indptr.tobytes() + A.indices.tobytes()).digest()
    with _lock:
        if key in _orderings:
            _orderings.move_to_end(key)
            return _orderings[key]
    order = _dissected(A)
    order.flags.writeable = False
    with _lock:
        _orderings[key] = order
        while len(_orderings) > _KEPT:
            _orderings.popitem(last=False)
    return order


def _dissected(A: sp.csc_array) -> np.ndarray:
    import pymetis

    pattern = sp.csr_array((np.ones(A.nnz, dtype=np.int8), A.indices, A.indptr), shape=A.shape)
    pattern = (pattern + pattern.T).tocoo()
    off = pattern.row != pattern.col
    graph = sp.csr_array(
        (np.ones(int(off.sum()), dtype=np.int8), (pattern.row[off], pattern.col[off])), shape=A.shape
    )
    if graph.nnz == 0:
        return np.arange(A.shape[0])
    graph.sort_indices()
    order, _ = pymetis.nested_dissection(pymetis.CSRAdjacency(graph.indptr, graph.indices))
    return np.array(order)


class SuperLUFactor:
    """A factorised matrix: ``solve(B)`` answers A X = B to a refined, backward-stable residual.

    Made by `SuperLU`; serves any number of right-hand sides.
    """

    def __init__(self, A: sp.csc_array, lu: Any, order: np.ndarray, symmetric: bool, number: Any = np.float64) -> None:
        self._A, self._lu, self._order, self._symmetric, self._number = A, lu, order, symmetric, number

    def forget_matrix(self) -> None:
        """Keep the factors only: from now on solve without refinement."""
        self._A = None

    def solve(self, B: np.ndarray, refine: int = 1) -> np.ndarray:
        """Solution X of A X = B after `refine` steps of iterative refinement.

        Parameters
        ----------
        B : (n,) or (n, j)
        refine : int
            Steps X <- X + A^{-1} (B - A X).

        Returns
        -------
        Array of the shape of B.

        Raises
        ------
        SolveFailed
            The solution is not finite.
        """
        X = self._raw(B)
        for _ in range(refine):
            X = X + self._raw(B - self._A @ X)
        if not np.isfinite(X).all():
            raise SolveFailed("the direct solve gave values that are not finite; the matrix is singular to "
                              "working precision: check the boundary conditions and the coefficients")
        return X

    def solve_transposed(self, B: np.ndarray) -> np.ndarray:
        """Solution of A^T X = B by the factors of A, after one step of iterative refinement.

        Parameters
        ----------
        B : (n,) or (n, j)

        Raises
        ------
        SolveFailed
            The solution is not finite.
        """
        X = self._raw(B, "T")
        X = X + self._raw(B - self._A.T @ X, "T")
        if not np.isfinite(X).all():
            raise SolveFailed("the transposed direct solve gave values that are not finite; the matrix is singular to "
                              "working precision: check the boundary conditions and the coefficients")
        return X

    def _raw(self, B: np.ndarray, transposed: str = "N") -> np.ndarray:
        X = np.empty_like(B, dtype=float)
        X[self._order] = self._lu.solve(np.asfortranarray(B[self._order], dtype=self._number), transposed)
        return X

    @property
    def negative_pivots(self) -> int:
        """Number of negative eigenvalues of a symmetric A (Sylvester's law of inertia on its pivots).

        Raises
        ------
        SolveFailed
            A row exchange was needed, so that the pivots do not tell the inertia.
        """
        if not self._symmetric or not np.array_equal(self._lu.perm_r, self._lu.perm_c):
            raise SolveFailed("the pivots of this factorisation do not tell the inertia (rows were exchanged)")
        return int(np.count_nonzero(self._lu.U.diagonal() <= 0.0))

    def whiten(self, F: np.ndarray) -> np.ndarray:
        """Columns Y = D^{-1/2} L^{-1} P F with A = P^T L D L^T P, so that Y^T Y = F^T A^{-1} F.

        Parameters
        ----------
        F : (n, j)
            Functionals; A must be symmetric positive definite.

        Returns
        -------
        (n, j)
        """
        Y = self._lower.solve(np.asfortranarray(F[self._order][self._row_order], dtype=float))
        Y *= self._root[:, None]
        return Y

    def triangle(self) -> tuple[sp.csc_array, np.ndarray, np.ndarray]:
        """Unit lower L (n, n), D^{-1/2} (n,) and the row of L that each row of A became (n,): A = P^T L D L^T P."""
        L = sp.csc_array(self._lu.L)
        L.sort_indices()
        place = np.empty(L.shape[0], dtype=np.intp)
        place[self._order[self._row_order]] = np.arange(L.shape[0])
        return L, self._root, place

    @cached_property
    def _row_order(self) -> np.ndarray:
        return np.argsort(self._lu.perm_r)

    @cached_property
    def _root(self) -> np.ndarray:
        return 1.0 / np.sqrt(self._lu.U.diagonal())

    @cached_property
    def _lower(self) -> Any:
        # SuperLU offers no forward substitution alone; factorising the unit-lower L costs no fill and gives it.
        lower = self._lu.L.tocsc()
        lower.sort_indices()
        return splu(lower, permc_spec="NATURAL", diag_pivot_thresh=0.0)


class SuperLU:
    """Direct solver for matrices that share a pattern: the ordering is found once, by `setup`.

    Parameters
    ----------
    symmetric : bool
        No pivoting (A must be symmetric; with positive definite A this is stable and the inertia can be read).
    panel : int
        Columns that SuperLU works on together: 1 for meshes of the plane, 8 halves the time on meshes of space.
    single : bool
        Factors in single precision.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> A = sp.csc_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> SuperLU(symmetric=True).setup(A).solve(np.array([1.0, 1.0]))
    array([1., 1.])
    """

    def __init__(self, symmetric: bool, panel: int = PANEL["panel_size"], single: bool = False) -> None:
        self.symmetric, self.panel, self._number = symmetric, panel, np.float32 if single else np.float64
        self._pattern: tuple[np.ndarray, np.ndarray] | None = None

    def setup(self, A: sp.sparray) -> SuperLUFactor:
        """Find the ordering for the pattern of A (n, n), and factorise."""
        A = _square(A)
        self._pattern = (A.indptr, A.indices)
        self._order = nested_dissection(A)
        positions = sp.csc_array((np.arange(1, A.nnz + 1), A.indices, A.indptr), shape=A.shape)
        permuted = positions[self._order][:, self._order].tocsc()
        permuted.sort_indices()
        self._gather, self._indices, self._indptr = permuted.data - 1, permuted.indices, permuted.indptr
        return self.update(A)

    def update(self, A: sp.sparray) -> SuperLUFactor:
        """Factorise a matrix of the pattern given to `setup` with new values."""
        A = _square(A)
        if self._pattern is None or not self._same_pattern(A):
            return self.setup(A)
        permuted = sp.csc_array((A.data[self._gather].astype(self._number, copy=False), self._indices, self._indptr),
                                shape=A.shape)
        # Non-symmetric: a diagonal entry is kept as pivot while it is at least 1 % of its column.
        threshold = 0.0 if self.symmetric else 0.01
        try:
            lu = splu(permuted, permc_spec="NATURAL", diag_pivot_thresh=threshold,
                      options={"SymmetricMode": True}, **(PANEL | {"panel_size": self.panel}))
        except RuntimeError as error:
            raise SolveFailed(f"the factorisation of a {A.shape[0]} x {A.shape[0]} matrix failed ({error}): "
                              "the matrix is singular; check the boundary conditions and the coefficients") from None
        return SuperLUFactor(A, lu, self._order, self.symmetric, self._number)

    def _same_pattern(self, A: sp.csc_array) -> bool:
        indptr, indices = self._pattern  # type: ignore[misc]
        if A.indptr is indptr and A.indices is indices:
            return True
        return np.array_equal(A.indptr, indptr) and np.array_equal(A.indices, indices)


def _square(A: sp.sparray) -> sp.csc_array:
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ShapeError(f"a linear system needs a square matrix; this one has shape {A.shape}")
    A = sp.csc_array(A)
    A.sort_indices()
    if not np.isfinite(A.data).all():
        raise InputError("the matrix has entries that are not finite (NaN or infinity); check its assembly")
    return A


class SuperLUBackend:
    """SuperLU behind the face of a direct back end: the ordering is found once for a pattern.

    Parameters
    ----------
    kind : {"definite", "symmetric", "general"}
        "definite" takes the diagonal as pivots; the other two keep a diagonal pivot of at least 1 % of its column.
    single : bool
        Factorise and solve in single precision: half of the memory, for preconditioners.
    """

    name = "superlu"

    def __init__(self, kind: Kind, single: bool = False) -> None:
        self._solver = SuperLU(symmetric=kind == "definite", single=single)
        self._fresh: SuperLUFactor | None = None

    def analyse(self, A: sp.csr_array) -> None:
        """Nested dissection; the numbers are factorised with it."""
        if graph_dimension(Pattern(A)) > _FLAT:
            self._solver.panel = _WIDE
        self._factor = self._solver.setup(A)
        self._fresh = self._factor

    def factorise(self, A: sp.csr_array) -> None:
        """Numeric factorisation with the ordering of the pattern."""
        if self._fresh is None:
            self._factor = self._solver.update(A)
        self._fresh = None

    def solve(self, B: np.ndarray) -> np.ndarray:
        """Substitutions for B (n, j)."""
        return self._factor.solve(B, refine=0)

    def forget_matrix(self) -> None:
        """Keep the factors only; `factorise` needs `analyse` again."""
        self._factor.forget_matrix()
        self._solver = SuperLU(self._solver.symmetric)
        self._fresh = None
