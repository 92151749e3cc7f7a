"""Reduced evolution models with a local basis for each of some contiguous time windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported, SolveFailed
from romflow.linalg.stepping.control import StepControl
from romflow.linalg.stepping.march import march
from romflow.rom.evolution import EvolutionReducedModel, failed_columns
from romflow.rom.evolution_sensitivity import ReducedTangentSystem, marched
from romflow.rom.evolution_system import ReducedSystem

__all__ = ["WindowedReducedModel"]

KIND = "windowed"


@dataclass(frozen=True)
class WindowedReducedModel(EvolutionReducedModel):
    """An evolution model on local bases V G_w, one a time window, with trajectories and bounds in the common basis V.

    Window w finds the states of the times boundaries[w] .. boundaries[w + 1] - 1. Its first step starts from the last
    state of the window before, of which the Galerkin equation sees V G_w's part in M alone; its residual is that of the
    step as it was made, from one basis into the next, so that the bound needs no further term.

    Attributes
    ----------
    boundaries : (W + 1,) int
    local : tuple of W arrays (R, r_w)
        G_w with orthonormal columns; R is the size of the common basis.
    """

    boundaries: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    local: tuple[np.ndarray, ...] = ()

    def truncate(self, size: int) -> EvolutionReducedModel:
        """Not possible: the local bases are no nested parts of the common one.

        Raises
        ------
        NotSupported
            Always, but for the size that the model has.
        """
        if size == self.size:
            return self
        raise NotSupported("a model with time windows cannot be truncated; reduce again with a smaller max_size")

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        _, arrays, metadata = super().to_arrays()
        arrays |= {f"windows/local_{w}": G for w, G in enumerate(self.local)}
        return KIND, arrays | {"windows/boundaries": self.boundaries}, metadata

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> WindowedReducedModel:
        """The model that `to_arrays` described."""
        whole = EvolutionReducedModel.from_arrays(arrays, metadata)
        boundaries = arrays["windows/boundaries"].astype(int)
        return windowed(whole, boundaries, [arrays[f"windows/local_{w}"] for w in range(len(boundaries) - 1)])

    def tangent_states(self, system: ReducedTangentSystem) -> Iterator[tuple[int, np.ndarray]]:
        """Index of each time, and the states with their derivatives (R, (1 + p) b) there, in the common basis."""
        states = system.start()
        for w, (G, model) in enumerate(zip(self.local, self._models, strict=True)):
            inner, first = ReducedTangentSystem(model, system.mu), max(int(self.boundaries[w]) - 1, 0)
            for index, local in marched(model, inner, model.mass_inverse @ (G.T @ (self.mass @ states))):
                states = G @ local
                if index or not w:
                    yield first + index, states
            system.lost |= inner.lost

    @cached_property
    def _models(self) -> list[EvolutionReducedModel]:
        """The model of each window, whose times begin with the last one of the window before."""
        models = []
        for w, G in enumerate(self.local):
            first, stop = max(int(self.boundaries[w]) - 1, 0), int(self.boundaries[w + 1])
            models.append(_projected(self, G, self.times[first:stop]))
        return models

    def _march(self, system: ReducedSystem, X: np.ndarray, alive: np.ndarray) -> np.ndarray | None:
        control = None if self.control is None else StepControl(*self.control)
        columns = slice(None) if alive.size == X.shape[2] else alive
        x = self.start(system.mu)
        for w, (G, model) in enumerate(zip(self.local, self._models, strict=True)):
            inner, first = ReducedSystem(model, system.mu), max(int(self.boundaries[w]) - 1, 0)
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    start = model.mass_inverse @ (G.T @ (self.mass @ x))
                    for step in march(inner, self.scheme, model.times, start, control=control):
                        if step.index or not w:
                            X[first + step.index, :, columns] = _placed(G @ step.state, columns)
            except SolveFailed as failure:
                return failed_columns(failure, alive.size)
            x = G @ step.state
            system.lost |= inner.lost
        return None


def windowed(whole: EvolutionReducedModel, boundaries: np.ndarray, local: list[np.ndarray]) -> WindowedReducedModel:
    """The model with these windows on the basis of `whole`."""
    fields = {name: getattr(whole, name) for name in EvolutionReducedModel.__dataclass_fields__}
    return WindowedReducedModel(**fields, boundaries=np.asarray(boundaries), local=tuple(local))


def _placed(state: np.ndarray, columns: Any) -> np.ndarray:
    return state if isinstance(columns, slice) else state.T


def _projected(whole: EvolutionReducedModel, G: np.ndarray, times: np.ndarray) -> EvolutionReducedModel:
    """The model on V G over some times; its states are coordinates in G. Its residual is not used."""
    plain = EvolutionReducedModel(**{name: getattr(whole, name) for name in EvolutionReducedModel.__dataclass_fields__})
    return replace(plain, basis=G, times=times, mass=G.T @ whole.mass @ G, operator=G.T @ whole.operator @ G,
                   rhs=whole.rhs @ G, initial=whole.initial @ G, output=whole.output @ G,
                   nonlinear=None if whole.nonlinear is None else whole.nonlinear.rotated(G))
