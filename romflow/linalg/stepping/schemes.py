"""The schemes: Euler's two, BDF2 on variable steps, and its deferred corrections to the orders 3 and 4.

Deferred correction: level 0 is BDF2. Level l solves BDF2(u^l) = G(u^l) + sum_j w_j G(u^{l-1})_j, where the right sum is
the truncation error of BDF2 found from the polynomial through l + 2 rates of the level below (`correction_weights`).
Rates are smooth even where the steps are random, high differences of the states are not. Every level gains one order
(Bourgault and Garon, Variable-step deferred correction methods based on backward differentiation formulae for ordinary
differential equations, BIT 62, 2022; stable on arbitrary grids: Yue, Liao and Liu, arXiv:2402.06129). All levels are
solved at one time before the next, with the same c. Where steps are random and the equation is so stiff that a step is
many of its time constants, the states are accurate but their rates are not smooth: there the corrections gain little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.stepping.formulas import bdf2, correction_weights, error_share, extrapolation
from romflow.linalg.stepping.memory import Memory
from romflow.linalg.stepping.one_step import doubled_euler, euler, sdirk4
from romflow.linalg.stepping.rates import Rates

__all__ = ["SCHEMES", "Scheme", "scheme_named"]

# Longer steps than this share of the last are not guessed by extrapolation.
_GUESS_RATIO = 2.0


@dataclass(frozen=True)
class Scheme:
    """A scheme on arbitrary steps.

    Attributes
    ----------
    name : str
    order : int
        Of the error at a fixed time.
    levels : int
        Solves a step; above one, deferred corrections.
    """

    name: str
    order: int
    levels: int = 1

    @property
    def is_euler(self) -> bool:
        """Whether it is one of Euler's schemes."""
        return self.order == 1

    def past(self, controlled: bool) -> int:
        """Past steps that it needs: the first so many are one-step starts."""
        if self.is_euler:
            return int(controlled and self.name == "implicit-euler")
        return self.order if controlled else self.order - 1

    def ages(self, controlled: bool) -> int:
        """Past states that it needs; the estimate of the error extrapolates from one more than the order."""
        return self.past(controlled) + 1 if controlled else min(self.order, 2)

    def begin(self, u0: np.ndarray) -> Memory:
        """The memory of the initial state; its rate, rough where the data do not fit together, is never used."""
        return Memory((), ((u0,),) * self.levels, ((),) * (self.levels - 1))

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, system: Rates, memory: Memory, time: float, step: float,
             controlled: bool = False) -> tuple[Memory, np.ndarray | None]:
        """The memory at `time`, one step on, and the estimated local error of its state where `controlled`.

        Cost: `levels` solves with one c and levels - 1 rates; a one-step start takes five solves, of implicit Euler
        under control three. Under control, explicit Euler takes a second rate and solve.
        """
        past = self.past(controlled)
        if len(memory.steps) < past:
            return self._start(system, memory, time, step, controlled)
        rates: list[np.ndarray] = []
        if self.is_euler:
            states = [euler(system, self.name, memory.newest, time, step)]
        else:
            states, rates = _corrected(system, memory, time, step)
        error = self._error(system, memory, states[-1], time, step) if controlled else None
        return memory.pushed(step, states, rates, past, self.ages(controlled)), error

    def _start(self, system: Rates, memory: Memory, time: float, step: float,
               controlled: bool) -> tuple[Memory, np.ndarray]:
        if self.is_euler:
            new, error = doubled_euler(system, memory.newest, time, step)
        else:
            new, error = sdirk4(system, memory.newest, time, step)
        rates = [system.rate(time, new)] * (self.levels - 1) if self.levels > 1 else []
        return memory.pushed(step, [new] * self.levels, rates, self.past(controlled), self.ages(controlled)), error

    def _error(self, system: Rates, memory: Memory, new: np.ndarray, time: float, step: float) -> np.ndarray:
        if self.name == "explicit-euler":
            # Its state knows nothing of the new time; the rate there does.
            return 0.5 * (step * system.solve(0.0, time, system.rate(time, new), new) - (new - memory.newest))
        steps = (step, *memory.steps)[:len(memory.states[-1])]
        guess = sum(w * u for w, u in zip(extrapolation(steps), memory.states[-1], strict=True))
        return error_share("implicit-euler" if self.is_euler else "bdf2", steps) * (new - guess)


def _corrected(system: Rates, memory: Memory, time: float, step: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    a0, a1, a2 = bdf2(step, memory.steps[0])
    levels = len(memory.states)
    states: list[np.ndarray] = []
    rates: list[np.ndarray] = []
    guess = _guess(memory, step)
    for level in range(levels):
        newest, older = memory.states[level][:2]
        rhs = system.mass((-a1 / a0) * newest - (a2 / a0) * older)
        if level:
            known = (rates[level - 1], *memory.rates[level - 1])
            weights = correction_weights((step, *memory.steps)[:level + 1])
            for w, g in zip(weights, known, strict=True):
                rhs = rhs + (w / a0) * g
        guess = system.solve(1.0 / a0, time, rhs, guess)
        states.append(guess)
        if level < levels - 1:
            rates.append(system.rate(time, guess))
    return states, rates


def _guess(memory: Memory, step: float) -> np.ndarray:
    newest, older = memory.states[-1][:2]
    ratio = step / memory.steps[0]
    return newest + ratio * (newest - older) if ratio <= _GUESS_RATIO else newest


_ALL = {scheme.name: scheme for scheme in (Scheme("explicit-euler", 1), Scheme("implicit-euler", 1), Scheme("bdf2", 2),
                                           Scheme("dc3", 3, 2), Scheme("dc4", 4, 3))}

#: Names of the schemes.
SCHEMES = tuple(_ALL)


def scheme_named(name: str) -> Scheme:
    """The scheme of this name.

    Raises
    ------
    InputError
        There is none.

    Examples
    --------
    >>> scheme_named("dc4").order
    4
    """
    if name not in _ALL:
        raise InputError(f"there is no time scheme '{name}'; the rule is one of {', '.join(SCHEMES)}")
    return _ALL[name]
