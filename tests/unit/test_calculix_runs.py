"""CalculiX as a full-order model: against this package's solver and law, and runs that go wrong."""

import shutil
from functools import cache

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, SolveFailed
from romflow.core.fingerprint import check_json
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.marching import checked_march
from romflow.fom.mechanics.calculix.model import Calculix
from romflow.fom.mechanics.model import Mechanics
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

pytestmark = pytest.mark.skipif(shutil.which("ccx") is None, reason="CalculiX (ccx) is not installed")
SPACE = ParameterSpace([Parameter("pull", Uniform(0.0, 1000.0))])
HEAT = "(T - 20) / 1000"
LAW = {"kind": "viscoplastic", "young": f"200e3 * (1 - 0.3 * {HEAT})", "poisson": 0.3,
       "expansion": f"1.2e-5 * (1 + 0.2 * {HEAT})", "reference_temperature": 20.0,
       "isotropic": f"200 * (1 - 0.5 * {HEAT}) + 80 * (1 - exp(-10 * p))"}
BAR = {"mesh": {"shape": "box", "cells": [3, 1, 1], "lengths": [3.0, 1.0, 1.0]}, "element": "tet10",
       "supports": [{"on": "x = 0"}], "temperature": "20 + 60 * a * x",
       "loads": [{"type": "traction", "on": "x = max", "value": [1, 0, 0.1], "amplitude": "pull * a"}],
       "amplitudes": {"a": {"times": [0, 1, 3], "values": [0, 1, -1]}},
       "outputs": [{"name": "p", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"}]}
STRAINED = {"mesh": {"shape": "box", "cells": [1, 1, 1]}, "element": "hex8", "temperature": "300 + 200 * a",
            "supports": [*({"on": f"{x} = 0", "symmetric": True} for x in "xyz"),
                         {"on": "z = max", "components": ["z"], "value": "pull * a / 1000"}],
            "amplitudes": {"a": {"times": [0, 10, 30, 40], "values": [0, 1, -1, 0], "period": 40}},
            "outputs": [{"name": "stress", "type": "field", "field": "stress_zz", "measure": "mean"},
                        {"name": "p", "type": "field", "field": "accumulated_plastic_strain", "measure": "max"}]}
BODY = """*NODE, NSET=all
1, 0, 0, 0
2, 1, 0, 0
3, 1, 1, 0
4, 0, 1, 0
5, 0, 0, 1
6, 1, 0, 1
7, 1, 1, 1
8, 0, 1, 1
*ELEMENT, TYPE=C3D8, ELSET=cube
1, 1, 2, 3, 4, 5, 6, 7, 8
*NSET, NSET=foot
1, 2, 3, 4
*SURFACE, NAME=top, TYPE=ELEMENT
1, S2
*MATERIAL, NAME=steel
*ELASTIC
200000., .3
*PLASTIC
200., 0.
300., .1
*SOLID SECTION, ELSET=cube, MATERIAL=steel
*BOUNDARY
foot, 1, 3
*AMPLITUDE, NAME=a
0., 0., 2., 1.
*STEP, INC=100, NLGEOM=NO
*STATIC
0.5, 2., 1.e-5, 0.5
*DSLOAD, AMPLITUDE=a
top, P, ${pull}
*NODE OUTPUT
U
*END STEP
"""
CUBE = {"input": "cube.inp", "supports": [{"on": "foot"}], "amplitudes": {"a": {"times": [0, 2], "values": [0, 1]}},
        "loads": [{"type": "pressure", "on": "top", "amplitude": "pull * a"}]}
STEEL = {"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": [[0, 200], [0.1, 300]]}


def history(model, mu, times):
    """Displacements (n, K + 1) and outputs (o, K + 1)."""
    pieces = list(checked_march(model.evolving(TimeGrid(times=times)), np.array([mu])))
    return np.hstack([piece.states for piece in pieces]), np.hstack([piece.series for piece in pieces])


@cache
def bars():
    times = np.linspace(0.0, 3.0, 9)
    theirs = Calculix(SPACE, LAW, **BAR).evolving(TimeGrid(times=times))
    ours, outputs = history(Mechanics(SPACE, LAW, **BAR), 170.0, times)
    pieces = list(theirs.march(np.array([170.0])))
    return ours, outputs, np.hstack([p.states for p in pieces]), np.hstack([p.series for p in pieces]), theirs


def test_whole_solver_against_calculix(must_fail):
    ours, outputs, theirs, series, _ = bars()

    def check(u: np.ndarray) -> None:
        assert np.abs(u - ours).max() <= 1e-3 * np.abs(ours).max()

    check(theirs)
    must_fail(check, theirs * (1 + 1e-2), theirs + 1e-2 * np.abs(theirs).max())
    assert outputs[0].max() > 1e-3 and np.allclose(series, outputs, rtol=1e-3, atol=1e-8)


def test_import_gives_calculix_stresses():
    found = bars()[4].compared(np.array([170.0]))
    assert found.stress.max() < 1e-4 and found.accumulated_plastic_strain.max() < 1e-4 and found.balance.max() < 1e-3


@pytest.mark.parametrize("viscosity", [{}, {"viscosity": f"150 * (1 + 0.5 * {HEAT})", "exponent": f"6 - 2 * {HEAT}"}])
def test_law_under_cyclic_strain_and_heat(viscosity, must_fail):
    times = np.linspace(0.0, 60.0, 31)
    law = {**LAW, **viscosity}
    _, ours = history(Mechanics(SPACE, law, **STRAINED), 4.0, times)
    model = Calculix(SPACE, law, **STRAINED).evolving(TimeGrid(times=times))
    found = model.compared(np.array([4.0]))

    def check(shares: np.ndarray) -> None:
        assert shares.max() <= 1e-3

    check(found.stress)
    check(found.accumulated_plastic_strain)
    must_fail(check, found.stress + 2e-3)
    assert np.abs(ours[0]).max() > 150.0 and ours[1].max() > 4e-3


def test_kinematic_hardening_needs_large_strains_there():
    law = {"kind": "viscoplastic", "young": 2e5, "poisson": 0.3, "isotropic": "20 + 200 * p",
           "kinematic": [{"modulus": 1e3, "recovery": 0.0}]}
    model = Calculix(SPACE, law, **{**STRAINED, "temperature": 0.0}).evolving(TimeGrid(60.0, 30))
    found = model.compared(np.array([0.2]))
    assert found.stress.max() <= 1e-3 and found.accumulated_plastic_strain.max() <= 2e-3


def test_users_input_with_its_parameters(tmp_path):
    (tmp_path / "cube.inp").write_text(BODY)
    model = Calculix(SPACE, STEEL, base=tmp_path, **CUBE).evolving(TimeGrid(2.0, 4))
    check_json(model.spec)
    found = model.compared(np.array([250.0]))
    assert found.balance.max() < 1e-3 and found.stress is None
    assert sum(piece.seconds for piece in model.march(np.array([250.0]))) > 0.0
    last = model.solve(np.array([250.0]))
    assert last.state.shape == (24,) and np.array_equal(last.state.reshape(8, 3)[:4], np.zeros((4, 3)))
    twice = [{**CUBE["loads"][0], "amplitude": "2 * pull * a"}]
    other = Calculix(SPACE, STEEL, base=tmp_path, **{**CUBE, "loads": twice})
    with pytest.raises(SolveFailed, match=r"leave 50 % of the forces unbalanced at t = 0\.5"):
        list(other.evolving(TimeGrid(2.0, 4)).march(np.array([250.0])))


def test_loads_beyond_the_limit_keep_what_was_found(tmp_path):
    (tmp_path / "cube.inp").write_text(BODY.replace("300., .1", "200., .1")
                                       .replace("foot, 1, 3", "foot, 3, 3\n1, 1, 2\n2, 2"))
    law = {**STEEL, "isotropic": 200.0}
    supports = [{"on": "foot", "components": ["z"]}, {"on": [0, 0, 0], "components": ["x", "y"]},
                {"on": [1, 0, 0], "components": ["y"]}]
    model = Calculix(SPACE, law, base=tmp_path, **{**CUBE, "supports": supports}).evolving(TimeGrid(2.0, 4))
    pieces = []
    with pytest.raises(SolveFailed, match=r"singular: the load may exceed .*times up to t = 1 are kept") as caught:
        pieces.extend(model.march(np.array([300.0])))
        pieces.append(None)
    assert caught.value.report["exit_code"] != 0 and "printed" in caught.value.report
    kept = []
    with pytest.raises(SolveFailed):
        for piece in model.march(np.array([300.0])):
            kept.append(piece)
    assert [piece.states.shape for piece in kept] == [(24, 3)]


@pytest.mark.parametrize(("old", "new", "message"), [
    ("*PLASTIC", "*PLUSTIC", r"left out a line of its input that it does not understand, '\*PL.STIC'"),
    ("8, 0, 1, 1", "8, 0, 1, -1", "nonpositive jacobian"),
    ("*NODE OUTPUT\nU\n", "", "gave no results|wrote no results|no nodes"),
])
def test_runs_that_fail_say_why(tmp_path, old, new, message):
    (tmp_path / "cube.inp").write_text(BODY)
    model = Calculix(SPACE, STEEL, base=tmp_path, **CUBE).evolving(TimeGrid(2.0, 4))
    model.model._text = BODY.replace(old, new)
    with pytest.raises(SolveFailed, match=message):
        model.solve(np.array([100.0]))


def test_time_limit():
    model = Calculix(SPACE, LAW, timeout=0.01, **BAR).evolving(TimeGrid(3.0, 40))
    with pytest.raises(SolveFailed, match="longer than its time limit of 0.01 s"):
        model.solve(np.array([100.0]))


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"command": "no-such-program"}, InputError, "'no-such-program' is not found"),
    ({"timeout": -1}, ConfigError, "timeout = -1"),
    ({"tolerance": 2.0}, ConfigError, "tolerance = 2"),
    ({"balance": 0}, ConfigError, "balance = 0"),
    ({"norm": "L1"}, ConfigError, "norm = 'L1'"),
])
def test_wrong_options_are_named(change, error, message):
    with pytest.raises(error, match=message):
        Calculix(SPACE, LAW, **{**BAR, **change})


def test_wrong_placeholders_are_named(tmp_path):
    (tmp_path / "cube.inp").write_text(BODY.replace("${pull}", "${push}"))
    with pytest.raises(ConfigError, match=r"placeholder \$\{push\}, which is no parameter"):
        Calculix(SPACE, STEEL, base=tmp_path, **CUBE)
    (tmp_path / "cube.inp").write_text(BODY.replace("${pull}", "5"))
    with pytest.raises(ConfigError, match="'pull' is nowhere in"):
        Calculix(SPACE, STEEL, base=tmp_path, **CUBE)


def test_elements_and_laws_that_calculix_has_not():
    model = Calculix(SPACE, LAW, **{**BAR, "element": "hex8-bbar"}).evolving(TimeGrid(3.0, 4))
    with pytest.raises(NotSupported, match="no element like 'hex8-bbar'"):
        model.solve(np.array([1.0]))
    with pytest.raises(NotSupported, match="'a', which changes in time"):
        Calculix(SPACE, {**LAW, "young": "2e5 + a"}, **BAR).evolving(TimeGrid(3.0, 4)).solve(np.array([1.0]))
