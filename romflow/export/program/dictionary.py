"""Dictionaries of reduced models as programs: all local models, the classifier, and selection by one-hot numbers.

There are no branches in the language: every local model is solved for every parameter, and the answer of the one that
the chain of doubts ends with is selected. Flags are numbers, 1 for yes and 0 for no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.builder import Builder, Value
from romflow.parameters.expressions import Theta
from romflow.rom.dictionary.classifiers import (
    ConstantClassifier,
    LinearClassifier,
    NetworkClassifier,
    StackedClassifier,
)
from romflow.rom.dictionary.design import SMALLEST
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.dictionary.recommender import Recommender

__all__ = ["dictionary_results"]

Results = Callable[[Builder, Any], dict[str, Value]]

# What a refused draw has in place of each result.
_REFUSED = {"output": np.nan, "series": np.nan, "norm": np.nan}


def dictionary_results(builder: Builder, rom: RomDictionary, local: Results) -> dict[str, Value]:
    """The results that all local models have, selected as `RomDictionary.solve` selects them.

    Parameters
    ----------
    builder : Builder
    rom : RomDictionary
    local : callable
        The results of one local model, with "norm" () beside them.

    Raises
    ------
    NotSupported
        The input field or the classifier cannot be written as a program.
    """
    if rom.input_field.kind != "parameters":
        raise NotSupported(f"a dictionary that looks at the {rom.input_field.kind} is not written as a program; use "
                           "format = \"csv\", or [dictionary.recommender] input = \"parameters\"")
    found = [local(builder, model) for model in rom.models]
    advice = _advice(builder, rom)
    locals_ = _Locals(builder, found, rom.tolerance)
    chosen = advice.first
    if len(found) > 1:
        chosen = _chosen(builder, advice, locals_)
    unfit = builder.maximum(locals_.of(chosen, locals_.unfit), advice.novel)
    return {name: builder.select(unfit, _REFUSED.get(name, np.inf), locals_.of(chosen, [one[name] for one in found]))
            for name in found[0]}


@dataclass(frozen=True)
class _Advice:
    """One-hot numbers (K scalars) of the first and second cluster, and the flags of doubt."""

    first: Sequence[Value]
    second: Sequence[Value]
    abstained: Value
    novel: Value


class _Locals:
    """The answers of the local models, with the estimates that the chain compares."""

    def __init__(self, builder: Builder, found: Sequence[Mapping[str, Value]], tolerance: float) -> None:
        self.builder = builder
        self.solved = [self._solved(one) for one in found]
        self.estimate = [builder.select(solved, self._relative(one), np.inf)
                         for one, solved in zip(found, self.solved, strict=True)]
        if tolerance > 0.0:
            self.unfit = [_flag(builder, estimate - tolerance) for estimate in self.estimate]
        else:
            self.unfit = [1.0 - solved for solved in self.solved]

    def of(self, hot: Sequence[Value], values: Sequence[Value]) -> Value:
        """The value of the local model whose number is 1; no product, for 0 times infinity is no number."""
        found = values[0]
        for flag, value in zip(hot[1:], values[1:], strict=True):
            found = self.builder.select(flag, value, found)
        return found

    def _solved(self, one: Mapping[str, Value]) -> Value:
        total = one["norm"] + one["output"].sum() if one["output"].shape[0] else one["norm"]
        # 1 where the numbers are finite, else NaN, which counts as no.
        return _flag(self.builder, total - total + 1.0)

    def _relative(self, one: Mapping[str, Value]) -> Value:
        room = one["norm"] - one["error"]
        return self.builder.select(room, one["error"] / room, np.inf)


def _chosen(builder: Builder, advice: _Advice, locals_: _Locals) -> list[Value]:
    """The second cluster's model where the first is in doubt and that one is better, as one-hot numbers."""
    of = locals_.of
    doubtful = builder.maximum(advice.abstained, of(advice.first, locals_.unfit))
    gain = of(advice.first, locals_.estimate) - of(advice.second, locals_.estimate)
    lost = 1.0 - of(advice.first, locals_.solved)
    better = builder.maximum(_flag(builder, gain), lost) * of(advice.second, locals_.solved)
    change = doubtful * better
    return [builder.select(change, second, first)
            for first, second in zip(advice.first, advice.second, strict=True)]


def _advice(builder: Builder, rom: RomDictionary) -> _Advice:
    recommender = rom.recommender
    z = (builder.mu.take(recommender.numbers.tolist()) - recommender.mean) / recommender.scale
    probability = _softmax(builder, _scores(builder, recommender.classifier, z) * float(recommender.sharpness))
    # The input field is the parameters, of which a design knows more.
    if rom.design is None:
        novelty = _novelty(builder, recommender, z)
    else:
        judge = rom.design.judge
        novelty = _novelty(builder, judge, (_scaled(builder, rom.design.logarithmic) - judge.mean) / judge.scale)
    first = _largest(builder, probability, recommender.clusters)
    second = []
    if recommender.clusters > 1:
        left = [probability.take(k) - 2.0 * flag for k, flag in enumerate(first)]
        second = _largest(builder, builder.concatenate([one.reshape(1) for one in left]), recommender.clusters)
    return _Advice(first, second, _flag(builder, float(recommender.abstain) - probability.max(axis=0)),
                   _flag(builder, novelty - float(recommender.limit)))


def _scaled(builder: Builder, logarithmic: np.ndarray) -> Value:
    """The parameters (p,), with the logarithms of some."""
    if not logarithmic.any():
        return builder.mu
    texts = [f"log(max({name}, {SMALLEST}))" if flag else name
             for name, flag in zip(builder.columns, logarithmic, strict=True)]
    return builder.theta(Theta(texts, builder.columns), name="scaled")


def _novelty(builder: Builder, judge: Recommender, z: Value) -> Value:
    """How far scaled numbers z (f,) are from the judge's training."""
    points = builder.constant(judge.training, "training")
    nearest = (points - z).square().sum(axis=1).min(axis=0).sqrt() / float(judge.reach)
    return builder.maximum(nearest, (z.abs() / judge.ends).max(axis=0) - 1.0)


def _largest(builder: Builder, values: Value, count: int) -> list[Value]:
    """One-hot numbers of the largest entry, the earlier one where two are equal."""
    top, taken, flags = values.max(axis=0), builder.constant(0.0), []
    for k in range(count):
        flag = builder.select(top - values.take(k), 0.0, 1.0) * (1.0 - taken)
        taken = taken + flag
        flags.append(flag)
    return flags


def _scores(builder: Builder, classifier: Any, z: Value) -> Value:
    """Scores (K,), up to what is common to all of them."""
    if isinstance(classifier, ConstantClassifier):
        return builder.constant(np.zeros(1))
    if isinstance(classifier, LinearClassifier):
        return builder.einsum("f,fk->k", z, builder.constant(classifier.weights, "weights")) + classifier.bias
    if isinstance(classifier, NetworkClassifier):
        *hidden, last = classifier.layers
        for weights, bias in hidden:
            z = builder.maximum(builder.einsum("f,fk->k", z, builder.constant(weights, "weights")) + bias, 0.0)
        return _scores(builder, LinearClassifier(*last), z)
    if isinstance(classifier, StackedClassifier):
        shares = [_softmax(builder, _scores(builder, member, z)) for member in classifier.members]
        return _scores(builder, classifier.final, builder.concatenate(shares))
    raise NotSupported(f"a recommender with the classifier \"{classifier.kind}\" sorts distances and is not written "
                       "as a program; use [dictionary.recommender] classifier = \"logistic\", or format = \"csv\"")


def _softmax(builder: Builder, scores: Value) -> Value:
    powers = (scores - scores.max(axis=0)).exp()
    return powers / powers.sum()


def _flag(builder: Builder, value: Value) -> Value:
    """1 where the value is positive, else 0, also where it is no number."""
    return builder.select(value, 1.0, 0.0)
