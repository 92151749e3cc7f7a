"""Newton's method on the balance of reduced forces, for many draws at once, with the law at a few points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dgesv

from romflow.materials.protocol import MaterialLaw, step_of
from romflow.rom.mechanics.loads import StepData

__all__ = ["Balance", "PointRule", "balance"]

_ITERATIONS = 25
_GROWTH = 2.0
_SHORTEST = 0.1
# So many points that serve the dual fields alone are left out of the iteration, and evaluated once at its end.
_SPARED = 100


class PointRule:
    """Sums over the reduced points: strains of coefficients, forces of stresses, stiffnesses of tangents.

    Parameters
    ----------
    strain : (m', 6, r)
    lifting_strain : (m', 6, L)
    weights : (m,)
        Of the first m <= m' points; the others have none.
    """

    def __init__(self, strain: np.ndarray, lifting_strain: np.ndarray, weights: np.ndarray) -> None:
        count, _, r = strain.shape
        m = len(weights)
        self.points, self.inner, self.size = count, m, r
        self._strain = np.ascontiguousarray(strain.transpose(1, 0, 2)).reshape(6 * count, r)
        self._lifting = np.ascontiguousarray(lifting_strain.transpose(1, 0, 2)).reshape(6 * count, -1)
        weighted = strain[:m] * weights[:, None, None]
        self._forces = np.ascontiguousarray(weighted.transpose(2, 1, 0)).reshape(r, 6 * m)
        self._across = np.ascontiguousarray(strain[:m].transpose(0, 2, 1))
        self._along = np.ascontiguousarray(strain[:m])

    def strains(self, q: np.ndarray, lifting: np.ndarray) -> np.ndarray:
        """Strains (6, m', b) of coefficients q (r, b) and lifting (L, b). Cost: 12 m' (r + L) b flops."""
        found = self._strain @ q
        if len(lifting):
            found += self._lifting @ lifting
        return np.asarray(found).reshape(6, self.points, -1)

    def forces(self, stress: np.ndarray) -> np.ndarray:
        """sum_k w_k E_k^T sigma_k (r, b) of stresses (6, m', b)."""
        return np.asarray(self._forces @ stress[:, :self.inner].reshape(6 * self.inner, -1))

    def stiffness(self, tangent: np.ndarray) -> np.ndarray:
        """sum_k w_k E_k^T C_k E_k (b, r, r) of tangents (6, 6, m', b). Cost: (72 + 12 r) m r b flops."""
        b, r = tangent.shape[3], self.size
        inner = tangent[:, :, :self.inner]
        if b == 1:
            product = np.matmul(np.ascontiguousarray(inner[..., 0].transpose(2, 0, 1)), self._along)
            return np.asarray(self._forces @ product.transpose(1, 0, 2).reshape(-1, r))[None]
        product = np.matmul(self._across, inner.transpose(0, 2, 1, 3))
        return np.asarray((self._forces @ product.reshape(-1, r * b)).reshape(r, r, b).transpose(2, 0, 1))


@dataclass(frozen=True, eq=False)
class Balance:
    """Where Newton's method ended, for b draws.

    Attributes
    ----------
    coefficients : (r, b)
    state : (s, m', b)
    stress : (6, m', b)
    converged : (b,) bool
        Where False, the rest of the column means nothing.
    iterations : int
        Evaluations of the law, of the draw that needed most.
    """

    coefficients: np.ndarray
    state: np.ndarray
    stress: np.ndarray
    converged: np.ndarray
    iterations: int


def balance(rule: PointRule, law: MaterialLaw, data: StepData, dt: float, guess: np.ndarray, state: np.ndarray,
            tolerance: float, reference: float) -> Balance:
    """Coefficients q with ||f_ext - f(q)|| <= tolerance max(||f_ext||, ||f||, reference) for the draws that converge.

    ||f|| is the largest of all iterations.

    q <- q + s K^{-1} (f_ext - f) with s halved while the residual norm grows beyond twice what it was, or the law has
    no answer. A draw leaves when it is done; it fails with s < 1/10 or after 25 iterations. The law always starts from
    `state`. Kept tangents bring nothing: the law's local solution costs far more than its tangent.

    Parameters
    ----------
    rule : PointRule
    law : MaterialLaw
    data : StepData
        At the end of the step, for b draws.
    dt : float
    guess : (r, b)
    state : (s, m', b)
        At the beginning of the step.
    tolerance, reference : float
    """
    spared = (rule.points - rule.inner) * guess.shape[1]
    inner = rule.inner if spared >= _SPARED else rule.points
    found = _iterated(rule, inner, law, data, dt, guess, state, tolerance, reference)
    if inner == rule.points:
        return found
    return _completed(found, rule, law, data, dt, state)


def _iterated(rule: PointRule, inner: int, law: MaterialLaw, data: StepData, dt: float, guess: np.ndarray,
              state: np.ndarray, tolerance: float, reference: float) -> Balance:
    """The balance with the first `inner` points, which hold all of the cubature's."""
    iteration, b = _Iteration(rule, inner, law, data, dt, guess, state, tolerance, reference), guess.shape[1]
    collected = _Collected(guess, len(state), inner)
    for count in range(1, _ITERATIONS + 1):
        stress, new, done = iteration.evaluate()
        finished = np.count_nonzero(done)
        if finished == b:
            # The common case, without copies: all draws are done at once.
            return Balance(iteration.q, new, stress, done, count)
        if finished:
            collected.add(iteration, new, stress, done)
        iteration.leave(done | iteration.lost(done))
        if not iteration.active.size:
            break
        iteration.advance()
    return Balance(collected.q, collected.state, collected.stress, collected.converged, count)


def _completed(found: Balance, rule: PointRule, law: MaterialLaw, data: StepData, dt: float,
               state: np.ndarray) -> Balance:
    """The balance with stress and state at the points that were left out, at its coefficients."""
    m, b = rule.inner, state.shape[2]
    strain = rule.strains(found.coefficients, data.lifting)[:, m:].reshape(6, -1)
    answer = law.integrate(strain, data.given_at(slice(m, None)), dt, _flat(state[:, m:]), False)
    valid = answer.converged.reshape(-1, b).all(axis=0)
    return Balance(found.coefficients,
                   np.concatenate([found.state, _unfolded(answer.state, b)], axis=1),
                   np.concatenate([found.stress, _unfolded(answer.stress, b)], axis=1),
                   found.converged & valid, found.iterations)


class _Collected:
    """Columns of those draws that are done, until all are."""

    def __init__(self, guess: np.ndarray, variables: int, points: int) -> None:
        b = guess.shape[1]
        self.q, self.converged = guess.copy(), np.zeros(b, dtype=bool)
        self.state, self.stress = np.zeros((variables, points, b)), np.zeros((6, points, b))

    def add(self, iteration: _Iteration, state: np.ndarray, stress: np.ndarray, done: np.ndarray) -> None:
        columns = iteration.active[done]
        self.q[:, columns] = iteration.q[:, done]
        self.state[:, :, columns] = state[:, :, done]
        self.stress[:, :, columns] = stress[:, :, done]
        self.converged[columns] = True


class _Iteration:
    """The draws that are still iterated, and where they are."""

    def __init__(self, rule: PointRule, inner: int, law: MaterialLaw, data: StepData, dt: float, guess: np.ndarray,
                 state: np.ndarray, tolerance: float, reference: float) -> None:
        self.inner = inner
        self.rule, self.law, self.dt, self.tolerance = rule, law, dt, tolerance
        self.data, self.state, self.q = data, state[:, :inner], guess
        b = guess.shape[1]
        self.active = np.arange(b)
        self.base, self.step = guess, np.zeros_like(guess)
        self.fraction, self.before = np.ones(b), np.full(b, np.inf)
        self.scale = np.maximum(_norms(data.load), reference)
        self._prepare()

    def evaluate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Stress (6, m', a) and state (s, m', a) at q, and which draws (a,) are in balance."""
        shape = (self.inner, self.q.shape[1])
        strain = self.rule.strains(self.q, self.data.lifting)[:, :self.inner]
        answer = self.law_step(strain.reshape(6, -1), True)
        stress = answer.stress.reshape(6, *shape)
        forces = self.rule.forces(stress)
        self.residual = self.data.load - forces
        size = _norms(self.residual)
        # The largest forces on the way count: where a load is taken off, none are left at its end.
        self.scale = np.maximum(self.scale, _norms(forces))
        valid = np.isfinite(size)
        if np.count_nonzero(answer.converged) < answer.converged.size:
            valid &= answer.converged.reshape(shape).all(axis=0)
        self.size, self.valid, self.answer = size, valid, answer
        done: np.ndarray = valid & (size <= self.tolerance * self.scale)
        return stress, _unfolded(answer.state, shape[1]), done

    def lost(self, done: np.ndarray) -> np.ndarray:
        """Which draws (a,) no shorter step would help; makes ready what the others need to go on."""
        # The first residual has none before it: anything that is a number is taken.
        self.grown = ~self.valid | (self.size > _GROWTH * self.before)
        lost = self.grown & ~done & (0.5 * self.fraction < _SHORTEST)
        lost |= np.isinf(self.before) & ~self.valid
        # A tangent costs as much as a stress; that of the last iteration is never wanted.
        if np.count_nonzero(done) < done.size and self.answer.tangent is not None:
            self.stiffness = self.rule.stiffness(self.answer.tangent.reshape(6, 6, self.inner, -1))
        return np.asarray(lost)

    def leave(self, gone: np.ndarray) -> None:
        """Forget some draws."""
        if not np.count_nonzero(gone):
            return
        left = ~gone
        self.active = self.active[left]
        if not self.active.size:
            return
        self.data = self.data.columns(left)
        for name in ("q", "base", "step", "fraction", "before", "size", "scale", "residual", "grown"):
            setattr(self, name, getattr(self, name)[..., left])
        self.stiffness, self.state = self.stiffness[left], self.state[:, :, left]
        self._prepare()

    def advance(self) -> None:
        """The next q."""
        step = _solved(self.stiffness, self.residual)
        if np.count_nonzero(self.grown):
            self.fraction = np.where(self.grown, 0.5 * self.fraction, 1.0)
            self.base = np.where(self.grown, self.base, self.q)
            self.step = np.where(self.grown, self.step, step)
            self.before = np.where(self.grown, self.before, self.size)
            self.q = self.base + self.fraction * self.step
            return
        self.base, self.step, self.before = self.q, step, self.size
        self.fraction.fill(1.0)
        self.q = self.q + step

    def _prepare(self) -> None:
        """What answers for the law, at its points in their order."""
        given = self.data.given_at(slice(None, self.inner))
        self.law_step = step_of(self.law, given, self.dt, _flat(self.state))


def _solved(stiffness: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """K^{-1} R (r, a); not a number where K is singular or has entries that are none."""
    if residual.shape[1] == 1:
        found, singular = dgesv(stiffness[0], residual)[2:]
        return np.full(residual.shape, np.nan) if singular else np.asarray(found)
    regular = np.isfinite(stiffness).all(axis=(1, 2))
    if not regular.all():
        stiffness = np.where(regular[:, None, None], stiffness, np.eye(len(residual)))
    try:
        step = np.linalg.solve(stiffness, residual.T[:, :, None])[:, :, 0].T
    except np.linalg.LinAlgError:
        sign = np.linalg.slogdet(stiffness)[0]
        regular &= sign != 0.0
        stiffness = np.where(regular[:, None, None], stiffness, np.eye(len(residual)))
        step = np.linalg.solve(stiffness, residual.T[:, :, None])[:, :, 0].T
    return np.asarray(step) if regular.all() else np.where(regular, step, np.nan)


def _flat(values: np.ndarray) -> np.ndarray:
    """(c, m', b) as (c, m' b), also where c = 0."""
    return values.reshape(len(values), values.shape[1] * values.shape[2])


def _unfolded(values: np.ndarray, b: int) -> np.ndarray:
    """(c, m' b) as (c, m', b)."""
    return values.reshape(len(values), values.shape[1] // b, b)


def _norms(columns: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", columns, columns)))
