"""Adaptive runs of mechanics: a hot spot that training never saw, full-order steps, and runs that were killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.model import Mechanics, QuasiStatic
from romflow.materials.reference import REFERENCE
from romflow.parameters.space import ParameterSpace
from romflow.reduction.mechanics.adaptivity import AdaptiveResult, AdaptiveSettings, adaptive_run
from romflow.reduction.mechanics.enrichment import FullStep, enrich, transferred
from romflow.reduction.mechanics.offline import OfflineData
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.reduction.mechanics.task_table import TASKS
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.adaptive import run_adaptive, run_many_adaptive

PLASTIC = "accumulated_plastic_strain"
SPACE = ParameterSpace.from_spec([{"name": name, "distribution": "uniform", "low": 0.0, "high": 3.0}
                                  for name in ("cx", "cy")])
TRAINED, MOVED = np.array([1.0, 0.0]), np.array([0.0, 1.0])
SETTINGS = AdaptiveSettings(tolerance=0.05, max_share=0.3, every=3)
Known = tuple[QuasiStatic, MechanicsReducedModel, OfflineData]


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    fom = Mechanics(
        SPACE, REFERENCE, mesh={"shape": "plate-with-hole", "cells": [5, 6]}, element="quad4-bbar",
        supports=[{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}],
        loads=[{"type": "traction", "on": "y = max", "value": [0, 110.0], "amplitude": "a"}],
        temperature="20 + 500 * abs(a) * exp(-((x - cx)**2 + (y - cy)**2) / 2.25)",
        amplitudes=[{"name": "a", "times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100.0}],
        outputs=[{"name": "p", "type": "field", "field": PLASTIC, "measure": "max"}]).evolving(TimeGrid(100.0, 20))
    store = SnapshotStore(tmp_path_factory.mktemp("store"), fom.spec, SPACE.columns)
    writer = store.writer(TRAINED)
    writer.append(0, fom.times, np.array([point.displacement for point in history(fom, TRAINED)]).T)
    writer.finish()
    method = EmpiricalCubature(1e-4, cubature_tolerance=1e-3)
    rom = method.reduce(fom, store, TRAINED[None])
    assert method.offline is not None
    return fom, rom, method.offline


@pytest.fixture(scope="module")
def truth(known: Known) -> np.ndarray:
    return np.stack([point.state[6] for point in history(known[0], MOVED)], axis=1)


@pytest.fixture(scope="module")
def straight(known: Known, tmp_path_factory: pytest.TempPathFactory) -> AdaptiveResult:
    return run_adaptive(here(known[0]), *known, MOVED, SETTINGS, tmp_path_factory.mktemp("straight"))


def history(fom: QuasiStatic, mu: np.ndarray) -> list[Any]:
    points = [fom.mechanics.virgin(0.0)]
    for t in fom.times[1:].tolist():
        points.append(fom.step_from(points[-1], t, mu)[0])
    return points


def here(fom: Any, seen: list[str] | None = None, lives: int = 10**6) -> Callable[..., Any]:
    """Kernels in this process; the run dies with the kernel after so many."""
    left = [lives]

    def tasks(kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[Any]:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        found = [TASKS[kernel](fom, "", part, **shared) for part in parts]
        if seen is not None:
            seen.append(f"{kernel} {int(found[0].get('made', 1))}")
        return found
    return tasks


def error(rom: MechanicsReducedModel, answer: Any, truth: np.ndarray) -> float:
    left = rom.field(answer, PLASTIC)[0, :, 0] - truth[:, -1]
    return float(np.sqrt(rom.volume @ left**2 / (rom.volume @ truth[:, -1] ** 2)))


def test_the_frozen_model_fails_and_the_adaptive_one_does_not(known: Known, straight: AdaptiveResult,
                                                              truth: np.ndarray) -> None:
    fom, rom, _ = known
    frozen = rom.solve(MOVED[None])
    assert error(rom, frozen, truth) > 0.3
    assert frozen.error_series[-1, 0] > SETTINGS.tolerance
    assert error(straight.rom, straight.answer, truth) < 0.03
    assert 0 < straight.full_order_steps <= 6
    assert straight.answer.converged.all() and straight.answer.series.shape == (1, 21, 1)
    assert straight.answer.series[0, -1, 0] == pytest.approx(truth[:, -1].max(), rel=0.1)
    assert sum(row.triggered for row in straight.log) == straight.full_order_steps


def test_what_was_trained_needs_no_full_order_step(known: Known, tmp_path: Path) -> None:
    seen: list[str] = []
    found = run_adaptive(here(known[0], seen), *known, TRAINED, SETTINGS, tmp_path)
    assert not seen and found.full_order_steps == 0
    answer = known[1].solve(TRAINED[None])
    assert np.allclose(found.answer.trajectory, answer.trajectory, rtol=1e-6, atol=1e-12)
    assert np.allclose(found.answer.series, answer.series, rtol=1e-6)


@pytest.mark.parametrize("lives", [1, 4])
def test_a_killed_run_goes_on_to_the_same_bits(known: Known, straight: AdaptiveResult, tmp_path: Path,
                                               lives: int) -> None:
    with pytest.raises(Killed):
        run_adaptive(here(known[0], lives=lives), *known, MOVED, SETTINGS, tmp_path)
    seen: list[str] = []
    again = run_adaptive(here(known[0], seen), *known, MOVED, SETTINGS, tmp_path)
    assert seen.count("mechanics-step 1") == straight.full_order_steps - lives
    for name in ("trajectory", "residual", "series"):
        assert np.array_equal(getattr(again.answer, name), getattr(straight.answer, name)), name
    assert again.log == straight.log
    assert len((tmp_path / "log.csv").read_text().splitlines()) == len(again.log) + 1


def test_many_runs_are_tasks_that_do_not_know_of_each_other(known: Known, straight: AdaptiveResult,
                                                            tmp_path: Path) -> None:
    files = known[1].save(tmp_path / "model.h5"), known[2].save(tmp_path / "offline.h5")
    found = run_many_adaptive(here(known[0]), *files, np.array([TRAINED, MOVED]), SETTINGS, tmp_path)
    assert [int(one["full_order_steps"]) for one in found] == [0, straight.full_order_steps]
    assert np.allclose(found[1]["trajectory"], straight.answer.trajectory[:, :, 0], rtol=1e-9, atol=1e-14)
    with pytest.raises(ShapeError, match="adaptive runs need"):
        run_many_adaptive(here(known[0]), *files, MOVED, SETTINGS, tmp_path)


def test_an_enriched_model_holds_the_step(known: Known, must_fail: Callable[..., None]) -> None:
    fom, rom, offline = known
    point = history(fom, MOVED)[6]
    step = FullStep(point.time, point.displacement, point.stress, point.state)
    new, data = enrich(fom, rom, offline, MOVED, step)
    assert new.size == rom.size + 1 and np.array_equal(new.basis[:, :-1], rom.basis)
    assert (new.weights > 0.0).all() and new.weights.sum() == pytest.approx(rom.volume.sum(), rel=1e-3)
    assert data.snapshots == offline.snapshots + 1

    def check(given: tuple[MechanicsReducedModel, FullStep]) -> None:
        model, seen = given
        state = transferred(fom, model, MOVED, seen)
        assert np.abs(model.lift(state.coefficients)[:, 0] - point.displacement).max() < 1e-9
        z = model.observe(state)[0]
        for name, exact in (("stress", point.stress.ravel()), (PLASTIC, point.state[6])):
            assert np.linalg.norm(model.dual[name].modes @ z[name][:, 0] - exact) < 1e-2 * np.linalg.norm(exact)

    check((new, step))
    must_fail(check, (rom, step), (new, replace(step, state=1.1 * step.state)))
    same, _ = enrich(fom, new, data, MOVED, step)
    assert same.size == new.size and same.dual[PLASTIC].size == new.dual[PLASTIC].size


def test_what_does_not_fit_is_refused(known: Known, tmp_path: Path) -> None:
    fom, rom, offline = known
    point = fom.mechanics.virgin(0.0)
    step = FullStep(1.0, point.displacement, np.zeros((6, 120)), point.state)
    with pytest.raises(ShapeError, match="is it of this mesh"):
        enrich(fom, rom, offline, MOVED, replace(step, displacement=np.zeros(3)))
    with pytest.raises(InputError, match="not finite"):
        enrich(fom, rom, offline, MOVED, replace(step, stress=np.full((6, 120), np.nan)))
    with pytest.raises(NotSupported, match="calibrat"):
        adaptive_run(here(fom), fom, replace(rom, calibration=None), offline, MOVED, SETTINGS, tmp_path)
    with pytest.raises(ConfigError, match="tolerance"):
        AdaptiveSettings(tolerance=0.0)


def test_the_line_never_falls_back_where_a_process_does(must_fail: Callable[..., None]) -> None:
    rng = np.random.default_rng(3)
    r = 10 ** rng.uniform(-5, -2, 200)
    e = 2.3 * r * 10 ** rng.normal(0.0, 0.17, 200)
    calibration = Calibration.fit(r, e)
    unseen = np.logspace(-2, 0, 20)

    def check(indicator: Callable[[np.ndarray], np.ndarray]) -> None:
        found = indicator(unseen)
        assert (np.diff(found) > 0.0).all() and (found > 2.3 * unseen).all()

    def process(values: np.ndarray) -> np.ndarray:
        """A Gaussian process with mean zero in E and a kernel of finite length returns to its prior."""
        x, z = np.log10(r), np.log10(np.maximum(values, 1e-12))
        kernel = np.exp(-0.5 * (x[:, None] - x) ** 2 / 0.25) + 1e-2 * np.eye(200)
        return np.exp(-0.5 * (z[:, None] - x) ** 2 / 0.25) @ np.linalg.solve(kernel, e)

    check(calibration.indicator)
    must_fail(check, process, lambda values: 0.3 * calibration.indicator(values))
    moved = calibration.observe([0.1] * 5, [0.9] * 5)
    assert moved.indicator(0.1) > calibration.indicator(0.1)
    again = Calibration.from_arrays(*moved.to_arrays())
    assert np.array_equal(again.indicator(unseen), moved.indicator(unseen))
    with pytest.raises(InputError, match="two are the least"):
        Calibration.fit([0.0, 1.0], [0.0, 1.0])
    with pytest.raises(InputError, match="pair 1"):
        Calibration.fit([0.1, np.nan], [0.1, 0.2])
