"""Dual fields by regression: a coarse model that knows what it does wrong, from a study on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError
from romflow.materials.reference import REFERENCE
from romflow.outcome.mechanics import field_errors
from romflow.reduction.mechanics.degraded import KnownField, taught_by_training
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore

STUDY = {
    "study": {"name": "learnt"},
    "model": {"kind": "mechanics", "mesh": {"shape": "plate-with-hole", "cells": [4, 6]}, "law": REFERENCE,
              "temperature": "20 + 400 * abs(a) * exp(-((x - 1)**2 + y**2) / 2.25)",
              "amplitudes": [{"name": "a", "times": [0, 30, 80, 100], "values": [0, 1, -0.3, 0]}],
              "supports": [{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}],
              "loads": [{"type": "traction", "on": "y = max", "value": [0, 1], "amplitude": "pull * a"}],
              "outputs": [{"name": "most", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"}]},
    "parameters": {"pull": {"low": 95.0, "high": 120.0}},
    "time": {"end": 100.0, "steps": 10},
    "sampling": {"method": "grid", "per_axis": 4},
    "reduction": {"method": "empirical-cubature", "tolerance": 1e-2, "dual": "regression"}}
ROWS = np.linspace(95.0, 120.0, 6)[:, None]
SEEN, UNSEEN = ROWS[[0, 2, 3, 5]], ROWS[[1, 4]]


Case = tuple[Any, SnapshotStore]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    fom = romflow.Study.from_dict(STUDY).model
    store = SnapshotStore(tmp_path_factory.mktemp("learnt"), {"kind": "toy"}, fom.parameters.columns)
    for row in (*SEEN, *UNSEEN):
        writer = store.writer(row)
        for piece in fom.march(row):
            writer.append(piece.start, piece.times, piece.states)
        writer.finish()
    return fom, store


def reduced(case: Case, dual: str) -> MechanicsReducedModel:
    method = EmpiricalCubature(1e-2, dual_tolerance=1e-3, cubature_tolerance=0.1, dual=dual)
    return method.reduce(*case, SEEN)


def test_a_coarse_model_that_learns_its_errors_is_better_on_unseen_loads(case: Case, tmp_path: Path,
                                                                       must_fail: Callable[..., None]) -> None:
    plain, learnt = reduced(case, "gappy"), reduced(case, "regression")

    def check(model: MechanicsReducedModel) -> None:
        errors = field_errors(model, *case, UNSEEN, model.solve(UNSEEN)).summary()
        assert errors["max_relative_accumulated_plastic_strain_error_in_time"] < 0.01
        assert errors["max_relative_mises_error_in_time"] < 0.01

    assert plain.size == learnt.size and np.array_equal(plain.points, learnt.points)
    check(romflow.load(learnt.save(tmp_path / "model.h5")))
    must_fail(check, plain)
    assert np.array_equal(plain.solve(UNSEEN).error_series, learnt.solve(UNSEEN).error_series)


def test_what_cannot_teach_is_named(case: Case) -> None:
    with pytest.raises(ConfigError, match="dual = 'guess'; the rule is \"gappy\" or \"regression\""):
        EmpiricalCubature(dual="guess")
    early = KnownField(np.zeros((1, 3)), np.zeros(3), (3,))
    with pytest.raises(InputError, match="ends earlier"):
        taught_by_training(EmpiricalCubature(1e-2, calibrate=False).reduce(*case, SEEN[:1]), SEEN[:1],
                           {"stress": early})
