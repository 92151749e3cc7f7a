"""Reductions at the ends of what is asked: models that learn what they do wrong, training without plastic flow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.materials.protocol import PLASTIC
from romflow.outcome.mechanics import field_errors
from romflow.reduction.mechanics import reductor
from romflow.reduction.mechanics.blocks import STRESS
from romflow.reduction.mechanics.degraded import KnownField, taught_by_training
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore
from tests.toy_mechanics_store import STUDY, marched

ROWS = np.linspace(95.0, 120.0, 6)[:, None]
SEEN, UNSEEN = ROWS[[0, 2, 3, 5]], ROWS[[1, 4]]


Case = tuple[Any, SnapshotStore]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return marched(STUDY, tmp_path_factory.mktemp("learnt"), np.concatenate([SEEN, UNSEEN]))


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


def test_training_without_plastic_flow(tmp_path: Path) -> None:
    mild = STUDY | {"model": STUDY["model"] | {"temperature": "20"},
                    "parameters": {"pull": {"low": 1.0, "high": 10.0}}}
    rows = np.array([[1.0], [5.0]])
    fom, store = marched(mild, tmp_path, rows)
    model = EmpiricalCubature(1e-4).reduce(fom, store, rows)
    assert model.dual[PLASTIC].size == 0 and model.measure == STRESS and model.error_kind == "indicator"
    again = romflow.load(model.save(tmp_path / "model.h5"))
    answer = again.solve(rows)
    assert np.array_equal(answer.series[0], np.zeros((11, 2))) and (answer.series[1, 3] > 0.0).all()
    found = field_errors(again, fom, store, rows, answer)
    assert found.relative("mises")[:, 0].max() < 1e-3 and found.relative(PLASTIC).max() == 0.0
    # Unloaded in the end, where the relative error of what is left would be of the order of one.
    assert found.norm["mises"][-1].max() < 1e-6 * found.norm["mises"].max()
    assert (answer.norm >= 1e-2 * 0.9 * found.norm["mises"].max(axis=0)).all() and (answer.relative_error < 0.1).all()


def test_a_rule_that_cannot_be_had_names_its_option(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise SolveFailed("no positive weights")

    monkeypatch.setattr(reductor, "force_cubature", none)
    with pytest.raises(SolveFailed, match="cubature_tolerance = 1e-14 was found .* write a larger one"):
        EmpiricalCubature(1e-4, cubature_tolerance=1e-14, calibrate=False).reduce(*case, SEEN)
