"""Measurements of a material law over histories: tangent by differences, work of closed cycles, order in the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from romflow.materials.protocol import LawAnswer, MaterialLaw

if TYPE_CHECKING:
    from romflow.testing.material_law import LawCase, Step

__all__ = ["closed_work", "halving_order", "tangent_error"]

Array = NDArray[np.float64]

# Steps of the differences in units of a point's strain; the best counts, for the stress has corners.
_DIFFERENCES = (1e-4, 1e-5)
_CYCLE_STEPS = 12
_CYCLES = 2
_HALVINGS = (20, 40, 80)
_NOTHING = 1e-9


def tangent_error(law: MaterialLaw, step: Step) -> float:
    """Largest relative difference between a step's tangent and fourth-order differences of its stress."""
    tangent = step.answer.tangent
    if tangent is None:
        return float("inf")
    errors = []
    for share in _DIFFERENCES:
        h = share * np.maximum(np.linalg.norm(step.strain, axis=0), 1e-8)
        found = np.stack([_difference(law, step, component, h) for component in range(6)], axis=1)
        errors.append(np.linalg.norm(found - tangent, axis=(0, 1)) / np.linalg.norm(found, axis=(0, 1)))
    worst = float(np.minimum(*errors).max())
    return worst if np.isfinite(worst) else float("inf")


def _difference(law: MaterialLaw, step: Step, component: int, h: Array) -> Array:
    """d stress / d strain[component] (6, P)."""
    unit = np.zeros((6, 1))
    unit[component] = 1.0

    def stress(times: float) -> Array:
        return law.integrate(step.strain + times * h * unit, step.data, step.dt, step.state, False).stress

    return np.asarray((8.0 * (stress(1.0) - stress(-1.0)) - stress(2.0) + stress(-2.0)) / (12.0 * h))


def closed_work(case: LawCase, dt: float) -> tuple[float, float]:
    """(least work of closed cycles as a share of what is exchanged, what is exchanged), from a stress-free start."""
    law, points = case.law, case.directions.shape[1]
    data = case.data(points)
    start = _stress_free(law, data, points)
    state = law.initial(points)
    last = law.integrate(start, data, 0.0, state).stress
    strain, work, exchanged = start, np.zeros(points), np.zeros(points)
    for factor in _cycle():
        new = start + factor * case.directions
        answer = law.integrate(new, data, dt, state)
        part = 0.5 * np.sum((answer.stress + last) * (new - strain), axis=0)
        work, exchanged = work + part, exchanged + np.abs(part)
        strain, last, state = new, answer.stress, answer.state
    shares = work / np.maximum(exchanged, np.finfo(np.float64).tiny)
    worst = int(np.argmin(shares))
    return float(shares[worst]), float(exchanged[worst])


def _cycle() -> list[float]:
    """Factors of strain: up, down past zero, and back to zero, some times."""
    corners = [0.0, *([1.0, -1.0] * _CYCLES), 0.0]
    legs = [np.linspace(a, b, _CYCLE_STEPS + 1)[1:] for a, b in zip(corners[:-1], corners[1:], strict=True)]
    return [float(factor) for leg in legs for factor in leg]


def _stress_free(law: MaterialLaw, data: dict[str, Any], points: int) -> Array:
    """Strains (6, P) of no stress in a material at rest, by one Newton step (its answer to small strains is linear)."""
    strain = np.zeros((6, points))
    for _ in range(2):
        answer: LawAnswer = law.integrate(strain, data, 0.0, law.initial(points))
        if answer.tangent is None:
            break
        strain = strain - np.linalg.solve(np.moveaxis(answer.tangent, 2, 0), answer.stress.T[:, :, None])[:, :, 0].T
    return strain


def halving_order(case: LawCase) -> tuple[float, float]:
    """(order, last change relative to the stress) of the stress at the end of one pull as its steps are halved."""
    ends = [_pulled(case, count) for count in _HALVINGS]
    size = float(np.abs(ends[-1]).max()) or 1.0
    first, second = (float(np.linalg.norm(a - b)) / size for a, b in zip(ends[:-1], ends[1:], strict=True))
    if second <= _NOTHING:
        return float("inf"), second
    return float(np.log2(first / second)), second


def _pulled(case: LawCase, count: int) -> Array:
    """Stress (6, P) after one pull in `count` steps over unit time."""
    law, points = case.law, case.directions.shape[1]
    data, state = case.data(points), case.law.initial(points)
    for factor in np.linspace(0.0, 1.0, count + 1)[1:]:
        answer = law.integrate(factor * case.directions, data, 1.0 / count, state, False)
        state = answer.state
    return answer.stress
