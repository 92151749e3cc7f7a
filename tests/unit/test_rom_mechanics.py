"""Reduced mechanics models: the law at a few points gives what the full-order model gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import meshio
import numpy as np
import pytest

import romflow
from romflow.core.errors import InputError, NotSupported, ParameterError, ShapeError
from romflow.export.npz import Npz
from romflow.export.vtu import Vtu
from romflow.materials.tensors import mises
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.mechanics.teaching import taught
from tests.toy_reduced_mechanics import MU, TIMES, History, history, reduced


@pytest.fixture(scope="module")
def known() -> History:
    return history()


@pytest.fixture(scope="module")
def rom(known: History) -> MechanicsReducedModel:
    return reduced(known)


def errors(rom: MechanicsReducedModel, known: History) -> tuple[float, float, float]:
    """Largest errors over the times of displacements, plastic strain and stress, relative to their largest norms."""
    answer = rom.solve(MU, times=known.times)
    w, found = known.problem.space.weights, []
    u = np.stack([rom.lift(x)[:, 0] for x in answer.trajectory], axis=1)
    found.append(np.linalg.norm(u - known.u, axis=0).max() / np.linalg.norm(known.u, axis=0).max())
    for name, truth in (("accumulated_plastic_strain", known.state[6:7]), ("stress", known.stress)):
        field = np.stack([rom.field(answer, name, k)[:, :, 0] for k in range(len(known.times))], axis=2)
        norm = np.sqrt(np.einsum("g,igk,igk->k", w, truth, truth))
        left = field - truth
        found.append(np.sqrt(np.einsum("g,igk,igk->k", w, left, left)).max() / norm.max())
    return found[0], found[1], found[2]


def test_all_points_and_modes_reproduce_the_training(known: History, must_fail: Callable[..., None]) -> None:
    exact = reduced(known, accuracy=1e-9, cubature=None)

    def check(model: MechanicsReducedModel) -> None:
        assert max(errors(model, known)) < 1e-6

    check(exact)
    must_fail(check, replace(exact, weights=1.001 * exact.weights), replace(exact, strain=1.001 * exact.strain))


def test_few_points_are_as_good_as_their_tolerances(rom: MechanicsReducedModel, known: History) -> None:
    u, p, stress = errors(rom, known)
    assert len(rom.points) < 0.75 * known.problem.space.G
    assert u < 2e-3 and p < 2e-3 and stress < 5e-3


def test_tighter_tolerances_give_smaller_errors(known: History) -> None:
    found = [errors(reduced(known, eps, tau), known)[1] for eps, tau in ((1e-2, 1e-2), (1e-5, 1e-5))]
    assert found[0] > 10.0 * found[1]


def test_a_model_of_one_cycle_goes_through_two(rom: MechanicsReducedModel, must_fail: Callable[..., None]) -> None:
    two = history(cycles=2)

    def check(model: MechanicsReducedModel) -> None:
        assert errors(model, two)[1] < 3e-2

    check(rom)
    still = replace(rom.loading.amplitudes[0], period=None)
    must_fail(check, replace(rom, loading=replace(rom.loading, amplitudes=(still,))))


def test_prescribed_displacements_are_lifted() -> None:
    moved = history("2e-3 * a")
    rom = reduced(moved)
    assert rom.lifting.shape[1] == 1 and max(errors(rom, moved)) < 1e-2
    answer = rom.solve(MU)
    assert answer.trajectory.shape == (21, rom.size + 1, 1)
    edge = np.flatnonzero(rom.lifting[:, 0])
    assert np.allclose(rom.lift(answer.trajectory[6])[edge, 0], 2e-3 * 1.0)
    assert np.abs(rom.lift(answer.trajectory[6, :rom.size])[edge]).max() < 1e-12
    with pytest.raises(ShapeError, match="the rule is"):
        rom.lift(np.zeros((rom.size + 2, 1)))


@pytest.mark.parametrize("b", [3, 9])
def test_a_batch_gives_what_single_draws_give(rom: MechanicsReducedModel, b: int) -> None:
    mu = np.column_stack([np.linspace(0.5, 2.0, b), np.linspace(0.6, 1.0, b)])
    together = rom.solve(mu, times=TIMES[:9])
    assert together.converged.all() and together.series.shape == (4, 9, b)
    for j in (0, b - 1):
        alone = rom.solve(mu[j], times=TIMES[:9])
        for name in ("trajectory", "series", "residual"):
            a, c = getattr(together, name)[..., j], getattr(alone, name)[..., 0]
            assert np.abs(a - c).max() <= 1e-6 * np.abs(c).max(), name
        z = together.dual["stress"][:, :, j]
        assert np.abs(z - alone.dual["stress"][:, :, 0]).max() < 1e-6 * np.abs(z).max()


def test_chunks_of_draws_do_not_show(rom: MechanicsReducedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    mu = np.column_stack([np.linspace(0.5, 2.0, 5), np.full(5, 0.9)])
    whole = rom.solve(mu, times=TIMES[:5])
    monkeypatch.setattr("romflow.rom.mechanics.model._CHUNK_POINTS", 2 * len(rom.points))
    monkeypatch.setattr("romflow.rom.mechanics.loads._BLOCK_NUMBERS", 100)
    monkeypatch.setattr("romflow.rom.mechanics.observing._WAITING_NUMBERS", 100)
    parts = rom.solve(mu, times=TIMES[:5])
    assert np.allclose(parts.series, whole.series, rtol=1e-6, atol=1e-12)
    assert np.allclose(parts.residual, whole.residual, rtol=1e-4, atol=1e-9)


def test_a_run_goes_on_from_a_checkpoint_to_the_same_bits(rom: MechanicsReducedModel) -> None:
    straight = rom.start(MU[None])
    for t in TIMES[1:12]:
        straight = rom.advance(straight, t)
    state = rom.start(MU[None])
    for t in TIMES[1:7]:
        state = rom.advance(state, t)
    state = type(state).from_arrays({name: value.copy() for name, value in state.to_arrays().items()})
    for t in TIMES[7:12]:
        state = rom.advance(state, t)
    for name, value in straight.to_arrays().items():
        assert np.array_equal(value, state.to_arrays()[name]), name
    answer = rom.solve(MU, times=TIMES[:12])
    # Loads of many times at once: the same to rounding.
    assert np.allclose(answer.trajectory[11], state.coefficients, rtol=1e-8, atol=1e-13)
    dual, residual = rom.observe(state)
    assert np.allclose(dual["stress"], answer.dual["stress"][11], rtol=1e-12)
    assert np.allclose(residual, answer.residual[11], rtol=1e-6)
    with pytest.raises(InputError, match="a later time"):
        rom.advance(state, state.time)


def test_outputs_are_those_of_the_fields(rom: MechanicsReducedModel, known: History) -> None:
    answer = rom.solve(MU)
    w, k = known.problem.space.weights, 9
    corner, peak, mean, reaction = answer.series[:, :, 0]
    top = 2 * np.argmax(known.problem.space.nodes.sum(axis=1)) + 1
    assert np.isclose(corner[k], rom.lift(answer.trajectory[k])[top, 0])
    assert np.isclose(peak[k], rom.field(answer, "accumulated_plastic_strain", k).max())
    assert np.isclose(mean[k], w @ rom.field(answer, "mises", k)[0, :, 0] / w.sum())
    assert np.allclose(rom.field(answer, "mises", k), mises(rom.field(answer, "stress", k)))
    pulled = rom.loading.rows(MU, TIMES[k])[0, 2] * 110.0 * 3.0
    assert np.isclose(reaction[k], -pulled, rtol=1e-2)
    assert rom.output_names == ("corner", "peak", "mises", "reaction")
    assert np.array_equal(answer.output, answer.series[:, -1])
    some = np.array([3, 77])
    assert np.allclose(rom.field(answer, "stress", k, some), rom.field(answer, "stress", k)[:, some], rtol=1e-9)
    with pytest.raises(InputError, match="accumulated_plastic_strain, stress, mises"):
        rom.field(answer, "strain")


def test_the_indicator_is_the_calibrations_of_the_residual(rom: MechanicsReducedModel) -> None:
    bare = rom.solve(MU)
    assert bare.kind is None and np.isnan(bare.error).all() and (bare.residual[1:] >= 0.0).all()
    line = Calibration.fit(np.logspace(-5, -1, 9), 2.0 * np.logspace(-5, -1, 9), margin=0.0, floor=0.0)
    judged = replace(rom, calibration=line).solve(MU)
    assert judged.kind == "indicator"
    assert np.allclose(judged.error_series, line.indicator(judged.residual))
    assert np.allclose(judged.relative_error, judged.error_series[-1])
    field = rom.field(judged, "accumulated_plastic_strain")[0, :, 0]
    assert np.isclose(judged.norm[0], np.sqrt(rom.volume @ field**2), rtol=1e-3)


def test_a_foreign_field_has_a_larger_residual(rom: MechanicsReducedModel) -> None:
    answer = rom.solve(np.array([[1.0, 1.0], [2.6, 1.0]]))
    assert answer.residual[-1, 1] > 10.0 * answer.residual[-1, 0]


def test_a_model_comes_back_from_its_file(rom: MechanicsReducedModel, tmp_path: Path) -> None:
    line = Calibration.fit([1e-3, 1e-2], [2e-3, 2e-2])
    model = replace(rom, calibration=line, metadata={"origin": "toy"})
    again = romflow.load(model.save(tmp_path / "model.h5"))
    assert isinstance(again, MechanicsReducedModel) and again.metadata == {"origin": "toy"}
    one, two = (each.solve(MU, times=TIMES[:6]) for each in (model, again))
    for name in ("trajectory", "series", "error_series", "norm"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_a_taught_model_corrects_its_own_errors(known: History, tmp_path: Path) -> None:
    name = "accumulated_plastic_strain"
    coarse = reduced(known, accuracy=1e-2, cubature=3e-2)
    fine = reduced(known).dual[name]
    places = np.isin(fine.rows, coarse.points)
    coarse = replace(coarse, dual={**coarse.dual, name: replace(fine, rows=fine.rows[places])}, outputs=())
    z = np.einsum("gq,g,gk->kq", fine.modes, coarse.volume, known.state[6])[:, :, None]
    clever = taught(coarse, MU[None], {name: z})
    plain, found = (model.solve(MU).dual[name] for model in (coarse, clever))
    assert np.linalg.norm(found - z) < 0.3 * np.linalg.norm(plain - z)
    assert np.array_equal(coarse.solve(MU).residual, clever.solve(MU).residual)
    again = romflow.load(clever.save(tmp_path / "model.h5")).solve(MU).dual[name]
    assert np.array_equal(again, found)
    state = clever.advance(clever.start(MU[None]), TIMES[1])
    assert np.allclose(clever.observe(state)[0][name], found[1], rtol=1e-6, atol=1e-9 * np.abs(z).max())
    far = clever.solve(MU, times=np.array([0.0, 1e-3]))
    assert np.isfinite(far.dual[name]).all() and clever.truncate(2).regressions == {}
    with pytest.raises(InputError, match="the model has accumulated_plastic_strain, stress"):
        taught(coarse, MU[None], {"damage": z})
    with pytest.raises(ShapeError, match="the rule is"):
        taught(coarse, MU[None], {name: z[1:]})


def test_a_truncated_model_is_a_model_of_its_size(rom: MechanicsReducedModel, known: History) -> None:
    small = rom.truncate(4)
    assert small.size == 4 and small.output_names == rom.output_names and rom.truncate(rom.size) is rom
    assert errors(rom, known)[0] < errors(small, known)[0] < 0.2


def test_pictures_show_fields_on_cells(rom: MechanicsReducedModel, tmp_path: Path) -> None:
    written = Vtu(mu=[MU.tolist()], modes=2, times=True).write(replace(rom, times=TIMES[:8]), tmp_path / "plate.vtu")
    assert [file.name for file in written[-2:]] == ["plate.pvd", "plate_facts.json"]
    image = meshio.read(tmp_path / "plate_7.vtu")
    answer, w = rom.solve(MU, times=TIMES[:8]), rom.volume.reshape(48, 4)
    p = rom.field(answer, "accumulated_plastic_strain")[0, :, 0].reshape(48, 4)
    shown = image.cell_data["accumulated_plastic_strain"][0].ravel()
    assert np.allclose(shown, (w * p).sum(axis=1) / w.sum(axis=1), rtol=1e-6)
    assert image.cell_data["stress"][0].shape == (48, 6) and image.point_data["solution"].shape == (63, 3)
    with pytest.raises(NotSupported, match="MechanicsReducedModel"):
        Npz().write(rom, tmp_path / "model.npz")


def test_wrong_times_and_parameters_are_named(rom: MechanicsReducedModel) -> None:
    for times in ([1.0, 2.0], [0.0, 2.0, 2.0], [0.0, np.inf], [[0.0, 1.0]]):
        with pytest.raises(InputError, match="rise from 0"):
            rom.solve(MU, times=np.array(times))
    with pytest.raises(ParameterError, match="spot"):
        rom.solve([[9.0, 1.0]])


def test_dual_fields_know_where_their_rows_are() -> None:
    dual = DualField("stress", 2, np.eye(10)[:, :2], np.array([1, 3, 6, 8]))
    assert dual.places(np.array([3, 1])).tolist() == [1, 0, 3, 2]
    with pytest.raises(InputError, match="Gauss point 3"):
        dual.places(np.array([1, 2]))
    with pytest.raises(ShapeError, match="all points of one component"):
        DualField("stress", 3, np.eye(10), np.array([0]))
    with pytest.raises(InputError, match="outside"):
        DualField("stress", 2, np.eye(10), np.array([10]))
