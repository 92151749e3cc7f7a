"""Draws of a reduced model as tasks: chunks of rows, and single rows that full-order steps are spent on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ParameterError, SolveFailed, StoreError
from romflow.core.files import refused
from romflow.core.fingerprint import file_fingerprint, fingerprint
from romflow.reduction.mechanics.adaptivity import AdaptiveSettings, adaptive_run
from romflow.reduction.mechanics.full_step import STEP_KERNELS
from romflow.reduction.mechanics.offline import OfflineData
from romflow.rom.dictionary.answer import ENRICHED, REFUSED
from romflow.rom.halving import solved_parts
from romflow.rom.loading import load
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.artefact import read_artefact, write_artefact

__all__ = ["DRAWS", "STEPS", "DrawAnswers", "answered", "answers_file", "draw_chunk", "enriched_draw",
           "joined_answers", "kept_answers", "kept_rows", "most_flow", "read_rows"]

#: Names of the kernels.
DRAWS, STEPS = "dictionary-draws", "dictionary-enriched"

_KIND, _ROWS = "draws", "rows-of-draws"
_ARRAYS = ("output", "error", "status", "chosen", "hopeful")


@dataclass(frozen=True, eq=False)
class DrawAnswers:
    """What a reduced model answers at b draws.

    Attributes
    ----------
    output : (o, b)
        Not a number where the draw is refused.
    output_error : (o, b) or None
    kind : "bound", "indicator" or None
    error : (b,)
        Relative, as the model estimates it.
    status : (b,) int
        0 the recommended model, 1 the second cluster, 2 enriched by full-order steps, 3 refused.
    chosen : (b,) int
        Number of the local model.
    hopeful : (b,) bool
        Refused for its error alone, so that full-order steps may help.
    seconds : float
        Processor seconds in which they were found.
    """

    output: np.ndarray
    output_error: np.ndarray | None
    kind: str | None
    error: np.ndarray
    status: np.ndarray
    chosen: np.ndarray
    hopeful: np.ndarray
    seconds: float = 0.0


def answered(rom: Any, mu: np.ndarray) -> DrawAnswers:
    """What the model answers at mu (b, p), without a check of its range; a draw that cannot be solved is refused.

    A draw whose system is singular fails a whole batch of some models, which is halved until the others have their
    answers.
    """
    parts = solved_parts(lambda rows: rom.solve(rows, check=False), mu, (SolveFailed, ParameterError))
    return joined_answers([_nothing(len(rom.output_names)) if answer is None else
                           _told(rom, answer, rows.stop - rows.start) for rows, answer in parts])


def _told(rom: Any, answer: Any, b: int) -> DrawAnswers:
    """What an answer of b draws says of them."""
    status = np.array(getattr(answer, "status", np.zeros(b, dtype=np.int64)), dtype=np.int64)
    output = np.array(answer.output, dtype=np.float64)
    solved = np.asarray(getattr(answer, "converged", np.ones(b, dtype=bool)))
    status[~(solved & np.isfinite(output).all(axis=0))] = REFUSED
    output[:, status == REFUSED] = np.nan
    chosen = np.array(getattr(answer, "chosen", np.zeros(b, dtype=np.int64)), dtype=np.int64)
    known = answer.kind is not None and answer.output_error is not None
    return DrawAnswers(output, np.array(answer.output_error, dtype=np.float64) if known else None, answer.kind,
                       np.array(answer.relative_error, dtype=np.float64), status, chosen,
                       (status == REFUSED) & _familiar(rom, answer, b))


def draw_chunk(fom: Any, store_folder: str | Path, part: int, model: str, identity: str, folder: str, rows: str,
               chunk: int) -> dict[str, np.ndarray]:
    """The answers of chunk number `part` of the rows in a file, left in a file of their own.

    Parameters
    ----------
    model, identity : str
        File of the reduced model and its fingerprint.
    folder, rows : str
        Where answers are kept, and the name of the file of the rows there.
    chunk : int
        Rows of a chunk.

    Returns
    -------
    dict
        "made", the number of rows that were evaluated.
    """
    mu = read_rows(folder, rows)[part * chunk:(part + 1) * chunk]
    key = fingerprint({"model": identity, "mu": mu.tolist()})
    if kept_answers(folder, key) is None:
        rom, started = _model(model, identity), time.process_time()
        found = answered(rom, mu)
        _keep(folder, key, found, time.process_time() - started)
    return {"made": np.array(len(mu))}


def enriched_draw(fom: Any, store_folder: str | Path, part: int, folder: str, keys: Sequence[str],
                  mu: Sequence[Sequence[float]], chosen: Sequence[int], models: Sequence[str], offline: Sequence[str],
                  tolerance: float, share: float) -> dict[str, np.ndarray]:
    """Draw number `part` by its local model with full-order steps where the indicator asks for them.

    The steps begin where the reduced run flows most, ||p(t_j) - p(t_{j-1})|| being the largest, and the enriched model
    then goes from the start again: the one step that teaches most. The draw is refused where the indicator of the last
    time still exceeds the tolerance, or a step fails. The answer is left in a file; what the run worked with goes.

    Parameters
    ----------
    keys : sequence of str
        Of the answers' files.
    mu : (k, p)
    chosen : (k,) int
        Number of the local model of each draw.
    models, offline : sequence of str
        Files of the local models and of their offline data.
    tolerance, share : float
        Of the adaptive run: the indicator's tolerance, and the largest share of full-order steps.

    Returns
    -------
    dict
        "full_order_steps"
    """
    key, number, started = keys[part], int(chosen[part]), time.process_time()
    place, row = Path(folder) / f"adaptive-{key[:32]}", np.array(mu[part], dtype=np.float64)
    rom, data = _local(*_stamped(models[number])), _offline(*_stamped(offline[number]))

    def here(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, Any]]:
        return [STEP_KERNELS[kernel](fom, store_folder, one, **shared) for one in parts]

    try:
        settings = AdaptiveSettings(tolerance, share, after=most_flow(rom, row))
        found = adaptive_run(here, fom, rom, data, row, settings, place, kept=False)
    except (SolveFailed, ParameterError) as failure:
        steps = int((getattr(failure, "report", None) or {}).get("full_order_steps", 0))
        answers = _nothing(len(rom.output_names), number)
    else:
        steps, last = found.full_order_steps, found.answer
        answers = _enriched(last.output, float(last.error_series[-1, 0]), tolerance, number)
    _keep(folder, key, answers, time.process_time() - started, {"full_order_steps": steps})
    shutil.rmtree(place, ignore_errors=True)
    return {"full_order_steps": np.array(steps)}


def most_flow(rom: MechanicsReducedModel, mu: np.ndarray) -> float:
    """The time before the step in which the measured field of the reduced run at mu (p,) changes most, in L2."""
    steps = np.diff(rom.solve(mu[None], check=False).dual[rom.measure][:, :, 0], axis=0)
    sizes = np.einsum("ki,ij,kj->k", steps, rom.gram, steps)
    return float(rom.times[int(np.argmax(np.nan_to_num(sizes)))])


def joined_answers(parts: Sequence[DrawAnswers]) -> DrawAnswers:
    """All of them one after the other; errors of outputs only where all have them."""
    errors = [part.output_error for part in parts if part.output_error is not None]
    whole = len(errors) == len(parts)
    kinds = {part.kind for part in parts}
    kind = kinds.pop() if len(kinds) == 1 else "indicator"
    rest = (np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS[1:])
    return DrawAnswers(np.concatenate([part.output for part in parts], axis=1),
                       np.concatenate(errors, axis=1) if whole else None, kind, *rest,
                       seconds=sum(part.seconds for part in parts))


def answers_file(folder: str | Path, key: str) -> Path:
    """Where the answers with a key are, or would be."""
    return Path(folder) / f"{key[:32]}.h5"


def kept_answers(folder: str | Path, key: str) -> tuple[DrawAnswers, dict[str, Any]] | None:
    """Answers that an earlier task has left, with its facts; None where they are missing, damaged or others."""
    try:
        kind, arrays, about = read_artefact(answers_file(folder, key))
    except StoreError:
        return None
    if kind != _KIND or about.get("key") != key:
        return None
    own = {name: arrays[name] for name in _ARRAYS}
    return DrawAnswers(**own, output_error=arrays.get("output_error"), kind=about["kind"],
                       seconds=about["seconds"]), about


def kept_rows(folder: str | Path, mu: np.ndarray) -> str:
    """Name of the file in which the rows mu (k, p) are now."""
    name = f"rows-{fingerprint(mu.tolist())[:32]}.h5"
    write_artefact(Path(folder) / name, _ROWS, {"mu": mu}, {})
    return name


def read_rows(folder: str | Path, name: str) -> np.ndarray:
    """The rows (k, p) in a file that `kept_rows` has written.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    return np.asarray(read_artefact(Path(folder) / name)[1]["mu"])


def _keep(folder: str | Path, key: str, found: DrawAnswers, seconds: float,
          facts: dict[str, Any] | None = None) -> None:
    arrays = {name: getattr(found, name) for name in _ARRAYS}
    if found.output_error is not None:
        arrays["output_error"] = found.output_error
    write_artefact(answers_file(folder, key), _KIND, arrays,
                   {"key": key, "kind": found.kind, "seconds": seconds, **(facts or {})})


def _nothing(outputs: int, chosen: int = 0) -> DrawAnswers:
    """One draw that has no answer."""
    nothing = np.full((outputs, 1), np.nan)
    return DrawAnswers(nothing, nothing, "bound", np.full(1, np.inf), np.array([REFUSED]), np.array([chosen]),
                       np.zeros(1, dtype=bool))


def _enriched(output: np.ndarray, indicator: float, tolerance: float, chosen: int) -> DrawAnswers:
    """One draw after its full-order steps."""
    good = indicator <= tolerance and bool(np.isfinite(output).all())
    return DrawAnswers(output if good else np.full_like(output, np.nan), np.full_like(output, np.nan), "indicator",
                       np.array([indicator if good else np.inf]), np.array([ENRICHED if good else REFUSED]),
                       np.array([chosen]), np.zeros(1, dtype=bool))


def _familiar(rom: Any, answer: Any, b: int) -> np.ndarray:
    """Which draws (b,) are near enough to what was trained for full-order steps to help."""
    novelty = getattr(answer, "novelty", None)
    if novelty is None:
        return np.zeros(b, dtype=bool)
    return np.asarray(novelty) <= rom.recommender.limit


def _stamped(path: str) -> tuple[str, int]:
    """A file with the time of its last change, for what is kept of it."""
    try:
        return path, Path(path).stat().st_mtime_ns
    except OSError as error:
        raise refused("read", Path(path), error) from error


@lru_cache(maxsize=2)
def _local(path: str, changed: int) -> MechanicsReducedModel:
    """The local model in a file."""
    return MechanicsReducedModel.from_arrays(*read_artefact(Path(path))[1:])


@lru_cache(maxsize=2)
def _offline(path: str, changed: int) -> OfflineData:
    """The offline data of a local model."""
    return OfflineData.load(path)


@lru_cache(maxsize=1)
def _model(path: str, identity: str) -> Any:
    """The reduced model in a file, which must still be the one that was meant."""
    if file_fingerprint(path) != identity:
        raise StoreError(f"{path} has changed since its draws were asked for; run the study again")
    return load(path)
