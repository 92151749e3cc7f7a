"""Sweeps: the next system of an affine family is solved with what the systems before have left."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, SolveFailed
from romflow.core.names import nearest
from romflow.linalg.sweep.choice import BanditChoice, TrialChoice, contrast
from romflow.linalg.sweep.family import System, check_whole, checked_family, real_array
from romflow.linalg.sweep.reduced_guess import GeneralReducedGuess, ReducedGuess
from romflow.linalg.sweep.strategies import (
    Condensed,
    Deflated,
    Direct,
    Directions,
    Interpolated,
    Multigrid,
    Strategy,
)

# "auto" tries the direct strategy where multigrid takes more iterations than this.
_SLOW = 30
# Guesses are weighed against their cost so many at a time.
_GUESSES = 16
STRATEGIES = ("auto", "learned", "direct", "multigrid", "condensed", "deflated", "directions", "interpolated")


@dataclass(frozen=True)
class SweepReport:
    """One solved system.

    Attributes
    ----------
    strategy : str
        What gave the answer; "guess" where the reduced model so far was accurate enough.
    iterations : int
    relative_residual : float
        ||b - A u|| / ||b||, of the answer itself.
    guess_residual : float or None
        The same of the initial guess; None without one.
    seconds : float
        Processor seconds, set-up included.
    setup_seconds : float
        Those of them that went into what serves later systems too.
    note : str
        What failed before.
    """

    strategy: str
    iterations: int
    relative_residual: float
    guess_residual: float | None
    seconds: float
    setup_seconds: float
    note: str = ""


class SweepSolver:
    """Solves A(theta) u = F phi for one theta after the other, each to ||F phi - A u|| <= tolerance ||F phi||.

    Re-used from system to system: the pattern and its symbolic analysis; multigrid prolongations, with coarse operators
    that are affine in theta; eliminated insides of the terms; the last factor near its theta; a reduced model of the
    solutions so far as initial guess, which ends the work where it is accurate enough already.

    "auto" tries the strategies that fit, takes the cheapest in processor seconds, and looks again at a close rival from
    time to time. For symmetric families it tries "condensed" where interfaces are small, then "multigrid", and "direct"
    where multigrid fails or needs more than 30 iterations (condensation is part of what a refactorisation does, so that
    one is not tried beside it); for others it takes "direct". "learned" draws from a contextual bandit over all that
    fit. A strategy that fails is followed by "direct". Guesses end when they cost more than the iterations that they
    save. The residual of every answer is checked.

    The answer depends on the systems before within the tolerance.

    Parameters
    ----------
    terms : sequence of sparse (n, n)
        A_q.
    vectors : (n, Qf)
        F.
    tolerance : float
    strategy : str
        "auto", "learned", "direct", "multigrid", "condensed", "deflated" (Jacobi and the reduced basis), "directions"
        (conjugate directions proposed by multigrid and the reduced basis) or "interpolated" (inverses of a few
        factors).
    reference : (Q,), optional
        theta with the strongest contrast that occurs, for the multigrid prolongations; the first theta by default.
    near_nullspace : (n, j), optional
        Rigid-body modes of elasticity.
    guess_size : int
        Most vectors in the reduced model for guesses; 0 for none.
    max_iterations : int
    backend : str
        Direct back end, "auto" for the fastest that is installed.
    seed : int
        Of "learned".

    Raises
    ------
    ShapeError, InputError, ConfigError
        Terms and vectors do not fit each other, are complex or not finite, a number is out of range, there is no such
        strategy or back end, or "deflated" or "directions" without guesses.

    Examples
    --------
    >>> line = sp.diags_array([-np.ones(99), 2 * np.ones(100), -np.ones(99)], offsets=[-1, 0, 1]).tocsr()
    >>> sweep = SweepSolver([line, sp.eye_array(100).tocsr()], np.ones((100, 1)), tolerance=1e-9)
    >>> for shift in (0.1, 0.2, 0.3):
    ...     u = sweep.solve(np.array([1.0, shift]))
    >>> sweep.last.relative_residual <= 1e-9
    True
    """

    def __init__(self, terms: Sequence[sp.sparray], vectors: np.ndarray, *, tolerance: float = 1e-8,
                 strategy: str = "auto", reference: np.ndarray | None = None,
                 near_nullspace: np.ndarray | None = None, guess_size: int = 64, max_iterations: int = 500,
                 backend: str = "auto", seed: int = 0) -> None:
        if strategy not in STRATEGIES:
            raise ConfigError(f"no sweep strategy is called '{strategy}'" + nearest(strategy, STRATEGIES))
        self._auto, self._needs_basis = strategy == "auto", strategy in ("deflated", "directions")
        check_whole("seed", seed, 0)
        check_whole("guess_size", guess_size, 0)
        if guess_size < 1 and self._needs_basis:
            raise InputError(f"guess_size = {guess_size}; the rule is at least 0, and at least 1 with strategy = "
                             "\"deflated\" or \"directions\", which work with the reduced basis")
        family = checked_family(terms, vectors, tolerance=tolerance, max_iterations=max_iterations, reference=reference,
                                near_nullspace=near_nullspace, backend=backend)
        self._family = family
        kind = ReducedGuess if family.symmetric else GeneralReducedGuess
        self._reduced = kind(family.terms, family.vectors, guess_size) if guess_size else None
        self._made: dict[str, Strategy] = {"direct": Direct(family)}
        self._choice: TrialChoice | BanditChoice = self._chooser(strategy, seed)
        self._balance: list[float] = []
        self._pattern_seconds = self._usual = 0.0
        self.reports: list[SweepReport] = []

    @property
    def last(self) -> SweepReport:
        """Report of the last system."""
        return self.reports[-1]

    @property
    def why(self) -> str:
        """Why the present strategy was taken."""
        return self._choice.why

    def solve(self, theta: np.ndarray, phi: np.ndarray | None = None) -> np.ndarray:
        """u (n,) for theta (Q,) and phi (Qf,) (ones where not given).

        Raises
        ------
        ShapeError, InputError
            theta or phi has the wrong length or is not finite.
        SolveFailed
            Every strategy failed; the message is that of the direct one.
        """
        theta, phi = self._coefficients(theta, phi)
        start, setup = time.process_time(), self._setup_seconds
        self._find_pattern()
        system, context = System(self._family, theta, phi), contrast(theta)
        name = self._choice.ask(context)
        guess, guessed = self._guess(system, name)
        guessing = time.process_time() - start
        if guessed is not None and guessed <= self._family.tolerance:
            u, used, iterations, note = guess, "guess", 0, ""
            self._balance_guess(self._usual - guessing)
        else:
            before = time.process_time()
            u, used, iterations, note = self._solved(system, name, guess)
            self._learn(used, u)
            self._usual = time.process_time() - before
            if guess is not None:
                self._weigh(system, u, guess, guessing, iterations)
        residual = system.residual(u)
        seconds, made = time.process_time() - start, self._setup_seconds - setup
        if used != "guess":
            self._choice.tell(name, context, seconds - made if used == name else math.inf)
            self._widen(name, used, iterations)
        self.reports.append(SweepReport(used, iterations, residual, guessed, seconds, made, note))
        return u

    def summary(self) -> dict[str, Any]:
        """Systems, processor seconds, set-up and mean iterations of each strategy, and why the present one."""
        used = sorted({report.strategy for report in self.reports})
        return {"systems": len(self.reports), "seconds": sum(report.seconds for report in self.reports),
                "setup_seconds": sum(report.setup_seconds for report in self.reports), "why": self.why,
                "strategies": {name: _totals([r for r in self.reports if r.strategy == name]) for name in used}}

    def state(self) -> dict[str, Any]:
        """What the choice of strategies has learnt: JSON-able."""
        return self._choice.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what an earlier sweep of this family has learnt.

        Raises
        ------
        InputError, ShapeError
            The state is not one that `state` of such a sweep gave.
        """
        unknown = set(state.get("costs", ()) if isinstance(state, dict) else ()) - set(STRATEGIES)
        if unknown:
            raise InputError(f"the stored choice names {sorted(unknown)}, which are no sweep strategies; remove the "
                             "stored state")
        self._choice.restore(state)

    # -- parts of a solve -------------------------------------------------------------------------------------------

    def _chooser(self, strategy: str, seed: int) -> TrialChoice | BanditChoice:
        family = self._family
        if strategy not in ("auto", "learned") or not family.symmetric:
            return TrialChoice(["direct" if strategy in ("auto", "learned") else strategy])
        fitting = [*(["condensed"] if Condensed.fits(family) else []), "multigrid"]
        return TrialChoice(fitting) if strategy == "auto" else BanditChoice([*fitting, "direct"], seed)

    def _strategy(self, name: str) -> Strategy:
        if name not in self._made:
            family, reduced = self._family, self._reduced
            self._made[name] = {
                "multigrid": lambda: Multigrid(family),
                "condensed": lambda: Condensed(family), "interpolated": lambda: Interpolated(family),
                "deflated": lambda: Deflated(family, reduced),
                "directions": lambda: Directions(family, reduced)}[name]()
        return self._made[name]

    @property
    def _setup_seconds(self) -> float:
        return self._pattern_seconds + sum(strategy.setup_seconds for strategy in self._made.values())

    def _find_pattern(self) -> None:
        """Once; it serves all systems, so that the strategy which happens to be first does not pay for it."""
        if self._pattern_seconds == 0.0:
            start = time.process_time()
            if self._family.pattern.nnz:
                self._pattern_seconds = time.process_time() - start

    def _guess(self, system: System, name: str) -> tuple[np.ndarray | None, float | None]:
        if self._reduced is None or not self._reduced.size or not self._strategy(name).guesses:
            return None, None
        guess = self._reduced.guess(system.theta, system.phi)
        return guess, system.residual(guess)

    def _solved(self, system: System, name: str, guess: np.ndarray | None) -> tuple[np.ndarray, str, int, str]:
        note, asked = "", [name] if name == "direct" else [name, "direct"]
        for candidate in asked:
            try:
                u, iterations = self._strategy(candidate).solve(system, guess)
                residual = system.residual(u)
                if residual <= self._family.tolerance:
                    return u, candidate, iterations, note
                note = f"{candidate} left a relative residual of {residual:.1e}"
            except (SolveFailed, NotSupported) as error:
                note = f"{candidate}: {error}"
        raise SolveFailed(note, {"theta": system.theta.tolist()})

    def _learn(self, used: str, u: np.ndarray) -> None:
        if self._reduced is not None and self._strategy(used).guesses:
            self._reduced.extend(u)

    def _weigh(self, system: System, u: np.ndarray, guess: np.ndarray, spent: float, iterations: int) -> None:
        """What a guess has saved, by its share of the energy norm, against the seconds spent on it."""
        if self._reduced is None or not self._family.symmetric:
            return
        left = max(self._reduced.energy_left(u, guess, system.b), self._family.tolerance)
        share = math.log(left) / math.log(self._family.tolerance)
        self._balance_guess(self._usual * share / max(1.0 - share, share) - spent if iterations else 0.0)

    def _balance_guess(self, saved: float) -> None:
        """End the guesses where 16 of them have cost more than they saved."""
        if not self._family.symmetric or self._needs_basis:
            return
        self._balance.append(saved)
        if len(self._balance) == _GUESSES:
            if sum(self._balance) < 0.0:
                self._reduced = None
            self._balance.clear()

    def _widen(self, name: str, used: str, iterations: int) -> None:
        """Where multigrid is slow, or all that fits has failed, "auto" tries the direct strategy too."""
        if self._auto and isinstance(self._choice, TrialChoice):
            slow = name == "multigrid" and (used != name or iterations > _SLOW)
            if self._choice.stuck or (slow and "condensed" not in self._choice.arms):
                self._choice.add("direct")

    def _coefficients(self, theta: np.ndarray, phi: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        Q, Qf = len(self._family.terms), self._family.vectors.shape[1]
        # Copies: strategies keep them, and callers fill one array again and again.
        theta, phi = real_array("theta", theta), np.ones(Qf) if phi is None else real_array("phi", phi)
        for name, values, length in (("theta", theta, Q), ("phi", phi, Qf)):
            if values.shape != (length,):
                raise ShapeError(f"{name} has shape {values.shape}; this family needs ({length},)")
        return theta, phi


def _totals(reports: list[SweepReport]) -> dict[str, Any]:
    return {"systems": len(reports), "seconds": sum(report.seconds for report in reports),
            "setup_seconds": sum(report.setup_seconds for report in reports),
            "mean_iterations": sum(report.iterations for report in reports) / len(reports)}
