"""Algebraic multigrid: hierarchies of pyamg, a V-cycle for several vectors, and coarse operators made anew on kept
prolongations."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.names import nearest

__all__ = ["KINDS", "Multigrid"]

KINDS = ("smoothed-aggregation", "ruge-stuben", "adaptive")
_COARSEST = 300
_GLOBAL = threading.Lock()
_STRENGTH = {"smoothed-aggregation": 0.04, "ruge-stuben": 0.25, "adaptive": 0.04}


@dataclass(frozen=True)
class _Level:
    """Operator, prolongation to this level from the next, and restriction; the last level has neither."""

    A: Any
    P: Any = None
    R: Any = None


class Multigrid:
    """One V-cycle with a forward and a backward Gauss-Seidel sweep: symmetric positive definite where A is.

    Parameters
    ----------
    kind : {"smoothed-aggregation", "ruge-stuben", "adaptive"}
        Vanek, Mandel and Brezina (1996); Ruge and Stuben (1987); smoothed aggregation whose candidates are found by
        relaxation on A x = 0 (Brezina et al. 2005), for near-null spaces that nobody knows.
    strength : float, optional
        Couplings below this share of the diagonal (aggregation, default 0.04) or of the largest coupling (classical,
        default 0.25) are ignored; 0 loses the contrast of coefficients.
    near_nullspace : (n, j), optional
        Vectors that A maps to almost nothing, such as rigid-body modes; constants where not given.
    symmetric : bool
    seed : int
        Of the random vectors in the set-up.

    Raises
    ------
    ConfigError
        No kind is called so.

    Examples
    --------
    >>> A = sp.csr_array(sp.diags_array([-np.ones(999), 2.0 * np.ones(1000), -np.ones(999)], offsets=[-1, 0, 1]))
    >>> cycle = Multigrid("smoothed-aggregation").setup(A)
    >>> r = np.ones((1000, 1))
    >>> float(np.linalg.norm(r - A @ cycle.apply(r))) < 0.5 * float(np.linalg.norm(r)) or len(cycle.sizes) > 1
    True
    """

    def __init__(self, kind: str = "smoothed-aggregation", *, strength: float | None = None,
                 near_nullspace: np.ndarray | None = None, symmetric: bool = True, seed: int = 0) -> None:
        if kind not in KINDS:
            raise ConfigError(f"no multigrid is called '{kind}'" + nearest(kind, KINDS))
        if kind == "adaptive" and not symmetric:
            raise ConfigError("multigrid 'adaptive' was asked for with a method for unsymmetric matrices; the rule is "
                              "'cg' or 'minres': take 'smoothed-aggregation' or 'ruge-stuben'")
        self.kind = kind
        self.strength = _STRENGTH[kind] if strength is None else strength
        self.near_nullspace, self.symmetric, self.seed = near_nullspace, symmetric, seed
        self._levels: list[_Level] = []

    @property
    def sizes(self) -> list[int]:
        """Unknowns of each level."""
        return [int(level.A.shape[0]) for level in self._levels]

    @property
    def prolongations(self) -> list[Any]:
        """P of each level but the last; coarse operators are P^T A P."""
        return [level.P for level in self._levels[:-1]]

    @property
    def memory(self) -> int:
        """Bytes of the operators and prolongations."""
        held = [matrix for level in self._levels for matrix in (level.A, level.P) if matrix is not None]
        return int(sum(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes for matrix in held))

    def setup(self, A: sp.csr_array) -> Multigrid:
        """Hierarchy for A (n, n), built anew.

        Raises
        ------
        SolveFailed
            The set-up broke down, or the coarsest operator is singular.
        """
        try:
            with _seeded(self.seed), warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                hierarchy = self._build(A)
        except (ValueError, ZeroDivisionError, np.linalg.LinAlgError, RuntimeError, IndexError) as error:
            raise SolveFailed(f"the set-up of algebraic multigrid ({self.kind}) broke down ({error}); take method = "
                              "\"direct\" or another preconditioner") from None
        self._take([_Level(level.A, getattr(level, "P", None), getattr(level, "R", None))
                    for level in hierarchy.levels])
        return self

    def refresh(self, A: sp.csr_array) -> Multigrid:
        """A new multigrid for A on the prolongations of this one: the coarse operators P^T A P are made anew."""
        operator = A.tobsr(self._levels[0].A.blocksize) if self._levels[0].A.format == "bsr" else A
        operators = [operator]
        for level in self._levels[:-1]:
            operators.append(level.R @ (operators[-1] @ level.P))
        return self.with_operators(operators)

    def with_operators(self, operators: list[Any]) -> Multigrid:
        """A new multigrid with these operators, one a level, on the prolongations of this one.

        For an affine A they are sums of theta_q P^T A_q P, which can be projected once.
        """
        other = Multigrid(self.kind, strength=self.strength, near_nullspace=self.near_nullspace,
                          symmetric=self.symmetric, seed=self.seed)
        other._take([_Level(A, level.P, level.R) for A, level in zip(operators, self._levels, strict=True)])
        return other

    def apply(self, R: np.ndarray) -> np.ndarray:
        """One V-cycle on A Z = R from Z = 0, for R (n, j) or (n,)."""
        if R.ndim == 1:
            return self._cycle(0, np.ascontiguousarray(R))
        Z = np.empty_like(R, order="F")
        for column in range(R.shape[1]):
            Z[:, column] = self._cycle(0, np.ascontiguousarray(R[:, column]))
        return Z

    def _build(self, A: sp.csr_array) -> Any:
        import pyamg

        symmetry = "symmetric" if self.symmetric else "nonsymmetric"
        if self.kind == "ruge-stuben":
            return pyamg.ruge_stuben_solver(A, strength=("classical", {"theta": self.strength}), max_coarse=_COARSEST,
                                            coarse_solver="pinv")
        strength = ("symmetric", {"theta": self.strength})
        if self.kind == "adaptive":
            return pyamg.aggregation.adaptive_sa_solver(A, num_candidates=3, candidate_iters=5, strength=strength,
                                                        symmetry=symmetry, max_coarse=_COARSEST)[0]
        B = self.near_nullspace
        rigid = {3: 2, 6: 3}.get(1 if B is None else B.shape[1])
        if rigid is not None and A.shape[0] % rigid == 0:
            A = A.tobsr((rigid, rigid))
        left = {} if self.symmetric else {"BH": None if B is None else B.copy()}
        # Systems of equations: energy-minimising prolongations halve the iterations where moduli jump.
        smooth = ("energy", {"degree": 1}) if self.symmetric and A.format == "bsr" else ("jacobi", {"omega": 4.0 / 3.0})
        return pyamg.smoothed_aggregation_solver(A, B=B, strength=strength, symmetry=symmetry, improve_candidates=None,
                                                 smooth=smooth, max_coarse=_COARSEST, coarse_solver="pinv", **left)

    def _take(self, levels: list[_Level]) -> None:
        self._levels = levels
        coarsest = levels[-1].A.toarray()
        if not np.isfinite(coarsest).all():
            raise SolveFailed(f"the coarsest operator of algebraic multigrid ({self.kind}) is not finite; take method "
                              "= \"direct\" or another preconditioner")
        try:
            self._coarsest = ("cholesky", sl.cho_factor(coarsest)) if self.symmetric else ("lu", sl.lu_factor(coarsest))
        except sl.LinAlgError:
            # Not definite on the coarsest level: the Krylov method finds out, and says it, by its curvature.
            self._coarsest = ("inverse", np.linalg.pinv(coarsest))

    def _cycle(self, index: int, r: np.ndarray) -> np.ndarray:
        from pyamg.relaxation.relaxation import gauss_seidel

        level = self._levels[index]
        if level.P is None:
            return self._direct(r)
        z = np.zeros_like(r)
        gauss_seidel(level.A, z, r, iterations=1, sweep="forward")
        z += level.P @ self._cycle(index + 1, level.R @ (r - level.A @ z))
        gauss_seidel(level.A, z, r, iterations=1, sweep="backward")
        return z

    def _direct(self, r: np.ndarray) -> np.ndarray:
        kind, factor = self._coarsest
        if kind == "inverse":
            return factor @ r
        return sl.cho_solve(factor, r, check_finite=False) if kind == "cholesky" else sl.lu_solve(factor, r)


def gauss_seidel_sweep(A: sp.csr_array, x: np.ndarray, b: np.ndarray, *, forward: bool) -> None:
    """One Gauss-Seidel sweep on A x = b, in place on x (n,); A, x and b in one precision, single or double."""
    from pyamg import amg_core

    n = x.size
    start, stop, step = (0, n, 1) if forward else (n - 1, -1, -1)
    amg_core.gauss_seidel(A.indptr, A.indices, A.data, x, b, start, stop, step)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """pyamg draws its start vectors from NumPy's global generator: seeded here, and put back as it was."""
    with _GLOBAL:
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
