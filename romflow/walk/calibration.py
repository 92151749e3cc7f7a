"""Calibration within a run: the reduced model answers, and the full-order model decides where its error asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.rom.model import ReducedModel
from romflow.uq.bayes.calibration import CalibrationWishes, calibrate
from romflow.uq.bayes.data import Data
from romflow.uq.bayes.observed import of_reduced_in_time
from romflow.uq.evaluation import of_reduced
from romflow.uq.inputs import RandomInputs
from romflow.walk.full_order import FullOrder

if TYPE_CHECKING:
    from romflow.core.uq_section import CalibrationConfig

__all__ = ["calibrated"]


def calibrated(config: CalibrationConfig, base: Path, rom: ReducedModel, full_order: FullOrder, inputs: RandomInputs,
               confidence: float, folder: Path, model: str,
               watcher: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """The posterior of the inputs given the measurements that [uq.calibration] names, as JSON.

    Parameters
    ----------
    config : CalibrationConfig
    base : Path
        Folder of the study file.
    rom, full_order
        What answers, and what decides.
    inputs : RandomInputs
        The prior.
    confidence : float
    folder : Path
        Where the chains are kept.
    model : str
        Fingerprint of the reduced model.
    watcher : callable, optional

    Raises
    ------
    NotSupported
        Measurements over time of a model at rest.
    InputError
        The measurements are not there or break a rule.
    """
    data = Data.from_csv(base / config.data)
    wishes = CalibrationWishes(config.sampler, config.size, config.chains, config.burn_in, config.thin,
                               config.tolerance, config.seed, confidence)
    names: tuple[str, ...] | None = rom.output_names
    evaluate, truth = of_reduced(rom), _truth(full_order)
    if data.times is not None:
        evaluate, truth, names = of_reduced_in_time(rom, data), _truth_in_time(full_order, data), None
    found = calibrate(evaluate, inputs, data, wishes, names=names, folder=folder, model=model, watcher=watcher,
                      truth=None if config.tolerance is None else truth)
    return found.plain()


def _truth(full_order: FullOrder) -> Callable[[np.ndarray], np.ndarray]:
    return lambda mu: full_order(mu).output


def _truth_in_time(full_order: FullOrder, data: Data) -> Callable[[np.ndarray], np.ndarray]:
    """Full-order outputs (d, k) at the measured times; NaN where a solve failed."""

    def truth(mu: np.ndarray) -> np.ndarray:
        solved = np.isfinite(full_order(mu).output).all(axis=0)
        values = np.full((len(data), len(mu)), np.nan)
        times, store = full_order.truth.fom.times, full_order.truth.store
        for j in np.flatnonzero(solved):
            series = store.trajectory(mu[j]).series
            values[:, j] = data.in_time(series[:, :, None], times, full_order.names)[:, 0]
        return values

    return truth
