"""What a dictionary of reduced models answers: the answers of its local models, each in its own block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from romflow.rom.evolution_answer import EvolutionAnswer
from romflow.rom.mechanics.answer import MechanicsAnswer
from romflow.rom.model import Answer
from romflow.rom.nonlinear import NonlinearAnswer

__all__ = ["ENRICHED", "RECOMMENDED", "REFUSED", "SECOND", "STATUS", "Blocks", "Chosen", "DictionaryAnswer",
           "DictionaryEvolutionAnswer", "DictionaryMechanicsAnswer", "columns_of", "local_part", "merged", "refused",
           "with_columns"]

#: Codes of `Chosen.status`.
RECOMMENDED, SECOND, ENRICHED, REFUSED = 0, 1, 2, 3
#: Their words.
STATUS = ("recommended", "second", "enriched", "refused")
# Fields of answers whose second to last axis holds a block for each local model, and those that are no arrays of draws.
_BLOCKED, _COMMON = ("coefficients", "trajectory", "dual"), ("kind", "times")


@dataclass(frozen=True)
class Chosen:
    """Which local model answers for each of b draws, and how that came about.

    Attributes
    ----------
    chosen : (b,) int
        Number of the local model.
    status : (b,) int
        0: the recommended model; 1: that of the second cluster; 2: enriched by full-order steps; 3: refused, outputs
        and coefficients are then NaN and errors infinite.
    probability : (b,)
        That of the chosen cluster.
    novelty : (b,)
        Distance to the training, relative to its own spread.
    estimate : (b,)
        Relative error estimate of the chosen model, also where the draw was refused by it; NaN where the model has
        none, infinite where it was not solved.
    """

    chosen: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    status: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    probability: np.ndarray = field(default_factory=lambda: np.zeros(0))
    novelty: np.ndarray = field(default_factory=lambda: np.zeros(0))
    estimate: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def refused(self) -> np.ndarray:
        """Which draws have no answer (b,)."""
        return self.status == REFUSED

    def shares(self) -> dict[str, float]:
        """Shares of the draws by status: "recommended", "second", "enriched", "refused"."""
        count = max(1, len(self.status))
        return {name: float(np.count_nonzero(self.status == code)) / count for code, name in enumerate(STATUS)}


@dataclass(frozen=True)
class DictionaryAnswer(Chosen, NonlinearAnswer):
    """Answer of a dictionary of models at rest."""


@dataclass(frozen=True)
class DictionaryEvolutionAnswer(Chosen, EvolutionAnswer):
    """Answer of a dictionary of models that move in time."""


@dataclass(frozen=True)
class DictionaryMechanicsAnswer(Chosen, MechanicsAnswer):
    """Answer of a dictionary of models of mechanics."""


_EXTENDED: tuple[tuple[type[Answer], type[Any]], ...] = (
    (MechanicsAnswer, DictionaryMechanicsAnswer), (EvolutionAnswer, DictionaryEvolutionAnswer),
    (Answer, DictionaryAnswer))
_LOCAL: dict[type[Any], type[Any]] = {
    DictionaryMechanicsAnswer: MechanicsAnswer, DictionaryEvolutionAnswer: EvolutionAnswer,
    DictionaryAnswer: NonlinearAnswer}


@dataclass(frozen=True)
class Blocks:
    """Rows of each local model in the coefficients of all.

    Attributes
    ----------
    rows : (K + 1,) int
        Block k of the coefficients is rows[k] .. rows[k + 1] - 1.
    dual : dict of str to (K + 1,) int
        The same for each dual field.
    """

    rows: np.ndarray
    dual: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, sizes: Sequence[int], dual: Mapping[str, Sequence[int]]) -> Blocks:
        """Blocks of these lengths one behind the other."""
        return cls(_starts(sizes), {name: _starts(lengths) for name, lengths in dual.items()})

    def block(self, k: int, name: str | None = None) -> slice:
        """The rows of local model k, in the coefficients or in those of a dual field."""
        starts = self.rows if name is None else self.dual[name]
        return slice(int(starts[k]), int(starts[k + 1]))

    @property
    def size(self) -> int:
        """Rows of all blocks together."""
        return int(self.rows[-1])


def _starts(lengths: Sequence[int]) -> np.ndarray:
    return np.append(0, np.cumsum(np.asarray(lengths, dtype=int)))


def columns_of(answer: Any, which: Any) -> Any:
    """The answer for some draws: a slice, or numbers (j,) of columns.

    Examples
    --------
    >>> answer = Answer(np.ones((1, 3)), np.arange(3.0), "bound", np.zeros((2, 3)), np.ones(3))
    >>> columns_of(answer, [2]).error
    array([2.])
    """
    return replace(answer, **{f.name: _columns(f.name, getattr(answer, f.name), which) for f in fields(answer)})


def _columns(name: str, values: Any, which: Any) -> Any:
    if name in _COMMON or values is None:
        return values
    if isinstance(values, dict):
        return {key: entry[..., which] for key, entry in values.items()}
    return values[which] if name == "mu" else values[..., which]


def with_columns(answer: Any, which: np.ndarray, other: Any) -> Any:
    """The answer with the draws `which` (j,) replaced by those of another answer, which has j."""
    return replace(answer, **{f.name: _replaced(f.name, getattr(answer, f.name), getattr(other, f.name), which)
                              for f in fields(answer)})


def _replaced(name: str, values: Any, others: Any, which: np.ndarray) -> Any:
    if name in _COMMON or values is None:
        return values
    if isinstance(values, dict):
        return {key: _replaced(key, entry, others[key], which) for key, entry in values.items()}
    found = values.copy()
    if name == "mu":
        found[which] = others
    else:
        found[..., which] = others
    return found


def merged(parts: Sequence[tuple[int, np.ndarray, Any]], blocks: Blocks, mu: np.ndarray, kind: str | None) -> Any:
    """One answer for draws mu (b, p) from those of local models, zero outside the block of each draw's own model.

    Parameters
    ----------
    parts : sequence of (k, columns (j,) int, answer for j draws)
        At least one, with no draw or more; a draw is in one of them, or has no solution.
    blocks : Blocks
    mu : (b, p)
    kind : str or None
        Of the errors of all.
    """
    first, b = parts[0][2], len(mu)
    extended = next(made for base, made in _EXTENDED if isinstance(first, base))
    own = {f.name: _merged(f.name, parts, blocks, b) for f in fields(first) if f.name != "kind"}
    chosen, converged = np.zeros(b, dtype=int), np.zeros(b, dtype=bool)
    for k, columns, answer in parts:
        chosen[columns] = k
        known = getattr(answer, "converged", None)
        solved = np.isfinite(answer.coefficients).all(axis=0) & np.isfinite(answer.output).all(axis=0)
        converged[columns] = solved if known is None else solved & known
    found = extended(**own | {"kind": kind, "converged": converged, "chosen": chosen,
                              "status": np.full(b, RECOMMENDED), "probability": np.ones(b), "novelty": np.zeros(b)})
    known = {"mu": mu} if isinstance(first, MechanicsAnswer) else {}
    return replace(found, **known, estimate=np.where(converged, found.relative_error, np.inf))


def _merged(name: str, parts: Sequence[tuple[int, np.ndarray, Any]], blocks: Blocks, b: int) -> Any:
    values = [getattr(answer, name) for _, _, answer in parts]
    if name == "times":
        return values[0]
    if any(entry is None for entry in values):
        return None
    if isinstance(values[0], dict):
        return {key: _scattered([entry[key] for entry in values], parts, b, lambda k, key=key: blocks.block(k, key),
                                int(blocks.dual[key][-1])) for key in values[0]}
    if name in _BLOCKED:
        return _scattered(values, parts, b, blocks.block, blocks.size)
    if name == "mu":
        return values[0]
    return _scattered(values, parts, b)


def _scattered(values: Sequence[np.ndarray], parts: Sequence[tuple[int, np.ndarray, Any]], b: int,
               block: Callable[[int], slice] | None = None, rows: int = 0) -> np.ndarray:
    """Columns at their draws; with blocks also the second to last axis at the rows of each local model."""
    if block is None:
        found = np.zeros((*values[0].shape[:-1], b), dtype=values[0].dtype)
    else:
        found = np.zeros((*values[0].shape[:-2], rows, b))
    for (k, columns, _), entry in zip(parts, values, strict=True):
        if block is None:
            found[..., columns] = entry
        else:
            # An index array and a slice side by side keep their axes in place.
            found[..., block(k), columns] = entry
    return found


def local_part(answer: Any, blocks: Blocks, k: int, which: Any) -> Any:
    """The answer of local model k for some draws, as that model itself gives it.

    Parameters
    ----------
    answer : DictionaryAnswer and the like
    blocks : Blocks
    k : int
    which : slice or (j,) int
    """
    base, part = _LOCAL[type(answer)], columns_of(answer, which)
    own = {f.name: getattr(part, f.name) for f in fields(base)}
    for name in {"coefficients", "trajectory"} & set(own):
        own[name] = own[name][..., blocks.block(k), :]
    if "dual" in own:
        own["dual"] = {name: entry[..., blocks.block(k, name), :] for name, entry in own["dual"].items()}
    return base(**own)


def refused(answer: Any, which: np.ndarray) -> Any:
    """The answer with the draws `which` (b,) bool refused: outputs and states NaN, errors infinite."""
    if not which.any():
        return answer
    blank: dict[str, Any] = {}
    for f in fields(answer):
        values = getattr(answer, f.name)
        if f.name in _NAN and values is not None:
            blank[f.name] = _blanked(values, which, np.nan)
        elif f.name in _INFINITE and values is not None:
            blank[f.name] = _blanked(values, which, np.inf)
    return replace(answer, **blank, converged=answer.converged & ~which,
                   status=np.where(which, REFUSED, answer.status))


def _blanked(values: Any, which: np.ndarray, blank: float) -> Any:
    if isinstance(values, dict):
        return {key: _blanked(entry, which, blank) for key, entry in values.items()}
    return np.where(which, blank, values)


_NAN = ("output", "coefficients", "norm", "trajectory", "series", "dual")
_INFINITE = ("error", "output_error", "error_series", "series_error", "interpolation_error")
