"""Histories of nonlinear bodies: equilibrium, restart, replay, linear solves, outputs, and what goes wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import romflow.fom.mechanics.model as model_module
from romflow.core.errors import ConfigError, InputError, NotSupported, ParameterError, ShapeError, SolveFailed
from romflow.fom.build import build_model
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.marching import checked_march
from romflow.fom.mechanics.between import inner_of
from romflow.fom.mechanics.equilibrium import Equilibrium, NewtonOptions
from romflow.fom.mechanics.linear import FreePattern, KeptFactor, SharedFactor
from romflow.fom.mechanics.making import make_amplitudes, make_temperature
from romflow.fom.mechanics.model import Mechanics, QuasiStatic
from romflow.fom.mechanics.problem import Point
from romflow.fom.mechanics.replay import replay
from romflow.linalg.solvers.flexible_gmres import flexible_gmres
from romflow.materials.making import make_law
from romflow.materials.reference import REFERENCE
from romflow.outcome.mechanics import fields_at
from romflow.parameters.distributions import Uniform
from romflow.parameters.loading import Loading
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march
from romflow.testing.model import check_model

SPACE = ParameterSpace([Parameter("pull", Uniform(0.0, 1000.0))])
MU = np.array([110.0])
CYCLE = {"times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100}
ELASTIC = {"kind": "thermoelastic", "young": 1000.0, "poisson": 0.25, "expansion": 1e-3}
# Perfectly plastic in the end: a bar of it carries 100 in tension.
SOFT = {"kind": "viscoplastic", "young": 1000.0, "poisson": 0.3, "expansion": 0.0, "isotropic": "100"}


def plate(**changes: Any) -> Mechanics:
    options: dict[str, Any] = {
        "law": REFERENCE, "mesh": {"shape": "plate-with-hole", "cells": [6, 8]},
        "supports": [{"on": "left", "symmetric": True}, {"on": "bottom", "symmetric": True}],
        "loads": [{"type": "traction", "on": "top", "value": [0, 1], "amplitude": "pull * cycle"}],
        "temperature": "20 + abs(cycle) * 500 * exp(-((x - 1)**2 + y**2) / 2.25)", "amplitudes": {"cycle": CYCLE},
        "outputs": [{"name": "top", "type": "displacement", "on": "top", "component": "y"},
                    {"name": "plastic", "type": "field", "field": "accumulated_plastic_strain"},
                    {"name": "hole", "type": "field", "field": "mises", "at": [1.0, 0.0]},
                    {"name": "held", "type": "reaction", "on": "bottom", "component": "y"}]}
    return Mechanics(SPACE, **{**options, **changes})


def bar(**changes: Any) -> Mechanics:
    """A unit square, or what `changes` say, held in x at x = 0 and in y at y = 0."""
    options: dict[str, Any] = {
        "law": ELASTIC, "mesh": {"shape": "box", "cells": [2, 2]}, "element": "quad4-bbar",
        "supports": [{"on": "x = 0", "components": ["x"]}, {"on": "y = 0", "components": ["y"]}],
        "loads": [{"type": "traction", "on": "x = max", "value": [1, 0], "amplitude": "pull * t"}]}
    return Mechanics(SPACE, **{**options, **changes})


def history(model: QuasiStatic, mu: np.ndarray = MU) -> tuple[np.ndarray, np.ndarray]:
    pieces = list(checked_march(model, mu))
    series = [piece.series for piece in pieces if piece.series is not None]
    return np.hstack([piece.states for piece in pieces]), np.hstack(series) if series else np.zeros((0, 0))


@pytest.fixture(scope="module")
def cycle() -> QuasiStatic:
    return plate().evolving(TimeGrid(100.0, 20))


@pytest.fixture(scope="module")
def found(cycle: QuasiStatic) -> tuple[np.ndarray, np.ndarray]:
    return history(cycle)


def test_forces_balance_at_every_time(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray],
                                      must_fail: Callable[..., None]) -> None:
    problem, free = cycle.mechanics, cycle.mechanics.supports.free
    U, _ = found

    def balanced(share: float) -> None:
        for k, stress, _ in replay(problem, MU, cycle.times, U.T):
            load = problem.external(problem.rows(MU, cycle.times[k]))
            left = (load - share * problem.space.forces(stress))[free]
            assert np.linalg.norm(left) <= 2e-7 * max(np.linalg.norm(problem.space.forces(stress)), 1.0)

    balanced(1.0)
    must_fail(balanced, 1.0 + 2e-6, 1.0 - 2e-6)


def test_outputs_are_those_of_the_fields(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray]) -> None:
    U, series = found
    assert cycle.output_names == ("top", "plastic", "hole", "held")
    assert series.shape == (4, 21) and U.shape == (cycle.n, 21) and not U[:, 0].any()
    # The reaction carries the traction on the top: 110 over a length of 3, at t = 50 in full.
    assert series[3, 10] == pytest.approx(-330.0, rel=1e-6)
    assert series[1, -1] > 0.01 and np.all(np.diff(series[1]) >= -1e-15)
    top = cycle.mechanics.space.nodes[:, 1] == 3.0
    assert U[1::2, 10][top].min() < series[0, 10] < U[1::2, 10][top].max()


def test_restart_goes_on_to_the_bit(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray],
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "_LATEST", 0.0)
    pieces = []
    for piece in cycle.march(MU):
        pieces.append(piece)
        if len(pieces) == 8:
            break
    start = pieces[-1].start + 1
    rest = np.hstack([piece.states for piece in cycle.march(MU, (start, pieces[-1].checkpoint))])
    assert np.array_equal(rest, found[0][:, start:])
    lost = {**pieces[-1].checkpoint, "state": np.zeros_like(pieces[-1].checkpoint["state"])}
    assert not np.allclose(next(cycle.march(MU, (start, lost))).states[:, 0], found[0][:, start], rtol=1e-3)
    assert list(cycle.march(MU, (21, pieces[-1].checkpoint))) == []


def test_full_newton_and_kept_factors_agree(found: tuple[np.ndarray, np.ndarray]) -> None:
    model = plate().evolving(TimeGrid(100.0, 20))
    model.use_solver({"method": "direct", "backend": "superlu", "tolerance": 1e-10})
    U, _ = history(model)
    assert np.abs(U - found[0]).max() <= 1e-6 * np.abs(U).max()
    with pytest.raises(ConfigError, match="without \\[time\\]"):
        model.use_solver({"method": "sweep", "backend": "auto", "tolerance": 1e-10})


def test_few_factorisations_serve_a_history(cycle: QuasiStatic) -> None:
    problem = cycle.mechanics
    tangents = KeptFactor(SharedFactor(FreePattern(problem.space, problem.supports.free), "superlu"), 30.0)
    equilibrium, point, newton = Equilibrium(problem, tangents), problem.virgin(0.0), 0
    for t in cycle.times[1:]:
        point, report = equilibrium.step(point, float(t), MU)
        newton += report.iterations
        assert report.residual <= 1e-7 and not report.failures
    assert tangents.factorisations <= 12 < newton <= 80


def test_replay_gives_the_stresses_of_the_solver(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray],
                                                 must_fail: Callable[..., None]) -> None:
    problem, U = cycle.mechanics, found[0]
    equilibrium, point = cycle._equilibrium(), problem.virgin(0.0)
    own = [point]
    for t in cycle.times[1:6]:
        point, _ = equilibrium.step(point, float(t), MU)
        own.append(point)
    states = np.stack([one.displacement for one in own])
    whole = list(replay(problem, MU, cycle.times[:6], states))
    for (_, stress, state), one in zip(whole, own, strict=True):
        assert one.stress is not None
        assert np.abs(stress - one.stress).max() <= 1e-9 and np.abs(state - one.state).max() <= 1e-12
    cells = np.array([3, 17, 40])
    part = list(replay(problem, MU, cycle.times[:6], states, cells=cells))
    points = problem.points_of(cells)
    assert np.abs(part[-1][1] - whole[-1][1][:, points]).max() <= 1e-9
    later = list(replay(problem, MU, cycle.times[3:6], states[3:], start=own[3].state))
    assert np.abs(later[-1][2] - own[-1].state).max() <= 1e-12
    assert np.abs(states - U.T[:6]).max() <= 1e-12

    def same(factor: float) -> None:
        stress = list(replay(problem, MU, cycle.times[:6], factor * states))[-1][1]
        assert np.abs(stress - whole[-1][1]).max() <= 1e-6 * np.abs(stress).max()

    same(1.0)
    must_fail(same, 1.0 + 1e-4, 1.0 - 1e-4)


def test_a_replay_wants_all_steps_of_its_mesh(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray]) -> None:
    problem, U = cycle.mechanics, found[0].T
    with pytest.raises(InputError, match="steps are missing from t = 10"):
        list(replay(problem, MU, cycle.times[:5], U[:2]))
    with pytest.raises(InputError, match="more displacements than its 2 times"):
        list(replay(problem, MU, cycle.times[:2], U[:4]))
    with pytest.raises(ShapeError, match="is it the mesh of these displacements"):
        list(replay(problem, MU, cycle.times[:3], U[:3, :-2]))
    with pytest.raises(InputError, match="do not rise"):
        list(replay(problem, MU, cycle.times[[0, 2, 1]], U[:3]))


def test_one_step_from_anywhere(cycle: QuasiStatic, found: tuple[np.ndarray, np.ndarray]) -> None:
    states = [state for _, _, state in replay(cycle.mechanics, MU, cycle.times[:5], found[0].T[:5])]
    point, report = cycle.step_from(Point(float(cycle.times[4]), found[0][:, 4], states[4]), cycle.times[5], MU)
    assert np.abs(point.displacement - found[0][:, 5]).max() <= 1e-6 * np.abs(found[0][:, 5]).max()
    assert report.iterations > 0 and point.time == cycle.times[5]
    with pytest.raises(InputError, match="does not go on in time"):
        cycle.step_from(point, 1.0, MU)


def test_heat_in_a_free_body_leaves_no_stress() -> None:
    model = bar(loads=[], temperature="100 * t").evolving(TimeGrid(1.0, 2))
    U, _ = history(model)
    # In the plane the third direction is held: x and y expand by (1 + nu) alpha T.
    assert U[0::2, -1].max() == pytest.approx(1.25 * 1e-3 * 100.0, rel=1e-9)


def test_a_load_that_goes_back_to_nothing() -> None:
    loads = [{"type": "traction", "on": "x = max", "value": [1, 0], "amplitude": "pull * max(0, 2 - t) * min(t, 1)"}]
    U, _ = history(bar(loads=loads).evolving(TimeGrid(4.0, 4)))
    assert np.abs(U[:, 1]).max() > 0.05 and np.abs(U[:, 2:]).max() <= 1e-6 * np.abs(U[:, 1]).max()


def test_prescribed_displacements_are_met() -> None:
    supports = [{"on": "x = 0", "components": ["x"]}, {"on": "y = 0", "components": ["y"]},
                {"on": "x = max", "components": ["x"], "value": "0.01 * pull * t"}]
    outputs = [{"name": "force", "type": "reaction", "on": "x = max", "component": "x"}]
    model = bar(loads=[], supports=supports, outputs=outputs).evolving(TimeGrid(1.0, 2))
    U, series = history(model, np.array([1.0]))
    assert U[0::2, -1].max() == pytest.approx(0.01)
    # Plane strain: stress = E / (1 - nu^2) strain.
    assert series[0, -1] == pytest.approx(1000.0 / (1 - 0.25**2) * 0.01, rel=1e-7)
    sudden = [*supports[:2], {**supports[2], "value": "0.01"}]
    with pytest.raises(InputError, match="let their value begin at zero"):
        history(bar(loads=[], supports=sudden).evolving(TimeGrid(1.0, 2)))


def test_a_load_beyond_the_limit_names_time_and_load() -> None:
    # A square of SOFT in plane strain carries 2 / sqrt(3) of 100.
    model = bar(law=SOFT).evolving(TimeGrid(1.0, 10))
    pieces = []
    with pytest.raises(SolveFailed, match="limit load") as caught:
        for piece in checked_march(model, np.array([150.0])):
            pieces.append(piece)
    report = caught.value.report
    assert 115.0 < report["loads"]["pull"] * report["time"] < 121.0
    assert report["halvings"] == 8 and report["residuals"] and "pull = 150" in str(caught.value)
    assert sum(piece.states.shape[1] for piece in pieces) == 8 and pieces[-1].checkpoint


class Timid:
    """A law that refuses steps longer than `longest`, so many times."""

    def __init__(self, law: Any, longest: float, times: float) -> None:
        self._law, self._longest, self._times = law, longest, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._law, name)

    def integrate(self, strain: Any, data: Any, dt: float, state: Any, tangent: bool = True) -> Any:
        answer = self._law.integrate(strain, data, dt, state, tangent)
        if dt > self._longest and self._times > 0:
            self._times -= 1
            answer.converged[0] = False
        return answer


@pytest.mark.parametrize(("times", "count"), [(1, 0), (np.inf, 3)])
def test_a_step_that_fails_is_halved_and_tried_again_as_a_whole(cycle: QuasiStatic, times: float, count: int) -> None:
    problem = replace(cycle.mechanics, law=Timid(cycle.mechanics.law, 2.0, times))
    pattern = FreePattern(problem.space, problem.supports.free)
    equilibrium = Equilibrium(problem, KeptFactor(SharedFactor(pattern, "superlu"), 30.0))
    point, report = equilibrium.step(problem.virgin(0.0), 5.0, MU)
    assert report.failures and len(report.inner) == count
    assert "did not converge at 1 of" in report.failures[0]["reason"]
    last = list(replay(cycle.mechanics, MU, np.array([0.0, 5.0]), [np.zeros(cycle.n), point.displacement],
                       inner={1: report.inner}))[-1]
    assert point.stress is not None and np.abs(last[1] - point.stress).max() <= 1e-9


def test_stored_histories_replay_exactly_where_smaller_steps_had_to_stand(
        tmp_path: Path, must_fail: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    model = plate(mesh={"shape": "plate-with-hole", "cells": [3, 4]}).evolving(TimeGrid(20.0, 4))
    timid = model.on(model.time)
    timid.mechanics = replace(model.mechanics, law=Timid(model.mechanics.law, 2.6, np.inf))
    store = SnapshotStore(tmp_path, model.spec, model.parameters.columns)
    stored_march(timid, store, MU)
    trajectory = store.trajectory(MU)
    inner, states = inner_of(trajectory), trajectory.columns()
    assert {k: len(points) for k, points in inner.items()} == {1: 1, 2: 1, 3: 1, 4: 1}
    monkeypatch.setattr(model_module, "_PIECE", 1)
    pieces = list(timid.march(MU))
    last = pieces[-1].checkpoint

    def exact(between: dict[int, Any]) -> None:
        *_, (_, stress, state) = replay(model.mechanics, MU, model.times, states.T, inner=between)
        assert np.abs(stress - last["stress"]).max() <= 1e-9 and np.abs(state - last["state"]).max() <= 1e-12

    exact(dict(inner))
    must_fail(exact, {}, {k: inner[k] for k in (1, 2, 3)})
    *_, (_, true) = fields_at(model, store, MU)
    assert np.abs(true.stress - last["stress"]).max() <= 1e-9
    # An interrupted history does not lose those before the stop.
    *_, again = timid.march(MU, (2, pieces[0].checkpoint))
    assert all(np.array_equal(again.checkpoint[name], values) for name, values in last.items())
    assert again.checkpoint["between_times"].tolist() == [2.5, 7.5, 12.5, 17.5]


@pytest.mark.parametrize(("law", "words"), [
    ({**ELASTIC, "young": "pull - 500"}, "no positive stiffness at T = 0, pull = 110"),
    ({**ELASTIC, "poisson": "pull / 200"}, "Poisson's ratio under 0.5"),
    ({**SOFT, "young": "1000 - 30 * T"}, "no positive stiffness at T = 50")])
def test_laws_without_stiffness_at_a_parameter_or_temperature_are_refused(law: dict[str, Any], words: str) -> None:
    model = bar(law=law, temperature="50 * t" if law["kind"] == "viscoplastic" else 0)
    with pytest.raises(ParameterError, match=words):
        list(model.evolving(TimeGrid(1.0, 1)).march(MU))


def test_what_came_before_the_limit_load_is_kept_and_gone_on_from(tmp_path: Path) -> None:
    model = bar(law=SOFT, loads=[{"type": "traction", "on": "x = max", "value": [1, 0], "amplitude": "pull * t"}],
                newton={"halvings": 0}).evolving(TimeGrid(1.0, 10))
    limit = 200.0 / np.sqrt(3.0)  # plane strain
    store, mu = SnapshotStore(tmp_path, model.spec, model.parameters.columns), np.array([1.9 * limit])
    with pytest.raises(SolveFailed, match="limit load"):
        stored_march(model, store, mu)
    start, kept = store.writer(mu).resume() or (0, {})
    assert 4 <= start <= 6 and not store.has(mu)
    # With other options of Newton's method the same history goes on where the first one ended.
    model.newton = replace(model.newton, halvings=1)
    with pytest.raises(SolveFailed) as caught:
        list(model.march(mu, (start, kept)))
    assert caught.value.report["reached"] >= model.times[start - 1]


def test_histories_of_an_edited_law_are_others(tmp_path: Path) -> None:
    text = ("from romflow.materials.thermoelastic import Thermoelastic\n"
            "class Mine(Thermoelastic):\n    factor = 1.0\n")
    specs = []
    for folder, content in (("a", text), ("b", text), ("c", text.replace("1.0", "2.0"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "law.py").write_text(content)
        specs.append(bar(law={**ELASTIC, "kind": "law.py:Mine"}, base=tmp_path / folder).spec["law"])
    assert specs[0] == specs[1] != specs[2]


def test_temperatures_in_kelvin_are_found() -> None:
    law = {**REFERENCE, "temperature_range": [0.0, 700.0]}
    model = plate(law=law, temperature="293.15 + 500 * cycle").evolving(TimeGrid(50.0, 5))
    with pytest.raises(ParameterError, match="kelvin"):
        list(model.march(MU))


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
    assert make_temperature(None, law, Loading(()), 3).values(np.zeros((2, 3)), np.zeros((1, 1))).max() == 20.0


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


def test_newton_options_are_numbers() -> None:
    with pytest.raises(ConfigError, match="iterations"):
        NewtonOptions(iterations=True)


def test_the_model_keeps_the_laws_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "_LATEST", 0.0)
    report = check_model(lambda: plate(mesh={"shape": "plate-with-hole", "cells": [3, 4]})
                         .evolving(TimeGrid(50.0, 5)), "mechanics")
    assert report.passed, str(report)
