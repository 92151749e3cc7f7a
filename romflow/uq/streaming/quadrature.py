"""Means and variances by a sparse grid: no random numbers, and the next coarser grid as a measure of the error."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import SolveFailed
from romflow.parameters.polynomials.marginals import gauss_rules
from romflow.parameters.smolyak import sparse_grid
from romflow.uq.estimate import Estimate
from romflow.uq.evaluation import Evaluate, Evaluated, joined
from romflow.uq.inputs import RandomInputs
from romflow.uq.streaming.answers import Answers, OutputAnswers, Point
from romflow.uq.streaming.model_errors import known
from romflow.uq.streaming.piecewise import in_batches
from romflow.uq.wishes import Wishes

__all__ = ["sparse_answers", "sparse_nodes"]

Array = NDArray[np.float64]


def sparse_answers(evaluate: Evaluate, inputs: RandomInputs, wishes: Wishes, names: Sequence[str] | None,
                   watcher: Callable[[int, int], None] | None) -> Answers:
    """Mean, variance and standard deviation of each output, by the sparse grids of levels 1 .. `wishes.level`.

    Nested Clenshaw-Curtis rules where all inputs are uniform, Gauss rules of their distributions else. The interval of
    a value is -+ its difference from the next coarser level: an indication, not a probability. A model error e adds
    sum |w| e to the mean.

    Raises
    ------
    SolveFailed
        A node has no answer: the rule cannot do without it.
    """
    started = time.perf_counter()
    levels, cache = [], _Nodes(evaluate, inputs, wishes)
    grids = [sparse_nodes(inputs, level) for level in range(wishes.level, -1, -1)]
    for level, (unit, weights) in enumerate(reversed(grids)):
        answer = cache.at(unit)
        levels.append((*_level(answer, weights), len(weights)))
        if watcher is not None:
            watcher(level + 1, wishes.level + 1)
    listed = [f"output_{row}" for row in range(len(levels[0][0]))] if names is None else list(names)
    chosen = wishes.chosen(listed)
    found = {listed[row]: _output(levels, row, answer, weights) for row in chosen}
    outside = int(np.count_nonzero(inputs.outside(inputs.ppf(unit))))
    return Answers(method=wishes.draws, size=levels[-1][2], evaluations=cache.evaluations,
                   seconds=time.perf_counter() - started, confidence=float(wishes.confidence), outside=outside,
                   failed=0, outputs=found)


def sparse_nodes(inputs: RandomInputs, level: int) -> tuple[Array, Array]:
    """Nodes (k, p) in the unit cube and weights (k,) for these inputs.

    Raises
    ------
    InputError
        More than two million nodes.
    """
    uniform = all(distribution.kind == "uniform" for distribution in inputs.marginals)
    return sparse_grid(inputs.size, level, rules=None if uniform else gauss_rules(inputs.marginals))


class _Nodes:
    """Answers at nodes, none of which is evaluated twice."""

    def __init__(self, evaluate: Evaluate, inputs: RandomInputs, wishes: Wishes) -> None:
        self._evaluate, self._inputs, self._batch = evaluate, inputs, wishes.batch
        self._known: dict[bytes, int] = {}
        self._answer: Evaluated | None = None

    @property
    def evaluations(self) -> int:
        return len(self._known)

    def at(self, unit: Array) -> Evaluated:
        keys = [row.tobytes() for row in np.round(unit, 13)]
        fresh = [index for index, key in enumerate(keys) if key not in self._known]
        if fresh:
            answer = in_batches(self._evaluate, self._inputs.ppf(unit[fresh]), self._batch)
            if not np.isfinite(answer.output).all():
                raise SolveFailed(f"{int((~np.isfinite(answer.output)).any(axis=0).sum())} nodes of a sparse grid have "
                                  "no answer, and it needs all of them; use draws = \"sobol\", which leaves such out.")
            self._answer = answer if self._answer is None else joined(self._answer, answer)
            for index in fresh:
                self._known[keys[index]] = len(self._known)
        places = [self._known[key] for key in keys]
        known = self._answer
        error = None if known.output_error is None else known.output_error[:, places]
        return Evaluated(known.output[:, places], error, known.kind)


def _level(answer: Evaluated, weights: Array) -> tuple[Array, Array]:
    """Mean and variance (o,): sum w q and sum w (q - mean)^2, at least 0."""
    mean = answer.output @ weights
    return mean, np.maximum((answer.output - mean[:, None]) ** 2 @ weights, 0.0)


def _output(levels: list[tuple[Array, Array, int]], row: int, answer: Evaluated, weights: Array) -> OutputAnswers:
    """Estimates of all levels; the model errors are those of the last."""
    means, variances, sizes = (np.array(column) for column in zip(*levels, strict=True))
    rows = {"mean": means[:, row], "variance": variances[:, row], "std": np.sqrt(variances[:, row])}
    errors = _errors(answer, weights, row, float(rows["mean"][-1]), float(rows["std"][-1]))
    kind = answer.kind

    def estimate(name: str, index: int) -> Estimate:
        value, error = float(rows[name][index]), errors[name]
        half = abs(value - float(rows[name][index - 1]))
        return Estimate(value, value - half, value + half, error, None if error is None else kind)

    last = len(sizes) - 1
    points = [Point(int(sizes[index]), estimate("mean", index), estimate("std", index)) for index in range(1, last + 1)]
    return OutputAnswers(*(estimate(name, last) for name in ("mean", "variance", "std")), convergence=points)


def _errors(answer: Evaluated, weights: Array, row: int, mean: float, std: float) -> dict[str, float | None]:
    """What |q - q_r| <= e adds: sum |w| e, sum |w| (2 |q_r - mean| + e) e + (sum |w| e)^2, and the latter / std."""
    if answer.output_error is None or answer.kind is None:
        return dict.fromkeys(("mean", "variance", "std"))
    e, w = np.abs(answer.output_error[row]), np.abs(weights)
    first = float(w @ e)
    second = float(w @ ((2.0 * np.abs(answer.output[row] - mean) + e) * e)) + first**2
    root = second / std if std > 0.0 else second**0.5
    return {"mean": known(first), "variance": known(second), "std": known(root)}
