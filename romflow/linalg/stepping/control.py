"""Step control by local error: as many steps between two given times as the tolerance asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from romflow.core.errors import InputError, SolveFailed
from romflow.linalg.stepping.memory import Memory
from romflow.linalg.stepping.rates import Rates, finite
from romflow.linalg.stepping.schemes import Scheme

__all__ = ["Controller", "StepControl"]

_SAFETY, _LEAST, _MOST = 0.85, 0.2, 2.0
# Changes of the step within these are not worth the new factorisation that every new length asks for.
_KEEP = 0.9, 1.2
# After a state that is no number, or a solve that failed.
_RETREAT = 0.25
_NEGLIGIBLE = 1e-4
_ROUNDING, _ROUNDINGS = 1e-10, 4.0


@dataclass(frozen=True)
class StepControl:
    """Step control: the local error of every step is at most tolerance * (largest norm of the state so far).

    A state that starts from rest has the size that one step over the first interval reaches.

    Parameters
    ----------
    tolerance : float
        0 < tolerance < 1. The error at the end is about the sum of the local ones, damped or amplified by the equation.
    smallest : float
        A step that would have to be shorter ends the march with SolveFailed.
    floor : float
        Norms of the state below this one count as this one.

    Notes
    -----
    The norm is (u^T M u)^{1/2}; of several columns the worst counts, so that all keep the same steps.

    Examples
    --------
    >>> StepControl(1e-4).smallest
    1e-12
    """

    tolerance: float
    smallest: float = 1e-12
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Refuse bounds that are none."""
        if not 0.0 < self.tolerance < 1.0:
            raise InputError(f"the step control got the tolerance {self.tolerance}; the rule is 0 < tolerance < 1")
        if not 0.0 < self.smallest < math.inf or not 0.0 <= self.floor < math.inf:
            raise InputError(f"the step control got smallest = {self.smallest} and floor = {self.floor}; the rule is "
                             "smallest > 0 and floor >= 0")


@dataclass
class Controller:
    """Walks a scheme to given times with steps of its own choice.

    A proportional-integral controller (Gustafsson 1991; Hairer and Wanner II, IV.2): with the error e as a share of
    what is allowed and k = order + 1, the next step is .85 e^{-.7/k} e_before^{.4/k} times this one, between a fifth
    and twice of it. The steps divide what is left of the interval evenly, so no given time is overshot.

    Attributes
    ----------
    system, scheme, control
    step : float
        What it would take next; 0 before the first.
    before : float
        e of the last accepted step.
    scale : (b,)
        Largest norms of the state so far.
    """

    system: Rates
    scheme: Scheme
    control: StepControl
    step: float = 0.0
    before: float = 1.0
    scale: np.ndarray = field(default_factory=lambda: np.zeros(1))

    def facts(self) -> dict[str, float | np.ndarray]:
        """What a checkpoint must hold beside the memory."""
        return {"step": self.step, "before": self.before, "scale": self.scale}

    def restore(self, checkpoint: Mapping[str, np.ndarray]) -> None:
        """Go on from the facts of a checkpoint.

        Raises
        ------
        InputError
            It was made without step control.
        """
        missing = {"step", "before", "scale"} - set(checkpoint)
        if missing:
            raise InputError(f"the checkpoint of a march with step control lacks {sorted(missing)}; resume with the "
                             "control of the first march")
        self.step, self.before = float(checkpoint["step"]), float(checkpoint["before"])
        self.scale = np.asarray(checkpoint["scale"])

    def advance(self, memory: Memory, time: float, target: float) -> tuple[Memory, int]:
        """The memory at `target`, and the number of steps taken from `time`.

        Raises
        ------
        SolveFailed
            A step must be shorter than the smallest one; the report has `time`, `step`, `error` (as a share of the
            tolerance; None where the state was no number) and `cause`.
        """
        if not self.step:
            self.scale = np.maximum(self._norms(memory.newest), self.control.floor)
            if not self.scale.all():
                self.scale = np.where(self.scale > 0.0, self.scale, self._reached(memory, time, target))
            share = self.control.tolerance ** (1.0 / (self.scheme.order + 1))
            self.step = (target - time) * min(0.1, share)
        taken = 0
        while time < target:
            step, end = self._next(memory, time, target)
            accepted = self._attempt(memory, time, end, step)
            if accepted is not None:
                memory, time, taken = accepted, end, taken + 1
        return memory, taken

    def _reached(self, memory: Memory, time: float, target: float) -> np.ndarray | float:
        """Size of the state after one step to `target`, its error included: the scale of what starts from rest."""
        try:
            new, error = self.scheme.step(self.system, memory, target, target - time, controlled=True)
        except SolveFailed:
            return 0.0
        norms = self._norms(new.newest) + (0.0 if error is None else self._norms(error))
        return np.where(np.isfinite(norms), norms, 0.0)

    def _next(self, memory: Memory, time: float, target: float) -> tuple[float, float]:
        """Length and end of the next step; as long as the last one, to the bit, where it differs by rounding."""
        left = target - time
        last = memory.steps[0] if memory.steps else math.inf
        count = math.ceil(left / min(self.step, _MOST * last) * (1.0 - _ROUNDING))
        step = left / count
        step = last if abs(step - last) <= _ROUNDING * step else step
        return step, target if count == 1 else time + step

    def _attempt(self, memory: Memory, time: float, end: float, step: float) -> Memory | None:
        """The memory one step on, or None where its error is too large; sets the next step either way."""
        cause, share = "local error", math.inf
        try:
            new, error = self.scheme.step(self.system, memory, end, step, controlled=True)
            share = self._share(new.newest, error)
        except SolveFailed as failure:
            cause = str(failure)
        if share <= 1.0:
            self._accept(new, step, share)
            return new
        factor = min(max(self._factor(share, 1.0), _LEAST), _SAFETY) if math.isfinite(share) else _RETREAT
        self.step, self.before = step * factor, 1.0
        if self.step < max(self.control.smallest, _ROUNDINGS * np.finfo(float).eps * abs(end)):
            self._give_up(time, share, cause)
        return None

    def _accept(self, new: Memory, step: float, share: float) -> None:
        factor = self._factor(max(share, _NEGLIGIBLE), self.before)
        # A step may be shorter than wished because a given time ends it: then its growth alone says little.
        if factor < _KEEP[0]:
            self.step = step * max(factor, _LEAST)
        elif factor > _KEEP[1]:
            self.step = max(self.step, step * min(factor, _MOST))
        self.before = max(share, _NEGLIGIBLE)
        self.scale = np.maximum(self.scale, self._norms(new.newest))

    def _factor(self, share: float, before: float) -> float:
        order = self.scheme.order + 1
        exponent = 1.0 if before == 1.0 else 0.7
        return _SAFETY * share ** (-exponent / order) * before ** (0.4 / order)

    def _share(self, state: np.ndarray, error: np.ndarray | None) -> float:
        if error is None or not finite(state):
            return math.inf
        errors = self._norms(error)
        allowed = self.control.tolerance * np.maximum(self.scale, self._norms(state))
        share = np.divide(errors, allowed, out=np.where(errors > 0.0, math.inf, 0.0), where=allowed > 0.0)
        return float(share.max(initial=0.0)) if np.isfinite(share).all() else math.inf

    def _norms(self, u: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sqrt(np.abs(np.atleast_1d((u * self.system.mass(u)).sum(axis=0))))

    def _give_up(self, time: float, share: float, cause: str) -> None:
        known = share if math.isfinite(share) else None
        report = {"time": time, "step": self.step, "error": known, "cause": cause}
        why = f"an error {share:.3g} times the tolerance" if known is not None else "a state that is not finite"
        if cause != "local error":
            why = f"a solve that failed ({cause})"
        raise SolveFailed(f"the step control would need a step of {self.step:.3g} at t = {time:.6g} after {why}; the "
                          f"smallest is {self.control.smallest:.3g}: the solution may end there, or the tolerance "
                          f"{self.control.tolerance:.3g} is below what the solves reach", report)
