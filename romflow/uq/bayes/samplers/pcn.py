"""Preconditioned Crank-Nicolson chains, which full-order solves correct in a second stage."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from romflow.uq.bayes.posterior_target import Judged, Target
from romflow.uq.bayes.samplers.protocol import Block, ChainSampler, State

__all__ = ["Pcn"]

Array = NDArray[np.float64]

_ACCEPTED = 0.3  # aim of the step's adaptation
_LARGEST = 3.0  # of logit(step): a step of .95
_POOL = 400
_MOVING = ("z", "rom", "guess", "low", "high")


class Pcn(ChainSampler):
    """c chains with the proposal ``v' = sqrt(1 - s^2) v + s xi`` (Cotter et al. 2013, eq. 1.3), ``z = m + S v``.

    The step s, the reference mean m (p,) and factor S (p, p) are learnt in the burn-in only: m is the mean of all
    chains within a window and S S^T is 1 + 1 / p times their covariance, wider than the posterior so that no chain
    sticks in its tails; the windows end at 1/8, 1/4, 1/2 and 3/4 of the burn-in (Rudolf and
    Sprungk 2018: a reference other than the inputs). Accepted with ``min(1, exp(g(v') - g(v)))``,
    ``g = log L - |z|^2 / 2 + |v|^2 / 2``.

    With a full-order model, L is the reduced model's likelihood with its error added to the noise, so that the first
    stage lets through what may be right. Where `thin` steps of it end is solved if the reduced model cannot judge it
    within the tolerance, and accepted with ``min(1, exp((l* - log L)(z') - (l* - log L)(z)))`` (delayed acceptance,
    Christen and Fox 2005, with subchains, Lykkegaard et al. 2023), which keeps the density exp(l*) of
    :class:`romflow.uq.bayes.posterior_target.Target` exactly. This comes in after half the burn-in.

    Random numbers of a step come from the seed and the step's number, so that a run can stop after any.
    """

    def __init__(self, target: Target, size: int, chains: int, burn_in: int, seed: int, thin: int) -> None:
        self._target, self._p, self._thin = target, size, thin
        self.chains, self._burn_in, self._seed = chains, burn_in, seed
        self._ends = {burn_in * share // 8 for share in (1, 2, 4, 6)}

    def start(self) -> State:
        p = self._p
        z = self._target.start(self.chains, _POOL, self._rng(2**40))
        judged = self._target.judge(z)
        return {
            "z": z, "rom": judged.log, "guess": judged.guess, "log": judged.guess.copy(), "low": judged.low,
            "high": judged.high,
            "mean": np.zeros(p), "factor": np.eye(p), "logit": np.zeros(1), "window": np.zeros(1),
            "sum": np.zeros(p), "outer": np.zeros((p, p)), "counts": np.zeros(6),
        }

    def advance(self, state: State, first: int, stop: int) -> tuple[State, Block]:
        now = {name: values.copy() for name, values in state.items()}
        kept = []
        for step in range(first, stop):
            if step == self._burn_in // 2:
                self._switch(now)
            self._step(now, step)
            if step < self._burn_in:
                self._learn(now, step)
            else:
                kept.append(tuple(now[name].copy() for name in ("z", "log", "low", "high")))
        if not kept:
            empty = np.zeros((0, self.chains))
            return now, Block(np.zeros((0, self.chains, self._p)), Judged(empty, empty, empty))
        z, log, low, high = (np.stack(parts) for parts in zip(*kept, strict=True))
        return now, Block(z, Judged(log, low, high))

    def facts(self, state: State) -> dict[str, float]:
        proposed, accepted, draws, moved, asked, confirmed = (float(count) for count in state["counts"])
        facts = {"moved": moved / max(draws, 1.0), "acceptance": accepted / max(proposed, 1.0),
                 "step": _logistic(float(state["logit"][0]))}
        return facts | ({"second_stage_acceptance": confirmed / asked} if asked else {})

    def _step(self, now: State, step: int) -> None:
        switched = step >= self._burn_in // 2
        rng = self._rng(step)
        here = {name: now[name] for name in _MOVING}
        moves = np.array([self._move(here, now, rng) for _ in range(self._thin)])
        moved = moves.any(axis=0)
        found = Judged(here["rom"], here["low"], here["high"], here["guess"])
        best = self._target.best(here["z"], found, moved) if switched else _guessed(found)
        with np.errstate(invalid="ignore"):
            correction = (best.log - found.guess) - (now["log"] - now["guess"])
        kept = moved & (np.log1p(-rng.random(self.chains)) < correction)
        if step < self._burn_in:
            now["accepted"] = moves.mean(keepdims=True)[0] * (kept.sum() / max(int(moved.sum()), 1))
        else:
            asked = moved & self._target.over(found)
            counts = moves.size, moves.sum(), self.chains, kept.sum(), asked.sum(), (kept & asked).sum()
            now["counts"] += np.array(counts, dtype=np.float64)
        _take(now, {**here, "log": best.log, "low": best.low, "high": best.high}, kept)

    def _move(self, here: State, now: State, rng: np.random.Generator) -> NDArray[np.bool_]:
        """One step of the first stage; which chains moved (c,)."""
        noise, chances = rng.standard_normal((self.chains, self._p)), np.log1p(-rng.random(self.chains))
        size = _logistic(float(now["logit"][0]))
        v = np.linalg.solve(now["factor"], (here["z"] - now["mean"]).T).T
        v_new = math.sqrt(1.0 - size * size) * v + size * noise
        z_new = now["mean"] + v_new @ now["factor"].T
        judged = self._target.judge(z_new)
        gain = judged.guess - here["guess"] + 0.5 * (_squares(here["z"]) - _squares(z_new))
        gain += 0.5 * (_squares(v_new) - _squares(v))
        accepted = np.asarray(chances < gain)
        new = {"z": z_new, "rom": judged.log, "guess": judged.guess, "low": judged.low, "high": judged.high}
        _take(here, new, accepted)
        return accepted

    def _learn(self, now: State, step: int) -> None:
        """Adapt the step; at the end of a window, the reference."""
        now["window"] += 1.0
        rate = float(now["window"][0]) ** -0.6
        aim = now["logit"] + 2.0 * rate * (now.pop("accepted") - _ACCEPTED)
        now["logit"] = np.clip(aim, -12.0, _LARGEST)
        now["sum"] += now["z"].sum(axis=0)
        now["outer"] += now["z"].T @ now["z"]
        if step + 1 in self._ends:
            self._refer(now)

    def _refer(self, now: State) -> None:
        p, count = self._p, float(now["window"][0]) * self.chains
        if count >= 4 * p + 20:
            mean = now["sum"] / count
            covariance = now["outer"] / count - np.outer(mean, mean)
            trust = count / (count + 5.0 * p)
            spread = trust * covariance + (1.0 - trust) * np.diag(np.maximum(np.diag(covariance), 1e-12))
            now["mean"], now["factor"] = mean, np.linalg.cholesky((1.0 + 1.0 / p) * spread + 1e-10 * np.eye(p))
        now["window"], now["sum"], now["outer"] = np.zeros(1), np.zeros(p), np.zeros((p, p))

    def _switch(self, now: State) -> None:
        """From here on the chains have the density that full-order solves correct."""
        best = self._target.best(now["z"], Judged(now["rom"], now["low"], now["high"], now["guess"]))
        now["log"], now["low"], now["high"] = best.log, best.low, best.high

    def _rng(self, step: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=np.array([self._seed, step], dtype=np.uint64)))


def _take(into: State, new: State, rows: NDArray[np.bool_]) -> None:
    """Replace these rows of a state."""
    for name, values in new.items():
        into[name] = np.where(rows.reshape(-1, *[1] * (values.ndim - 1)), values, into[name])


def _guessed(judged: Judged) -> Judged:
    return Judged(judged.guess, judged.low, judged.high, judged.guess)


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def _squares(rows: Array) -> Array:
    return np.asarray((rows * rows).sum(axis=1))
