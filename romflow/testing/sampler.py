"""Conformance suite of samplers: a whole offline loop on a small affine model, run, repeated, stopped and restored."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.fingerprint import canonical_json
from romflow.parameters.space import ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.testing.report import Law, Report, Verdict, run
from romflow.testing.small import new_store, small_affine_model, small_space, solve_missing

__all__ = ["check_sampler"]

Array = NDArray[np.float64]

_MOST_CALLS = 200
_SEED = 3


@dataclass
class _Loop:
    """An offline loop: what was asked, call by call, and the sampler's state before each call, as JSON text."""

    sampler: Any
    asked: list[Any] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    ended: bool = False


class SamplerCase:
    """A sampler under test, with the model and store that its loops share.

    Parameters
    ----------
    make : callable
        (space, seed) -> a fresh sampler.
    space : ParameterSpace
    folder : str
        For the store.
    """

    def __init__(self, make: Callable[[ParameterSpace, int], Any], space: ParameterSpace, folder: str) -> None:
        self.make, self.space = make, space
        self.fom = small_affine_model(space)
        self.store = new_store(self.fom, folder)

    def fresh(self) -> Any:
        """A new sampler, always of the same seed."""
        return self.make(self.space, _SEED)

    @cached_property
    def loop(self) -> _Loop:
        """A whole loop."""
        return self.run(self.fresh())

    def run(self, sampler: Any, before: Array | None = None, keep_states: bool = False) -> _Loop:
        """Ask and tell until the sampler ends, going on after the parameters `before` (k, p), which it was told of."""
        loop, reductor = _Loop(sampler), ReducedBasisReductor(max_size=self.fom.n)
        mu = np.empty((0, self.space.size)) if before is None else before
        if before is None:
            sampler.tell(reductor.reduce(self.fom, self.store, mu))
        for _ in range(_MOST_CALLS):
            if keep_states:
                loop.states.append(json.dumps(sampler.state()))
            batch = np.array(sampler.ask())
            loop.ended = len(batch) == 0
            if loop.ended:
                break
            loop.asked.append(batch)
            if not self.space.contains(batch).all():
                break
            solve_missing(self.fom, self.store, batch)
            mu = np.concatenate([mu, batch])
            sampler.tell(reductor.reduce(self.fom, self.store, mu))
        return loop


def check_sampler(
    make: Callable[[ParameterSpace, int], Any], target: str = "sampler", space: ParameterSpace | None = None
) -> Report:
    """Hold a sampler to its laws.

    Parameters
    ----------
    make : callable
        (space, seed) -> a fresh sampler, which ends after some 100 parameters.
    target : str
        Its name in the report.
    space : ParameterSpace, optional
        What it samples; `romflow.testing.small.small_space` without.

    Examples
    --------
    >>> from romflow.parameters.sampling.random import Random
    >>> check_sampler(lambda space, seed: Random(space, seed, size=4)).passed
    True
    """
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        case = SamplerCase(make, small_space() if space is None else space, folder)
        return run(target, "sampler", SAMPLER_LAWS, case)


def _shape(case: SamplerCase) -> Verdict:
    batch, p = case.fresh().ask(), case.space.size
    if not isinstance(batch, np.ndarray):
        return Verdict(False, f"the first ask() gave a {type(batch).__name__}")
    right = batch.ndim == 2 and batch.shape[1] == p and len(batch) > 0 and batch.dtype == np.float64
    return Verdict(right, f"the first ask() gave shape {batch.shape} of {batch.dtype}, and p = {p}")


def _inside(case: SamplerCase) -> Verdict:
    for number, batch in enumerate(case.loop.asked):
        outside = np.flatnonzero(~case.space.contains(batch))
        if outside.size:
            return Verdict(False, f"row {outside[0]} of ask() number {number + 1} is {batch[outside[0]].tolist()}")
    return Verdict(True, f"{sum(map(len, case.loop.asked))} rows lie in the space")


def _ends(case: SamplerCase) -> Verdict:
    if not case.loop.ended:
        return Verdict(False, f"ask() number {_MOST_CALLS} still gave parameters")
    shape = np.shape(case.loop.sampler.ask())
    return Verdict(shape == (0, case.space.size), f"after {len(case.loop.asked)} batches ask() gave the shape {shape}")


def _deterministic(case: SamplerCase) -> Verdict:
    again = case.run(case.fresh())
    return _same(case.loop.asked, again.asked, "two samplers of one seed")


def _same(first: list[Any], second: list[Any], who: str) -> Verdict:
    for number, (a, b) in enumerate(zip(first, second, strict=False)):
        if a.shape != b.shape or a.tobytes() != b.tobytes():
            return Verdict(False, f"{who} differ in ask() number {number + 1}")
    if len(first) != len(second):
        return Verdict(False, f"{who} ask {len(first)} and {len(second)} times")
    return Verdict(True, f"{who} ask for the same {sum(map(len, first))} rows, to the bit")


def _state(case: SamplerCase) -> Verdict:
    state = case.loop.sampler.state()
    canonical_json(case.fresh().state())
    size = len(canonical_json(state))
    return Verdict(isinstance(state, dict), f"state() is a {type(state).__name__} of {size} bytes of JSON")


def _restored(case: SamplerCase) -> Verdict:
    loop = case.run(case.fresh(), keep_states=True)
    told = np.empty((0, case.space.size))
    for number, state in enumerate(loop.states):
        sampler = case.fresh()
        sampler.restore(json.loads(state))
        rest = case.run(sampler, before=told)
        who = f"the sampler and its copy restored before ask() number {number + 1}"
        verdict = _same(loop.asked[number:], rest.asked, who)
        if not verdict.passed:
            return verdict
        told = np.concatenate([told, *loop.asked[number:number + 1]])
    return Verdict(True, f"copies restored at {len(loop.states)} places go on alike")


def _solves(case: SamplerCase) -> Verdict:
    solves = getattr(case.fresh(), "solves", None)
    asked = sum(map(len, case.loop.asked))
    if solves is None:
        return Verdict(True, f"no solves is told, so the plan does not know of the {asked} parameters")
    whole = isinstance(solves, int | np.integer) and not isinstance(solves, bool)
    return Verdict(whole and asked <= int(solves), f"solves = {solves!r}, and {asked} parameters were asked for")


SAMPLER_LAWS: list[Law[SamplerCase]] = [
    Law("shape", "ask() gives float64 rows (k, p), k >= 1, also where nothing was told before", _shape),
    Law("inside", "every row that is asked for lies in the parameter space", _inside, ("shape",)),
    Law("ends", f"at the latest after {_MOST_CALLS} calls, and for good, ask() gives shape (0, p)", _ends,
        ("shape", "inside")),
    Law("deterministic", "one seed and the same answers give the same parameters, to the bit", _deterministic,
        ("shape", "ends")),
    Law("state", "state() is a dict of JSON values", _state, ("shape", "ends")),
    Law("restore", "a sampler restored from state() asks for the same parameters as the one that went on", _restored,
        ("shape", "ends", "deterministic", "state")),
    Law("solves", "solves is an upper bound of the parameters asked for", _solves, ("shape", "ends")),
]
