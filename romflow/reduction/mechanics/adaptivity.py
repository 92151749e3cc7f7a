"""Reduced runs that take a full-order step where their indicator asks for it, learn from it, and go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, NotSupported, SolveFailed
from romflow.core.fingerprint import fingerprint
from romflow.materials.protocol import PLASTIC
from romflow.reduction.mechanics.adaptive_log import AdaptiveLog, LogRow
from romflow.reduction.mechanics.adaptive_state import Place, load_place, save_place
from romflow.reduction.mechanics.enrichment import enrich, observed_error, transferred, with_plastic_modes
from romflow.reduction.mechanics.full_step import STEP_KERNELS, FullSteps
from romflow.reduction.mechanics.offline import OfflineData
from romflow.reduction.mechanics.runner import Tasks
from romflow.rom.mechanics.answer import MechanicsAnswer, ReducedState
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.mechanics.observing import Watch
from romflow.store.artefact import read_artefact

__all__ = ["AdaptiveResult", "AdaptiveSettings", "adaptive_parameter", "adaptive_run"]

# Replayed fields enter the modes where they are outside of them by this share of the tolerance.
_FINE = 0.1


@dataclass(frozen=True)
class AdaptiveSettings:
    """When full-order steps are taken.

    Attributes
    ----------
    tolerance : float
        Of the indicator, a relative error of the measured field; ten times the tolerance of the rule is the least that
        makes sense.
    max_share : float
        Largest number of full-order steps, as a share of all steps.
    restart : bool
        Once the end is reached the enriched model goes through it again from the start, for plastic strain that came
        in wrong cannot be repaired later; full-order steps that are left may be taken then.
    replay : bool
        In the end the law is replayed on the whole mesh along the run, and what of the plastic strain its modes cannot
        show enters them. That solves no system; the indicator stays that of the run.
    every : int
        Steps between checkpoints; there is one after each enrichment as well.
    after : float
        In its first pass the run takes full-order steps to later times alone, so that few of them are spent where it
        flows most; `restart` brings what they teach to the steps before.

    Raises
    ------
    ConfigError
        A number is out of range.
    """

    tolerance: float = 0.05
    max_share: float = 0.15
    restart: bool = True
    replay: bool = True
    every: int = 20
    after: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 < self.tolerance < 1.0 and 0.0 < self.max_share <= 1.0 and self.every >= 1
                and np.isfinite(self.after)):
            raise ConfigError(f"an adaptive run got tolerance = {self.tolerance}, max_share = {self.max_share}, every "
                              f"= {self.every}, after = {self.after}; the rule is 0 < tolerance < 1, 0 < max_share <= "
                              "1, every >= 1 and a finite time")


@dataclass(frozen=True, eq=False)
class AdaptiveResult:
    """What an adaptive run found.

    Attributes
    ----------
    rom, offline
        The enriched model and its offline data; they may begin the run of another parameter.
    answer : MechanicsAnswer
        For one draw, in the enriched model's modes.
    log : tuple of LogRow
        Every step of every pass.
    full_order_steps : int
    """

    rom: MechanicsReducedModel
    offline: OfflineData
    answer: MechanicsAnswer
    log: tuple[LogRow, ...]
    full_order_steps: int


def adaptive_run(tasks: Tasks, fom: Any, rom: MechanicsReducedModel, offline: OfflineData,
                 mu: np.ndarray, settings: AdaptiveSettings, folder: str | Path,
                 times: np.ndarray | None = None, kept: bool = True) -> AdaptiveResult:
    """The run of one parameter; killed anywhere, it goes on to the same result (Casenave and Akkari 2019, algorithm 3).

    A step whose indicator exceeds the tolerance is taken again by the full-order model, from the run's own
    displacements and the internal variables that the law gives along them on the whole mesh. Its result enters basis,
    rule and dual fields, its pair of residual and error the calibration, and the run goes on from it.

    Parameters
    ----------
    tasks : callable
        tasks(kernel, shared, parts), as for reductions; full-order steps are the kernel "mechanics-step".
    fom : model with `mechanics`, `step_from`
        Not asked for a step here, but by the kernel.
    rom, offline
        From a reduction with method "empirical-cubature".
    mu : (p,)
    settings : AdaptiveSettings
    folder : path
        Of this run alone: checkpoint, models, log.csv, enriched.h5 (the model in the end), and the results of
        full-order steps.
    times : (K + 1,), optional
        Those of the model where left out.
    kept : bool
        False leaves checkpoints and models unwritten, which may be gigabytes: a run that is killed begins again, and
        takes the full-order steps that it finds in the folder.

    Raises
    ------
    NotSupported
        The model has no calibrated indicator.
    SolveFailed
        A reduced step fails with no full-order step left, or a full-order one fails; what was done stays, and `report`
        has the time.
    """
    if rom.calibration is None:
        raise NotSupported("the reduced model has no calibrated indicator, without which an adaptive run cannot know "
                           "where to take full-order steps; reduce with calibrate = true and a law with plastic strain")
    row = rom.parameters.validate(np.atleast_2d(mu))[0]
    when = rom.times if times is None else np.asarray(times, dtype=float)
    run = _Run(tasks, fom, row, when, settings, Path(folder), kept)
    run.begin(rom, offline)
    return run.whole()


def adaptive_parameter(fom: Any, store_folder: str | Path, part: int, folder: str, mu: Sequence[Sequence[float]],
                       model: str, offline: str, settings: Mapping[str, Any],
                       times: Sequence[float] | None = None) -> dict[str, np.ndarray]:
    """The adaptive run of parameter number `part` as one task, its full-order steps in it, in a folder of its own.

    Parameters
    ----------
    folder : str
        Runs lie in its folders 0000, 0001, ...
    mu : (k, p)
    model, offline : str
        Files of the reduced model and of its offline data.
    settings : mapping
        Of :class:`AdaptiveSettings`.

    Returns
    -------
    dict
        What :func:`answer_arrays` says, and "full_order_steps".
    """
    _, arrays, about = read_artefact(Path(model))
    place = Path(folder) / f"{part:04d}"

    def here(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, Any]]:
        return [STEP_KERNELS[kernel](fom, store_folder, number, **shared) for number in parts]

    found = adaptive_run(here, fom, MechanicsReducedModel.from_arrays(arrays, about), OfflineData.load(offline),
                         np.array(mu[part]), AdaptiveSettings(**settings), place,
                         None if times is None else np.array(times))
    return answer_arrays(found.answer) | {"full_order_steps": np.array(found.full_order_steps)}


def answer_arrays(answer: MechanicsAnswer) -> dict[str, np.ndarray]:
    """Times (K + 1,), trajectory (K + 1, r + L), series (o, K + 1), indicator, residual, "dual/NAME" (K + 1, n_q)."""
    return {"times": answer.times, "trajectory": answer.trajectory[:, :, 0], "series": answer.series[:, :, 0],
            "indicator": answer.error_series[:, 0], "residual": answer.residual[:, 0],
            **{f"dual/{name}": z[:, :, 0] for name, z in answer.dual.items()}}


class _Run:
    """An adaptive run: where it is, and what takes it on."""

    def __init__(self, tasks: Tasks, fom: Any, mu: np.ndarray, times: np.ndarray,
                 settings: AdaptiveSettings, folder: Path, kept: bool) -> None:
        self.kept = kept
        self.fom, self.mu, self.times, self.settings, self.folder = fom, mu, times, settings, folder
        self.steps = FullSteps(tasks, folder, fom.spec)
        self.most = int(np.floor(settings.max_share * (len(times) - 1) + 1e-9))

    def begin(self, rom: MechanicsReducedModel, offline: OfflineData) -> None:
        """Where a former run stopped, if it was this one; else at the first time."""
        about = {"model": self.fom.spec, "mu": self.mu.tolist(), "times": self.times.tolist(),
                 "settings": asdict(self.settings),
                 "modes": [rom.size, *(rom.dual[name].size for name in sorted(rom.dual))],
                 "points": rom.points.tolist(), "weights": rom.weights.tolist()}
        self.key = fingerprint(about)
        found = load_place(self.folder, self.key) if self.kept else None
        if found is None:
            self.place = self._first(rom, offline)
            self._checkpoint()
        else:
            self.place = found

    def whole(self) -> AdaptiveResult:
        """All passes to the end."""
        ended, enriched = True, self.folder / "enriched.h5"
        while True:
            while self.place.k < len(self.times) - 1:
                ended = False
                self._step()
                if self.place.k % self.settings.every == 0:
                    self._checkpoint()
            if not self.settings.restart or self.place.turn > 0 or not self.place.taken:
                break
            self._again()
        place = self.place
        if self.settings.replay and place.taken and PLASTIC in place.rom.dual:
            self._replayed()
        # A run that had come to its end before has left both.
        if self.kept and not (ended and enriched.exists()):
            AdaptiveLog(place.log).write(self.folder / "log.csv")
            place.rom.save(enriched)
        return AdaptiveResult(place.rom, place.offline, self._answer(), tuple(place.log), place.taken)

    def _first(self, rom: MechanicsReducedModel, offline: OfflineData) -> Place:
        place = Place(rom, offline, rom.start(self.mu[None]))
        self._keep(place, 0, place.state, *rom.observe(place.state))
        return place

    def _again(self) -> None:
        """Back to the first time, with the model as it is."""
        place = self.place
        place.turn, place.k, place.anchor, place.start = 1, 0, 0, ""
        place.forget()
        place.state = place.rom.start(self.mu[None])
        self._keep(place, 0, place.state, *place.rom.observe(place.state))
        self._checkpoint()

    def _checkpoint(self) -> None:
        if self.kept:
            self.place = save_place(self.folder, self.key, self.place)

    def _step(self) -> None:
        place, t = self.place, float(self.times[self.place.k + 1])
        rom, before = place.rom, place.state
        state = rom.advance(before, t)
        failed = not state.converged.all()
        dual, residual = rom.observe(state)
        indicator = np.inf if failed else float(rom.indicator(residual)[0])
        saved = place.turn == 0 and t <= self.settings.after
        wanted = failed or not (saved or indicator <= self.settings.tolerance)
        if failed and place.taken >= self.most:
            raise SolveFailed(f"the reduced step to t = {t:g} does not converge at mu = {self.mu.tolist()}, and the "
                              f"{self.most} full-order steps of this run are used up; raise max_share",
                              {"time": t, "full_order_steps": place.taken})
        error = None
        if wanted and place.taken < self.most:
            state, error = self._enriched(t, before, dual[rom.measure][:, 0], None if failed else residual)
            dual, residual_now = place.rom.observe(state)
        else:
            residual_now = residual
        place.k += 1
        self._keep(place, place.k, state, dual, residual_now)
        rom = place.rom
        place.log.append(LogRow(place.turn, t, float(residual[0]), indicator, error is not None, error, rom.size,
                                len(rom.points), len(rom.weights)))
        if error is not None:
            self._checkpoint()
            if self.kept:
                AdaptiveLog(place.log).write(self.folder / "log.csv")

    def _enriched(self, t: float, before: ReducedState, z: np.ndarray,
                  residual: np.ndarray | None) -> tuple[ReducedState, float]:
        """The full-order step to t, and what it teaches: the state from which the run goes on, and the error seen."""
        place, rom = self.place, self.place.rom
        times = np.append(self.times[place.anchor:place.k + 1], t)
        path = np.array(place.path[place.anchor:place.k + 1])
        step, name = self.steps.take(self.mu, times, np.hstack([rom.basis, rom.lifting]), path, place.start)
        error = observed_error(self.fom.mechanics, rom, z, step)
        new, offline = enrich(self.fom, rom, place.offline, self.mu, step)
        if residual is not None and new.calibration is not None and np.isfinite(error):
            new = replace(new, calibration=new.calibration.observe(residual, [error]))
        place.adopt(new, offline)
        place.anchor, place.start, place.taken = place.k + 1, name, place.taken + 1
        return transferred(self.fom, new, self.mu, step, before), error

    def _replayed(self) -> None:
        """Plastic strain as the law gives it on the whole mesh along the run."""
        place, rom = self.place, self.place.rom
        new, sizes, coefficients = self.steps.plastic(
            self.mu, self.times, np.hstack([rom.basis, rom.lifting]), np.array(place.path),
            place.offline.plastic_modes, _FINE * self.settings.tolerance)
        place.adopt(*with_plastic_modes(self.fom, rom, place.offline, new, sizes))
        place.dual[PLASTIC] = list(coefficients)

    def _keep(self, place: Place, k: int, state: ReducedState, dual: dict[str, np.ndarray],
              residual: np.ndarray) -> None:
        """Remember a state on the way: time number k."""
        rom = place.rom
        lifting = rom.lifting_theta(rom.loading.rows(self.mu[None], state.time))[0] if k else np.zeros(
            rom.lifting.shape[1])
        place.state = state
        place.path.append(np.append(state.coefficients[:, 0], lifting))
        place.residual.append(float(residual[0]))
        for name, z in dual.items():
            place.dual[name].append(z[:, 0])

    def _answer(self) -> MechanicsAnswer:
        place, rom = self.place, self.place.rom
        watch = Watch(rom, len(self.times), 1)
        watch.trajectory[:, :, 0] = place.path
        watch.residual[:, 0] = place.residual
        for name, found in place.dual.items():
            watch.dual[name][:, :, 0] = found
        loads = np.concatenate([rom.load_theta(rom.loading.rows(self.mu[None], float(t))) for t in self.times])
        # Nothing acts at the first time.
        loads[0] = 0.0
        for i, output in enumerate(rom.outputs):
            source = watch.trajectory if output.source == "displacement" else watch.dual[output.source]
            watch.series[i, :, 0] = np.ravel(output.values(np.ascontiguousarray(source[:, :, 0].T), loads))
        watch.halvings[:] = place.state.halvings
        return watch.answer(self.mu[None], self.times)
