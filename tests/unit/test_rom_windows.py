"""Local bases in time windows: the same as one basis where they are whole, better where the solution jumps, a bound."""

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, NotSupported
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.hyper_reduction import HyperReduction
from romflow.reduction.pod_greedy import PodGreedy
from romflow.reduction.trajectory_measures import trajectory_errors
from romflow.rom.loading import load
from romflow.rom.windows import windowed
from romflow.store.snapshots import SnapshotStore
from romflow.testing import small

TIME = {"end": 2.0, "steps": 24, "load": "1 + 6 * max(0, sign(t - 1)) * sin(12 * t)"}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    study = romflow.Study.from_dict({
        "study": {"name": "block"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 10}, "time": TIME,
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "sampling": {"method": "sobol", "size": 6}})
    fom, mu = study.model, study.sampler().ask()
    store = SnapshotStore(tmp_path_factory.mktemp("store"), fom.spec, fom.parameters.columns)
    new = fom.parameters.sample(5, np.random.default_rng(1))
    small.solve_missing(fom, store, np.concatenate([mu, new]))
    return fom, store, mu, new


def reduced(case, **options):
    fom, store, mu, _ = case
    return PodGreedy(1e-7, 40, **options).reduce(fom, store, mu)


def total(case, rom):
    fom, store, _, new = case
    answer = rom.solve(new)
    return answer, trajectory_errors(rom, InnerProduct(fom.inner_product), store, new, answer).total_error


def test_whole_local_bases_give_the_model_itself(case, must_fail):
    whole = reduced(case)
    same = windowed(whole, np.array([0, 5, 25]), [np.eye(whole.size)] * 2)
    mu = case[3]
    gap = np.abs(same.solve(mu).trajectory - whole.solve(mu).trajectory).max()
    assert gap < 1e-12 * np.abs(whole.solve(mu).trajectory).max()
    right = same.solve(mu).error

    def check(error):
        np.testing.assert_allclose(error, whole.solve(mu).error, rtol=1e-9)

    check(right)
    must_fail(check, 1.00001 * right, 0.99999 * right)


def test_bounds_hold(case):
    rom = reduced(case, windows=3, window_size=8)
    answer, error = total(case, rom)
    assert answer.kind == "bound"
    assert np.all(answer.error >= error)
    assert rom.metadata["windows"]["sizes"] == [8, 8, 8]


def test_windows_beat_one_basis_of_their_size_where_a_front_moves(tmp_path):
    study = romflow.Study.from_dict({
        "study": {"name": "front"}, "model": {"kind": "burgers", "cells": [24, 12]},
        "time": {"end": 0.3, "steps": 30, "scheme": "explicit-euler"},
        "parameters": {"exponent": {"low": 1.0, "high": 2.0}},
        "sampling": {"method": "grid", "per_axis": 4}})
    fom, mu, new = study.model, study.sampler().ask(), np.array([[1.2], [1.5], [1.8]])
    store = SnapshotStore(tmp_path, fom.spec, fom.parameters.columns)
    small.solve_missing(fom, store, np.concatenate([mu, new]))
    errors = []
    for options in ({"max_size": 6}, {"max_size": 30, "windows": 3, "window_size": 6}):
        rom = HyperReduction(1e-9, points=40, **options).reduce(fom, store, mu)
        found = total((fom, store, mu, new), rom)
        assert np.all(found[0].error >= found[1])
        errors.append(found[1].max())
    assert errors[1] < 0.6 * errors[0]


def test_a_file_holds_all_of_it(case, tmp_path):
    rom = reduced(case, windows=2, window_size=5)
    again = load(rom.save(tmp_path / "model.h5"))
    first, second = rom.solve(case[3]), again.solve(case[3])
    assert np.array_equal(first.trajectory, second.trajectory)
    assert np.array_equal(first.error, second.error)
    assert type(again) is type(rom)


def test_what_does_not_go_is_refused(case):
    for options in ({"windows": 2}, {"window_size": 3}, {"windows": 0}, {"windows": 2.0, "window_size": 2}):
        with pytest.raises(ConfigError, match="window"):
            PodGreedy(**options)
    with pytest.raises(ConfigError, match="24 steps"):
        reduced(case, windows=25, window_size=1)
    rom = reduced(case, windows=2, window_size=5)
    assert rom.truncate(rom.size) is rom
    with pytest.raises(NotSupported, match="time windows"):
        rom.truncate(3)
    assert PodGreedy(windows=2, window_size=2).fixed_designs_only
    assert not PodGreedy().fixed_designs_only
