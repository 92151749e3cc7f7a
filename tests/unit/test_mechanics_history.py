"""Histories of nonlinear bodies: equilibrium, restart, replay, linear solves, outputs, and what goes wrong."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import romflow.fom.mechanics.model as model_module
from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, SolveFailed
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.marching import checked_march
from romflow.fom.mechanics.between import inner_of
from romflow.fom.mechanics.equilibrium import Equilibrium
from romflow.fom.mechanics.linear import FreePattern, KeptFactor, SharedFactor
from romflow.fom.mechanics.model import QuasiStatic
from romflow.fom.mechanics.problem import Point
from romflow.fom.mechanics.replay import replay
from romflow.materials.reference import REFERENCE
from romflow.outcome.mechanics import fields_at
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.marching import stored_march
from romflow.testing.model import check_model
from tests.toy_mechanics import ELASTIC, MU, SOFT, bar, plate


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


def test_the_model_keeps_the_laws_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "_LATEST", 0.0)
    report = check_model(lambda: plate(mesh={"shape": "plate-with-hole", "cells": [3, 4]})
                         .evolving(TimeGrid(50.0, 5)), "mechanics")
    assert report.passed, str(report)
