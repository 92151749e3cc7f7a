"""The affine-invariant ensemble of the package emcee."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.uq.bayes.posterior_target import Judged, Target
from romflow.uq.bayes.samplers.protocol import Block, ChainSampler, State

__all__ = ["Ensemble", "load_emcee"]

Array = NDArray[np.float64]

_POOL = 400
_START = 2**32 - 1


class Ensemble(ChainSampler):
    """Walkers that move along lines between each other (Goodman and Weare 2010), by emcee.

    At least 2 p + 2 walkers, an even number. A full-order model is asked at each proposal that the reduced one cannot
    judge within the tolerance; there is no second stage.

    Raises
    ------
    NotSupported
        emcee is not installed.
    """

    def __init__(self, target: Target, size: int, chains: int, burn_in: int, seed: int, thin: int) -> None:
        self._emcee, self._thin = load_emcee(), thin
        self._target, self._p, self._burn_in, self._seed = target, size, burn_in, seed
        self.chains = 2 * ((max(chains, 2 * size + 2) + 1) // 2)

    def start(self) -> State:
        z = self._target.start(self.chains, _POOL, np.random.default_rng([self._seed, _START]))
        judged = self._target.judge(z)
        return {"z": z, "log": judged.log, "low": judged.low, "high": judged.high, "counts": np.zeros(2)}

    def advance(self, state: State, first: int, stop: int) -> tuple[State, Block]:
        middle = self._burn_in // 2
        if first < middle < stop:
            state, _ = self.advance(state, first, middle)
            first = middle
        if first == middle:
            state = self._switched(state)
        return self._run(state, first, stop)

    def facts(self, state: State) -> dict[str, float]:
        draws, moved = (float(count) for count in state["counts"])
        return {"moved": moved / max(draws, 1.0)}

    def _run(self, state: State, first: int, stop: int) -> tuple[State, Block]:
        switched = first >= self._burn_in // 2

        def density(z: Array) -> Array:
            judged = self._target.judge(z)
            best = self._target.best(z, judged) if switched else judged
            return np.stack([best.log - 0.5 * (z * z).sum(axis=1), best.low, best.high], axis=1)

        sampler = self._emcee.EnsembleSampler(self.chains, self._p, density, vectorize=True)
        numbers = np.random.RandomState(np.random.SeedSequence([self._seed, first]).generate_state(8))
        begin = self._emcee.State(
            state["z"], log_prob=state["log"] - 0.5 * (state["z"] ** 2).sum(axis=1),
            blobs=np.stack([state["low"], state["high"]], axis=1), random_state=numbers.get_state())
        counts, kept, end = state["counts"].copy(), [], state
        for step, found in enumerate(sampler.sample(
                begin, iterations=stop - first, thin_by=self._thin, store=False, skip_initial_state_check=True), first):
            moved = (found.coords != end["z"]).any(axis=1)
            end = _plain(found)
            if step >= self._burn_in:
                counts += [self.chains, moved.sum()]
                kept.append(end)
        return {**end, "counts": counts}, self._block(kept)

    def _block(self, kept: list[State]) -> Block:
        def stacked(name: str, shape: tuple[int, ...]) -> Array:
            return np.stack([state[name] for state in kept]) if kept else np.zeros((0, *shape))

        log, low, high = (stacked(name, (self.chains,)) for name in ("log", "low", "high"))
        return Block(stacked("z", (self.chains, self._p)), Judged(log, low, high))

    def _switched(self, state: State) -> State:
        """From here on the walkers have the density that full-order solves correct."""
        best = self._target.best(state["z"], Judged(state["log"], state["low"], state["high"]))
        return {**state, "log": best.log, "low": best.low, "high": best.high}


def _plain(found: Any) -> State:
    z = np.array(found.coords, dtype=np.float64)
    blobs = np.array(found.blobs, dtype=np.float64)
    return {"z": z, "log": np.array(found.log_prob) + 0.5 * (z * z).sum(axis=1), "low": blobs[:, 0].copy(),
            "high": blobs[:, 1].copy()}


def load_emcee() -> Any:
    """The package emcee, or NotSupported with how to get it."""
    try:
        return importlib.import_module("emcee")
    except ImportError as error:
        raise NotSupported("the sampler 'emcee' needs the package emcee; pip install romflow[mcmc], or use "
                           "sampler = 'pcn', which needs nothing.") from error
