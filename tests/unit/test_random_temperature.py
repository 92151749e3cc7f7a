"""Random temperatures: the same field on two meshes, its covariance, and a reduced model that reads it."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.model import Mechanics
from romflow.fom.mechanics.random_temperature import random_temperature
from romflow.linalg.box_expansion import BoxExpansion
from romflow.linalg.karhunen_loeve import Covariance
from romflow.materials.reference import REFERENCE
from romflow.parameters.distributions import Normal
from romflow.parameters.random_term import RandomTerm, clip_bounds
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.parameters.spatial_field import SpatialField
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.rom.loading import load
from romflow.store.snapshots import SnapshotStore

TABLE = {"covariance": {"kernel": "squared-exponential", "length": [2.0, 1.5], "std": 80.0}, "terms": 4,
         "parameter": "heat", "box": [[0.0, 0.0], [3.0, 3.0]], "amplitude": "a", "clip": [-200.0, 200.0]}
COLUMNS = ["heat_0", "heat_1", "heat_2", "heat_3", "a", "t"]
NODES = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 3.0]])


def plate(cells, **change):
    model = Mechanics(
        ParameterSpace([Parameter("heat", Normal(0.0, 1.0), size=4)]), REFERENCE,
        mesh={"shape": "plate-with-hole", "cells": list(cells)}, element="quad4-bbar",
        supports=[{"on": "left", "symmetric": True}, {"on": "bottom", "symmetric": True}],
        loads=[{"type": "traction", "on": "top", "value": [0, 110], "amplitude": "a"}],
        temperature=["270", {**TABLE, **change}],
        amplitudes=[{"name": "a", "times": [0, 50, 100], "values": [0, 1, 0]}])
    return model.evolving(TimeGrid(100.0, 4))


def test_modes_give_the_covariance(must_fail):
    covariance = Covariance("squared-exponential", (2.0, 1.5), 9.0)
    field = BoxExpansion(covariance, [0.0, 0.0], [3.0, 3.0], 40)
    modes = field.at(NODES)
    exact = covariance.matrix(NODES, NODES)
    def check(found):
        np.testing.assert_allclose(found, exact, atol=1e-3)

    check(modes @ modes.T)
    must_fail(check, modes @ modes.T + 1e-2, modes @ modes.T - 1e-2)
    assert 0.999 < field.share <= 1.0
    assert BoxExpansion(covariance, [0.0, 0.0], [3.0, 3.0], 4).share < 0.97


def test_two_meshes_see_one_field():
    mu = np.array([1.0, -0.5, 0.7, 0.2])
    coarse, fine = (plate(cells).mechanics for cells in ((4, 6), (8, 12)))
    pairs = [(i, j) for i, x in enumerate(coarse.space.nodes)
             for j in np.flatnonzero(np.abs(fine.space.nodes - x).max(axis=1) < 1e-12)]
    assert len(pairs) >= 6
    there, here = np.array(pairs).T
    values = [problem.nodal_temperature(problem.rows(mu, 50.0)) for problem in (coarse, fine)]
    np.testing.assert_allclose(values[0][there], values[1][here], rtol=1e-12)
    assert np.ptp(values[0]) > 30.0
    cold = fine.nodal_temperature(fine.rows(mu, 0.0))
    np.testing.assert_array_equal(cold, 270.0)


def test_clip_and_transform():
    xi = np.array([[9.0, 0.0, 0.0, 0.0, 1.0, 0.0]])
    field = SpatialField([random_temperature(TABLE, COLUMNS, NODES)], COLUMNS)
    assert np.abs(field.values(NODES.T, xi)).max() == 200.0
    free = SpatialField([random_temperature({**TABLE, "clip": None}, COLUMNS, NODES)], COLUMNS)
    assert np.abs(free.values(NODES.T, xi)).max() > 201.0
    table = {**TABLE, "covariance": {"length": 2.0, "variance": 0.25}, "transform": "lognormal", "clip": None}
    log = SpatialField([random_temperature({**table, "transform": "affine"}, COLUMNS, NODES)], COLUMNS)
    exp = SpatialField([random_temperature(table, COLUMNS, NODES)], COLUMNS)
    np.testing.assert_allclose(exp.values(NODES.T, xi), np.exp(log.values(NODES.T, xi)))
    assert exp.used == ("heat_0", "heat_1", "heat_2", "heat_3", "a")


def test_restricted_and_stored_fields_are_the_same():
    field = SpatialField(["20", random_temperature({**TABLE, "amplitude": "a * (1 + x)"}, COLUMNS, NODES)], COLUMNS)
    rows = np.random.default_rng(0).normal(size=(5, 6))
    whole = field.values(NODES.T, rows)
    np.testing.assert_array_equal(field.values(NODES[[2, 0]].T, rows, [2, 0]), whole[[2, 0]])
    np.testing.assert_array_equal(field.restrict([2, 0]).values(NODES[[2, 0]].T, rows), whole[[2, 0]])
    again = SpatialField.from_arrays(field.to_spec(), field.to_arrays())
    np.testing.assert_array_equal(again.values(NODES.T, rows), whole)
    with pytest.raises(ShapeError, match="known at 3 nodes"):
        field.values(NODES[:2].T, rows)
    with pytest.raises(ParameterError, match="not finite"):
        SpatialField([random_temperature({**TABLE, "transform": "lognormal", "clip": None}, COLUMNS, NODES)],
                     COLUMNS).values(NODES.T, 1e3 * np.abs(rows))


def test_reduced_model_reads_the_random_field(tmp_path, must_fail):
    fom = plate((4, 6))
    mu = np.array([[1.5, 0.0, 0.0, 0.0], [-1.5, 0.5, 0.0, 0.0], [0.0, 1.5, 1.0, -1.0]])
    store = SnapshotStore(tmp_path / "store", fom.spec, fom.parameters.columns)
    for row in mu:
        writer = store.writer(row)
        for piece in fom.march(row):
            writer.append(piece.start, piece.times, piece.states)
        writer.finish()
    rom = EmpiricalCubature(tolerance=1e-6, calibrate=False).reduce(fom, store, mu)
    answer = rom.solve(mu)
    exact = np.stack([fom.solve(row).state for row in mu], axis=1)

    def check(found):
        assert np.linalg.norm(found - exact) < 1e-3 * np.linalg.norm(exact)

    check(rom.lift(answer.coefficients))
    must_fail(check, 1.01 * exact, exact[:, [1, 0, 2]])
    rom.save(tmp_path / "model.h5")
    np.testing.assert_array_equal(load(tmp_path / "model.h5").solve(mu).coefficients, answer.coefficients)


def test_identity_tells_fields_apart():
    assert plate((2, 4)).spec == plate((2, 4)).spec
    assert plate((2, 4)).spec != plate((2, 4), clip=[-200.0, 100.0]).spec


@pytest.mark.parametrize(("change", "words"), [
    ({"term": 3}, "no key 'term'"),
    ({"terms": 0}, "whole number from 1"),
    ({"terms": 3}, "size = 3"),
    ({"terms": 5}, "size = 5"),
    ({"parameter": "heats"}, "0 entries"),
    ({"parameter": None}, "name of a table"),
    ({"covariance": {"kernel": "gauss", "length": 1.0}}, "no covariance is called"),
    ({"covariance": {"kernel": "exponential"}}, "needs length"),
    ({"covariance": {"length": 1.0, "std": -1.0}}, "above 0"),
    ({"covariance": {"length": 1.0, "std": 1e200}}, "above 0"),
    ({"covariance": {"length": 1.0, "std": 1.0, "variance": 1.0}}, "one of the two"),
    ({"covariance": {"length": [1.0, 1.0, 1.0]}}, "3 correlation lengths"),
    ({"covariance": {"length": 0.05}}, "too short"),
    ({"covariance": {"lenght": 1.0}}, "Did you mean 'length'"),
    ({"covariance": 3}, "a table with kernel"),
    ({"box": [[0.0, 0.0], [2.0, 3.0]]}, "outside the box"),
    ({"box": [[0.0, 0.0], [3.0, 0.0]]}, "two corners"),
    ({"box": [[0.0], [3.0]]}, "2 coordinates"),
    ({"box": [[0.0, float("nan")], [3.0, 3.0]]}, "two corners"),
    ({"clip": [1.0, 0.0]}, "low < high"),
    ({"clip": [0.0, float("nan")]}, "two finite numbers"),
    ({"transform": "cubic"}, "no random field is called"),
    ({"amplitude": None}, "a text or a number")])
def test_wrong_tables(change, words):
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        random_temperature({**TABLE, **change}, COLUMNS, NODES)


def test_wrong_terms():
    with pytest.raises(ShapeError, match="a column a coordinate"):
        RandomTerm("1", np.ones((3, 2)), ("a",))
    with pytest.raises(InputError, match="not all finite"):
        RandomTerm("1", np.full((3, 1), np.nan), ("a",))
    with pytest.raises(ConfigError, match="needs the column 'b'"):
        SpatialField([RandomTerm("1", np.ones((3, 1)), ("b",))], ["a"])
    with pytest.raises(ShapeError, match="on a box"):
        BoxExpansion(Covariance(), [0.0], [1.0], 1).at(np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="low < high"):
        clip_bounds([2.0, 2.0])
