"""Conformance suite of full-order models: n, parameters, spec, solve; affine and marching models have more."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ParameterError
from romflow.core.fingerprint import fingerprint
from romflow.core.snapshot import Snapshot
from romflow.parameters.space import ParameterSpace
from romflow.testing.affine_model import AFFINE_LAWS, is_affine
from romflow.testing.march_model import MARCH_LAWS
from romflow.testing.nonlinear_model import NONLINEAR_LAWS, is_nonlinear
from romflow.testing.report import Law, Report, Verdict, run

__all__ = ["ModelCase", "check_model"]

_PARAMETERS_TRIED = 3


class ModelCase:
    """A model under test, random parameters of its space, and its solutions there, each solved once.

    Parameters
    ----------
    make : callable
        Builds a fresh instance.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make
        self.fom = make()

    @cached_property
    def mu(self) -> NDArray[np.float64]:
        """Parameters (k, p)."""
        return np.asarray(self.fom.parameters.sample(_PARAMETERS_TRIED, np.random.default_rng(0)))

    @cached_property
    def solved(self) -> list[Snapshot | NDArray[np.float64]]:
        """What `solve` gave at each parameter."""
        return [self.fom.solve(row.copy()) for row in self.mu]

    @property
    def states(self) -> list[NDArray[np.float64]]:
        """The states as `solve` gave them, of any shape."""
        return [state_of(result) for result in self.solved]


def state_of(result: Snapshot | NDArray[np.float64]) -> NDArray[np.float64]:
    """The state within what a model's `solve` gave."""
    return result.state if isinstance(result, Snapshot) else np.asarray(result)


def check_model(make: Callable[[], Any], target: str = "model") -> Report:
    """Hold a full-order model to its laws.

    Parameters
    ----------
    make : callable
        Builds a fresh instance; it is called a few times, and all instances must be equal.
    target : str
        Its name in the report.

    Examples
    --------
    >>> from romflow.testing.small import small_affine_model
    >>> check_model(small_affine_model).passed
    True
    """
    case = ModelCase(make)
    marching = MARCH_LAWS if hasattr(case.fom, "march") else []
    further = NONLINEAR_LAWS if is_nonlinear(case.fom) else AFFINE_LAWS if is_affine(case.fom) else []
    return run(target, "model", [*MODEL_LAWS, *marching, *further], case)


def _parameters(case: ModelCase) -> Verdict:
    space = getattr(case.fom, "parameters", None)
    if not isinstance(space, ParameterSpace):
        return Verdict(False, f"parameters is a {type(space).__name__}")
    return Verdict(True, f"parameters has the columns {', '.join(space.columns)}")


def _n(case: ModelCase) -> Verdict:
    n = getattr(case.fom, "n", None)
    whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
    return Verdict(n is None or (whole and int(n) >= 1), f"n = {n!r}")


def _spec(case: ModelCase) -> Verdict:
    spec = case.fom.spec
    if not isinstance(spec, dict):
        return Verdict(False, f"spec is a {type(spec).__name__}")
    before = fingerprint(spec)
    again = fingerprint(json.loads(json.dumps(spec)))
    return Verdict(before == again, f"spec has the fingerprint {before[:12]}, and {again[:12]} after a round trip")


def _same_spec(case: ModelCase) -> Verdict:
    before, fresh = fingerprint(case.fom.spec), fingerprint(case.make().spec)
    return Verdict(before == fresh, f"the fingerprints of two instances are {before[:12]} and {fresh[:12]}")


def _shape(case: ModelCase) -> Verdict:
    shapes = sorted({str(state.shape) for state in case.states})
    n = case.states[0].size if case.fom.n is None else case.fom.n
    right = all(state.shape == (n,) for state in case.states)
    return Verdict(right, f"solve gave the shape {' and '.join(shapes)}, and n = {case.fom.n}")


def _finite(case: ModelCase) -> Verdict:
    for mu, state in zip(case.mu, case.states, strict=True):
        if state.dtype.kind not in "iuf":
            return Verdict(False, f"solve gave numbers of type {state.dtype}")
        wrong = np.flatnonzero(~np.isfinite(state))
        if wrong.size:
            return Verdict(False, f"solve gave u[{wrong[0]}] = {state[wrong[0]]} at mu = {mu.tolist()}")
    return Verdict(True, f"{len(case.states)} states hold finite numbers only")


def _input_untouched(case: ModelCase) -> Verdict:
    given = case.mu[0].copy()
    case.fom.solve(given)
    changed = np.flatnonzero(given != case.mu[0])
    return Verdict(not changed.size, f"mu was {case.mu[0].tolist()} and is {given.tolist()} after solve")


def _state_kept(case: ModelCase) -> Verdict:
    kept = state_of(case.fom.solve(case.mu[0].copy()))
    before = kept.copy()
    case.fom.solve(case.mu[-1].copy())
    return Verdict(kept.tobytes() == before.tobytes(),
                   f"a later solve changed an earlier state by {_distance(kept, before):.3g}")


def _repeatable(case: ModelCase) -> Verdict:
    for mu, state in zip(case.mu, case.states, strict=True):
        again = state_of(case.fom.solve(mu.copy()))
        if again.tobytes() != state.tobytes():
            return Verdict(False, f"two solves at mu = {mu.tolist()} differ by {_distance(again, state):.3g}")
    return Verdict(True, f"{len(case.states)} states solved twice are equal to the bit")


def _fresh_instance(case: ModelCase) -> Verdict:
    fresh = case.make()
    # Last parameter first, so that an answer that depends on the order of the solves shows.
    for mu, state in reversed(list(zip(case.mu, case.states, strict=True))):
        again = state_of(fresh.solve(mu.copy()))
        if again.tobytes() != state.tobytes():
            return Verdict(False, f"two instances differ by {_distance(again, state):.3g} at mu = {mu.tolist()}")
    return Verdict(True, f"{len(case.states)} states of a fresh instance are equal to the bit")


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if a.shape != b.shape:
        return float("inf")
    return float(np.max(np.abs(a - b), initial=0.0))


def _outside(case: ModelCase) -> Verdict:
    space = case.fom.parameters
    wrong = {"NaN": np.full(space.size, np.nan)}
    bounded = np.flatnonzero(np.isfinite(space.high))
    if bounded.size:
        above = case.mu[0].copy()
        above[bounded[0]] = space.high[bounded[0]] + max(1.0, abs(space.high[bounded[0]]))
        wrong[f"{space.columns[bounded[0]]} = {above[bounded[0]]:g}"] = above
    for name, mu in wrong.items():
        try:
            space.validate(mu)
        except ParameterError:
            continue
        return Verdict(False, f"parameters.validate let {name} pass")
    return Verdict(True, f"parameters.validate refuses {' and '.join(wrong)}")


def _own_outputs(case: ModelCase) -> Verdict:
    outputs = [result.outputs if isinstance(result, Snapshot) else None for result in case.solved]
    given = [values for values in outputs if values is not None]
    if not given:
        return Verdict(True, "solve gives no outputs")
    shapes = sorted({str(values.shape) for values in given})
    right = len(given) == len(outputs) and len(shapes) == 1 and all(np.isfinite(values).all() for values in given)
    return Verdict(right, f"{len(given)} of {len(outputs)} solves gave outputs, of shape {' and '.join(shapes)}")


def _mesh(case: ModelCase) -> Verdict:
    mesh = getattr(case.fom, "mesh", None)
    if mesh is None:
        return Verdict(True, "the model has no mesh")
    return Verdict(mesh.n == case.fom.n, f"mesh.n = {mesh.n}, and n = {case.fom.n}")


MODEL_LAWS: list[Law[ModelCase]] = [
    Law("parameters", "parameters is a romflow ParameterSpace", _parameters),
    Law("n", "n is a whole number from 1, or None where only a solve can tell", _n),
    Law("spec", "spec is a dict of texts, finite numbers, lists and dicts that a JSON round trip keeps", _spec),
    Law("same-spec", "two instances made alike have the same spec", _same_spec, ("spec",)),
    Law("outside", "parameters refuses values outside its bounds and NaN", _outside, ("parameters",)),
    Law("solve-shape", "solve(mu (p,)) gives a state (n,), or a Snapshot with one", _shape, ("parameters", "n")),
    Law("finite", "states are real, finite numbers", _finite, ("solve-shape",)),
    Law("input-untouched", "solve leaves its argument mu as it was", _input_untouched, ("solve-shape",)),
    Law("state-kept", "a later solve leaves earlier states as they were", _state_kept, ("solve-shape",)),
    Law("reproducible", "solving twice gives the same bits", _repeatable, ("solve-shape",)),
    Law("fresh-instance", "another instance gives the same bits, whatever the order of the solves", _fresh_instance,
        ("solve-shape", "reproducible")),
    Law("snapshot-outputs", "every solve gives outputs of one shape (o,), or none does", _own_outputs,
        ("solve-shape",)),
    Law("mesh", "the mesh has n state entries", _mesh, ("n",)),
]
