"""Options of mechanics in a study: what is wrong is named, texts and files are read."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError
from romflow.fom.build import build_model
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.mechanics.equilibrium import NewtonOptions
from romflow.fom.mechanics.making import make_amplitudes, make_temperature
from romflow.fom.mechanics.model import QuasiStatic
from romflow.linalg.solvers.flexible_gmres import flexible_gmres
from romflow.materials.making import make_law
from romflow.materials.reference import REFERENCE
from romflow.parameters.loading import Loading
from tests.toy_mechanics import ELASTIC, MU, SPACE, bar, plate


@pytest.mark.parametrize(("changes", "words"), [
    ({"mesh": None}, "needs a mesh"), ({"norm": "energy"}, "norm"), ({"newton": {"tolerence": 1e-6}}, "tolerance"),
    ({"newton": {"tolerance": "a"}}, "between 0 and 1"), ({"newton": [1]}, "is no table"),
    ({"newton": {"extrapolate": "yes"}}, "true or false"),
    ({"loads": [{"type": "traction", "on": "top", "value": [0, 1], "amplitude": "2 * tt"}]},
     "load 1 .traction. has amplitude = '2 . tt': no parameter is called 'tt'"),
    ({"temperature": "20 * w"}, "a term of a field is '20 . w'"),
    ({"newton": {"tolerance": 2.0}}, "between 0 and 1"), ({"newton": {"halvings": -1}}, "whole number from 0"),
    ({"reference_force": -1.0}, "reference_force"), ({"law": "steel"}, "no table"),
    ({"amplitudes": {"cycle": 3}}, "no table"), ({"temperature": "20 + sycle"}, "sycle"),
    ({"outputs": [{"name": "a", "type": "field", "field": "misess"}]}, "mises"),
    ({"outputs": [{"name": "a", "type": "fields"}]}, "field"),
    ({"outputs": [{"type": "field", "field": "mises"}]}, "name"),
    ({"outputs": [{"name": "a", "type": "displacement", "on": "top", "component": "z"}]}, "one of x, y"),
    ({"outputs": [{"name": "a", "type": "displacement", "component": "x"}]}, "needs on"),
    ({"outputs": [{"name": "a", "type": "reaction", "on": "top", "component": "x"}]}, "not supported"),
    ({"outputs": [{"name": "a", "type": "field", "field": "mises", "at": [1, 0], "measure": "max"}]}, "at beside"),
    ({"outputs": [{"name": "a", "type": "field", "field": "mises"}] * 2}, "two outputs"),
    ({"outputs": [{"name": "a", "type": "field", "field": "mises", "measure": "sum"}]}, "mean"),
    ({"outputs": [{"name": "a", "type": "field", "field": "mises", "where": "top"}]}, "no key"),
])
def test_wrong_options_say_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        plate(**changes)


def test_times_that_mechanics_does_not_have() -> None:
    model = bar()
    for time in (TimeGrid(1.0, 2, scheme="bdf2"), TimeGrid(1.0, 2, tolerance=1e-3), TimeGrid(1.0, 2, load="t"),
                 TimeGrid(1.0, 2, initial="x")):
        with pytest.raises(ConfigError, match="does not belong to mechanics"):
            model.evolving(time)
    with pytest.raises(NotSupported, match="add the table"):
        model.solve(MU)


def test_a_study_names_the_model() -> None:
    request = {"kind": "mechanics", "parameters": SPACE.to_spec(), "base": ".", "time": {"end": 1.0, "steps": 2},
               "options": {"law": ELASTIC, "mesh": {"shape": "box", "cells": [1, 1, 1]}, "norm": "H1",
                           "supports": [{"on": "x = 0"}]}, "solver": {"method": "auto", "backend": "superlu",
                                                                      "tolerance": 1e-9}}
    fom = build_model(request)
    assert isinstance(fom, QuasiStatic) and fom.spec["kind"] == "mechanics" and fom.spec["times"] == [0.0, 0.5, 1.0]
    assert fom.inner_product.shape == (24, 24) and fom.norm == "H1" and fom.on(TimeGrid(1.0, 4)).times.size == 5
    assert not fom.solve(MU).state.any()


def test_nodal_temperatures_come_from_a_file(tmp_path: Any) -> None:
    np.save(tmp_path / "T.npy", np.linspace(0.0, 1.0, 9))
    term = {"file": "T.npy", "amplitude": "100 * t"}
    model = bar(temperature=["20", term], base=tmp_path)
    rows = model.mechanics.rows(MU, 0.5)
    assert model.mechanics.nodal_temperature(rows) == pytest.approx(20.0 + 50.0 * np.linspace(0.0, 1.0, 9))
    assert model.mechanics.data(rows, slice(0, 1))["T"] == pytest.approx(model.mechanics.data(rows)["T"][:4])
    assert (tmp_path / "T.npy") in model.files and "T.npy" not in str(model.spec)
    np.save(tmp_path / "T.npy", np.ones(4))
    with pytest.raises(ShapeError, match="4 nodal values and the mesh 9 nodes"):
        bar(temperature=term, base=tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        bar(temperature={"file": "none.npy"}, base=tmp_path)
    with pytest.raises(ConfigError, match="no key"):
        bar(temperature={"file": "T.npy", "time": 3}, base=tmp_path)


def test_amplitudes_and_the_temperature_where_nothing_is_said() -> None:
    assert make_amplitudes([{"name": "a", "times": [0, 1], "values": [0, 2]}])[0].name == "a"
    with pytest.raises(ConfigError, match="amplitudes"):
        make_amplitudes("cycle")
    law = make_law(REFERENCE)
    still = make_temperature(None, law, Loading(()), np.zeros((3, 2)))
    assert still.values(np.zeros((2, 3)), np.zeros((1, 1))).max() == 20.0


def test_newton_options_are_numbers() -> None:
    with pytest.raises(ConfigError, match="iterations"):
        NewtonOptions(iterations=True)


def test_flexible_gmres_needs_no_linear_preconditioner(must_fail: Callable[..., None]) -> None:
    rng = np.random.default_rng(3)
    A = np.eye(40) + 0.1 * rng.standard_normal((40, 40))
    b = rng.standard_normal(40)

    def rough(v: np.ndarray) -> np.ndarray:
        return v.astype(np.float16).astype(np.float64)

    x, count = flexible_gmres(lambda z: A @ z, rough, b, 1e-9, 60)

    def solved(y: np.ndarray) -> None:
        assert np.linalg.norm(b - A @ y) <= 2e-9 * np.linalg.norm(b)

    assert x is not None and count <= 40
    solved(x)
    must_fail(solved, x * (1.0 + 1e-7), x * (1.0 - 1e-7))
    assert flexible_gmres(lambda z: A @ z, rough, b, 1e-9, 3) == (None, 3)
    assert flexible_gmres(lambda z: A @ z, rough, 0 * b, 1e-9, 3)[1] == 0
