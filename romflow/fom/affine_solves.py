"""How an affine model solves its systems: factorised anew (the default), by the solver policy, or as one sweep."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.linalg.solvers.optional import EXTRAS, load
from romflow.linalg.solvers.policy import LinearSolver
from romflow.linalg.solvers.superlu import SuperLU
from romflow.linalg.sweep.sweep import SweepSolver

_MORE_REFINEMENT = 4
_REFERENCE_SAMPLES = 500


class Solves(Protocol):
    """Solves A(mu) u = f(mu) of one model.

    Attributes
    ----------
    identity : dict
        What of it belongs to the identity of the snapshots: JSON, empty for the default.
    """

    identity: dict[str, Any]

    def solve(self, mu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """u (n,) at mu (p,), and facts with "relative_residual"; SolveFailed where there is none."""
        ...


def make_solves(model: Any, options: Mapping[str, Any]) -> Solves:
    """The way that the keys of [solver] name.

    Parameters
    ----------
    model : AffineModel
    options : mapping
        "method", "strategy", "tolerance", "backend", "preconditioner", "max_iterations", "guess_size", "seed".

    Raises
    ------
    ConfigError
        An unknown name, or a package that is not installed.
    """
    if options["backend"] in EXTRAS:
        load(options["backend"])
    if options["method"] == "sweep":
        return SweepSolves(model, options)
    if options["method"] == "direct" and options["backend"] == "superlu":
        return FactorisedSolves(model, min(model.residual_tolerance, options["tolerance"]))
    return PolicySolves(model, options)


class FactorisedSolves:
    """SuperLU for each mu on one ordering; the bits of the answer depend on mu alone, not on earlier solves."""

    identity: dict[str, Any] = {}

    def __init__(self, model: Any, tolerance: float) -> None:
        self._model, self._tolerance = model, tolerance
        self._local = threading.local()

    def solve(self, mu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Without pivoting first; symmetric but indefinite matrices may need the pivots."""
        A, f = self._model.operator.assemble(mu), self._model.rhs.assemble(mu)
        residual, reason = np.inf, ""
        for symmetric in (True, False) if self._model.symmetric else (False,):
            try:
                u, residual = self._attempt(A, f, symmetric)
            except SolveFailed as error:
                reason = str(error)
                continue
            if residual <= self._tolerance:
                return u, {"relative_residual": residual}
            reason = (f"the relative residual is {residual:.2e} after refinement, above the tolerance "
                      f"{self._tolerance:g}; the matrix is singular or too ill-conditioned: check the boundary "
                      "conditions, scale the problem, or narrow the parameter range")
        raise _failed(mu, reason, residual)

    def _attempt(self, A: sp.csc_array, f: np.ndarray, symmetric: bool) -> tuple[np.ndarray, float]:
        # One ordering a thread: a solver that two threads update would mix their matrices.
        solvers = vars(self._local).setdefault("by_symmetry", {})
        factor = solvers.setdefault(symmetric, SuperLU(symmetric=symmetric)).update(A)
        u = factor.solve(f)
        residual = relative_residual(A, f, u)
        if residual > self._tolerance:
            u = factor.solve(f, refine=_MORE_REFINEMENT)
            residual = relative_residual(A, f, u)
        return u, residual


class PolicySolves:
    """`LinearSolver` with one set-up a thread, updated for each mu."""

    def __init__(self, model: Any, options: Mapping[str, Any]) -> None:
        self._model = model
        self._options = {"method": options["method"], "backend": options["backend"], "seed": options["seed"],
                         "preconditioner": options["preconditioner"], "max_iterations": options["max_iterations"],
                         "tolerance": options["tolerance"], "symmetric": model.symmetric,
                         "near_nullspace": getattr(model, "near_nullspace", None)}
        LinearSolver(**self._options)
        self.identity = {"tolerance": options["tolerance"]}
        self._local = threading.local()

    def solve(self, mu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """By the method asked for; what "auto" took is in the facts."""
        A, f = sp.csr_array(self._model.operator.assemble(mu)), self._model.rhs.assemble(mu)
        kept = vars(self._local)
        try:
            if "solver" not in kept:
                solver = LinearSolver(**self._options)
                system = solver.setup(A)
                kept["solver"] = solver
            else:
                system = kept["solver"].update(A)
            u = system.solve(f)
        except SolveFailed as error:
            kept.pop("solver", None)
            raise _failed(mu, str(error), error.report.get("relative_residual")) from None
        report = system.report
        return u, {"relative_residual": relative_residual(A, f, u),
                   "solver": {"method": report.method, "with": report.backend, "iterations": report.iterations}}


class SweepSolves:
    """`SweepSolver` over the terms of the model, one a thread: each solve uses what the solves before have left."""

    def __init__(self, model: Any, options: Mapping[str, Any]) -> None:
        self._model = model
        samples = model.parameters.sample(_REFERENCE_SAMPLES, np.random.default_rng(0))
        limit = {} if "max_iterations" not in options else {"max_iterations": options["max_iterations"]}
        self._options = {"strategy": options["strategy"], "tolerance": options["tolerance"], "seed": options["seed"],
                         "backend": options["backend"], "guess_size": options["guess_size"], **limit,
                         "reference": np.abs(model.operator.theta(samples)).max(axis=0),
                         "near_nullspace": getattr(model, "near_nullspace", None)}
        self.identity = {"tolerance": options["tolerance"]}
        self._local = threading.local()
        self._restored: dict[str, Any] | None = None

    def solve(self, mu: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """By the strategy asked for, or the one that has proved cheapest."""
        row = np.atleast_2d(mu)
        try:
            u = self._sweep.solve(self._model.operator.theta(row)[0], self._model.rhs.theta(row)[0])
        except SolveFailed as error:
            raise _failed(mu, str(error), None) from None
        last = self._sweep.last
        facts: dict[str, Any] = {"method": "sweep", "with": last.strategy, "iterations": last.iterations}
        if last.note:
            facts["note"] = last.note
        return u, {"relative_residual": last.relative_residual, "solver": facts}

    def state(self) -> dict[str, Any] | None:
        """What this thread's choice of strategies has learnt: JSON; None before the first solve."""
        return self._sweep.state() if "sweep" in vars(self._local) else None

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what was learnt, unless this thread has solved already."""
        if "sweep" not in vars(self._local):
            self._sweep.restore(state)

    @property
    def _sweep(self) -> SweepSolver:
        kept = vars(self._local)
        if "sweep" not in kept:
            model = self._model
            kept["sweep"] = SweepSolver(model.operator.matrices, model.rhs.vectors, **self._options)
        sweep: SweepSolver = kept["sweep"]
        return sweep


def relative_residual(A: sp.sparray, f: np.ndarray, u: np.ndarray) -> float:
    """||f - A u|| / ||f|| (Euclidean); for f = 0: 0 if A u = 0, else 1."""
    scale = float(np.linalg.norm(f))
    return float(np.linalg.norm(f - A @ u)) / scale if scale > 0.0 else float(np.linalg.norm(A @ u) > 0.0)


def _failed(mu: np.ndarray, reason: str, residual: float | None) -> SolveFailed:
    known = residual is not None and np.isfinite(residual)
    return SolveFailed(f"no solution for mu = {mu.tolist()}: {reason}",
                       {"mu": mu.tolist(), "relative_residual": residual if known else None})
