"""Calibration: the posterior of the inputs given measured outputs, with the reduced model inside."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError
from romflow.core.fingerprint import fingerprint
from romflow.core.names import nearest, shown
from romflow.uq.bayes.chain_files import ChainFolder
from romflow.uq.bayes.data import Data
from romflow.uq.bayes.posterior import Posterior
from romflow.uq.bayes.posterior_target import Judged, Target, Truth
from romflow.uq.bayes.samplers.ensemble import Ensemble
from romflow.uq.bayes.samplers.pcn import Pcn
from romflow.uq.bayes.samplers.protocol import Block, ChainSampler, State
from romflow.uq.evaluation import Evaluate
from romflow.uq.inputs import RandomInputs

__all__ = ["CalibrationWishes", "calibrate"]

Array = NDArray[np.float64]

SAMPLERS: dict[str, type[Pcn] | type[Ensemble]] = {"pcn": Pcn, "emcee": Ensemble}

_BLOCK = 250  # steps in a file
_FIT = 1000
_FORMAT = 1


@dataclass(frozen=True)
class CalibrationWishes:
    """How the posterior is sampled.

    Attributes
    ----------
    sampler : "pcn" or "emcee"
    size : int
        Draws of all chains together, from 100; rounded up to whole steps.
    chains : int
        From 2; emcee takes at least 2 p + 2 walkers.
    burn_in : int or None
        Draws of each chain that are left out; half as many as are kept, and at least 400, where None.
    thin : int
        Steps of a chain from one draw to the next; the full-order model is asked at draws only.
    tolerance : float or None
        Where the bound on |log L_rom - log L_full| exceeds it, the full-order model decides; None never asks it.
    seed : int
    confidence : float
        Of the intervals, in (0, 1).
    quantiles : sequence of float
        Levels in (0, 1).

    Raises
    ------
    ConfigError
        A value breaks its rule.
    """

    sampler: str = "pcn"
    size: int = 20_000
    chains: int = 16
    burn_in: int | None = None
    thin: int = 5
    tolerance: float | None = None
    seed: int = 17
    confidence: float = 0.95
    quantiles: Sequence[float] = (0.05, 0.5, 0.95)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"no sampler of a calibration is called {shown(self.sampler)}"
                              f"{nearest(str(self.sampler), SAMPLERS)}")
        for name, least in (("size", 100), ("chains", 2), ("burn_in", 16), ("thin", 1), ("seed", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**40
            if not whole and not (name == "burn_in" and value is None):
                raise ConfigError(f"calibration: {name} = {shown(value)} is not a whole number from {least}; give one.")
        if self.tolerance is not None and not 0.0 < self.tolerance < np.inf:
            raise ConfigError(f"calibration: tolerance = {shown(self.tolerance)} is not a positive number; give one.")
        for level in (self.confidence, *self.quantiles):
            if not 0.0 < level < 1.0:
                raise ConfigError(f"calibration: {shown(level)} is no level; give a number between 0 and 1.")


def calibrate(
    evaluate: Evaluate,
    inputs: RandomInputs,
    data: Data,
    wishes: CalibrationWishes | None = None,
    *,
    names: Sequence[str] | None = None,
    truth: Truth | None = None,
    folder: str | Path | None = None,
    model: Any = None,
    watcher: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Draws of the posterior density ``L(mu) * density of the inputs``, and its summary.

    The likelihood takes the outputs of `evaluate` as they are; what their stated errors do to it is kept apart: a bound
    on ``|log L_rom - log L_full|`` at each draw (:meth:`romflow.uq.bayes.data.Data.change`), and from it how far the
    posterior's statistics may move (:mod:`romflow.uq.bayes.reweighting`). With `truth` and a tolerance, the full-order
    model decides where the bound exceeds that.

    Parameters
    ----------
    evaluate : callable
        mu (b, p) -> outputs (o, b) and their errors.
    inputs : RandomInputs
        The prior.
    data : Data
    wishes : CalibrationWishes, optional
    names : sequence of o str, optional
        Names of the outputs, among which those of the data are found; without it the outputs are those of the data, in
        their order.
    truth : callable, optional
        mu (k, p) -> full-order outputs (o, k), NaN where a solve failed.
    folder : path, optional
        Each block of steps is written there; the same call goes on after the last one, with the same draws.
    model : JSON, optional
        Identity of the model, so that blocks of another one are refused.
    watcher : callable, optional
        Told the steps done and their number.

    Raises
    ------
    InputError
        A tolerance without `truth`, or for a model that states no error; no start with a likelihood.
    NotSupported
        The package of the sampler is not installed.
    StoreError
        The folder holds another calibration or a damaged file.

    Examples
    --------
    >>> from romflow.parameters.distributions import Normal
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.uq.evaluation import of_function
    >>> inputs = RandomInputs(ParameterSpace([Parameter("a", Normal(0.0, 1.0))]))
    >>> found = calibrate(of_function(lambda mu: mu[:, 0]), inputs, Data([1.0], std=1.0), CalibrationWishes(size=4000))
    >>> abs(found.mean(0).value - 0.5) < 0.1
    True
    """
    asked = wishes or CalibrationWishes()
    if asked.tolerance is not None and truth is None:
        raise InputError("calibration: a tolerance needs truth, the full-order model that decides beyond it; give it "
                         "or leave the tolerance out.")
    target = Target(evaluate, inputs, data, names, truth, asked.tolerance)
    sampler = _sampler(asked, target, inputs.size)
    kept = max(-(-asked.size // sampler.chains), 4)
    store = None if folder is None else ChainFolder(folder, _identity(asked, inputs, data, names, model))
    steps = _burn_in(asked) + kept
    blocks, state, seconds = _run(sampler, target, store, steps, watcher)
    z, judged = _joined(blocks)
    mu = inputs.from_normal(z.reshape(-1, inputs.size)).reshape(z.shape)
    facts = {"sampler": asked.sampler, "seconds": seconds, "burn_in": _burn_in(asked), "tolerance": asked.tolerance,
             "outside": float(inputs.outside(mu.reshape(-1, inputs.size)).mean()),
             **_counts(target), **sampler.facts(state)}
    fit = _fit(target, data, z.reshape(-1, inputs.size), asked.confidence)
    return Posterior(inputs.columns, mu, judged, target.kind, asked.confidence, tuple(asked.quantiles), facts, fit)


def _sampler(asked: CalibrationWishes, target: Target, size: int) -> ChainSampler:
    return SAMPLERS[asked.sampler](target, size, asked.chains, _burn_in(asked), asked.seed, asked.thin)


def _burn_in(asked: CalibrationWishes) -> int:
    return max(asked.size // (2 * asked.chains), 400) if asked.burn_in is None else asked.burn_in


def _identity(
    asked: CalibrationWishes, inputs: RandomInputs, data: Data, names: Sequence[str] | None, model: Any
) -> str:
    wishes = {**asdict(asked), "quantiles": list(asked.quantiles)}
    for name in ("confidence", "quantiles"):
        wishes.pop(name)
    return fingerprint({"format": _FORMAT, "block": _BLOCK, "wishes": wishes, "inputs": inputs.spec(),
                        "data": data.spec(), "names": None if names is None else list(names), "model": model})


def _run(
    sampler: ChainSampler, target: Target, store: ChainFolder | None, steps: int,
    watcher: Callable[[int, int], None] | None,
) -> tuple[list[Block], State, float]:
    """All blocks, read or made, the last state, and the seconds that they took when they were made."""
    blocks: list[Block] = []
    state: State | None = None
    seconds = 0.0
    for index, first in enumerate(range(0, steps, _BLOCK)):
        stop = min(first + _BLOCK, steps)
        found = None if store is None else store.read(index)
        if found is None:
            begin = time.perf_counter()
            state = _begin(sampler, target) if state is None else state
            state, block = sampler.advance(state, first, stop)
            seconds += time.perf_counter() - begin
            if store is not None:
                store.write(index, state, block, {**_counts(target), "kind": target.kind, "seconds": seconds})
        else:
            state, block, counts = found
            seconds = float(counts.pop("seconds"))
            _restore(target, counts)
        blocks.append(block)
        if watcher is not None:
            watcher(stop, steps)
    return blocks, state or {}, seconds


def _begin(sampler: ChainSampler, target: Target) -> State:
    state = sampler.start()
    if target.tolerance is not None and target.kind is None:
        raise InputError("calibration: the model states no error of its outputs, so that a tolerance cannot be held; "
                         "leave the tolerance out, or use a model with a bound or an indicator.")
    return state


def _counts(target: Target) -> dict[str, Any]:
    return {"evaluations": target.evaluations, "full_order_solves": target.solves, "failed": target.failed}


def _restore(target: Target, counts: dict[str, Any]) -> None:
    target.evaluations, target.solves = counts["evaluations"], counts["full_order_solves"]
    target.failed, target.kind = counts["failed"], counts["kind"]


def _joined(blocks: list[Block]) -> tuple[Array, Judged]:
    judged = Judged(*(np.concatenate([getattr(block.judged, name) for block in blocks]) for name in (
        "log", "low", "high")))
    return np.concatenate([block.z for block in blocks]), judged


def _fit(target: Target, data: Data, z: Array, confidence: float) -> list[dict[str, Any]]:
    """What the reduced model predicts for the data at draws that are spread evenly over all."""
    chosen = z[np.unique(np.linspace(0, len(z) - 1, min(_FIT, len(z))).astype(int))]
    output, _ = target.outputs(chosen)
    usable = output[:, np.isfinite(output).all(axis=0)]
    levels = [0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence]
    low, high = np.quantile(usable, levels, axis=1)
    times = [None] * len(data) if data.times is None else data.times.tolist()
    return [
        {"output": output_name, "time": when, "value": value, "std": std, "mean": mean, "low": least, "high": largest}
        for output_name, when, value, std, mean, least, largest in zip(
            data.outputs, times, data.values.tolist(), data.deviations.tolist(), usable.mean(axis=1).tolist(),
            low.tolist(), high.tolist(), strict=True)
    ]
