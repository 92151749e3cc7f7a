"""Steps of a reduced mechanics model: draws whose step fails take it in halves, alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from romflow.core.errors import ParameterError
from romflow.materials.protocol import MaterialLaw
from romflow.rom.mechanics.answer import ReducedState
from romflow.rom.mechanics.loads import StepData
from romflow.rom.mechanics.newton import PointRule, balance

__all__ = ["Stepper"]

_DEEPEST = 10


class Stepper:
    """Takes the draws of a reduced state to a later time.

    Parameters
    ----------
    rule : PointRule
    law : MaterialLaw
    data : callable
        data(mu (b, p), t) -> StepData.
    tolerance, reference : float
        Of Newton's method; see `romflow.rom.mechanics.newton.balance`.
    """

    def __init__(self, rule: PointRule, law: MaterialLaw, data: Callable[[np.ndarray, float], StepData],
                 tolerance: float, reference: float) -> None:
        self.rule, self.law, self.data = rule, law, data
        self.tolerance, self.reference = tolerance, reference

    def step(self, state: ReducedState, t: float, data: StepData | None = None) -> ReducedState:
        """The state at the time t; draws that fail keep their last values and are no longer `converged`.

        A draw whose Newton iteration fails takes the step in two halves, these in halves again, ten times at most.
        Loads, temperatures and prescribed displacements are those of the times in between. Where that leads is the
        guess with which the whole step is tried once more, so that the history is that of the given times, as the
        full-order model's is; only where this fails too, the halves stand.

        Parameters
        ----------
        state : ReducedState
        t : float
            Later than that of the state.
        data : StepData, optional
            That of the time t, where it is known already.
        """
        data = self.data(state.mu, t) if data is None else data
        with np.errstate(all="ignore"):
            if state.converged.all():
                return self._step(state, t, data, 0)
            alive = np.flatnonzero(state.converged)
            if not alive.size:
                return replace(state, time=t)
            return state.with_columns(alive, self._step(state.columns(alive), t, data.columns(alive), 0))

    def _step(self, state: ReducedState, t: float, data: StepData, depth: int) -> ReducedState:
        dt = t - state.time
        guess = state.coefficients + dt * state.rate
        found = balance(self.rule, self.law, data, dt, guess, state.state, self.tolerance, self.reference)
        whole = replace(state, time=t, coefficients=found.coefficients, state=found.state, stress=found.stress,
                        rate=(found.coefficients - state.coefficients) / dt)
        if found.converged.all():
            return whole
        failed = np.flatnonzero(~found.converged)
        part = state.columns(failed)
        part = replace(part, halvings=part.halvings + 1)
        halved = self._halves(part, t, depth)
        return whole.with_columns(failed, halved if depth else self._again(part, halved, data.columns(failed)))

    def _again(self, start: ReducedState, halved: ReducedState, data: StepData) -> ReducedState:
        """The whole step once more, for draws whose halves came through, from their end."""
        alive = np.flatnonzero(halved.converged)
        if not alive.size:
            return halved
        dt = halved.time - start.time
        part, data = start.columns(alive), data.columns(alive)
        found = balance(self.rule, self.law, data, dt, halved.coefficients[:, alive], part.state, self.tolerance,
                        self.reference)
        good = np.flatnonzero(found.converged)
        end = replace(halved.columns(alive[good]), coefficients=found.coefficients[:, good],
                      state=found.state[:, :, good], stress=found.stress[:, :, good],
                      rate=(found.coefficients - part.coefficients)[:, good] / dt)
        return halved.with_columns(alive[good], end)

    def _halves(self, state: ReducedState, t: float, depth: int) -> ReducedState:
        """The step of these draws in two halves, from a guess without extrapolation."""
        if depth == _DEEPEST:
            return replace(state, time=t, converged=np.zeros(len(state.mu), dtype=bool))
        middle = 0.5 * (state.time + t)
        start = replace(state, rate=np.zeros_like(state.rate))
        try:
            data = self.data(state.mu, middle)
        except ParameterError:
            return self._apart(state, t, depth)
        half = self._step(start, middle, data, depth + 1)
        alive = np.flatnonzero(half.converged)
        if not alive.size:
            return replace(half, time=t)
        part = half.columns(alive)
        return replace(half.with_columns(alive, self._step(part, t, self.data(part.mu, t), depth + 1)), time=t)

    def _apart(self, state: ReducedState, t: float, depth: int) -> ReducedState:
        """The same for draws of which one has a temperature in between that the law does not know: that one fails."""
        b = len(state.mu)
        if b == 1:
            return replace(state, time=t, converged=np.zeros(1, dtype=bool))
        for part in np.array_split(np.arange(b), 2):
            state = state.with_columns(part, replace(self._halves(state.columns(part), t, depth), time=state.time))
        return replace(state, time=t)
