"""Conformance suite of material laws: consistent tangent, independent points, rotation, work, steps, description."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.materials.making import law_from_spec, law_spec
from romflow.materials.protocol import PLASTIC, LawAnswer, MaterialLaw, rows_of, state_size
from romflow.materials.tensors import rotation
from romflow.testing.law_histories import closed_work, halving_order, tangent_error
from romflow.testing.report import Law, Report, Verdict, run

__all__ = ["LawCase", "Step", "check_law"]

Array = NDArray[np.float64]

_POINTS = 24
_TEMPERATURES = (20.0, 400.0)
_LENGTHS = (1e-2, 1.0, 30.0)
_FACTORS = (0.5, 1.0, 0.8, -0.6)
_TANGENT = 1e-7
_SAME = 1e-12
_TURNED = 1e-9
_STILL = 1e-10
_WORK = 1e-6
_ORDER = 0.8


@dataclass(frozen=True)
class Step:
    """A step that a law took: what went in, and what came out."""

    strain: Array
    data: dict[str, Any]
    dt: float
    state: Array
    answer: LawAnswer


class LawCase:
    """A law under test, and steps that it took from rest: strains of many sizes and directions, loaded and unloaded.

    Parameters
    ----------
    make : callable
        Builds a fresh instance. The class may have `example_data` (values of what it reads; default 1 each),
        `example_strain` (the largest strain; default 1e-2) and `isotropic` = False.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.law: MaterialLaw = make()
        self.rng = np.random.default_rng(0)
        self.size = float(getattr(self.law, "example_strain", 1e-2))

    @cached_property
    def directions(self) -> Array:
        """Strains (6, P) of sizes from a hundredth of the largest up."""
        strains = self.rng.standard_normal((6, _POINTS))
        return np.asarray(strains / np.linalg.norm(strains, axis=0) * self.size * np.logspace(-2.0, 0.0, _POINTS))

    def data(self, points: int = _POINTS) -> dict[str, Any]:
        """Temperatures spread over the law's range, and the other values that it reads."""
        low, high = self.law.temperature_range or _TEMPERATURES
        given = dict(getattr(self.law, "example_data", {}))
        return {**dict.fromkeys(self.law.reads, 1.0), **given, "T": np.linspace(low, high, points)}

    def taken(self, strains: Sequence[Array], dt: float) -> list[Step]:
        """The steps through strains (6, P) from rest."""
        state, steps = self.law.initial(strains[0].shape[1]), list[Step]()
        for strain in strains:
            data = self.data(strain.shape[1])
            answer = self.law.integrate(strain, data, dt, state.copy())
            steps.append(Step(strain, data, dt, state, answer))
            state = answer.state
        return steps

    @cached_property
    def strains(self) -> list[Array]:
        """A path (6, P) there and back, its directions turning."""
        turning = 0.2 * self.rng.standard_normal((len(_FACTORS), 6, _POINTS)) * np.linalg.norm(self.directions, axis=0)
        return [factor * self.directions + turn for factor, turn in zip(_FACTORS, turning, strict=True)]

    @cached_property
    def steps(self) -> list[Step]:
        """The path at each length of step."""
        return [step for dt in _LENGTHS for step in self.taken(self.strains, dt)]


def check_law(make: Callable[[], Any], target: str = "law") -> Report:
    """Hold a material law to the protocol.

    Parameters
    ----------
    make : callable
        Builds a fresh law.
    target : str
        Its name in the report.

    Examples
    --------
    >>> from romflow.materials.thermoelastic import Thermoelastic
    >>> check_law(lambda: Thermoelastic(young=2e5, poisson=0.3, expansion=1e-5)).passed
    True
    """
    return run(target, "law", LAWS, LawCase(make))


def _gap(found: Array, right: Array) -> float:
    """Largest difference relative to the largest entry; NaN counts as infinite."""
    if found.shape != right.shape:
        return float("inf")
    if not found.size:
        return 0.0
    gap = float(np.abs(found - right).max()) / (float(np.abs(right).max()) or 1.0)
    return gap if np.isfinite(gap) else float("inf")


def _variables(case: LawCase) -> Verdict:
    names, start = case.law.variables, case.law.initial(3)
    fine = all(isinstance(n, str) and isinstance(size, int) and size > 0 for n, size in names.items())
    fine = fine and start.shape == (state_size(case.law), 3) and bool(np.isfinite(start).all())
    return Verdict(fine, f"variables = {names}, initial(3) has shape {start.shape}")


def _answers(case: LawCase) -> Verdict:
    s, P = state_size(case.law), _POINTS
    wanted = {"stress": (6, P), "state": (s, P), "tangent": (6, 6, P), "converged": (P,)}
    for step in case.steps:
        for name, shape in wanted.items():
            value = getattr(step.answer, name)
            if np.shape(value) != shape or not np.isfinite(value).all():
                return Verdict(False, f"{name} has shape {np.shape(value)} or is not finite, wanted {shape}")
        if not step.answer.converged.all():
            return Verdict(False, f"{int((~step.answer.converged).sum())} of {P} points did not converge at "
                                  f"dt = {step.dt:g}")
    return Verdict(True, f"{len(case.steps)} steps of {P} points")


def _untouched(case: LawCase) -> Verdict:
    for step in case.steps:
        strain, state = step.strain.copy(), step.state.copy()
        again = case.law.integrate(strain, step.data, step.dt, state)
        if not (np.array_equal(strain, step.strain) and np.array_equal(state, step.state)):
            return Verdict(False, "integrate changes its strain or state in place")
        if not (np.array_equal(again.stress, step.answer.stress) and np.array_equal(again.state, step.answer.state)):
            return Verdict(False, "the same step twice gives different bits")
    return Verdict(True, "the same bits, strain and state untouched")


def _neighbours(case: LawCase) -> Verdict:
    worst, some = 0.0, np.array([_POINTS - 1, 7, 0])
    for step in case.steps:
        data = {name: value[some] if np.ndim(value) else value for name, value in step.data.items()}
        few = case.law.integrate(step.strain[:, some], data, step.dt, step.state[:, some])
        worst = max(worst, _gap(few.stress, step.answer.stress[:, some]),
                    _gap(few.state, step.answer.state[:, some]))
    return Verdict(worst <= _SAME, f"three points alone and among {_POINTS} differ by {worst:.3g}")


def _no_tangent(case: LawCase) -> Verdict:
    worst = 0.0
    for step in case.steps:
        bare = case.law.integrate(step.strain, step.data, step.dt, step.state, tangent=False)
        worst = max(worst, _gap(bare.stress, step.answer.stress), _gap(bare.state, step.answer.state))
    return Verdict(worst <= _SAME, f"stress and state differ by {worst:.3g}")


def _tangent(case: LawCase) -> Verdict:
    error, where = max((tangent_error(case.law, step), number) for number, step in enumerate(case.steps))
    step = case.steps[where]
    return Verdict(error <= _TANGENT, f"the tangent differs from differences of the stress by {error:.3g} at most "
                                      f"(step {where % len(_FACTORS)}, dt = {step.dt:g})")


def _symmetric(case: LawCase) -> Verdict:
    if not case.law.symmetric:
        return Verdict(None, "the law does not claim it")
    tangents = [step.answer.tangent for step in case.steps if step.answer.tangent is not None]
    worst = max(_gap(tangent, tangent.swapaxes(0, 1)) for tangent in tangents)
    return Verdict(worst <= _TURNED, f"tangent and its transpose differ by {worst:.3g}")


def _zero_step(case: LawCase) -> Verdict:
    worst = 0.0
    for step in case.steps:
        again = case.law.integrate(step.strain, step.data, 0.0, step.answer.state)
        worst = max(worst, _gap(again.stress, step.answer.stress), _gap(again.state, step.answer.state))
        if not again.converged.all():
            return Verdict(False, "a step of no length and no change does not converge")
    return Verdict(worst <= _STILL, f"a step of no length and no change moves stress or state by {worst:.3g}")


def _rotation(case: LawCase) -> Verdict:
    if not getattr(case.law, "isotropic", True):
        return Verdict(None, "the law says isotropic = False")
    Q = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    strains, stresses, worst = rotation(Q, engineering=True), rotation(Q), 0.0
    for dt in _LENGTHS:
        right = [step for step in case.steps if step.dt == dt]
        for turned, step in zip(case.taken([strains @ strain for strain in case.strains], dt), right, strict=True):
            worst = max(worst, _gap(turned.answer.stress, stresses @ step.answer.stress))
    return Verdict(worst <= _TURNED, f"stresses of turned strains and turned stresses differ by {worst:.3g}")


def _work(case: LawCase) -> Verdict:
    share, amount = min(closed_work(case, dt) for dt in _LENGTHS)
    return Verdict(share >= -_WORK, f"work over closed cycles of strain is at least {share:.3g} of what is exchanged "
                                    f"({amount:.3g})")


def _plastic(case: LawCase) -> Verdict:
    if PLASTIC not in case.law.variables:
        return Verdict(None, f"the law has no variable {PLASTIC}")
    rows = rows_of(case.law, PLASTIC)
    least = min(float((step.answer.state[rows] - step.state[rows]).min()) for step in case.steps)
    return Verdict(least >= 0.0, f"{PLASTIC} changes by {least:.3g} at least")


def _order(case: LawCase) -> Verdict:
    order, change = halving_order(case)
    return Verdict(order >= _ORDER, f"halving the steps changes the stress by {change:.3g}, with order {order:.2f}")


def _spec(case: LawCase) -> Verdict:
    spec = law_spec(case.law)
    text = json.dumps(spec, allow_nan=False)
    if json.loads(text) != spec:
        return Verdict(False, "to_spec() changes in a JSON round trip")
    again, step = law_from_spec(json.loads(text)), case.steps[1]
    answer = again.integrate(step.strain, step.data, step.dt, step.state)
    return Verdict(np.array_equal(answer.stress, step.answer.stress), f"a law of {text[:60]}... answers "
                                                                      f"{_gap(answer.stress, step.answer.stress):.3g} "
                                                                      "apart")


def _range(case: LawCase) -> Verdict:
    limits = case.law.temperature_range
    if limits is None:
        return Verdict(True, "no range is given")
    low, high = limits
    if not (np.isfinite([low, high]).all() and low < high):
        return Verdict(False, f"temperature_range = {limits}")
    step = case.steps[1]
    for T in (low, high):
        answer = case.law.integrate(step.strain, {**step.data, "T": T}, step.dt, step.state)
        if not (answer.converged.all() and np.isfinite(answer.stress).all()):
            return Verdict(False, f"the law fails at T = {T:g}, an end of its range")
    return Verdict(True, f"temperature_range = {limits}, and the law holds at both ends")


def _honest(case: LawCase) -> Verdict:
    step = case.steps[1]
    strain = step.strain.copy()
    strain[0, 3] = np.nan
    answer = case.law.integrate(strain, step.data, step.dt, step.state)
    rest = np.arange(_POINTS) != 3
    apart = _gap(answer.stress[:, rest], step.answer.stress[:, rest])
    fine = not answer.converged[3] and apart <= _SAME
    return Verdict(fine, f"a point whose strain is NaN has converged = {bool(answer.converged[3])}, the others differ "
                         f"by {apart:.3g}")


LAWS: list[Law[LawCase]] = [
    Law("variables", "initial(P) is a finite state (s, P), s the sum of the sizes in variables", _variables),
    Law("answers", "stress (6, P), state (s, P), tangent (6, 6, P), all points converged", _answers, ("variables",)),
    Law("untouched", "a step depends on its arguments alone and changes none of them", _untouched, ("answers",)),
    Law("neighbours", f"a point's answer does not depend on the other points, to {_SAME:g}", _neighbours, ("answers",)),
    Law("without-tangent", "tangent = False changes nothing else", _no_tangent, ("answers",)),
    Law("tangent", f"consistent with the stress, to {_TANGENT:g} of central differences", _tangent, ("answers",)),
    Law("symmetric-flag", "symmetric is true only where every tangent is", _symmetric, ("answers",)),
    Law("zero-step", f"no change of strain in no time changes nothing, to {_STILL:g}", _zero_step, ("answers",)),
    Law("rotation", f"turned strains give turned stresses, to {_TURNED:g} (isotropic = False if not)", _rotation,
        ("answers",)),
    Law("work", "a closed cycle of strain from rest at constant temperature never gives work back", _work,
        ("answers",)),
    Law("plastic-strain", "the accumulated plastic strain never shrinks", _plastic, ("answers",)),
    Law("step-order", f"smaller steps converge with order {_ORDER:g} or more", _order, ("answers",)),
    Law("spec", "to_spec() is JSON from which from_spec() builds an equal law", _spec, ("answers",)),
    Law("temperature-range", "None, or (low, high) with the law valid at both", _range, ("answers",)),
    Law("honest", "what cannot be solved has converged = False and leaves the other points alone", _honest,
        ("answers",)),
]
