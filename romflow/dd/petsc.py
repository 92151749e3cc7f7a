"""Split systems solved by PETSc, with the face of the two-level Schwarz solver."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, RomflowError, ShapeError, SolveFailed
from romflow.dd.communicator import agreed, gathered
from romflow.dd.layout import Layout
from romflow.dd.petsc_library import OptionSet, check_options, library, reason_text, spoken
from romflow.dd.petsc_matrix import (
    Product,
    RowEntries,
    block_size,
    communicator,
    orthonormal_modes,
    rounding,
    same_everywhere,
)
from romflow.dd.recycling import EarlierSolutions

__all__ = ["PetscSolver", "default_options"]

_THRESHOLD = 0.02
_PROGRESS, _LIMIT = 0.5, -3
_AIM = 0.9
_GROWTH, _SLACK = 1.5, 10
_REMEMBERED = 32
_RIGHT = ("gmres", "fgmres", "lgmres", "dgmres", "gcr", "bcgs", "bcgsl", "fbcgs")
_LEFT = ("cg", "fcg", "pipecg", "groppcg", "pipefcg", "richardson")


def default_options(symmetric: bool, definite: bool) -> dict[str, Any]:
    """What [solver] petsc leaves out: a Krylov method that fits, and smoothed aggregation that drops weak couplings.

    The threshold .02 of the aggregation costs two to ten times the set-up where coefficients jump, and makes the
    iterations independent of jumps: 13 .. 15 instead of 13 .. 36 on a cube with bars of contrast 1 .. 1e6, 39 instead
    of 364 on layered elasticity of contrast 1e4.

    Examples
    --------
    >>> default_options(True, True)["ksp_type"], default_options(False, True)["ksp_type"]
    ('cg', 'gmres')
    """
    options: dict[str, Any] = {"ksp_type": "cg" if symmetric and definite else "minres" if symmetric else "gmres",
                               "pc_type": "gamg", "pc_gamg_threshold": _THRESHOLD}
    if not symmetric:
        options |= {"ksp_gmres_restart": 100, "mg_levels_ksp_type": "richardson", "mg_levels_pc_type": "sor"}
    return options


class PetscSolver:
    """Solves A X = B over ranks by a Krylov method of PETSc to a true relative residual, or says why it could not.

    Parameters
    ----------
    layout : Layout
    symmetric, definite : bool
    tolerance : float
        Largest ||b - A x|| / ||b|| of each column, without the preconditioner; looked at after the iteration.
    max_iterations : int
        Of each column.
    near_nullspace : (local, j) array, optional
        Rigid-body modes: translations first, as the block size is read from them.
    options : mapping, optional
        KSP and PC options without hyphen and prefix: {"ksp_type": "cg", "pc_type": "gamg"}. What is left out is
        `default_options`; PETSc's own defaults hold for everything else, and for all of a `pc_type` that is named.
    reuse : bool
        Let PETSc keep what it can when `update` brings new numbers (the prolongations of its multigrid), and begin with
        the best combination of the last 32 solutions. Prolongations are made anew where the iterations have grown to
        over 1.5 times those after the last set-up and 10 more.

    Attributes
    ----------
    report : dict
        Of the last `solve`: method, iterations, relative_residual, rounding (None, or the ||eps |A| |x||| / ||b|| below
        which a residual above the tolerance was accepted), coarse_size (None), subdomains (ranks), setup_seconds and
        solve_seconds (processor seconds of this rank), rebuilt, why.

    Raises
    ------
    ConfigError
        petsc4py is not there; options that are refused (see `romflow.dd.petsc_library.check_options`).
    InputError
        Numbers out of range, or a PETSc of another MPI library.

    Notes
    -----
    The communicator is the layout's. Options live under a prefix of this solver alone until `destroy`. `setup`,
    `update`, `solve` and `destroy` are collective. Cost: the matrix once more, and two integers an entry.
    """

    def __init__(self, layout: Layout, *, symmetric: bool, definite: bool = True, tolerance: float = 1e-9,
                 max_iterations: int = 1000, near_nullspace: np.ndarray | None = None,
                 options: Mapping[str, Any] | None = None, reuse: bool = True) -> None:
        if not 0.0 < tolerance < 1.0 or max_iterations < 1:
            raise InputError(f"tolerance = {tolerance}, max_iterations = {max_iterations}; the rule is 0 < tolerance < "
                             "1 and at least one iteration")
        self.asked = dict(options or {})
        check_options(self.asked)
        with agreed(layout.comm, "loading PETSc"):
            self._petsc = library()
        self.layout, self.tolerance, self.max_iterations, self.reuse = layout, tolerance, max_iterations, reuse
        self.symmetric, self.definite = symmetric, definite
        self._comm = communicator(self._petsc, layout.comm)
        self._modes = None if near_nullspace is None else orthonormal_modes(layout, near_nullspace)
        self._width = block_size(layout, near_nullspace)
        self._chosen = self._merged()
        self._options: OptionSet | None = None
        self._objects: list[Any] = []
        self._ksp: Any = None
        self._fresh: int | None = None
        self._last = 0
        self._earlier = EarlierSolutions(layout, _REMEMBERED)
        self.report: dict[str, Any] = {}
        self._setup_facts: dict[str, Any] = {}

    def setup(self, A: Any, neumann: Any = None) -> None:
        """Put the matrix into PETSc and build the preconditioner.

        Parameters
        ----------
        A : csr (local, local), or (E, w, w)
            Assembled over all cells of the rank, of which its owned rows are taken; or the matrices of `Layout.cells`.
        neumann : object
            Ignored; the Schwarz solver needs it.

        Raises
        ------
        ConfigError
            On all ranks: an option that nothing in PETSc asked for, an unknown type, or one that this build lacks.
        ShapeError, InputError
            On all ranks: A does not fit, or is not finite.
        SolveFailed
            PETSc could not build the preconditioner.
        """
        started = time.process_time()
        self.destroy()
        with agreed(self.layout.comm, "handing its matrix to PETSc"):
            self._entries = RowEntries(self.layout, A)
            values = self._entries.values(A)
        try:
            with spoken(self._petsc, "setting up"):
                self._options = OptionSet(self._petsc, self._chosen)
                self._make_matrix(values)
                self._make_solver()
            self._refuse_unused()
        except RomflowError:
            self.destroy()
            raise
        self._note(started, True, "first set-up")

    def update(self, A: Any, neumann: Any = None) -> None:
        """Take another parameter's matrix; PETSc keeps what its rules and `reuse` allow.

        With another pattern, or before `setup`, this is `setup`. Errors as there.
        """
        started = time.process_time()
        known = False
        with agreed(self.layout.comm, "handing its matrix to PETSc"):
            known = self._ksp is not None and self._entries.fits(A)
            values = self._entries.values(A) if known else None
        if not same_everywhere(self.layout.comm, known):
            again = self._ksp is not None
            self.setup(A)
            self._setup_facts["why"] = "the matrix has another pattern" if again else "first set-up"
            return
        rebuilt, why = self._rule()
        with spoken(self._petsc, "updating"):
            self._matrix.setValuesCOO(values, addv=self._petsc.InsertMode.INSERT_VALUES)
            self._describe(self._matrix)
            self._earlier.forget_images()
            if rebuilt:
                self._ksp.reset()
                self._fresh = None
            self._ksp.setOperators(self._matrix)
            self._ksp.setUp()
        self._note(started, rebuilt, why)

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """X (owned, j) with ||b - A x|| <= tolerance ||b|| for each column, or below the rounding of A x.

        The iteration starts again from its answer where its own idea of the residual was not the true one.

        Parameters
        ----------
        B : (owned, j)
        guess : (owned, j), optional
            By default the best combination of earlier solutions, where there are any and `reuse` is on.

        Raises
        ------
        ShapeError, InputError
            On all ranks: B or the guess does not fit, or is not finite; `setup` was not called.
        SolveFailed
            On all ranks: why PETSc stopped; `report` holds iterations, reason and residual.
        """
        started = time.process_time()
        with agreed(self.layout.comm, "reading its right-hand sides"):
            self._check(B, guess)
        if guess is None and self.reuse:
            guess = self._earlier.guess(self._product, B)
        X = np.zeros(B.shape)
        self._floor: float | None = None
        iterations, residuals = np.zeros(B.shape[1], dtype=int), np.zeros(B.shape[1])
        for column in range(B.shape[1]):
            start = None if guess is None else guess[:, column]
            with spoken(self._petsc, "solving"):
                X[:, column], iterations[column], residuals[column] = self._column(B[:, column], start)
        self._last = int(iterations.max(initial=0))
        if self._fresh is None:
            self._fresh = self._last
        self.report = {"method": f"petsc {self._ksp.getType()} + {self._ksp.getPC().getType()}",
                       "iterations": self._last, "relative_residual": float(residuals.max(initial=0.0)),
                       "rounding": self._floor, "coarse_size": None, "subdomains": self.layout.comm.size,
                       **self._setup_facts, "solve_seconds": time.process_time() - started}
        if self.reuse:
            self._earlier.add(X)
        return X

    def destroy(self) -> None:
        """Free PETSc's objects and this solver's options; afterwards only `setup` works. Twice does no harm."""
        for one in self._objects:
            one.destroy()
        self._objects = []
        self._ksp, self._fresh = None, None
        self._earlier.forget_images()
        if self._options is not None:
            self._options.remove()
            self._options = None

    # -- parts --------------------------------------------------------------------------------------------------------

    def _merged(self) -> dict[str, Any]:
        options = default_options(self.symmetric, self.definite)
        named = self.asked.get("pc_type", "gamg")
        if named != "gamg":
            options = {key: value for key, value in options.items() if key.startswith("ksp_")}
        if self.asked.get("ksp_type", options["ksp_type"]) not in ("gmres", "fgmres", "lgmres"):
            options.pop("ksp_gmres_restart", None)
        if named == "gamg" and not self.reuse:
            options["pc_gamg_reuse_interpolation"] = False
        return {**options, **self.asked}

    def _make_matrix(self, values: np.ndarray) -> None:
        PETSc, layout = self._petsc, self.layout
        integer = PETSc.IntType
        A = PETSc.Mat().create(self._comm)
        self._objects.append(A)
        A.setSizes(((layout.owned, layout.n), (layout.owned, layout.n)), bsize=self._width)
        A.setType(PETSc.Mat.Type.AIJ)
        A.setPreallocationCOO(self._entries.rows.astype(integer), self._entries.columns.astype(integer))
        A.setValuesCOO(values, addv=PETSc.InsertMode.INSERT_VALUES)
        self._describe(A)
        if self._modes is not None:
            A.setNearNullSpace(PETSc.NullSpace().create(vectors=[self._vector(A, mode) for mode in self._modes.T],
                                                        comm=self._comm))
        self._matrix, self._x, self._b = A, *A.createVecs()
        self._residual = self._b.duplicate()
        self._product = Product(A)
        self._objects += [self._x, self._b, self._residual, self._product]

    def _describe(self, A: Any) -> None:
        """What is known of A, which new values make PETSc forget."""
        A.setOption(self._petsc.Mat.Option.SYMMETRIC, self.symmetric)
        A.setOption(self._petsc.Mat.Option.SPD, self.symmetric and self.definite)

    def _vector(self, A: Any, values: np.ndarray) -> Any:
        vector = A.createVecLeft()
        vector.setArray(values)
        return vector

    def _make_solver(self) -> None:
        PETSc = self._petsc
        self._ksp = ksp = PETSc.KSP().create(self._comm)
        self._objects.append(ksp)
        ksp.setOptionsPrefix(self._options.prefix if self._options else "")
        ksp.setOperators(self._matrix)
        ksp.setFromOptions()
        if ksp.getType() in _LEFT + _RIGHT:
            ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        if ksp.getType() in _RIGHT:
            ksp.setPCSide(PETSc.PC.Side.RIGHT)
        ksp.setUp()
        ksp.getPC().setUpOnBlocks()

    def _refuse_unused(self) -> None:
        """Raise on all ranks where an option of the study was asked for on none."""
        if not self.asked or self._options is None:
            return
        left = set(self._options.unused())
        mine = np.array([[key in left for key in self.asked]], dtype=np.int64)
        idle = np.concatenate(gathered(self.layout.comm, mine)).all(axis=0)
        names = [key for key, unused in zip(self.asked, idle, strict=True) if unused]
        if names:
            raise ConfigError(f"[solver] petsc has the key{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"
                              ", which nothing in this solver looks at; mend the spelling, or remove it")

    def _rule(self) -> tuple[bool, str]:
        if not self.reuse:
            return True, "reuse is off"
        if self._fresh is not None and self._last > _GROWTH * self._fresh + _SLACK:
            return True, f"the iterations had grown from {self._fresh} to {self._last}"
        return False, "PETSc updated its preconditioner for the new numbers and kept what depends on the pattern"

    def _note(self, started: float, rebuilt: bool, why: str) -> None:
        self._setup_facts = {"setup_seconds": time.process_time() - started, "rebuilt": rebuilt, "why": why}

    def _check(self, B: np.ndarray, guess: np.ndarray | None) -> None:
        if self._ksp is None:
            raise InputError("solve was called before setup; call setup with the matrix first")
        for name, block in (("right-hand sides", B), ("guess", guess)):
            if block is None:
                continue
            if np.ndim(block) != 2 or block.shape[0] != self.layout.owned or block.shape != B.shape:
                raise ShapeError(f"the {name} of this rank have the shape {np.shape(block)}; the rule is (owned, j) "
                                 f"with owned = {self.layout.owned}")
            if not np.isfinite(block).all():
                raise InputError(f"the {name} of this rank have entries that are not finite")

    def _column(self, b: np.ndarray, guess: np.ndarray | None) -> tuple[np.ndarray, int, float]:
        self._b.setArray(b)
        size = self._b.norm()
        if size == 0.0:
            return np.zeros(b.size), 0, 0.0
        self._x.setArray(np.zeros(b.size) if guess is None else guess)
        self._ksp.setInitialGuessNonzero(True)
        aim, steps = _AIM * self.tolerance, 0
        residual = 1.0 if guess is None else self._true_residual(size)
        while not residual <= self.tolerance:
            self._ksp.setTolerances(rtol=aim, atol=0.0, divtol=1e12, max_it=self.max_iterations - steps)
            self._ksp.solve(self._b, self._x)
            taken, before = self._ksp.getIterationNumber(), residual
            steps, residual = steps + taken, self._true_residual(size)
            reason = int(self._ksp.getConvergedReason())
            if residual <= self.tolerance:
                break
            stuck = taken == 0 or residual > _PROGRESS * before
            if reason < 0 or stuck or steps >= self.max_iterations:
                self._excuse(size, steps, residual, reason if steps < self.max_iterations else _LIMIT)
                break
            aim *= max(0.1, 0.5 * self.tolerance / residual)
        return np.array(self._x.getArray()), steps, residual

    def _excuse(self, size: float, steps: int, residual: float, reason: int) -> None:
        """Accept a residual below the rounding of A x, and note it; else say why there is none that is small enough."""
        floor = rounding(self.layout, self._matrix, np.array(self._x.getArray())) / size
        if residual <= floor:
            self._floor = max(self._floor or 0.0, floor)
            return
        self._fail(reason_text(reason) if reason < 0 else "the true residual stagnates, and the method watches another "
                   "one", steps, residual, reason)

    def _true_residual(self, size: float) -> float:
        self._matrix.mult(self._x, self._residual)
        self._residual.aypx(-1.0, self._b)
        return float(self._residual.norm() / size)

    def _fail(self, words: str, steps: int, residual: float, reason: int) -> None:
        kind = f"{self._ksp.getType()} with {self._ksp.getPC().getType()}"
        shown = residual if np.isfinite(residual) else None
        raise SolveFailed(f"PETSc's {kind} stopped after {steps} iterations at the relative residual {residual:.2e} "
                          f"(asked for {self.tolerance:.1e}): {words}; change [solver] max_iterations, tolerance or "
                          "petsc, or take method = \"schwarz\"",
                          {"iterations": steps, "relative_residual": shown, "reason": reason})
