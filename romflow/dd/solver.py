"""Two-level Schwarz over ranks as one solver: set up for a matrix, updated along a sweep, for any right-hand sides."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ShapeError, SolveFailed
from romflow.core.names import nearest
from romflow.dd.coarse import CoarseSpace, joined, nicolaides
from romflow.dd.communicator import agreed
from romflow.dd.geneo import aggregated_modes, exact_modes
from romflow.dd.krylov import Answer, conjugate_gradients, flexible_gmres
from romflow.dd.layout import Layout
from romflow.dd.operator import SplitMatrix
from romflow.dd.recycling import EarlierSolutions
from romflow.dd.schwarz import ONE_LEVEL, OneLevel, Weighted, weighted_subdomains
from romflow.dd.two_level import TwoLevel

__all__ = ["COARSE", "SchwarzSolver"]

COARSE = ("geneo", "nicolaides", "none")
EIGENSOLVERS = ("aggregated", "exact")
# Of GenEO: vector problems have many more modes below it, and a coarse operator that grows with them.
SCALAR, VECTOR = 0.7, 0.5
# The eigenproblems cost about as much as so many iterations (measured: 30 for bars, 60 for elasticity).
_SETUP_ITERATIONS = 40
_REMEMBERED = 32
# Right-hand sides that are solved together: at most 16, and so that their bases take about 4 GB over all ranks, with
# two times 40 vectors a column.
_BASIS_BYTES, _BYTES_A_COLUMN, _WIDEST = 4e9, 640.0, 16

Neumann = Callable[[int], sp.csr_array]


class SchwarzSolver:
    """||b - A x|| <= tolerance ||b|| for each column, by a Krylov method with a two-level Schwarz preconditioner.

    Where x rounded to 64 bits cannot have such a small residual, because ||eps |A| |x||| is larger, a residual below
    that is accepted, and the report says so under "rounding".

    Conjugate gradients for one_level = "asm" on symmetric positive definite matrices, flexible GMRES otherwise; the two
    levels are combined by A-DEF2 (see `romflow.dd.two_level`).

    Along a sweep the columns Z of the coarse space are kept, because their eigenproblems are most of a set-up; local
    factors and E = Z^T A Z are made anew. The excess of iterations over those after the last set-up is added up; where
    it has reached what the eigenproblems cost (40 iterations), they are solved again, so that a sweep never takes more
    than about twice the best choice. A solve that exceeds this limit by itself is stopped, and goes on from there with
    a new coarse space. The new columns are joined by what the old ones add to them, so that the space comes to serve
    the whole sweep. Counts and not times decide, so that every number of ranks takes the same steps.

    Parameters
    ----------
    layout : Layout
    symmetric, definite : bool
        Of the matrices: symmetric; with positive definite symmetric part.
    one_level : {"auto", "asm", "ras", "oras", "none"}
        "auto" is "ras", which needs the fewest iterations and one exchange less than "asm".
    coarse : {"geneo", "nicolaides", "none"}
    threshold : float, optional
        GenEO keeps the modes with lambda below it, by default 0.7, and 0.5 with a near-null space: more of them mean
        fewer iterations and a larger coarse operator.
    tolerance : float
        Relative residual, Euclidean, computed anew in the end.
    max_iterations : int
    backend : str
        Of the local factors, see `romflow.linalg.solvers.direct.BACKENDS`.
    near_nullspace : (local, j) array, optional
        Rigid-body modes at the rank's unknowns; constants by default.
    reuse : bool
        Keep coarse space and solutions from one matrix to the next.
    eigensolver : {"aggregated", "exact"}
        Of GenEO: on a smoothed aggregation of each subdomain, or on the subdomain itself.

    Attributes
    ----------
    report : dict
        Of the last `solve`: method, iterations (the largest of its columns), relative_residual, rounding, coarse_size,
        subdomains, setup_seconds and solve_seconds (processor seconds of this rank), rebuilt, why.

    Raises
    ------
    ConfigError, InputError
        An unknown name, or a number out of range.

    Notes
    -----
    `setup`, `update` and `solve` are collective. Memory: the factors of all overlapped subdomains of the rank.
    """

    def __init__(self, layout: Layout, *, symmetric: bool, definite: bool = True, one_level: str = "auto",
                 coarse: str = "geneo", threshold: float | None = None, tolerance: float = 1e-9,
                 max_iterations: int = 1000, backend: str = "auto", near_nullspace: np.ndarray | None = None,
                 reuse: bool = True, eigensolver: str = "aggregated") -> None:
        _check_names(one_level=(one_level, ("auto", *ONE_LEVEL)), coarse=(coarse, COARSE),
                     eigensolver=(eigensolver, EIGENSOLVERS))
        if not 0.0 < tolerance < 1.0 or max_iterations < 1 or (threshold is not None and not 0.0 < threshold):
            raise InputError(f"tolerance = {tolerance}, max_iterations = {max_iterations}, threshold = {threshold}; "
                             "the rule is 0 < tolerance < 1, at least one iteration, and a threshold above 0")
        self.layout, self.tolerance, self.max_iterations = layout, tolerance, max_iterations
        self._definite, self._symmetric = symmetric and definite, symmetric
        self._kind: Any = "definite" if self._definite else "symmetric" if symmetric else "general"
        self._name = "ras" if one_level == "auto" else one_level
        self._coarse = coarse
        default = SCALAR if near_nullspace is None else VECTOR
        self._threshold = default if threshold is None else threshold
        self._backend, self._modes, self._reuse, self._eigensolver = backend, near_nullspace, reuse, eigensolver
        self._subdomains: list[Weighted] | None = None
        self._matrix: Any = None
        self._space: CoarseSpace | None = None
        self._fresh: int | None = None
        self._excess = 0
        self._kept = False
        self._earlier = EarlierSolutions(layout, _REMEMBERED)
        self._facts: dict[str, Any] = {}
        self.report: dict[str, Any] = {}

    def setup(self, A: sp.csr_array, neumann: Neumann) -> None:
        """Factorise the subdomains and build the coarse space.

        Parameters
        ----------
        A : csr (local, local)
            Assembled over all cells of the rank: rows of all overlapped unknowns exact.
        neumann : callable
            i -> csr (m, m): the overlapped cells of the rank's i-th subdomain alone, on their unknowns.

        Raises
        ------
        ShapeError, InputError
            On all ranks: A does not fit, or is not finite.
        SolveFailed
            On all ranks: a local or the coarse matrix is singular.
        """
        self._build(A, neumann, "first set-up")

    def update(self, A: sp.csr_array, neumann: Neumann) -> None:
        """Take another matrix: factors and coarse operator anew, the coarse space where the rule says so."""
        if self._matrix is None:
            self._build(A, neumann, "first set-up")
        elif not self._reuse:
            self._build(A, neumann, "reuse is off")
        elif self._excess >= _SETUP_ITERATIONS:
            self._build(A, neumann, f"{self._excess} iterations above those after the last set-up had gathered, as "
                                    "many as a new coarse space costs")
        else:
            self._keep(A, neumann)

    def precondition(self, R: np.ndarray) -> np.ndarray:
        """About A^{-1} R (owned, j) for R (owned, j), with the matrix of the last `setup` or `update`; collective.

        For iterations of one's own on another matrix.

        Raises
        ------
        InputError
            `setup` was not called.
        """
        if self._matrix is None:
            raise InputError("precondition was called before setup; call setup with the matrix first")
        return TwoLevel(self._matrix, self._one, self._space)(R)

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """X (owned, j) of A X = B.

        Parameters
        ----------
        B : (owned, j)
        guess : (owned, j), optional
            By default the best combination of earlier solutions, where there are any.

        Raises
        ------
        ShapeError, InputError
            On all ranks: B or the guess does not fit, or is not finite; `setup` was not called.
        SolveFailed
            On all ranks: the tolerance is not reached.
        """
        started, self._lost = time.process_time(), 0
        with agreed(self.layout.comm, "reading its right-hand sides"):
            self._check(B, guess)
        active = np.flatnonzero(self.layout.norm(B) > 0.0)
        X = np.zeros(B.shape)
        answers = []
        width = int(np.clip(_BASIS_BYTES / (self.layout.n * _BYTES_A_COLUMN), 1, _WIDEST))
        for first in range(0, active.size, width):
            some = active[first:first + width]
            start = self._start(B[:, some]) if guess is None else guess[:, some]
            answers.append(self._solved(B[:, some], start))
            X[:, some] = answers[-1].X
            if self._reuse:
                self._earlier.add(X[:, some], self._matrix)
        self._note(answers, time.process_time() - started)
        return X

    # -- parts --------------------------------------------------------------------------------------------------------

    def _build(self, A: sp.csr_array, neumann: Neumann, why: str) -> None:
        started = time.process_time()
        self._take(A, neumann)
        if self._subdomains is None:
            self._subdomains = weighted_subdomains(self.layout)
            self._one = OneLevel(self.layout, self._subdomains, self._name, self._kind, self._backend)
        self._one.setup(A, neumann)
        old, self._space = self._space if self._reuse and self._coarse == "geneo" else None, None
        if self._coarse != "none":
            with agreed(self.layout.comm, "building its coarse space"):
                blocks = [self._block(one, A, neumann, i) for i, one in enumerate(self._subdomains)]
                if old is not None:
                    blocks = [joined(block, old.block(one, i)) for i, (one, block) in
                              enumerate(zip(self._subdomains, blocks, strict=True))]
            self._space = CoarseSpace(self.layout, self._subdomains, blocks, self._symmetric, self._backend)
            self._space.update(A)
        self._fresh, self._excess, self._kept = None, 0, False
        self._facts = {"setup_seconds": time.process_time() - started, "rebuilt": True, "why": why}

    def _keep(self, A: sp.csr_array, neumann: Neumann) -> None:
        started = time.process_time()
        self._take(A, neumann)
        self._one.setup(A, neumann)
        if self._space is not None:
            self._space.update(A)
        self._kept = True
        self._facts = {"setup_seconds": time.process_time() - started, "rebuilt": False,
                       "why": f"coarse space kept: {self._excess} of {_SETUP_ITERATIONS} iterations above those "
                              "after the last set-up"}

    def _take(self, A: sp.csr_array, neumann: Neumann) -> None:
        with agreed(self.layout.comm, "reading its matrix"):
            if not np.isfinite(A.data).all():
                raise InputError("the matrix of this rank has entries that are not finite; check the coefficients")
            self._matrix = SplitMatrix(self.layout, A)
        self._A, self._neumann = A, neumann
        self._earlier.forget_images()

    def _block(self, one: Weighted, A: sp.csr_array, neumann: Neumann, i: int) -> np.ndarray:
        if self._coarse == "nicolaides":
            return nicolaides(one, A, self._modes)
        if self._eigensolver == "exact":
            return exact_modes(one, A, neumann(i), self._threshold, self._backend)
        return aggregated_modes(one, A, neumann(i), self._threshold, self._modes, self.layout.nodes)

    def _start(self, B: np.ndarray) -> np.ndarray:
        return self._earlier.guess(self._matrix, B) if self._reuse else np.zeros_like(B)

    def _solved(self, B: np.ndarray, start: np.ndarray) -> Answer:
        """The answer; with what was kept first, and with everything new where that takes too long."""
        if self._kept and self._fresh is not None:
            fresh, limit = self._fresh, min(self.max_iterations, self._fresh + _SETUP_ITERATIONS)
            try:
                answer = self._iterated(B, start, limit, strict=False)
            except SolveFailed:
                limit = 0
            else:
                if answer.rounding is not None or answer.residuals.max() <= self.tolerance:
                    return answer
                start = answer.X
            self._build(self._A, self._neumann, f"no answer within {limit} iterations with what was kept")
            self._fresh, self._lost = fresh, limit
        return self._iterated(B, start, self.max_iterations)

    def _iterated(self, B: np.ndarray, start: np.ndarray, limit: int, strict: bool = True) -> Answer:
        both = TwoLevel(self._matrix, self._one, self._space)
        krylov = conjugate_gradients if self._with_cg else flexible_gmres
        return krylov(self.layout, self._matrix, B, both, self.tolerance, limit, both.start(B, start), strict)

    @property
    def _with_cg(self) -> bool:
        return self._definite and self._name in ("asm", "none")

    def _note(self, answers: list[Answer], seconds: float) -> None:
        count = max((int(answer.iterations.max()) for answer in answers), default=0)
        if not self._kept:
            self._fresh = max(count, self._fresh or 0)
        elif self._fresh is not None:
            self._excess += max(0, count - self._fresh)
        names = {"none": "diagonal"}
        self.report = {
            "method": f"{'CG' if self._with_cg else 'GMRES'} + {names.get(self._name, self._name)} + {self._coarse}",
            "iterations": count + self._lost,
            "relative_residual": max((float(answer.residuals.max()) for answer in answers), default=0.0),
            "rounding": max((answer.rounding for answer in answers if answer.rounding is not None), default=None),
            "coarse_size": 0 if self._space is None else self._space.size,
            "subdomains": int(self.layout.subdomain_count), **self._facts, "solve_seconds": seconds}

    def _check(self, B: np.ndarray, guess: np.ndarray | None) -> None:
        if self._matrix is None:
            raise InputError("solve was called before setup; call setup with the matrix first")
        for name, block in (("right-hand sides", B), ("guess", guess)):
            if block is None:
                continue
            if np.ndim(block) != 2 or block.shape[0] != self.layout.owned or block.shape != B.shape:
                raise ShapeError(f"the {name} of this rank have the shape {np.shape(block)}; the rule is (owned, j) "
                                 f"with owned = {self.layout.owned}")
            if not np.isfinite(block).all():
                raise InputError(f"the {name} of this rank have entries that are not finite")


def _check_names(**asked: tuple[str, tuple[str, ...]]) -> None:
    for key, (name, known) in asked.items():
        if name not in known:
            raise ConfigError(f"[solver] {key} has no {name!r}" + nearest(name, list(known)))
