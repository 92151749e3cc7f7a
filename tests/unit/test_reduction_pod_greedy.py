"""POD-greedy on stored trajectories: what it spans, how it is fed, what it refuses; and a study of it as a whole."""

from __future__ import annotations

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError, NotSupported
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_greedy import PodGreedy
from romflow.reduction.trajectory_source import TrajectorySource, time_weights
from romflow.store.snapshots import SnapshotStore

SPACE = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)])
MU = np.random.default_rng(0).uniform(0.1, 1.0, (4, 4))
# Uneven, so that a state counts as long as its step.
FOM = ThermalBlock(SPACE, [2, 2], 8).evolving(TimeGrid(times=[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]))
PRODUCT = InnerProduct(FOM.inner_product)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    kept = SnapshotStore(tmp_path_factory.mktemp("store"), FOM.spec, SPACE.columns)
    for mu in MU:
        writer = kept.writer(mu)
        for piece in FOM.march(mu):
            writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint)
        writer.finish()
    return kept


def weighted(store, mu):
    trajectory = store.trajectory(mu)
    return trajectory.columns() * time_weights(trajectory.times)


def test_a_source_is_the_weighted_states_outside_the_basis(store):
    basis = PodGreedy(modes=1).reduce(FOM, store, MU[:1]).basis
    whole = np.hstack([weighted(store, mu) for mu in MU[:2]])
    outside = whole - basis @ PRODUCT.gram(basis, whole)
    source = TrajectorySource([store.trajectory(mu) for mu in MU[:2]], basis, PRODUCT)
    assert (source.n, source.k) == whole.shape
    for part in (slice(0, 16), slice(5, 12), slice(9, 9)):
        np.testing.assert_allclose(source.columns(part), outside[:, part], atol=1e-13)


def test_the_first_vectors_are_the_best_of_the_trajectory(store, must_fail):
    S = weighted(store, MU[0])
    eigenvalues = np.sort(np.linalg.eigvalsh(PRODUCT.gram(S, S)))[::-1]
    V = PodGreedy(modes=2).reduce(FOM, store, MU[:1]).basis
    assert V.shape[1] == 2 if eigenvalues[1] > 0.01 * eigenvalues[0] else 1
    left = np.sum(PRODUCT.norm(S - V @ PRODUCT.gram(V, S)) ** 2)

    def check(found):
        np.testing.assert_allclose(found, eigenvalues[V.shape[1]:].sum(), rtol=1e-8)

    check(left)
    must_fail(check, left * (1.0 + 1e-7))


def test_it_grows_by_trajectories_and_begins_anew_for_others(store):
    reductor = PodGreedy(modes=2, max_size=3)
    sizes, rom = [], reductor.reduce(FOM, store, MU[:0])
    assert rom.size == 0 and np.isfinite(rom.solve(MU).error).all()
    for count in (1, 2, 3, 4):
        rom = reductor.reduce(FOM, store, MU[:count])
        sizes.append(rom.size)
    assert sizes == sorted(sizes) and sizes[-1] == 3
    np.testing.assert_allclose(PRODUCT.gram(rom.basis, rom.basis), np.eye(3), atol=1e-12)
    other = reductor.reduce(FOM, store, MU[2:3])
    np.testing.assert_array_equal(other.basis, PodGreedy(modes=2).reduce(FOM, store, MU[2:3]).basis)


def test_a_fixed_design_is_compressed_to_the_tolerance(store, must_fail):
    S = np.hstack([weighted(store, mu) for mu in MU])
    rom = PodGreedy(tolerance=1e-3).reduce(FOM, store, MU)
    V = rom.basis
    left = np.sum(PRODUCT.norm(S - V @ PRODUCT.gram(V, S)) ** 2) / np.sum(PRODUCT.norm(S) ** 2)

    def check(error):
        assert error <= 1e-3

    check(np.sqrt(left))
    must_fail(check, 1.1e-3)
    assert rom.metadata["method"] == "pod-greedy" and rom.metadata["snapshots"] == 4
    assert rom.metadata["projection_error"] == pytest.approx(np.sqrt(left), rel=1e-3)


@pytest.mark.parametrize(("tolerance", "compression", "route"), [
    (1e-3, "auto", "gram"), (0.0, "auto", "two-pass"), (1e-3, "hapod", "hapod"), (1e-3, "randomised", "randomised")])
def test_a_fixed_design_is_compressed_by_the_route_asked_for(store, tolerance, compression, route):
    rom = PodGreedy(tolerance=tolerance, max_size=12, compression=compression).reduce(FOM, store, MU)
    assert rom.metadata["compression"]["route"] == route
    plain = PodGreedy(tolerance=1e-3, max_size=12, compression="two-pass").reduce(FOM, store, MU)
    np.testing.assert_allclose(rom.metadata["singular_values"][:3], plain.metadata["singular_values"][:3], rtol=1e-6)
    with pytest.raises(ConfigError, match="Did you mean 'hapod'"):
        PodGreedy(compression="hapodd")


def test_what_it_cannot_reduce_it_refuses_with_what_to_use():
    steady = ThermalBlock(SPACE, [2, 2], 4)
    with pytest.raises(NotSupported, match=r"\[time\]"):
        PodGreedy().reduce(steady, None, MU[:1])
    with pytest.raises(NotSupported, match="whole number from 1"):
        PodGreedy(modes=0)


@pytest.mark.long
def test_a_study_gives_a_bounded_model(tmp_path):
    study = romflow.Study.from_dict({
        "study": {"name": "heat"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 6},
        "time": {"end": 1.0, "steps": 6}, "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "greedy", "pool": 20, "seed": 1, "criterion": "relative"},
        "reduction": {"method": "pod-greedy", "tolerance": 5e-2, "max_size": 20},
        "validation": {"size": 5, "seed": 3}, "cluster": {"kind": "serial"},
        "export": [{"format": "npz"}, {"format": "vtu", "times": True}]})
    result = study.run(tmp_path / "run")
    found = result.summary["validation"]
    assert found["error_kind"] == "bound" and found["norm"] == "L2(0,T; H1_0 semi-norm)"
    assert found["min_effectivity"] >= 1.0
    assert result.summary["offline"]["training_error"] <= 5e-2
    assert {"heat_evaluate.py", "heat.pvd", "heat_6.vtu"} <= {file.name for file in (tmp_path / "run").iterdir()}
    again = romflow.load(tmp_path / "run" / "model.h5")
    np.testing.assert_array_equal(again.solve(MU).error, result.rom.solve(MU).error)


def test_a_file_that_cannot_be_written_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("romflow.walk.run.write_report", lambda path, data: path.touch())
    study = romflow.Study.from_dict({
        "study": {"name": "heat"}, "model": {"kind": "thermal-block", "blocks": [2, 1], "cells": 4},
        "time": {"end": 1.0, "steps": 3, "scheme": "bdf2"}, "sampling": {"method": "sobol", "size": 3},
        "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 2}},
        "reduction": {"method": "pod-greedy", "tolerance": 5e-2}, "cluster": {"kind": "serial"},
        "export": [{"format": "npz"}, {"format": "csv", "samples": 3}]})
    study.run(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").exists() and (tmp_path / "run" / "heat.csv").exists()
    assert "not written: heat.npz, because" in (tmp_path / "run" / "run.log").read_text()
