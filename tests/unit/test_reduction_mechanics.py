"""Empirical cubature of mechanics: from stored displacements alone to a model that gives the truth back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, NotSupported, StoreError
from romflow.fom.mechanics.problem import Output
from romflow.materials.protocol import PLASTIC
from romflow.materials.tensors import mises
from romflow.reduction.mechanics.blocks import STRESS
from romflow.reduction.mechanics.cubature import force_cubature
from romflow.reduction.mechanics.degraded import KnownField, pairs_of
from romflow.reduction.mechanics.files import WorkFiles
from romflow.reduction.mechanics.modes import DualSweep, dual_pod
from romflow.reduction.mechanics.offline import OfflineData
from romflow.reduction.mechanics.reductor import EmpiricalCubature
from romflow.reduction.mechanics.runner import BlockRunner
from romflow.reduction.mechanics.snapshots import lifting_fields
from romflow.rom.mechanics.calibration import indicator_quality
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore
from tests.toy_mechanics_store import StoredPlate, elsewhere, stored
from tests.toy_reduced_mechanics import MU, History, history, plate

ROW = MU[None]
ELASTIC = {"kind": "thermoelastic", "young": 2e5, "poisson": 0.3, "expansion": 1.2e-5, "reference_temperature": 20.0}
Case = tuple[History, StoredPlate, SnapshotStore]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    known = history()
    return (known, *stored(known, tmp_path_factory.mktemp("store"), ROW, outputs(known)))


@pytest.fixture(scope="module")
def rom(case: Case) -> MechanicsReducedModel:
    return EmpiricalCubature(1e-4).reduce(*case[1:], ROW)


def outputs(known: History) -> list[Output]:
    space = known.problem.space
    every, w = np.arange(space.G), space.weights / space.weights.sum()
    corner, held = np.zeros(space.n), np.zeros(space.n)
    corner[-1] = 1.0
    held[1::2] = space.nodes[:, 1] == 0.0
    return [Output("corner", "displacement", corner), Output("reaction", "reaction", held),
            Output("mean p", "field", None, PLASTIC, "mean", every, w),
            Output("most p", "field", None, PLASTIC, "max", every),
            Output("mean stress", "field", None, "stress_yy", "mean", every, w),
            Output("most mises", "field", None, "mises", "max", every)]


def field_errors(rom: MechanicsReducedModel, known: History) -> tuple[float, float, float]:
    """Largest errors over the times of displacements, plastic strain and stress, relative to their largest norms."""
    answer, w = rom.solve(ROW), known.problem.space.weights
    u = rom.lift(answer.trajectory[:, :, 0].T) - known.u
    found = [np.linalg.norm(u, axis=0).max() / np.linalg.norm(known.u, axis=0).max()]
    for name, truth in ((PLASTIC, known.state[6:7]), (STRESS, known.stress)):
        modes = rom.dual[name].modes
        gap = (modes @ answer.dual[name][:, :, 0].T).reshape(truth.shape) - truth
        norms = [np.sqrt(np.einsum("g,igk,igk->k", w, v, v)).max() for v in (gap, truth)]
        found.append(norms[0] / norms[1])
    return found[0], found[1], found[2]


def test_the_training_history_comes_back(rom: MechanicsReducedModel, case: Case,
                                         must_fail: Callable[..., None]) -> None:
    def check(model: MechanicsReducedModel) -> None:
        u, p, stress = field_errors(model, case[0])
        assert u < 1e-3 and p < 1e-3 and stress < 3e-3

    check(rom)
    must_fail(check, replace(rom, weights=1.02 * rom.weights), rom.truncate(3))
    assert (rom.weights > 0.0).all() and len(rom.weights) < 0.5 * rom.volume.size
    assert abs(rom.weights.sum() / rom.volume.sum() - 1.0) <= 1e-4
    assert np.allclose(rom.basis.T @ case[1].inner_product @ rom.basis, np.eye(rom.size), atol=1e-12)


def test_tighter_tolerances_give_smaller_errors(case: Case) -> None:
    errors = [max(field_errors(EmpiricalCubature(tolerance, calibrate=False).reduce(*case[1:], ROW), case[0]))
              for tolerance in (1e-2, 1e-4)]
    assert errors[1] < 0.1 * errors[0] and errors[1] < 3e-3


def test_outputs_are_those_of_the_full_order_fields(rom: MechanicsReducedModel, case: Case) -> None:
    known, problem = case[0], case[0].problem
    w = problem.space.weights / problem.space.weights.sum()
    held = outputs(known)[1].functional
    reaction = [held @ (problem.space.forces(known.stress[:, :, k]) - problem.external(problem.rows(MU, t)))
                if k else 0.0 for k, t in enumerate(known.times.tolist())]
    truth = np.array([known.u[-1], reaction, w @ known.state[6], known.state[6].max(axis=0), w @ known.stress[1],
                      mises(known.stress).max(axis=0)])
    found = rom.solve(ROW).series[:, :, 0]
    gap = np.abs(found - truth).max(axis=1) / np.abs(truth).max(axis=1)
    assert gap[[0, 2, 4]].max() < 1e-3 and gap.max() < 2e-2


def test_replayed_stresses_are_those_of_the_solver(case: Case, must_fail: Callable[..., None]) -> None:
    known, fom, store = case
    runner = BlockRunner(fom, store, ROW, 3)
    assert runner.replay() == 3 and runner.replay() == 0
    stress, plastic = np.empty((6, *known.stress.shape[1:])), np.empty(known.stress.shape[1:])
    for number, block in enumerate(runner.blocks):
        stress[:, block.points] = runner.files.read(f"{runner.replays[0]}-{STRESS}", number).transpose(1, 2, 0)
        plastic[block.points] = runner.files.read(f"{runner.replays[0]}-{PLASTIC}", number)[:, 0].T

    def check(found: np.ndarray) -> None:
        assert np.abs(found - known.stress).max() <= 1e-6 * np.abs(known.stress).max()

    check(stress)
    must_fail(check, 1.00001 * stress)
    assert np.abs(plastic - known.state[6]).max() <= 1e-9
    runner.files.clear()


@pytest.mark.parametrize("tolerance", [1e-4, 1e-9])
def test_modes_of_subdomains_are_those_of_one_matrix(case: Case, tolerance: float,
                                                     must_fail: Callable[..., None]) -> None:
    known, fom, store = case
    runner = BlockRunner(fom, store, ROW, 4)
    runner.replay()
    root = np.sqrt(np.tile(known.problem.space.weights, 6))[:, None]
    S = known.stress.reshape(len(root), -1)
    U, s, _ = np.linalg.svd(root * S, full_matrices=False)
    found = dual_pod(runner, STRESS, tolerance)
    n = found.basis.shape[1]

    def check(modes: np.ndarray) -> None:
        projected = root * modes @ (modes.T @ (root**2 * S))
        assert np.linalg.norm(root * S - projected) <= 1.001 * tolerance * np.linalg.norm(s)

    check(found.basis)
    must_fail(check, found.basis[:, :-1], 1.01 * found.basis)
    assert np.sqrt(np.sum(s[n:] ** 2)) <= tolerance * np.linalg.norm(s) < np.sqrt(np.sum(s[n - 1:] ** 2))
    assert np.allclose(found.singular_values[:n], s[:n], rtol=1e-6)
    runner.files.clear()


def test_subdomains_change_nothing_but_the_choice_of_points(case: Case) -> None:
    rom = EmpiricalCubature(1e-3, cubature_tolerance=1e-3, calibrate=False).reduce(*case[1:], ROW)
    for subdomains in (4, 16):
        other = EmpiricalCubature(1e-3, cubature_tolerance=1e-3, subdomains=subdomains,
                                  calibrate=False).reduce(*case[1:], ROW)
        assert len(other.weights) <= 1.2 * len(rom.weights) and (other.weights > 0.0).all()
        assert other.metadata["cubature"]["residual"] <= 1e-3
        assert np.allclose(other.basis, rom.basis, atol=1e-12)
        for name in rom.dual:
            assert np.abs(other.dual[name].modes - rom.dual[name].modes).max() <= 1e-8 * np.abs(
                rom.dual[name].modes).max()
        assert max(field_errors(other, case[0])[:2]) < 1e-2


def test_tasks_elsewhere_give_the_same_bits(case: Case) -> None:
    seen: list[str] = []
    results = []
    for tasks in (None, elsewhere(*case[1:], seen)):
        method = EmpiricalCubature(1e-3, subdomains=4, calibrate=False)
        method.tasks = tasks
        results.append(method.reduce(*case[1:], ROW))
    one, other = (model.to_arrays()[1] for model in results)
    assert all(np.array_equal(one[name], other[name]) for name in one) and one.keys() == other.keys()
    assert {text.split()[0] for text in seen} == {f"mechanics-{word}" for word in (
        "replay", "gram", "extend", "integrals", "select")}


def test_a_killed_run_goes_on_with_what_is_there(rom: MechanicsReducedModel, case: Case) -> None:
    method = EmpiricalCubature(1e-4, calibrate=False)
    method.tasks = elsewhere(*case[1:], stop="mechanics-gram")
    with pytest.raises(KeyboardInterrupt):
        method.reduce(*case[1:], ROW)
    seen: list[str] = []
    method.tasks = elsewhere(*case[1:], seen)
    again = method.reduce(*case[1:], ROW)
    assert seen[0] == "mechanics-replay 0"
    assert np.array_equal(again.weights, rom.weights) and np.array_equal(again.points, rom.points)


def test_prescribed_displacements_are_lifted(tmp_path: Path) -> None:
    known = history(prescribed="0.004 * a")
    fom, store = stored(known, tmp_path, ROW)
    model = EmpiricalCubature(1e-5, calibrate=False).reduce(fom, store, ROW)
    held = known.problem.supports.constrained
    assert model.lifting.shape[1] == 1 and not model.basis[held].any()
    u = model.lift(model.solve(ROW).trajectory[:, :, 0].T)
    assert np.abs(u - known.u)[held].max() < 1e-12 and max(field_errors(model, known)[:2]) < 1e-3


def test_the_lifting_is_elastic_and_equals_its_modes_where_they_are_prescribed() -> None:
    problem = plate(prescribed="0.004 * a")
    lifting = lifting_fields(problem, MU, 0.0)
    held, space = problem.supports.constrained, problem.space
    assert np.array_equal(lifting[held], problem.supports.modes[held])
    law = problem.law.integrate(space.strain(lifting[:, 0]) * 1e-6, problem.data(problem.rows(MU, 0.0)), 1.0,
                                problem.law.initial(space.G))
    forces = space.forces(law.stress)
    assert np.abs(forces[problem.supports.free]).max() < 1e-8 * np.abs(forces).max()


def test_an_elastic_law_has_stresses_alone(tmp_path: Path) -> None:
    problem = plate(ELASTIC)
    known = history()
    fom, store = stored(replace(known, problem=problem), tmp_path, ROW)
    method = EmpiricalCubature(1e-4)
    model = method.reduce(fom, store, ROW)
    assert list(model.dual) == [STRESS] and model.measure == STRESS
    assert method.offline is not None and method.offline.plastic_modes.size == 0


def test_the_indicator_follows_the_error(rom: MechanicsReducedModel, case: Case,
                                         must_fail: Callable[..., None]) -> None:
    assert rom.calibration is not None and rom.metadata["calibration_models"] >= 4
    known = known_field(rom, case[0])
    coarse = rom.truncate(max(1, rom.size - 3))
    pairs = np.concatenate([pairs_of(rom, known, ROW), pairs_of(coarse, known, ROW)])

    def check(indicated: np.ndarray) -> None:
        quality = indicator_quality(indicated, pairs[:, 1], 1e-4)
        assert (quality.rank_correlation or 0.0) >= 0.8 and (quality.least_effectivity or 1.0) >= 1 / 3

    check(rom.calibration.indicator(pairs[:, 0]))
    must_fail(check, -pairs[:, 0], 1e-2 * pairs[:, 1])


def known_field(rom: MechanicsReducedModel, known: History) -> KnownField:
    w, p = known.problem.space.weights, known.state[6]
    modes = rom.dual[PLASTIC].modes
    return KnownField(modes.T @ (w[:, None] * p), w @ p**2, (len(known.times),))


def test_errors_in_coordinates_are_those_of_the_fields(rom: MechanicsReducedModel, case: Case) -> None:
    known, w, p = known_field(rom, case[0]), case[0].problem.space.weights, case[0].state[6]
    z = 0.9 * known.coordinates[:3]
    gap = p - rom.dual[PLASTIC].modes[:, :3] @ z
    error, norm = known.errors(z)
    assert np.allclose(error, np.sqrt(w @ gap**2), atol=1e-9) and np.allclose(norm, np.sqrt(w @ p**2))


def test_the_rule_integrates_all_training_stresses(case: Case, must_fail: Callable[..., None]) -> None:
    known, fom, store = case
    runner, space = BlockRunner(fom, store, ROW, 2), known.problem.space
    runner.replay()
    V = EmpiricalCubature(1e-3, calibrate=False).reduce(fom, store, ROW).basis
    runner.replay()
    stress = dual_pod(runner, STRESS, 1e-6)
    found = force_cubature(runner, V, stress.basis, stress.singular_values[:stress.basis.shape[1]], 1e-2)
    rows = np.einsum("igr,igk->rkg", space.strain(V), known.stress).reshape(-1, space.G)
    b = rows @ space.weights

    def check(weights: np.ndarray) -> None:
        assert np.linalg.norm(rows[:, found.rule.points] @ weights - b) <= 1.001e-2 * np.linalg.norm(b)
        assert abs(weights.sum() / space.weights.sum() - 1.0) <= 1e-4

    check(found.rule.weights)
    must_fail(check, 1.02 * found.rule.weights)
    less = found.degraded(1, 5e-2)
    assert np.isin(less.points, found.candidates).all() and less.points.size <= found.rule.points.size
    runner.files.clear()


def test_several_histories_are_reduced_together(case: Case, tmp_path: Path) -> None:
    known = case[0]
    rows = np.array([[1.0, 1.0], [0.5, 1.0]])
    fom, store = stored(known, tmp_path, rows)
    sweep = DualSweep(BlockRunner(fom, store, rows, 1), PLASTIC)
    assert sweep.k == 2 * len(known.times)
    model = EmpiricalCubature(1e-3, calibrate=False).reduce(fom, store, rows)
    assert model.metadata["snapshots"] == 2 and model.solve(rows).converged.all()


def test_offline_data_come_back_from_their_file(case: Case, tmp_path: Path) -> None:
    method = EmpiricalCubature(1e-3, calibrate=False)
    model = method.reduce(*case[1:], ROW)
    assert method.offline is not None
    again = OfflineData.load(method.offline.save(tmp_path / "offline.h5"))
    assert np.array_equal(again.stress_modes, method.offline.stress_modes) and again.cubature_tolerance == 1e-2
    assert again.plastic_modes.shape[1] == len(again.plastic_values) == model.dual[PLASTIC].size
    assert again.snapshots == len(case[0].times)
    with pytest.raises(StoreError, match="no offline data"):
        OfflineData.load(model.save(tmp_path / "model.h5"))


def test_what_does_not_fit_is_refused(case: Case, tmp_path: Path) -> None:
    known, fom, store = case
    with pytest.raises(NotSupported, match="needs a model of mechanics"):
        EmpiricalCubature().reduce(object(), store, ROW)
    with pytest.raises(InputError, match="got no trajectory"):
        EmpiricalCubature().reduce(fom, store, ROW[:0])
    with pytest.raises(InputError, match="subdomains were asked for"):
        EmpiricalCubature(subdomains=1000).reduce(fom, store, ROW)
    for options in ({"tolerance": 1.5}, {"dual_tolerance": -1.0}, {"subdomains": 0}, {"cubature_tolerance": True}):
        with pytest.raises(ConfigError, match="the rule is"):
            EmpiricalCubature(**options)
    asked = StoredPlate(replace(fom.mechanics, outputs=(Output("x", "field", None, "damage"),)), known.times)
    assert "asks for damage" in str(EmpiricalCubature().accepts(asked))


@pytest.mark.parametrize(("fault", "message"), [
    ("mesh", "the same mesh"), ("start", "steps at its beginning"), ("still", "nothing to reduce"),
    ("held", "what the supports prescribe")])
def test_displacements_that_do_not_fit_are_named(fault: str, message: str, tmp_path: Path) -> None:
    known = history()
    u, times = known.u.copy(), known.times
    if fault == "mesh":
        u = u[:-2]
    elif fault == "start":
        u, times = u[:, 5:], times[5:]
    elif fault == "still":
        u[:] = 0.0
    else:
        u = np.roll(u, 5, axis=0)
    _, store = stored(replace(known, u=u, times=times), tmp_path, ROW)
    with pytest.raises(InputError, match=message):
        EmpiricalCubature().reduce(StoredPlate(known.problem, known.times), store, ROW)


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    files = WorkFiles(tmp_path)
    with pytest.raises(ValueError, match="midway"), files.growing("a", 0, (2, 3)) as values:
        values[0] = 1.0
        raise ValueError("midway")
    assert not files.has("a") and not list(files.path("a").parent.iterdir())
    with files.growing("a", 0, (2, 3)) as values:
        values[:] = 2.0
    assert (files.read("a") == 2.0).all()
    files.path("a").write_bytes(b"no array")
    with pytest.raises(StoreError, match="damaged"):
        files.read("a")
    with pytest.raises(StoreError):
        files.read("b")
