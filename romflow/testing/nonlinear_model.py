"""Further laws of nonlinear models: Jacobian, derivatives by parameters, single equations, residual, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from romflow.testing.report import Law, Verdict

if TYPE_CHECKING:
    from romflow.testing.model import ModelCase

_STEP = 1e-6
_DERIVATIVES = 1e-5
_RESTRICTED = 1e-12
_RESIDUAL = 1e-8
_MONOTONE = 1e-10
_SYMMETRIC = 1e-10
_ROWS = 5

Array = NDArray[np.float64]


def is_nonlinear(fom: Any) -> bool:
    """Whether a model has a nonlinear term that can be restricted to equations."""
    return hasattr(getattr(fom, "nonlinear", None), "restrict")


def _time(case: ModelCase) -> float | None:
    times = getattr(case.fom, "times", None)
    return None if times is None else float(times[-1])


def _pair(case: ModelCase) -> tuple[Array, Array]:
    """A solution, and a direction as large as it."""
    u = np.asarray(case.states[0], dtype=np.float64)
    size = float(np.abs(u).max(initial=0.0)) or 1.0
    return u, size * np.random.default_rng(0).standard_normal(u.size)


def _jacobian(case: ModelCase) -> Verdict:
    N, mu, t = case.fom.nonlinear, case.mu[0], _time(case)
    u, d = _pair(case)
    found = N.jacobian(u, mu, t) @ d
    right = (N.evaluate(u + _STEP * d, mu, t) - N.evaluate(u - _STEP * d, mu, t)) / (2.0 * _STEP)
    error = _relative(found - right, right)
    return Verdict(error <= _DERIVATIVES, f"dN/du differs from central differences of N by {error:.3g}")


def _parameters(case: ModelCase) -> Verdict:
    N, mu, t = case.fom.nonlinear, case.mu[0], _time(case)
    u, _ = _pair(case)
    worst, name = 0.0, "no parameter"
    scale = float(np.linalg.norm(N.evaluate(u, mu, t))) or 1.0
    for j, column in enumerate(case.fom.parameters.columns):
        unit = abs(float(mu[j])) or 1.0
        step = np.zeros_like(mu)
        step[j] = _STEP * unit
        right = (N.evaluate(u, mu + step, t) - N.evaluate(u, mu - step, t)) / (2.0 * step[j])
        error = unit * float(np.linalg.norm(N.parameter_derivative(column, u, mu, t) - right))
        error /= max(scale, unit * float(np.linalg.norm(right)))
        if not error <= worst:
            worst, name = error, column
    return Verdict(worst <= _DERIVATIVES, f"dN/dmu differs from central differences of N by {worst:.3g} at most "
                                          f"({name})")


def _restriction(case: ModelCase) -> Verdict:
    N, mu, t = case.fom.nonlinear, case.mu[0], _time(case)
    u, _ = _pair(case)
    rows = np.sort(np.random.default_rng(0).permutation(u.size)[:_ROWS])
    part, whole = N.restrict(rows), N.evaluate(u, mu, t)
    error = float(np.abs(part.evaluate(u[part.dofs], mu, t) - whole[rows]).max())
    error /= float(np.abs(whole).max()) or 1.0
    return Verdict(error <= _RESTRICTED, f"{rows.size} equations from {part.dofs.size} of {u.size} unknowns differ "
                                         f"from the whole by {error:.3g}")


def _residual(case: ModelCase) -> Verdict:
    if not hasattr(case.fom, "residual"):
        return Verdict(None, "the model moves in time, or has no method residual")
    worst = 0.0
    for mu, u in zip(case.mu, case.states, strict=True):
        start = float(np.linalg.norm(case.fom.residual(np.zeros_like(u), mu))) or 1.0
        worst = max(worst, float(np.linalg.norm(case.fom.residual(u, mu))) / start)
    return Verdict(worst <= _RESIDUAL, f"the largest relative residual is {worst:.3g}")


def _monotone(case: ModelCase) -> Verdict:
    if not getattr(case.fom, "monotone", False):
        return Verdict(None, "the model does not claim it")
    N, t, rng = case.fom.nonlinear, _time(case), np.random.default_rng(1)
    least = 0.0
    for mu, u in zip(case.mu, case.states, strict=True):
        size = float(np.abs(u).max(initial=0.0)) or 1.0
        v, w = (u + size * rng.standard_normal(u.size) for _ in range(2))
        change = N.evaluate(v, mu, t) - N.evaluate(w, mu, t)
        scale = float(np.linalg.norm(change) * np.linalg.norm(v - w)) or 1.0
        least = min(least, float(change @ (v - w)) / scale)
    return Verdict(least >= -_MONOTONE, f"(N(u) - N(v)) . (u - v) is at least {least:.3g} of its size")


def _symmetric(case: ModelCase) -> Verdict:
    if not getattr(case.fom, "symmetric", False):
        return Verdict(None, "the model does not claim it")
    J = case.fom.nonlinear.jacobian(_pair(case)[0], case.mu[0], _time(case))
    gap = J - J.T
    size = float(abs(J).max()) if J.nnz else 0.0
    defect = (float(abs(gap).max()) if gap.nnz else 0.0) / (size or 1.0)
    return Verdict(defect <= _SYMMETRIC, f"dN/du and its transpose differ by {defect:.3g}")


def _relative(error: Array, right: Array) -> float:
    return float(np.linalg.norm(error)) / (float(np.linalg.norm(right)) or 1.0)


NONLINEAR_LAWS: list[Law[ModelCase]] = [
    Law("jacobian", f"dN/du is that of N, to {_DERIVATIVES:g} of central differences", _jacobian, ("finite",)),
    Law("parameter-derivatives", f"dN/dmu is that of N, to {_DERIVATIVES:g} of central differences", _parameters,
        ("finite",)),
    Law("restriction", f"a few equations alone are those of the whole term, to {_RESTRICTED:g}", _restriction,
        ("finite",)),
    Law("residual", f"the solution solves its own equation: at most {_RESIDUAL:g} of the residual of zero", _residual,
        ("finite",)),
    Law("monotone", "monotone is true only where (N(u) - N(v)) . (u - v) is never negative", _monotone, ("finite",)),
    Law("symmetric-flag", "symmetric is true only where dN/du is symmetric", _symmetric, ("finite",)),
]
