"""Nonaffine models in motion: true trajectories, interpolated reduced ones, and the interpolation in the bound."""

from dataclasses import replace

import numpy as np
import pytest

import romflow
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.pod_greedy import PodGreedy
from romflow.reduction.trajectory_measures import trajectory_errors
from romflow.rom.loading import load
from romflow.store.snapshots import SnapshotStore
from romflow.testing import small


def case(folder, **options):
    study = romflow.Study.from_dict({
        "study": {"name": "moving"},
        "model": {"kind": "nonaffine", "cells": 10, "training": 40,
                  "diffusion": "1 + 0.5 * exp(-((x - cx)**2 + (y - 0.5)**2) / 0.05)",
                  "source": "exp(-((x - cx)**2 + (y - 0.4)**2) / 0.1)", **options},
        "time": {"end": 0.5, "steps": 8, "load": "1 + t"}, "parameters": {"cx": {"low": 0.3, "high": 0.7}},
        "sampling": {"method": "sobol", "size": 6}})
    fom, mu = study.model, study.sampler().ask()
    store = SnapshotStore(folder, fom.spec, fom.parameters.columns)
    new = fom.parameters.sample(8, np.random.default_rng(3))
    small.solve_missing(fom, store, np.concatenate([mu, new]))
    return fom, store, mu, new


def test_trajectories_are_those_of_the_true_coefficients(tmp_path):
    fom, store, mu, _ = case(tmp_path, max_terms=3)
    U, dt = store.trajectory(mu[0]).columns(), 0.5 / 8
    A, f = fom.nonaffine.truth.operator.assemble(mu[0]), fom.nonaffine.truth.rhs.assemble(mu[0])
    for k, t in enumerate(fom.times[1:], start=1):
        residual = fom.mass @ (U[:, k] - U[:, k - 1]) / dt + A @ U[:, k] - (1 + t) * f
        assert np.abs(residual).max() < 1e-12
    wrong = fom.operator.assemble(mu[0])
    assert np.abs(wrong @ U[:, -1] - A @ U[:, -1]).max() > 1e-6


@pytest.mark.parametrize(("bound", "kind"), [("points", "bound"), ("next-points", "indicator")])
@pytest.mark.parametrize("terms", [3, 12])
def test_the_interpolation_error_is_in_the_estimate(tmp_path, bound, kind, terms):
    fom, store, mu, new = case(tmp_path, bound=bound, max_terms=terms)
    rom = PodGreedy(1e-8, 40).reduce(fom, store, mu)
    answer = rom.solve(new)
    error = trajectory_errors(rom, InnerProduct(fom.inner_product), store, new, answer).total_error
    assert answer.kind == kind
    assert np.all(answer.error >= error)
    assert np.all(answer.error <= 60 * error)
    plain = replace(rom, interpolation=None).solve(new).error
    assert terms > 3 or np.any(plain < error)
    again = load(rom.save(tmp_path / "model.h5"))
    assert np.array_equal(again.solve(new).error, answer.error)
    assert again.error_kind == kind


def test_affine_coefficients_need_no_interpolation(tmp_path):
    fom, store, mu, new = case(tmp_path, diffusion="1 + 0.5 * cx", source="1", bound="points")
    rom = PodGreedy(1e-8, 40).reduce(fom, store, mu)
    answer = rom.solve(new)
    error = trajectory_errors(rom, InnerProduct(fom.inner_product), store, new, answer).total_error
    assert answer.kind == "bound"
    assert np.all(answer.error >= error)
    assert np.array_equal(load(rom.save(tmp_path / "model.h5")).solve(new).error, answer.error)


def test_gradients_are_those_of_the_terms(tmp_path):
    fom, _, _, _ = case(tmp_path, max_terms=12)
    mu, h = np.array([0.45]), 1e-4
    terms = fom.nonaffine.interpolated().evolving(fom.time)
    reference = (terms.solve(mu + h).outputs - terms.solve(mu - h).outputs) / (2 * h)
    assert fom.sensitivity(mu)[:, 0] == pytest.approx(reference, rel=1e-5)


def test_a_march_needs_no_interpolation(tmp_path, monkeypatch):
    fom, _, mu, _ = case(tmp_path)
    monkeypatch.setattr(type(fom.nonaffine), "expansions", property(lambda model: pytest.fail("interpolated")))
    for name in ("operator", "rhs"):
        vars(fom.nonaffine).pop(name, None)
    fresh = fom.nonaffine.evolving(fom.time)
    assert np.array_equal(fresh.solve(mu[0]).state, fom.solve(mu[0]).state)
    with pytest.raises(pytest.fail.Exception):
        _ = fresh.operator
