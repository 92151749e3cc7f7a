"""The draws of a study's reduced model: in this process, or by tasks whose answers stay in the run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import InputError
from romflow.reduction.dictionary.task_table import TASKS
from romflow.reduction.mechanics.runner import Tasks
from romflow.rom.dictionary.model import RomDictionary, is_mechanics
from romflow.rom.model import ReducedModel
from romflow.tasks.executor import Executor
from romflow.uq.bootstrap import LEAST_DRAWS, bootstrap
from romflow.uq.evaluation import Evaluated
from romflow.uq.paired.bias import LEAST_PAIRS, reduced_bias
from romflow.uq.wishes import Wishes
from romflow.walk.reduced_draws import CHUNK, ReducedDraws
from romflow.walk.truth import Truth
from romflow.walk.watcher import MODEL

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["DRAWS", "LARGEST_TABLE", "bootstrapped", "control_bias", "offline_files", "study_draws"]

#: The table of all draws, in the run folder.
DRAWS = "draws.csv"
#: Draws that are kept at most.
LARGEST_TABLE = 100_000
_LARGE_CHUNK = 4096  # rows of a task where an evaluation takes microseconds
_RESAMPLES = 2000


def study_draws(study: Study, rom: ReducedModel, truth: Truth, executor: Executor,
                folder: Path) -> ReducedDraws | None:
    """What evaluates the reduced model of a run by chunks; None where it is cheap and there is nothing to fall back to.

    Parameters
    ----------
    study : Study
        With a table [uq].
    rom : ReducedModel
        That in the run folder.
    truth : Truth
    executor : Executor
    folder : Path
        Of the run.
    """
    wish = None if study.config.uq is None else study.config.uq.distribute
    costly = is_mechanics(rom)
    if wish is not True and not costly and not isinstance(rom, RomDictionary):
        return None
    remote = costly if wish == "auto" else bool(wish)
    offline, steps = offline_files(rom, folder), 0
    if offline and study.config.dictionary is not None:
        steps = study.config.dictionary.fallback.full_order_steps
    return ReducedDraws(_tasks(truth, executor if remote else None), folder / MODEL, folder / "uq" / "draws",
                        chunk=CHUNK if costly else _LARGE_CHUNK, offline=offline, full_order_steps=steps, rom=rom)


def offline_files(rom: ReducedModel, folder: Path) -> list[Path]:
    """Files of the offline data of each local model of a dictionary of mechanics; none where one is missing.

    A model without a calibrated indicator cannot tell where a full-order step is needed: it has none.
    """
    if not (isinstance(rom, RomDictionary) and is_mechanics(rom)):
        return []
    files = [folder / f"offline_{number}.h5" for number in range(len(rom.models))]
    calibrated = all(getattr(model, "calibration", None) is not None for model in rom.models)
    return files if calibrated and all(file.exists() for file in files) else []


def bootstrapped(names: Sequence[str], output: np.ndarray, resamples: int, wishes: Wishes) -> dict[str, Any] | None:
    """Bootstrap intervals of the outputs (o, N) that a study asks for, in JSON form; None of too few draws."""
    chosen = wishes.chosen(names)
    if np.count_nonzero(np.isfinite(output[chosen]).all(axis=0)) < LEAST_DRAWS:
        return None
    kept = [names[row] for row in chosen]
    found = bootstrap(kept, output[chosen], resamples, quantiles=wishes.quantiles, exceedance=wishes.exceedance,
                      confidence=wishes.confidence, seed=wishes.seed)
    return {"resamples": resamples, "confidence": wishes.confidence,
            "outputs": {name: one.plain() for name, one in found.items()}}


def control_bias(names: Sequence[str], full: Evaluated, reduced: Evaluated, drawn: np.ndarray | None,
                 resamples: int, confidence: float, seed: int) -> Mapping[str, Any] | None:
    """The reduced model's bias on the control draws in JSON form, None where too few pairs have answers.

    Parameters
    ----------
    names : sequence of str
    full, reduced : Evaluated
        At the same draws.
    drawn : (o, N) or None
        The reduced model at other, independent draws.
    resamples : int
        2000 where 0.
    """
    good = np.isfinite(full.output).all(axis=0) & np.isfinite(reduced.output).all(axis=0)
    if np.count_nonzero(good) < LEAST_PAIRS:
        return None
    if drawn is not None and np.count_nonzero(np.isfinite(drawn).all(axis=0)) < LEAST_PAIRS:
        drawn = None
    found = reduced_bias(names, full.output, reduced.output, drawn, resamples=resamples or _RESAMPLES,
                         confidence=confidence, seed=seed)
    return {"resamples": resamples or _RESAMPLES, "confidence": confidence,
            "outputs": {name: one.plain() for name, one in found.items()}}


def _tasks(truth: Truth, executor: Executor | None) -> Tasks:
    """tasks(kernel, shared, parts) by the workers, or in this process."""
    def parts_there(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        return executor.parts(kernel, truth.request, truth.store.folder, shared, parts)  # type: ignore[union-attr]

    def parts_here(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        if kernel not in TASKS:
            raise InputError(f"no kernel of draws is called {kernel!r}")
        return [TASKS[kernel](truth.fom, str(truth.store.folder), part, **shared) for part in parts]

    return parts_here if executor is None else parts_there
