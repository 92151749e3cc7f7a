"""Domain splitting: values on coarse lines from anisotropic submeshes, then independent solves in the coarse cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import norm

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest
from romflow.dd.local_factor import LocalFactor
from romflow.dd.splitting.cell_solves import CellSolves
from romflow.dd.splitting.grid import TensorGrid
from romflow.dd.splitting.operators import Coefficient, tensor_operator
from romflow.linalg.solvers.krylov import KrylovAnswer, conjugate_gradients, general_minimal_residual
from romflow.linalg.solvers.matrix_input import Goal

__all__ = ["DomainSplitting"]

_MERGES = ("combination", "average")
_SYMMETRIC = 1e-12


class DomainSplitting:
    """An approximate inverse of an elliptic operator on a tensor grid whose residual is zero inside the coarse cells.

    For a set T of axes let V_T be the functions that are linear between coarse lines along T and free on the fine grid
    along the others, P_T their values on the fine grid, and u_T = (P_T^T A P_T)^{-1} P_T^T f: the submesh that is
    coarse along T. On the skeleton S (all coarse lines) the parts are merged by

        combination   u_S = sum over T of (-1)^{|T| + 1} P_T u_T                       (in 2-D: u_x + u_y - u_xy)
        average       u_x on lines across x, u_y on lines across y, their mean where the lines cross

    and u = A_II^{-1} (f_I - A_IS u_S) in the cells: one coarse cell's factor serves all equal cells, and cells that
    differ share one block-diagonal factorisation. The combination cancels the leading errors of both submeshes.

    As a preconditioner of a symmetric operator `apply` works on the skeleton of the condensed residual
    r_S - A_SI A_II^{-1} r_I: with the combination it is then symmetric, and in 2-D positive definite, because
    sum_T = Q_x + (Q_y - Q_xy) with A-orthogonal projections Q_xy <= Q_y: CG may use it. Everywhere else, also in 3-D
    where definiteness is not granted, GMRES does. It is one linear map: no flexible method is needed.

    Parameters
    ----------
    axes : sequence of (cells + 1,)
        Coordinates along 2 or 3 axes, boundary included; the spacing may vary.
    operator : sparse (n, n)
        On the grid points inside (last axis fastest), u = 0 on the boundary; couples neighbours only (3^d points).
        `from_coefficients` makes one.
    ratio : int or sequence of int
        Fine cells a coarse cell; it must divide the numbers of cells.
    merge : {"combination", "average"}
    passes : int
        Of `guess`: each further one corrects with the residual of the one before, which is zero off the skeleton.

    Raises
    ------
    ShapeError, InputError, ConfigError
        The grids are not nested; the operator has another shape, couples points that are not neighbours, or is not
        finite; unknown merge.
    SolveFailed
        A submesh or a cell is singular.

    Notes
    -----
    Set-up: factors of submeshes of n / ratio unknowns and of the cells; an application: one substitution with each
    (two with the cells where A is symmetric). The error of `guess` is O(H^2) for "average" and O(H^4) for
    "combination" where u is smooth and the wind is resolved by the coarse grid (|wind| H / diffusion below about 5).
    "combination" is the combination technique of sparse grids (Griebel, Schneider and Zenger 1992) with two levels.

    Examples
    --------
    >>> x = np.linspace(0.0, 1.0, 33)
    >>> splitting = DomainSplitting.from_coefficients([x, x], 8)
    >>> f = np.ones(splitting.n)
    >>> answer = splitting.solve(f)
    >>> error = np.linalg.norm(splitting.guess(f) - answer.X[:, 0]) / np.linalg.norm(answer.X)
    >>> bool(error < 5e-3), bool(answer.iterations[0] < 25), splitting.krylov
    (True, True, 'cg')
    """

    def __init__(self, axes: Sequence[Any], operator: Any, ratio: int | Sequence[int], *, merge: str = "combination",
                 passes: int = 1) -> None:
        if merge not in _MERGES:
            raise ConfigError(f"no merge is called {merge!r}{nearest(str(merge), _MERGES)}")
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise InputError(f"passes = {passes!r} is not a whole number from 1; give one")
        self.grid = TensorGrid(axes, ratio)
        self.operator = A = _checked(operator, self.grid)
        self.n, self.merge, self.passes = self.grid.n, merge, passes
        self.symmetric = bool(norm(A - A.T) <= _SYMMETRIC * norm(A))
        S = self.grid.skeleton
        self._cells = CellSolves(A, self.grid, self.symmetric)
        self._to_skeleton, self._from_skeleton = A[S][:, self._cells.inside], A[self._cells.inside][:, S]
        self._submeshes = [_Submesh(A, self.grid, axes_of, self.symmetric) for axes_of in self._coarse_sets()]
        on_lines = np.stack([self.grid.on_lines(axis)[S] for axis in range(len(self.grid.shape))])
        self._shares = on_lines / on_lines.sum(axis=0)

    @classmethod
    def from_coefficients(cls, axes: Sequence[Any], ratio: int | Sequence[int], *, diffusion: Coefficient = 1.0,
                          wind: Sequence[Coefficient] | None = None, reaction: Coefficient = 0.0,
                          scheme: str = "finite-volume", **options: Any) -> DomainSplitting:
        """The splitting of `tensor_operator` with these coefficients; its `operator` is the matrix.

        Raises
        ------
        ShapeError, InputError, ConfigError
            As the constructor and `tensor_operator`.
        """
        axes = TensorGrid(axes, ratio).axes
        return cls(axes, tensor_operator(axes, diffusion=diffusion, wind=wind, reaction=reaction, scheme=scheme),
                   ratio, **options)

    @property
    def skeleton(self) -> np.ndarray:
        """Unknowns on coarse lines: where a residual is left."""
        return self.grid.skeleton

    @property
    def krylov(self) -> str:
        """"cg" where `apply` is symmetric and positive definite for a definite operator, else "gmres"."""
        return "cg" if self.symmetric and self.merge == "combination" and len(self.grid.shape) == 2 else "gmres"

    def guess(self, f: np.ndarray) -> np.ndarray:
        """Approximation u (n,) or (n, j) of A^{-1} f after `passes` passes; f - A u is zero off the skeleton.

        Raises
        ------
        ShapeError, InputError
            f has another length or is not finite.
        """
        F, shape = self._columns(f)
        U = self._first(F)
        for _ in range(self.passes - 1):
            U += self._first(F - self.operator @ U)
        return U.reshape(shape)

    def apply(self, r: np.ndarray) -> np.ndarray:
        """M^{-1} r (n,) or (n, j): linear in r; symmetric where A is symmetric and merge = "combination"."""
        R = np.reshape(r, (self.n, -1))
        return (self._condensed(R) if self.symmetric else self._first(R)).reshape(np.shape(r))

    def solve(self, f: np.ndarray, tolerance: float = 1e-8, max_iterations: int = 500,
              guess: bool = True) -> KrylovAnswer:
        """Solution of A X = f by the method `krylov`, preconditioned by `apply` and started from `guess`.

        Returns
        -------
        KrylovAnswer
            X (n, j), iterations (j,) and true relative residuals (j,), each at most `tolerance`.

        Raises
        ------
        SolveFailed
            Too many iterations, or an indefinite operator with CG.
        """
        F, _ = self._columns(f)
        method = conjugate_gradients if self.krylov == "cg" else general_minimal_residual
        return method(self.operator, F, self.apply, Goal(tolerance), max_iterations, self.guess(F) if guess else None)

    def _coarse_sets(self) -> list[tuple[int, ...]]:
        d = len(self.grid.shape)
        most = d if self.merge == "combination" else 1
        return [axes for size in range(1, most + 1) for axes in combinations(range(d), size)]

    def _columns(self, f: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        F = np.asarray(f, dtype=float)
        if F.ndim not in (1, 2) or F.shape[0] != self.n:
            raise ShapeError(f"the right-hand side has the shape {F.shape}; the grid has {self.n} unknowns")
        if not np.isfinite(F).all():
            raise InputError("the right-hand side has values that are not finite")
        return F.reshape(self.n, -1), F.shape

    def _first(self, F: np.ndarray) -> np.ndarray:
        """Submeshes on the whole of F, then the cells: one substitution with them."""
        US = self._merged([submesh.solve(F) for submesh in self._submeshes])
        return self._joined(US, self._cells.solve(F[self._cells.inside] - self._from_skeleton @ US))

    def _condensed(self, R: np.ndarray) -> np.ndarray:
        """Cells, submeshes on what they leave on the skeleton, cells: symmetric."""
        inner = self._cells.solve(R[self._cells.inside])
        rest = R[self.skeleton] - self._to_skeleton @ inner
        US = self._merged([submesh.solve_skeleton(rest) for submesh in self._submeshes])
        return self._joined(US, inner - self._cells.solve(self._from_skeleton @ US))

    def _merged(self, values: list[np.ndarray]) -> np.ndarray:
        if self.merge == "combination":
            return np.asarray(sum(submesh.sign * U for submesh, U in zip(self._submeshes, values, strict=True)))
        return np.asarray(sum(share[:, None] * U for share, U in zip(self._shares, values, strict=True)))

    def _joined(self, US: np.ndarray, UI: np.ndarray) -> np.ndarray:
        U = np.empty((self.n, US.shape[1]))
        U[self.skeleton], U[self._cells.inside] = US, UI
        return U


class _Submesh:
    """The Galerkin system on functions that are linear between the coarse lines along some axes."""

    def __init__(self, A: sp.csr_array, grid: TensorGrid, coarse_axes: tuple[int, ...], symmetric: bool) -> None:
        P = grid.prolongation(coarse_axes)
        self._restriction = sp.csr_array(P.T)
        self._values = P[grid.skeleton]
        self._gather = sp.csr_array(self._values.T)
        coarse = sp.csr_array(self._restriction @ A @ P)
        coarse.sort_indices()
        self._factor = LocalFactor(coarse, "definite" if symmetric else "general")
        self.sign = 1.0 if len(coarse_axes) % 2 else -1.0

    def solve(self, F: np.ndarray) -> np.ndarray:
        """Values (skeleton, j) for right-hand sides F (n, j)."""
        return np.asarray(self._values @ self._factor.solve(self._restriction @ F))

    def solve_skeleton(self, F: np.ndarray) -> np.ndarray:
        """Values (skeleton, j) for right-hand sides (skeleton, j) that are zero elsewhere."""
        return np.asarray(self._values @ self._factor.solve(self._gather @ F))


def _checked(operator: Any, grid: TensorGrid) -> sp.csr_array:
    A = sp.csr_array(operator)
    if A.shape != (grid.n, grid.n):
        raise ShapeError(f"the operator has the shape {A.shape}; the grid has {grid.n} = "
                         f"{' x '.join(map(str, grid.shape))} unknowns (grid points inside the boundary)")
    if np.iscomplexobj(A.data) or not np.isfinite(A.data).all():
        raise InputError("the operator has entries that are complex or not finite")
    entries = A.tocoo()
    ends = (np.unravel_index(entries.row, grid.shape), np.unravel_index(entries.col, grid.shape))
    for name, row, column in zip("xyz", *ends, strict=False):
        far = int(np.abs(row - column).max(initial=0))
        if far > 1:
            raise InputError(f"the operator couples points that are {far} grid lines apart along {name}; the rule is "
                             "neighbours only (3 points along each axis), with the last axis numbered fastest")
    return A.astype(float)
