"""Several models on nested sets of draws: what each set of draws contributes, by fold and block."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import shown
from romflow.uq.asked import Asked, all_failed, evaluated
from romflow.uq.draws import MAX_SIZE, Draws
from romflow.uq.evaluation import Evaluate
from romflow.uq.paired.joint_moments import JointMoments
from romflow.uq.paired.matching import matched_thresholds

__all__ = ["Fidelity", "NestedSums", "nested_sums", "pair_sums"]

Array = NDArray[np.float64]

#: Draws that are evaluated at a time.
CHUNK = 4096
#: Stream of the draws that the estimate is made of.
MAIN = 0


@dataclass(frozen=True)
class Fidelity:
    """A model of the outputs.

    Attributes
    ----------
    name : str
    evaluate : Evaluate
    seconds : float or None
        Of one evaluation; None has it measured, and then the allocation is not repeatable.
    """

    name: str
    evaluate: Evaluate
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.seconds is not None and not (np.isfinite(self.seconds) and self.seconds > 0.0):
            raise InputError(f"model {shown(self.name)} takes seconds = {shown(self.seconds)}; the rule is a positive "
                             "number, or none to have it measured")


@dataclass
class NestedSums:
    """Moments of fold f and block b as `powers[f][b]` and `indicators[f][b]`.

    Block 0 holds the draws at which all k models were evaluated, block b those at which the models b .. k - 1 were.
    `training[f]` has the powers and indicators of block 0 of all folds but f, with the thresholds (k, t) that fold f
    uses and the other folds have chosen. `failed[i]` draws were dropped because model i had no answer; `seconds[i]`
    went into model i.
    """

    centres: Array
    thresholds: list[Array]
    training: list[tuple[JointMoments, JointMoments]]
    powers: list[list[JointMoments]]
    indicators: list[list[JointMoments]]
    failed: list[int]
    seconds: list[float]


def pair_sums(wish: Asked, values: Array, centres: Array, thresholds: Array) -> tuple[JointMoments, JointMoments]:
    """Powers and indicators of outputs (k, o, n); draws that failed anywhere do not count."""
    good = np.isfinite(values).all(axis=(0, 1))
    powers, indicators = wish.features(values[:, :, good], centres, thresholds)
    return JointMoments.of(powers), JointMoments.of(indicators)


def nested_sums(models: Sequence[Fidelity], counts: Sequence[int], inputs: Any, wish: Asked, seed: int,
                folds: int, known: Array | None = None, pilot: Array | None = None) -> NestedSums:
    """Evaluate models[i] at the first counts[i] draws; the first model in one call, the others by chunks.

    Draws take turns in `folds` folds, so that these are independent of each other; where so many of the first model's
    draws lack an answer that a fold had fewer than two, there are fewer folds. `known` (o, j) are outputs of
    the first model at the first j draws, `pilot` (k, o, j) outputs of all models at other draws.
    """
    k, o = len(models), len(wish.outputs)
    truth, spent = _of_first(models[0], counts[0], inputs, wish, seed, known)
    good = np.isfinite(truth).all(axis=0)
    if good.sum() < _least(folds):
        raise all_failed(models[0].name, counts[0])
    sums = NestedSums(np.repeat(truth[:, good].mean(axis=1)[None], k, axis=0), [], [], [], [], [0] * k, [0.0] * k)
    sums.failed[0], sums.seconds[0] = int((~good).sum()), spent
    pieces = _pieces(counts)
    paired = np.concatenate([_values(sums, models, wish, inputs, seed, piece, truth[:, piece[1]:piece[2]])
                             for piece in pieces if piece[0] == 0], axis=2)
    paired = paired[:, :, np.isfinite(paired).all(axis=(0, 1))]
    if paired.shape[2] < _least(folds):
        raise all_failed("a reduced model", counts[0])
    folds = min(folds, paired.shape[2] // 2)
    sums.powers, sums.indicators = _empty(o, 2, k, folds), _empty(len(wish.thresholds), 1, k, folds)
    _train(sums, wish, paired, np.empty((k, o, 0)) if pilot is None else pilot, folds)
    _add(sums, wish, paired, 0, 0)
    for piece in pieces:
        if piece[0]:
            _add(sums, wish, _values(sums, models, wish, inputs, seed, piece, None), piece[0], piece[1])
    return sums


def _least(folds: int) -> int:
    """Draws with answers of all models that are needed: two for each fold, or for each of three."""
    return 2 * min(folds, 3)


def _values(sums: NestedSums, models: Sequence[Fidelity], wish: Asked, inputs: Any, seed: int,
            piece: tuple[int, int, int], truth: Array | None) -> Array:
    """Outputs (k - block, o, n) of the models that the draws of a piece are for."""
    block, start, stop = piece
    mu = draws(inputs, seed, MAIN, start, stop)
    values = [] if truth is None else [truth]
    for i in range(max(block, 1), len(models)):
        begun = time.perf_counter()
        values.append(evaluated(models[i].evaluate, mu, wish.outputs, models[i].name))
        sums.seconds[i] += time.perf_counter() - begun
        sums.failed[i] += int(np.isnan(values[-1][0]).sum())
    return np.array(values)


def _train(sums: NestedSums, wish: Asked, paired: Array, pilot: Array, folds: int) -> None:
    """Thresholds and moments for each fold from the other ones and the pilot."""
    fold = np.arange(paired.shape[2]) % folds
    for f in range(folds):
        others = np.concatenate([paired[:, :, fold != f], pilot], axis=2)
        sums.thresholds.append(matched_thresholds(wish, others))
        sums.training.append(pair_sums(wish, others, sums.centres, sums.thresholds[f]))


def _of_first(model: Fidelity, count: int, inputs: Any, wish: Asked, seed: int, known: Array | None) -> tuple[
        Array, float]:
    begun = time.perf_counter()
    have = np.empty((len(wish.outputs), 0)) if known is None else known[:, :count]
    if have.shape[1] == count:
        return have, 0.0
    new = evaluated(model.evaluate, draws(inputs, seed, MAIN, have.shape[1], count), wish.outputs, model.name)
    return np.hstack([have, new]), time.perf_counter() - begun


def _empty(groups: int, features: int, k: int, folds: int) -> list[list[JointMoments]]:
    return [[JointMoments.empty(groups, features * (k - block)) for block in range(k)] for _ in range(folds)]


def _pieces(counts: Sequence[int]) -> list[tuple[int, int, int]]:
    """(block, start, stop): the draws counts[block - 1] .. counts[block], cut at whole chunks."""
    pieces, start = [], 0
    for block, end in enumerate(counts):
        while start < end:
            stop = min(end, (start // CHUNK + 1) * CHUNK)
            pieces.append((block, start, stop))
            start = stop
    return pieces


def draws(inputs: Any, seed: int, stream: int, start: int, stop: int) -> Array:
    """Parameters (stop - start, p) of a stream of independent draws, the same however they are cut."""
    points = Draws("monte-carlo", MAX_SIZE, inputs.size, seed, stream=stream)
    return np.asarray(inputs.ppf(points.block(0, start, stop)))


def _add(sums: NestedSums, wish: Asked, values: Array, block: int, start: int) -> None:
    folds = len(sums.powers)
    for position in range(min(folds, values.shape[2])):
        f = (start + position) % folds
        powers, indicators = pair_sums(wish, values[:, :, position::folds], sums.centres[block:],
                                       sums.thresholds[f][block:])
        sums.powers[f][block] = sums.powers[f][block] + powers
        sums.indicators[f][block] = sums.indicators[f][block] + indicators
