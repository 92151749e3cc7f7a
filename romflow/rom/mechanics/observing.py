"""What is kept of a reduced mechanics run: coefficients, dual fields, residuals and outputs at the stored times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from romflow.rom.mechanics.answer import MechanicsAnswer, ReducedState, guarded
from romflow.rom.mechanics.loads import StepData

if TYPE_CHECKING:
    from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["Observer", "Watch"]

# Values at rows of dual fields that wait for their coefficients.
_WAITING_NUMBERS = 2_000_000


class Watch:
    """Arrays of an answer, filled by observers of its draws."""

    def __init__(self, rom: MechanicsReducedModel, times: int, b: int) -> None:
        self.rom = rom
        liftings = rom.lifting.shape[1]
        self.trajectory = np.zeros((times, rom.size + liftings, b))
        self.dual = {name: np.zeros((times, dual.size, b)) for name, dual in rom.dual.items()}
        self.residual = np.zeros((times, b))
        self.series = np.zeros((len(rom.outputs), times, b))
        self.converged = np.ones(b, dtype=bool)
        self.halvings = np.zeros(b, dtype=int)

    def answer(self, mu: np.ndarray, times: np.ndarray) -> MechanicsAnswer:
        """The answer, once all draws have been observed."""
        rom, good = self.rom, self.converged
        indicator = np.where(good, rom.indicator(self.residual), np.inf if rom.calibration is not None else np.nan)
        z = self.dual[rom.measure]
        norm = guarded(np.sqrt(np.maximum(np.sum(z * (rom.gram @ z), axis=1), 0.0)))[-1]
        last = indicator[-1]
        with np.errstate(invalid="ignore"):
            error = np.where(np.isfinite(last), last / (1.0 + last) * norm, last)
        series = np.where(good, self.series, np.nan)
        return MechanicsAnswer(
            output=series[:, -1], error=error, kind=rom.error_kind, coefficients=self.trajectory[-1], norm=norm,
            times=times, trajectory=self.trajectory, series=series, error_series=indicator,
            series_error=np.full(series.shape, np.nan), output_error=np.full(series[:, -1].shape, np.nan),
            converged=good, residual=self.residual, dual=self.dual, mu=mu, halvings=self.halvings)

    def put(self, columns: np.ndarray, other: Watch) -> None:
        """Take what another watch has seen as that of some draws (j,)."""
        for name in ("trajectory", "residual", "series", "converged", "halvings"):
            getattr(self, name)[..., columns] = getattr(other, name)
        for name, values in self.dual.items():
            values[..., columns] = other.dual[name]

    def lose(self, columns: np.ndarray) -> None:
        """These draws (j,) cannot be marched at all."""
        for values in (self.trajectory, self.residual, self.series, *self.dual.values()):
            values[..., columns] = np.nan
        self.converged[columns] = False


class Observer:
    """Sees the states of some draws one after another; dual fields are found for many times at once."""

    def __init__(self, watch: Watch, part: slice) -> None:
        self.watch, self.part, self.rom = watch, part, watch.rom
        self._waiting: list[dict[str, np.ndarray]] = []
        self._loads: list[np.ndarray] = []
        self._first = 0

    def see(self, k: int, state: ReducedState, data: StepData | None) -> None:
        """Keep what the state of time number k says; without data nothing acts."""
        rom, watch = self.rom, self.watch
        watch.trajectory[k, :rom.size, self.part] = state.coefficients
        if data is not None:
            watch.trajectory[k, rom.size:, self.part] = data.lifting
        found = {name: rom.at_rows(name, state) for name in rom.dual}
        self._waiting.append(found)
        if any(output.load is not None for output in rom.outputs):
            coefficients = rom.load_theta(rom.loading.rows(state.mu, state.time))
            self._loads.append(coefficients if data is not None else np.zeros_like(coefficients))
        size = sum(values.size for values in found.values())
        if len(self._waiting) * max(1, size) >= _WAITING_NUMBERS:
            self._settle()

    def end(self, state: ReducedState) -> None:
        """All states have been seen, the last of which is given."""
        self._settle()
        self.watch.converged[self.part] = state.converged
        self.watch.halvings[self.part] = state.halvings

    def _settle(self) -> None:
        """Coefficients, residuals and outputs of the times that wait."""
        if not self._waiting:
            return
        rom, watch, count = self.rom, self.watch, len(self._waiting)
        block = slice(self._first, self._first + count)
        for name, gappy in rom.gappies.items():
            values = np.stack([found[name] for found in self._waiting])
            z = gappy.pseudo_inverse @ values
            if name == rom.measure:
                watch.residual[block, self.part] = rom.residual(values, z)
            watch.dual[name][block, :, self.part] = rom.corrected(name, values, z)
        load = np.concatenate(self._loads) if self._loads else None
        for i, output in enumerate(rom.outputs):
            source = watch.trajectory if output.source == "displacement" else watch.dual[output.source]
            columns = source[block, :, self.part].transpose(1, 0, 2)
            found = output.values(columns.reshape(columns.shape[0], columns.shape[1] * columns.shape[2]), load)
            watch.series[i, block, self.part] = found.reshape(count, -1)
        self._waiting, self._loads, self._first = [], [], block.stop
