"""From random inputs to statistics of the outputs: draws stream through a model, and a study that was ended goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ParameterError, SolveFailed
from romflow.core.names import shown
from romflow.uq.draws import Draws
from romflow.uq.evaluation import Evaluate, Evaluated
from romflow.uq.inputs import RandomInputs
from romflow.uq.streaming.answers import Answers
from romflow.uq.streaming.checkpoint import Checkpoint, no_checkpoint
from romflow.uq.streaming.piecewise import in_batches
from romflow.uq.streaming.quadrature import sparse_answers
from romflow.uq.streaming.sensitivity import Indices
from romflow.uq.streaming.statistics import output_answers
from romflow.uq.streaming.tally import Tally
from romflow.uq.wishes import Wishes

__all__ = ["Watcher", "drawn_parameters", "propagate", "refuse_outside"]

Array = NDArray[np.float64]

#: (evaluations done, evaluations in all)
Watcher = Callable[[int, int], None]

# Draws that are added up together, whatever the batch, so that no sum depends on it; powers of two, both.
_BLOCK = 8192
_GROUPS = 32
_LEAST_GROUPS = 4
_FORMAT = 2  # of the file of a study that is under way
_STREAMS = {"draws": 0, "indices": 1}


def propagate(evaluate: Evaluate, inputs: RandomInputs, wishes: Wishes, *, names: Sequence[str] | None = None,
              folder: str | Path | None = None, identity: str = "", watcher: Watcher | None = None,
              seconds_between: float = 30.0) -> Answers:
    """Statistics of the outputs for random inputs, in memory that does not grow with the number of draws.

    Draws are made, evaluated and added up in blocks of at most 8192, always the same ones in the same order: no answer
    depends on `batch`, and a study that goes on from its file ends with the numbers of one that was never ended. Sobol'
    indices come from draws of their own, after the others. The cost is `size` evaluations, and p + 2 more for each base
    point of the indices.

    Parameters
    ----------
    evaluate : callable
        mu (b, p) -> Evaluated.
    inputs : RandomInputs
    wishes : Wishes
    names : sequence of str, optional
        Of the outputs; output_0, output_1 .. where not given.
    folder : path, optional
        Where what was added up is kept, in one file that is replaced whole; made if it does not exist.
    identity : str
        What the model is: its fingerprint. Needed with `folder`, for the file of another model is not used.
    watcher : callable, optional
        Told (evaluations done, evaluations in all) after each block.
    seconds_between : float
        At least so many seconds between two files.

    Returns
    -------
    Answers

    Raises
    ------
    ConfigError
        Wishes that do not fit the outputs or the inputs.
    ParameterError
        A draw is outside the model's range and the wishes refuse that.
    SolveFailed
        Hardly any draw has an answer.
    ShapeError
        The model does not return (o, b).
    StoreError
        The file of an earlier run is damaged.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.uq.evaluation import of_function
    >>> inputs = RandomInputs(ParameterSpace([Parameter("a", Uniform(0.0, 1.0), size=2)]))
    >>> found = propagate(of_function(lambda mu: mu.sum(axis=1)), inputs, Wishes("sobol", 4096), names=["sum"])
    >>> round(found.outputs["sum"].mean.value, 3), round(found.outputs["sum"].quantiles[1][1].value, 2)
    (1.0, 1.0)
    """
    if folder is not None and not identity:
        raise InputError(f"the study keeps its numbers in {folder}, but the model has no identity; give its "
                         "fingerprint, so that the file of another model is never used.")
    if wishes.draws == "sparse-grid":
        return sparse_answers(evaluate, inputs, wishes, names, watcher)
    saved = no_checkpoint()
    if folder is not None:
        saved = Checkpoint(Path(folder), {"format": _FORMAT, "model": identity, "inputs": inputs.spec(),
                                          "wishes": wishes.identity(),
                                          "names": None if names is None else list(names)}, seconds_between)
    study = _Study(evaluate, inputs, wishes, names, watcher, saved)
    study.run()
    return study.answers()


def drawn_parameters(inputs: RandomInputs, wishes: Wishes) -> Array:
    """All draws mu (N, p) of which `propagate` makes its statistics, in their order and to the bit.

    Raises
    ------
    InputError
        The nodes of a sparse grid are no draws.
    """
    if wishes.draws == "sparse-grid":
        raise InputError("a sparse grid has nodes with weights and no draws; ask for draws of another kind.")
    draws = _study_draws(inputs, wishes)
    return np.concatenate([inputs.ppf(draws.block(block.repetition, block.start, block.stop))
                           for block in _blocks(draws)])


def _study_draws(inputs: RandomInputs, wishes: Wishes) -> Draws:
    return Draws(wishes.draws, wishes.size, inputs.size, wishes.seed, wishes.repetitions, stream=_STREAMS["draws"])


@dataclass(frozen=True)
class _Block:
    """Draws start <= k < stop of a repetition, and the group that they are part of."""

    repetition: int
    start: int
    stop: int
    group: int


def _blocks(draws: Draws, grouped: bool = True) -> list[_Block]:
    """All blocks in their order. Of independent draws the groups are dealt out in turn, else they are repetitions."""
    size = min(_BLOCK, draws.each)
    if draws.independent and grouped:
        size = min(_BLOCK, 1 << (max(1, draws.each // _GROUPS).bit_length() - 1))
    starts = range(0, draws.each, size)
    return [_Block(repetition, start, min(start + size, draws.each),
                   index % _GROUPS if draws.independent else repetition)
            for repetition in range(draws.repetitions) for index, start in enumerate(starts)]


class _Study:
    """One propagation: where it is, and what it has added up."""

    def __init__(self, evaluate: Evaluate, inputs: RandomInputs, wishes: Wishes, names: Sequence[str] | None,
                 watcher: Watcher | None, saved: Checkpoint) -> None:
        self._evaluate, self._inputs, self._wishes, self._names = evaluate, inputs, wishes, names
        self._watcher, self._saved = watcher, saved
        self._draws = _study_draws(inputs, wishes)
        self._tally: Tally | None = None
        self._indices: Indices | None = None
        self._chosen: list[int] = []
        self._groups = input_groups(inputs) if wishes.sensitivity else []
        self._base = self._base_draws() if wishes.sensitivity else None
        self._done, self._seconds, self._position = 0, 0.0, 0
        if names is not None:
            self._choose(len(names))

    def run(self) -> None:
        """All blocks that the file does not hold."""
        state = self._saved.load()
        if state is not None:
            self._restore(*state)
        for number, step in enumerate(self._steps()):
            if number < self._position:
                continue
            started = time.perf_counter()
            step()
            self._seconds += time.perf_counter() - started
            self._position = number + 1
            self._saved.offer(self._state)
            if self._watcher is not None:
                self._watcher(self._done, self._total)
        self._saved.offer(self._state, last=True)

    def answers(self) -> Answers:
        """What was added up, as estimates."""
        tally = self._tally
        assert_some(tally, self._done)
        names = [self._listed[index] for index in self._chosen]
        found = output_answers(tally, self._indices, [", ".join(self._columns(group)) for group in self._groups],
                               self._wishes, self._draws.independent)
        base = self._indices
        return Answers(method=self._wishes.draws, size=self._draws.size, evaluations=self._done, seconds=self._seconds,
                       confidence=float(self._wishes.confidence), outside=tally.outside,
                       failed=tally.failed, outputs=dict(zip(names, found, strict=True)),
                       base_points=0 if base is None else base.used + base.failed,
                       failed_base_points=0 if base is None else base.failed)

    # --- steps --------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Callable[[], None]]:
        for block in _blocks(self._draws):
            yield lambda block=block: self._draw(block)
        if self._base is not None:
            for block in _blocks(self._base, grouped=False):
                yield lambda block=block: self._pick_freeze(block)

    @property
    def _total(self) -> int:
        return self._draws.size + (0 if self._base is None else self._base.size * (len(self._groups) + 2))

    def _draw(self, block: _Block) -> None:
        mu = self._inputs.ppf(self._draws.block(block.repetition, block.start, block.stop))
        outside = self._outside(mu)
        answer = self._at(mu)
        if self._tally is None:
            self._tally = self._new_tally(len(answer.output))
        self._tally.add(block.repetition, block.group, block.start, answer)
        self._tally.outside += outside

    def _pick_freeze(self, block: _Block) -> None:
        p = self._inputs.size
        unit = self._base.block(block.repetition, block.start, block.stop)
        a, b = unit[:, :p], unit[:, p:]
        first, second = (self._at(self._inputs.ppf(points)).output for points in (a, b))
        mixed = np.empty((len(self._groups), *first.shape))
        for row, group in enumerate(self._groups):
            points = a.copy()
            points[:, group] = b[:, group]
            mixed[row] = self._at(self._inputs.ppf(points)).output
        if self._indices is None:
            self._indices = self._new_indices()
        self._indices.add(0 if self._base.independent else block.repetition, first, second, mixed)

    def _at(self, mu: Array) -> Evaluated:
        """The chosen outputs at mu, by batches."""
        answer = in_batches(self._evaluate, mu, self._wishes.batch)
        self._done += len(mu)
        if not self._chosen:
            self._choose(len(answer.output))
        if len(answer.output) != len(self._listed):
            raise InputError(f"the model returns {len(answer.output)} outputs; {len(self._listed)} are named "
                             f"({', '.join(self._listed[:20])}).")
        error = None if answer.output_error is None else answer.output_error[self._chosen]
        return Evaluated(answer.output[self._chosen], error, answer.kind)

    def _outside(self, mu: Array) -> int:
        if self._wishes.outside == "refuse":
            refuse_outside(self._inputs, mu)
        return int(np.count_nonzero(self._inputs.outside(mu)))

    # --- beginnings ---------------------------------------------------------------------------------------------------

    def _choose(self, outputs: int) -> None:
        self._listed = [f"output_{index}" for index in range(outputs)] if self._names is None else list(self._names)
        self._chosen = self._wishes.chosen(self._listed)

    def _columns(self, group: Sequence[int]) -> list[str]:
        return [self._inputs.columns[column] for column in group]

    def _base_draws(self) -> Draws:
        return Draws(self._wishes.draws, self._wishes.base_points(len(self._groups)), 2 * self._inputs.size,
                     self._wishes.seed, self._wishes.repetitions, stream=_STREAMS["indices"],
                     weights=np.tile(1.0 / np.arange(1, self._inputs.size + 1), 2).tolist())

    def _new_tally(self, outputs: int) -> Tally:
        names = [self._listed[index] for index in self._chosen]
        cells = self._wishes.density or len(self._wishes.quantiles) > 0
        return Tally(outputs, self._draws.repetitions, max(block.group for block in _blocks(self._draws)) + 1,
                     self._draws.each, self._wishes.thresholds(names), list(self._wishes.quantiles), cells)

    def _new_indices(self) -> Indices:
        assert_some(self._tally, self._done)
        origin, unit = self._tally.scale()
        return Indices(self._base.repetitions, len(self._groups), origin, unit)

    # --- going on -----------------------------------------------------------------------------------------------------

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays = {f"tally/{name}": values for name, values in self._tally.arrays().items()}
        if self._indices is not None:
            arrays |= {f"indices/{name}": values for name, values in self._indices.arrays().items()}
        return arrays, {"position": self._position, "evaluations": self._done, "seconds": self._seconds,
                        "outputs": len(self._listed)}

    def _restore(self, arrays: dict[str, Any], about: dict[str, Any]) -> None:
        self._position, self._done, self._seconds = about["position"], about["evaluations"], about["seconds"]
        self._choose(about["outputs"])
        self._tally = self._new_tally(len(self._chosen))
        self._tally.restore(_below("tally/", arrays))
        if "indices/pairs" in arrays:
            self._indices = self._new_indices()
            self._indices.restore(_below("indices/", arrays))


def refuse_outside(inputs: RandomInputs, mu: Array) -> None:
    """Refuse draws mu (k, p) outside the range for which the model was built.

    Raises
    ------
    ParameterError
        Some are: which column, how many, and what to do.
    """
    count, space = int(np.count_nonzero(inputs.outside(mu))), inputs.space
    if not count:
        return
    beyond = (mu < space.low) | (mu > space.high)
    column = int(np.argmax(beyond.sum(axis=0)))
    value = float(mu[beyond[:, column], column][0])
    raise ParameterError(
        f"{100.0 * count / len(mu):.3g} % of {len(mu)} draws are outside the range for which the model was built, most "
        f"often by {inputs.columns[column]}, such as {shown(value)} outside [{shown(float(space.low[column]))}, "
        f"{shown(float(space.high[column]))}]; give it a distribution within, build the model on a larger range, or "
        "write [uq] outside = \"flag\".")


def input_groups(inputs: RandomInputs) -> list[list[int]]:
    """Columns that depend on each other, group by group; each is one input for the Sobol' indices.

    Raises
    ------
    InputError
        All inputs depend on each other.
    """
    groups = [list(group) for group in inputs.groups]
    if len(groups) == 1 and inputs.size > 1:
        raise InputError("sensitivity: all inputs depend on each other by the copula, so that no part of the variance "
                         "belongs to one of them; ask for no indices, or for a copula with independent groups.")
    return groups


def assert_some(tally: Tally | None, done: int) -> None:
    """Raise SolveFailed unless enough draws have answers for intervals."""
    counts = np.zeros(1) if tally is None else tally.groups[:, 0, 0]
    if np.count_nonzero(counts) < min(_LEAST_GROUPS, max(2, len(counts))):
        raise SolveFailed(f"only {int(counts.sum())} of {done} draws have an answer, too few for intervals; look at "
                          "why the model fails, or narrow the distributions.")


def _below(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
