"""Strategies of a sweep: ways to solve the next system that use what the systems before have left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import NotSupported, SolveFailed
from romflow.linalg.functions.interpolated_inverse import InterpolatedInverse
from romflow.linalg.solvers.policy import LinearSolver
from romflow.linalg.sweep.condensation import MOST_INTERFACE, AffineCondensation, interface_of
from romflow.linalg.sweep.family import Family, System
from romflow.linalg.sweep.iterations import conjugate_directions, conjugate_gradient, two_level
from romflow.linalg.sweep.multigrid import AffineMultigrid
from romflow.linalg.sweep.reduced_guess import ReducedGuess

_MOST_FACTORS = 5


class Strategy(Protocol):
    """Solves one system after the other.

    Attributes
    ----------
    guesses : bool
        Whether a guess helps it.
    setup_seconds : float
        Processor seconds spent so far on what serves all systems.
    """

    guesses: bool
    setup_seconds: float

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """u (n,) and the number of iterations; SolveFailed or NotSupported where it cannot."""
        ...


class _Prepared:
    """Times what is done once."""

    setup_seconds = 0.0

    def prepare(self, make: Callable[[], object]) -> object:
        start = time.process_time()
        try:
            return make()
        finally:
            self.setup_seconds += time.process_time() - start


class Condensed(_Prepared):
    """Static condensation: the inside of each term is eliminated once, see `AffineCondensation`."""

    name, guesses = "condensed", False

    def __init__(self, family: Family) -> None:
        self._family = family
        self._condensation: AffineCondensation | None = None
        self._failure: SolveFailed | NotSupported | None = None

    @staticmethod
    def fits(family: Family) -> bool:
        """Symmetric, several terms, and an interface of at most 4000 dofs that is a small part of all."""
        if not family.symmetric or len(family.terms) < 2:
            return False
        shared = int(np.count_nonzero(interface_of(family.terms)))
        return shared <= min(MOST_INTERFACE, family.vectors.shape[0] // 8)

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """Exact but for rounding."""
        _must_be_symmetric(self._family, self.name)
        if self._condensation is None:
            self._condensation = self.prepare(self._eliminated)
        return self._condensation.solve(system.theta, system.phi), 0

    def _eliminated(self) -> AffineCondensation:
        # No theta in it: what failed once fails again.
        if self._failure is not None:
            raise self._failure
        try:
            return AffineCondensation(self._family.terms, self._family.vectors)
        except (SolveFailed, NotSupported) as error:
            self._failure = error
            raise


class Direct(_Prepared):
    """Refactorisation on one symbolic analysis; the last factor serves a near neighbour as preconditioner.

    Between theta' and theta the condition number of A(theta')^{-1} A(theta) is at most max(theta/theta') /
    min(theta/theta') for semidefinite terms. Where the iterations that this predicts cost less than a factorisation,
    the last factor is kept.
    """

    guesses = True

    def __init__(self, family: Family) -> None:
        self._family = family
        self._solver = LinearSolver("direct", symmetric=family.symmetric, tolerance=family.tolerance,
                                    backend=family.backend)
        self._factor, self._theta, self._analysed = None, None, False
        self._factor_seconds = self._step_seconds = math.inf

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """With the last factor where that is predicted to be cheaper, else with a new one."""
        expected = self._expected(system, guess)
        if expected * self._step_seconds < 0.7 * self._factor_seconds:
            try:
                return conjugate_gradient(system.A, system.b, self._factor.solve, _start(system, guess),
                                          self._family.inner_tolerance, int(2 * expected) + 5)
            except SolveFailed:
                pass  # the prediction was wrong: a new factor is the remedy
        return self._refactorised(system), 0

    def _refactorised(self, system: System) -> np.ndarray:
        # Until the new factor has solved its own system there is none to go on with.
        self._theta = None
        if not self._analysed:
            self._factor = self.prepare(lambda: self._solver.setup(system.A))
            # About half of it was the symbolic analysis; the numbers will be made again for the next system.
            self.setup_seconds *= 0.5
            self._analysed = True
        else:
            start = time.process_time()
            self._factor = self._solver.update(system.A)
            self._factor_seconds = time.process_time() - start
        start = time.process_time()
        u = self._factor.solve(system.b)
        self._step_seconds = time.process_time() - start
        self._theta = system.theta
        return u

    def _expected(self, system: System, guess: np.ndarray | None) -> float:
        """Iterations 0.5 sqrt(kappa) ln(2 start / tolerance) with the last factor; infinite without one."""
        if self._theta is None or not self._family.symmetric or not math.isfinite(self._factor_seconds):
            return math.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = system.theta / self._theta
        if not (np.isfinite(ratio).all() and (ratio > 0.0).all()):
            return math.inf
        start = max(1.0, system.residual(guess)) if guess is not None else 1.0
        return 0.5 * math.sqrt(float(ratio.max() / ratio.min())) * math.log(2.0 * start / self._family.tolerance)


class Multigrid(_Prepared):
    """Conjugate gradients with `AffineMultigrid`: prolongations kept, coarse operators affine in theta."""

    name, guesses = "multigrid", True

    def __init__(self, family: Family) -> None:
        self._family = family
        self._hierarchy: AffineMultigrid | None = None

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """From the guess."""
        return conjugate_gradient(system.A, system.b, self.cycle(system), _start(system, guess),
                                  self._family.inner_tolerance, self._family.max_iterations)

    def cycle(self, system: System) -> Callable[[np.ndarray], np.ndarray]:
        """The V-cycle at theta."""
        family = self._family
        _must_be_symmetric(family, self.name)
        if self._hierarchy is None:
            reference = system.theta if family.reference is None else family.reference
            self._hierarchy = self.prepare(lambda: AffineMultigrid(family.terms, reference, family.near_nullspace))
        return self._hierarchy.at(system.theta)


class Deflated(_Prepared):
    """Conjugate gradients with Jacobi, deflated by the reduced basis of the solutions so far."""

    name, guesses = "deflated", True

    def __init__(self, family: Family, reduced: ReducedGuess) -> None:
        self._family, self._reduced = family, reduced

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """From the guess."""
        _must_be_symmetric(self._family, self.name)
        jacobi = _jacobi(system.A)
        precondition = jacobi if self._reduced.size == 0 else two_level(
            jacobi, self._reduced.galerkin(system.theta), system.A)
        return conjugate_gradient(system.A, system.b, precondition, _start(system, guess),
                                  self._family.inner_tolerance, self._family.max_iterations)


class Directions(_Prepared):
    """Conjugate directions proposed by a V-cycle and the reduced basis together."""

    name, guesses = "directions", True

    def __init__(self, family: Family, reduced: ReducedGuess) -> None:
        self._family, self._reduced = family, reduced
        self._multigrid = Multigrid(family)

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """From the guess."""
        _must_be_symmetric(self._family, self.name)
        cycle, correct = self._multigrid.cycle(system), self._reduced.galerkin(system.theta)
        self.setup_seconds = self._multigrid.setup_seconds

        def propose(r: np.ndarray) -> np.ndarray:
            return cycle(r) + correct(r)

        return conjugate_directions(system.A, system.b, propose, _start(system, guess), self._family.inner_tolerance,
                                    self._family.max_iterations)


class Interpolated(_Prepared):
    """Conjugate gradients with an interpolated inverse of a few kept factors (Zahm and Nouy 2016).

    The first systems are factorised and kept, at most five; later ones are preconditioned by the combination of these
    inverses that is closest to their own.
    """

    name, guesses = "interpolated", True

    def __init__(self, family: Family) -> None:
        self._family = family
        self._inverse = InterpolatedInverse(family.terms, [], np.empty((0, len(family.terms))))

    def solve(self, system: System, guess: np.ndarray | None) -> tuple[np.ndarray, int]:
        """With a new factor while there are fewer than five, else by iterations."""
        _must_be_symmetric(self._family, self.name)
        if self._inverse.size < _MOST_FACTORS:
            factor = self.prepare(lambda: self._kept(system))
            return factor.solve(system.b), 0
        precondition = self._inverse.preconditioner(system.theta, nonnegative=True, terms=2)
        return conjugate_gradient(system.A, system.b, precondition, _start(system, guess),
                                  self._family.inner_tolerance, self._family.max_iterations)

    def _kept(self, system: System) -> object:
        factor = LinearSolver("direct", symmetric=True, tolerance=self._family.tolerance,
                              backend=self._family.backend).setup(system.A)
        self._inverse.add(system.theta, factor)
        return factor


def _start(system: System, guess: np.ndarray | None) -> np.ndarray:
    return np.zeros_like(system.b) if guess is None else guess


def _must_be_symmetric(family: Family, name: str) -> None:
    if not family.symmetric:
        raise NotSupported(f"strategy = \"{name}\" needs symmetric positive definite systems and these are not "
                           "symmetric; use strategy = \"direct\"")


def _jacobi(A: sp.csr_array) -> Callable[[np.ndarray], np.ndarray]:
    diagonal = A.diagonal()
    if not (diagonal > 0.0).all():
        raise SolveFailed("the matrix has a diagonal entry that is not positive, so it is not positive definite; use "
                          "strategy = \"direct\"")
    return lambda r: r / diagonal
