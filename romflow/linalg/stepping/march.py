"""March a system through given times, step by step, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.stepping.control import Controller, StepControl
from romflow.linalg.stepping.formulas import snapped_steps
from romflow.linalg.stepping.memory import Memory
from romflow.linalg.stepping.rates import Rates, refuse_nonfinite
from romflow.linalg.stepping.schemes import SCHEMES, Scheme, scheme_named

__all__ = ["SCHEMES", "Step", "march"]


@dataclass(frozen=True)
class Step:
    """A state at one of the given times.

    Attributes
    ----------
    index : int
        Of the time.
    time : float
        times[index].
    state : (n,) or (r, b)
        Not to be written to.
    substeps : int
        Steps that led here from the time before; one without step control.
    """

    index: int
    time: float
    state: np.ndarray
    substeps: int
    _memory: Memory = field(repr=False)
    _facts: dict[str, Any] = field(repr=False)

    @property
    def checkpoint(self) -> dict[str, np.ndarray]:
        """Arrays from which ``march(..., resume=checkpoint)`` goes on bit-equal; nothing is copied."""
        return self._memory.to_arrays() | {name: np.array(value) for name, value in self._facts.items()}


def march(system: Rates, scheme: str, times: np.ndarray, u0: np.ndarray,
          control: StepControl | None = None, resume: Mapping[str, np.ndarray] | None = None) -> Iterator[Step]:
    """States at the given times, in their order, made as they are asked for.

    Parameters
    ----------
    system : Rates
        M du/dt = G(t, u).
    scheme : str
        One of `SCHEMES`.
    times : (K + 1,)
        Increasing, with any steps; equal ones share one c in `system.solve`.
    u0 : (n,) or (r, b)
        State at times[0].
    control : StepControl, optional
        Takes further steps between the given times so that the local errors stay within its tolerance; without it one
        step leads from each time to the next.
    resume : dict of arrays, optional
        `checkpoint` of a step of the same scheme, times and control; the states after it follow.

    Yields
    ------
    Step
        The first has the index 0 and u0 itself, unless resumed.

    Raises
    ------
    InputError
        Times that do not increase, a scheme that is none, a checkpoint of another march.
    SolveFailed
        A state that is not finite, a step that becomes too short; the report has its time.

    Notes
    -----
    Cost a step: one solve for Euler's schemes and BDF2, two for dc3, three for dc4 with the same c, and a rate less;
    the first steps of the multi-step schemes (1, 2, 3) take five solves each. Memory: 1, 2, 6 or 11 arrays like the
    state, with step control up to 14.

    Examples
    --------
    >>> import numpy as np
    >>> class Decay:
    ...     mass = staticmethod(lambda u: u)
    ...     rate = staticmethod(lambda t, u: -u)
    ...     solve = staticmethod(lambda c, t, rhs, guess: rhs / (1.0 + c))
    >>> *_, last = march(Decay(), "dc4", np.linspace(0.0, 1.0, 21), np.ones(1))
    >>> last.index, last.time, bool(abs(last.state[0] - np.exp(-1.0)) < 1e-6)
    (20, 1.0, True)
    """
    times, rule = _checked_times(times), scheme_named(scheme)
    controller = None if control is None else Controller(system, rule, control)
    if resume is None:
        return _march(system, rule, times, 0, rule.begin(_checked_start(u0, times)), controller, fresh=True)
    index, memory = _resumed(resume, rule, times)
    if controller is not None:
        controller.restore(resume)
    return _march(system, rule, times, index, memory, controller, fresh=False)


def _march(system: Rates, scheme: Scheme, times: np.ndarray, index: int, memory: Memory,
           controller: Controller | None, fresh: bool) -> Iterator[Step]:
    steps = snapped_steps(times)
    facts: dict[str, Any] = {"scheme": SCHEMES.index(scheme.name)}
    if controller is not None:
        facts |= controller.facts()
    if fresh:
        yield _stamped(index, times, memory, 0, facts)
    for k in range(index + 1, len(times)):
        time, taken = float(times[k]), 1
        if controller is None:
            memory, _ = scheme.step(system, memory, time, float(steps[k - 1]))
            refuse_nonfinite(memory.newest, time)
        else:
            memory, taken = controller.advance(memory, float(times[k - 1]), time)
            facts |= controller.facts()
        yield _stamped(k, times, memory, taken, facts)


def _stamped(index: int, times: np.ndarray, memory: Memory, substeps: int, facts: dict[str, Any]) -> Step:
    time = float(times[index])
    return Step(index, time, memory.newest, substeps, memory, facts | {"index": index, "time": time})


def _checked_times(times: np.ndarray) -> np.ndarray:
    times = np.asarray(times, dtype=float)
    if times.ndim != 1 or times.size == 0:
        raise ShapeError(f"the times of a march have shape {times.shape}; give a list (K + 1,) of at least one time")
    bad = np.flatnonzero(~(np.diff(times) > 0.0))
    if not np.isfinite(times).all() or bad.size:
        k = int(bad[0]) if bad.size else 0
        raise InputError(f"the times of a march must be finite and increase; after number {k} = {times[k]:.6g} comes "
                         f"{times[min(k + 1, times.size - 1)]:.6g}; give increasing times")
    return times


def _checked_start(u0: np.ndarray, times: np.ndarray) -> np.ndarray:
    u0 = np.asarray(u0, dtype=float)
    if u0.ndim not in (1, 2):
        raise ShapeError(f"the initial state has shape {u0.shape}; give (n,), or (r, b) for b parameters at once")
    refuse_nonfinite(u0, float(times[0]))
    return u0


def _resumed(resume: Mapping[str, np.ndarray], scheme: Scheme, times: np.ndarray) -> tuple[int, Memory]:
    missing = {"index", "time", "scheme"} - set(resume)
    if missing:
        raise InputError(f"the checkpoint of a march lacks {sorted(missing)}; give the dict of Step.checkpoint")
    index, time = int(resume["index"]), float(resume["time"])
    made = SCHEMES[int(resume["scheme"])]
    if made != scheme.name:
        raise InputError(f"the checkpoint is of the scheme '{made}', the march of '{scheme.name}'; resume with that")
    if not 0 <= index < len(times) or times[index] != time:
        raise InputError(f"the checkpoint stands at time number {index} = {time!r}, which the given times do not have "
                         "there; resume with the times of the first march")
    return index, Memory.from_arrays(dict(resume), scheme.levels)
