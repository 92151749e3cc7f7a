"""The plate with a hole trained on one cycle and run for four: the counts and errors of the reference table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.model import Mechanics, QuasiStatic
from romflow.materials.protocol import PLASTIC
from romflow.materials.reference import REFERENCE
from romflow.parameters.space import ParameterSpace
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore

pytestmark = pytest.mark.long
SPACE = ParameterSpace.from_spec([{"name": "spot", "distribution": "uniform", "low": 0.0, "high": 3.0}])
ROW = np.array([[1.0]])
History = tuple[np.ndarray, np.ndarray]
# Tolerances of displacements, dual fields and cubature; at most so many modes, cubature points and points in all.
TABLE = [(1e-2, 1e-3, 1e-2, 3, 10, 20), (1e-3, 1e-4, 1e-3, 6, 36, 54), (1e-4, 1e-4, 1e-3, 10, 62, 80),
         (1e-5, 1e-5, 1e-4, 19, 229, 250)]


def plate(cycles: int) -> QuasiStatic:
    """The quarter plate of 1,650 dofs with 40 steps a cycle."""
    model = Mechanics(
        SPACE, REFERENCE, mesh={"shape": "plate-with-hole", "cells": [24, 32]}, element="quad4-bbar",
        supports=[{"on": "left", "symmetric": True}, {"on": "bottom", "symmetric": True}],
        loads=[{"type": "traction", "on": "top", "value": [0, 110], "amplitude": "a"}],
        temperature="20 + abs(a) * 500 * exp(-((x - spot)**2 + y**2) / 2.25)",
        amplitudes=[{"name": "a", "times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100}])
    return model.evolving(TimeGrid(100.0 * cycles, 40 * cycles))


@pytest.fixture(scope="module")
def four() -> History:
    """Displacements and accumulated plastic strain over four cycles."""
    fom = plate(4)
    point = fom.mechanics.virgin(0.0)
    points = [point]
    for t in fom.times[1:].tolist():
        point, _ = fom.step_from(point, t, ROW[0])
        points.append(point)
    return np.stack([one.displacement for one in points], axis=1), np.stack([one.state[6] for one in points], axis=1)


@pytest.fixture(scope="module")
def stored(four: History, tmp_path_factory: pytest.TempPathFactory) -> tuple[QuasiStatic, SnapshotStore]:
    """The first cycle as a store has it."""
    fom = plate(1)
    store = SnapshotStore(tmp_path_factory.mktemp("store"), fom.spec, SPACE.columns)
    writer = store.writer(ROW[0])
    writer.append(0, fom.times, four[0][:, :41])
    writer.finish()
    return fom, store


@pytest.mark.parametrize(("tolerance", "dual", "rule", "modes", "points", "total"), TABLE)
def test_modes_and_points_are_no_more_than_in_the_table(stored: tuple[QuasiStatic, SnapshotStore], tolerance: float,
                                                        dual: float, rule: float, modes: int, points: int,
                                                        total: int) -> None:
    rom = reduced(stored, tolerance, dual, rule)
    assert rom.size == modes and len(rom.weights) <= points and len(rom.points) <= total
    assert (rom.weights > 0.0).all() and abs(rom.weights.sum() / rom.volume.sum() - 1.0) <= 1e-4


def test_four_cycles_from_one(stored: tuple[QuasiStatic, SnapshotStore], four: History,
                              must_fail: Callable[..., None]) -> None:
    rom = reduced(stored, 1e-4, 1e-4, 1e-3, calibrate=True)
    w, (u, p) = rom.volume, four
    answer = rom.solve(ROW, times=np.linspace(0.0, 400.0, 161))
    indicator = answer.error_series[:, 0]
    norm = np.sqrt(w @ p**2)

    def check(coefficients: np.ndarray) -> None:
        error = np.sqrt(w @ (rom.dual[PLASTIC].modes @ coefficients - p) ** 2)
        assert (error[:41] / norm[40]).max() <= 4e-3 and (error[121:] / norm[121:]).max() <= 1.1e-2
        assert (indicator[121:] >= error[121:] / norm[121:] / 3.0).all()

    z = answer.dual[PLASTIC][:, :, 0].T
    check(z)
    must_fail(check, 1.03 * z, 0.97 * z)
    lifted = rom.lift(answer.trajectory[:, :, 0].T)
    gap = np.linalg.norm(lifted - u, axis=0) / np.linalg.norm(u, axis=0).max()
    assert gap[:41].max() <= 1e-3 and gap.max() <= 2e-2


def test_subdomains_take_at_most_a_fifth_more_points(stored: tuple[QuasiStatic, SnapshotStore]) -> None:
    counts = [len(reduced(stored, 1e-4, 1e-4, 1e-3, subdomains=number).weights) for number in (1, 4, 16)]
    assert max(counts) <= min(1.2 * counts[0], 1.2 * 62)


def reduced(stored: tuple[QuasiStatic, SnapshotStore], tolerance: float, dual: float, rule: float,
            subdomains: int = 1, calibrate: bool = False) -> MechanicsReducedModel:
    method = EmpiricalCubature(tolerance, dual_tolerance=dual, cubature_tolerance=rule, subdomains=subdomains,
                               calibrate=calibrate)
    return method.reduce(*stored, ROW)
