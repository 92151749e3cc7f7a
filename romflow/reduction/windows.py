"""Local bases of contiguous time windows for a reduced evolution model, from the trajectories it was built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.linalg.compression.windows import Windows, optimal_windows
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.trajectory_source import time_weights
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.windows import WindowedReducedModel, windowed

__all__ = ["check_windows", "with_windows"]


def check_windows(windows: int, window_size: int) -> None:
    """Raise ConfigError unless `windows` is a whole number from 1, and above 1 `window_size` too."""
    for name, value, least in (("windows", windows, 1), ("window_size", window_size, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"[reduction] {name} = {value!r}; the rule is a whole number from {least}")
    if (windows > 1) != (window_size > 0):
        raise ConfigError(f"[reduction] windows = {windows} with window_size = {window_size}; the rule is both (windows"
                          " from 2, and the size of each local basis) or neither")


def with_windows(model: EvolutionReducedModel, product: InnerProduct, trajectories: Sequence[Any], windows: int,
                 window_size: int) -> WindowedReducedModel:
    """The model with a local basis of `window_size` vectors in each of so many time windows.

    The windows are those with the least POD error of all contiguous ones (`romflow.linalg.compression.windows`), shared
    by all trajectories; they and the local bases are found among the coordinates of the trajectories in the basis of
    `model`, a piece at a time.

    Raises
    ------
    ConfigError
        More windows than steps.
    """
    steps = len(model.times) - 1
    if windows > steps:
        raise ConfigError(f"[reduction] windows = {windows}, and the model takes {steps} steps; the rule is at "
                          "least one step for each window")
    weighted, weights = product.apply(model.basis), time_weights(model.times)
    coordinates = [_coordinates(one, weighted) * weights for one in trajectories]
    found = optimal_windows(coordinates, windows, window_size)
    local = [_modes(np.hstack([C[:, part] for C in coordinates]), window_size) for part in found.parts]
    facts = {"boundaries": found.boundaries.tolist(), "sizes": [G.shape[1] for G in local], "error": found.error,
             "times": _ends(model.times, found)}
    return replace(windowed(model, found.boundaries, local), metadata=model.metadata | {"windows": facts})


def _coordinates(trajectory: Any, weighted: np.ndarray) -> np.ndarray:
    """V^T X u (R, K + 1)."""
    return np.hstack([weighted.T @ U for _, U in trajectory.pieces()])


def _modes(C: np.ndarray, size: int) -> np.ndarray:
    U, sigma, _ = np.linalg.svd(C, full_matrices=False)
    rank = int(np.count_nonzero(sigma > 1e-14 * sigma[0])) if sigma.size else 0
    return np.ascontiguousarray(U[:, :max(1, min(size, rank))])


def _ends(times: np.ndarray, found: Windows) -> list[float]:
    return [float(times[stop - 1]) for stop in found.boundaries[1:]]
