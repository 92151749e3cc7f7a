"""The trajectory that the report shows: the worst one, its errors over time, and what the scheme itself does."""

import numpy as np
import pytest

import romflow
from romflow.cli.show import print_result
from romflow.linalg.inner_product import InnerProduct
from romflow.outcome.moving import worst_trajectory
from romflow.outcome.validation import validate
from romflow.reduction.pod_greedy import PodGreedy
from romflow.store.snapshots import SnapshotStore
from romflow.testing import small


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    study = romflow.Study.from_dict({
        "study": {"name": "block"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 8},
        "time": {"end": 1, "steps": 8}, "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "sobol", "size": 4}})
    fom, mu = study.model, study.sampler().ask()
    store = SnapshotStore(tmp_path_factory.mktemp("store"), fom.spec, fom.parameters.columns)
    new = fom.parameters.sample(6, np.random.default_rng(2))
    small.solve_missing(fom, store, np.concatenate([mu, new]))
    rom = PodGreedy(1e-3, 6).reduce(fom, store, mu)
    return fom, store, rom, validate(rom, fom, store, new)


def test_the_worst_trajectory_and_its_errors(case):
    fom, store, rom, validation = case
    found = worst_trajectory(rom, fom, store, validation)
    relative = validation.true_error / validation.norm
    assert np.array_equal(found.mu, validation.mu[np.argmax(relative)])
    assert found.true_error[-1] == pytest.approx(validation.true_error[np.argmax(relative)], rel=1e-12)
    assert np.all(np.diff(found.true_error) >= 0.0)
    assert np.all(found.estimate >= found.true_error)
    U = store.trajectory(found.mu).columns()
    gap = U - rom.lift(rom.solve(found.mu[None]).trajectory[:, :, 0].T)
    sums = np.asarray(fom.mass.sum(axis=1)).ravel()
    np.testing.assert_allclose(found.dispersion + found.dissipation, sums @ gap**2 / sums.sum(), rtol=1e-9, atol=1e-18)


def test_the_scheme_is_compared_with_half_its_steps(case):
    fom, store, rom, validation = case
    found = worst_trajectory(rom, fom, store, validation)
    fine = fom.on(fom.time.halved)
    assert fine.spec != fom.spec and len(fine.times) == 2 * len(fom.times) - 1
    V = np.hstack([piece.states for piece in fine.march(found.mu)])[:, ::2]
    U, sums = store.trajectory(found.mu).columns(), np.asarray(fom.mass.sum(axis=1)).ravel()
    total = found.step_dispersion + found.step_dissipation
    np.testing.assert_allclose(total, sums @ (U - V) ** 2 / sums.sum(), rtol=1e-9, atol=1e-18)
    assert InnerProduct(fom.inner_product).norm(U - V)[-1] > 0.0


def test_models_at_rest_have_none(case):
    fom, store, rom, _ = case
    assert worst_trajectory(rom, fom, store, None) is None


def test_the_summary_tells_how_terms_and_windows_work(tmp_path, capsys):
    study = romflow.Study.from_dict({
        "study": {"name": "front"}, "model": {"kind": "burgers", "cells": [16, 8]},
        "time": {"end": 0.2, "steps": 12, "scheme": "explicit-euler"},
        "parameters": {"exponent": {"low": 1.0, "high": 2.0}}, "sampling": {"method": "grid", "per_axis": 3},
        "reduction": {"method": "hyper-reduction", "tolerance": 1e-4, "points": 12, "windows": 2, "window_size": 4},
        "cluster": {"kind": "serial"}})
    result = study.run(tmp_path)
    offline = result.summary["offline"]
    assert offline["hyper_reduction"]["points"] == 12
    assert offline["windows"]["sizes"] == [4, 4] and offline["windows"]["times"][-1] == pytest.approx(0.2)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "rows of the nonlinear term" in page and "time windows end at" in page
    print_result(result.summary, tmp_path)
    told = capsys.readouterr().out
    assert "nonlinear term" in told and "2 with at most 4 vectors" in told
