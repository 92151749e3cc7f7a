"""Pages on mechanics: fields on the deformed mesh, points, times, adaptive runs; what the truth says and what not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from romflow.core.errors import ShapeError
from romflow.core.mesh import Mesh
from romflow.fom.mechanics.replay import replay
from romflow.fom.mechanics.shapes.box import box
from romflow.materials.tensors import mises
from romflow.outcome.mechanics_pictures import MechanicsPictures, mechanics_pictures, pictured_runs
from romflow.outcome.moving import worst_trajectory
from romflow.outcome.summary import error_table, validation_summary
from romflow.outcome.validation import Validation, validate
from romflow.reduction.mechanics.adaptive_log import LogRow
from romflow.report import ReportData
from romflow.report.mechanics import fields_parts, history_parts
from romflow.report.mechanics_data import AdaptiveRuns, BodyComparison, MechanicsHistory, ReducedPoints
from romflow.report.mechanics_fields import body_pictures, magnification, points_picture
from romflow.report.mechanics_tables import adaptive_table, cubature_table
from romflow.report.mechanics_time import adaptive_picture, errors_over_time, indicator_over_time
from romflow.report.page import page
from romflow.report.scene import on_paper
from romflow.report.style import styled
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.model import MechanicsReducedModel
from tests.toy_mechanics_store import StoredPlate, stored
from tests.toy_reduced_mechanics import MU, History, history, reduced
from tests.unit.test_report_page import Parts

#: The stored trajectories are that of MU: the second model's answer has a larger error.
ROWS = np.array([MU, [1.1, 1.05]])


@pytest.fixture(scope="module")
def known() -> History:
    return history()


@pytest.fixture(scope="module")
def rom(known: History) -> MechanicsReducedModel:
    r = np.logspace(-5, -1, 9)
    cubature = {"residual": 5e-4, "tolerance": 1e-3, "subdomains": 3, "candidates": 90, "rows": 70,
                "independent_rows": 60}
    return dataclasses.replace(reduced(known), calibration=Calibration.fit(r, 2.0 * r),
                               metadata={"cubature": cubature})


@pytest.fixture(scope="module")
def found(rom: MechanicsReducedModel, known: History,
          tmp_path_factory: pytest.TempPathFactory) -> tuple[Validation, MechanicsPictures, StoredPlate]:
    fom, store = stored(known, tmp_path_factory.mktemp("store"), ROWS)
    validation = validate(rom, fom, store, ROWS)
    assert validation is not None and worst_trajectory(rom, fom, store, validation) is None
    return validation, mechanics_pictures(rom, fom, store, validation, 50.0), fom


@pytest.fixture(scope="module")
def data(rom: MechanicsReducedModel, found: tuple[Validation, MechanicsPictures, StoredPlate]) -> ReportData:
    validation, shown, _ = found
    offline = {"basis_size": rom.size, "tolerance": 1e-4}
    return ReportData(summary={"offline": offline, "validation": validation_summary(validation, rom)}, rom=rom,
                      validation=error_table(validation), body=shown.body, points=shown.points, run=shown.run)


def test_the_worst_parameter_is_shown_at_its_last_time(rom, known, found, must_fail: Callable[..., None]) -> None:
    validation, shown, fom = found
    space, body, run = fom.mechanics.space, shown.body, shown.run
    errors = validation.true_error / validation.norm
    assert validation.fields.worst == int(np.argmax(errors)) == 1
    *_, (_, stress, state) = replay(known.problem, ROWS[1], known.times, known.u.T)

    def check(body: BodyComparison) -> None:
        np.testing.assert_array_equal(body.mu, ROWS[1])
        assert body.time[0] == known.times[-1]
        np.testing.assert_allclose(body.displacement_true, known.u[:, -1])
        np.testing.assert_allclose(body.plastic_true, space.extrapolate(state[6])[0])
        np.testing.assert_allclose(body.mises_true, space.extrapolate(mises(stress))[0])
        np.testing.assert_allclose(body.plastic_reduced, space.extrapolate(
            rom.field(rom.solve(ROWS[1:]), "accumulated_plastic_strain")[:, :, 0])[0])

    check(body)
    must_fail(check, dataclasses.replace(body, plastic_true=body.plastic_reduced),
              dataclasses.replace(body, displacement_true=body.displacement_reduced))
    assert run.relative("plastic")[-1] == pytest.approx(errors[1])
    assert run.trained_until.tolist() == [50.0] and run.outputs_true is None
    np.testing.assert_allclose(shown.points.place, space.points[:, rom.points].T)
    assert np.count_nonzero(shown.points.weight) == len(rom.weights)


@pytest.mark.long
def test_a_page_has_every_picture_and_says_what_the_truth_says(data: ReportData, must_fail) -> None:
    reached = {"runs": 2, "max_relative_error": 0.02, "max_full_order_share": 0.1}
    parts = Parts(page(dataclasses.replace(data, adaptive=runs(2), summary=data.summary | {"adaptive": reached})))
    words, titles = parts.words(), parts.titles
    assert {"evolution", "online", "adaptive", "fields"} <= parts.ids
    assert {"Cubature and modes", "Where the law is evaluated", "True errors over time", "Indicator over time",
            "Outputs over time", "Calibration of the indicator", "Accumulated plastic strain", "Von Mises stress",
            "True errors of the fields"} <= set(titles)
    assert "error in the L2 norm of the accumulated plastic strain at the last time is" in words
    assert "2 adaptive runs end with an error of at most 0.02, with at most 10 % of their steps" in words
    assert "Snapshots end at t = 50" in words and "largest difference" in words
    assert "above the tolerance" not in words

    def check(run: MechanicsHistory) -> None:
        text = indicator_over_time(run, "accumulated_plastic_strain").caption
        assert "was below the true error at 0 of" not in text and "below the true error at" in text

    high = np.full(len(data.run.times), 0.9)
    low = dataclasses.replace(data.run, indicator=1e-9 * (1 + np.arange(len(high))))
    with styled():
        check(low)
        must_fail(check, dataclasses.replace(data.run, indicator=high), dataclasses.replace(data.run, indicator=None))


def test_the_page_is_redrawn_from_its_file(data: ReportData, tmp_path: Path) -> None:
    full = dataclasses.replace(data, adaptive=runs(2))
    full.save(tmp_path)
    data.rom.save(tmp_path / "model.h5")
    again = ReportData.from_folder(tmp_path)
    for name in ("body", "points", "run", "adaptive"):
        for part in dataclasses.fields(getattr(full, name)):
            before, after = getattr(getattr(full, name), part.name), getattr(getattr(again, name), part.name)
            assert (before is None) == (after is None), (name, part.name)
            if before is not None:
                np.testing.assert_array_equal(before, after)
    assert again.rom.size == data.rom.size


def test_without_a_validation_the_model_is_shown_alone(rom, found, data) -> None:
    shown = mechanics_pictures(rom, found[2], None, None)
    np.testing.assert_array_equal(shown.body.mu, rom.parameters.centre())
    assert shown.body.plastic_true is None and shown.run.relative("plastic") is None
    alone = ReportData(rom=rom, body=shown.body, points=shown.points, run=shown.run)
    with styled():
        [picture] = fields_parts(alone, ("spot", "pull"))
        lead, curves = history_parts(alone, ("spot", "pull"))
    assert picture.title == "Fields of the reduced model" and "no truth to compare with" in picture.caption
    assert "its truth was not solved" in lead and "True errors over time" not in [curve.title for curve in curves]
    assert mechanics_pictures(dataclasses.replace(rom, mesh=None), found[2], None, None) == MechanicsPictures()


def test_a_law_without_plastic_strain_shows_its_stress(data: ReportData) -> None:
    body = dataclasses.replace(data.body, plastic_true=None, plastic_reduced=None)
    with styled():
        assert [picture.title for picture in body_pictures(body, (), data.rom.mesh)] == ["Von Mises stress"]


def test_the_table_of_the_rule_counts(rom: MechanicsReducedModel, must_fail) -> None:
    def check(model: MechanicsReducedModel) -> None:
        rows = dict.fromkeys(["subdomains in its selection"])
        rows |= {str(row[0]): str(row[1]) for row in cubature_table(model).rows}
        assert rows["cubature points"].startswith(f"{len(rom.weights)} of {len(rom.volume)} ")
        assert rows["points of the gappy fields alone"] == str(len(rom.points) - len(rom.weights))
        volume = abs(rom.weights.sum() / rom.volume.sum() - 1.0)
        assert rows["error of the volume by the weights"][:2] == f"{volume:.3e}"[:2]
        assert rows["subdomains in its selection"] == "3, with 90 candidate points"

    check(rom)
    must_fail(check, dataclasses.replace(rom, weights=1.1 * rom.weights),
              dataclasses.replace(rom, metadata={}))


def test_errors_are_drawn_where_there_is_something_to_be_relative_to() -> None:
    run = MechanicsHistory([], np.arange(4.0), np.zeros(4), plastic_error=[0, 1e-6, 1, 2],
                           plastic_norm=[0, 1e-5, 50, 100])
    np.testing.assert_allclose(run.relative("plastic"), [np.nan, np.nan, 0.02, 0.02])
    np.testing.assert_allclose(run.relative("plastic", whole=True), [0, 1e-8, 0.01, 0.02])
    with styled():
        assert "accumulated plastic strain 0.02" in errors_over_time(run).caption
        assert indicator_over_time(dataclasses.replace(run, plastic_error=None), "mises") is None
    none = dataclasses.replace(run, plastic_norm=np.zeros(4))
    assert np.isnan(none.relative("plastic")).all() and errors_over_time(none) is None


def runs(count: int, turns: int = 1) -> AdaptiveRuns:
    """Runs of 20 steps, of which run j takes full-order steps at the first j + 1 multiples of 3."""
    def row(turn: int, k: int, j: int) -> LogRow:
        taken = turn == 0 and k % 3 == 0 and k // 3 <= j
        return LogRow(turn, 5.0 * k, 0.01, 0.2 if taken else 0.03, taken, 0.1 if taken else None, 10 + j, 80, 60)
    logs = [[row(turn, k, j) for turn in range(turns) for k in range(20)] for j in range(count)]
    return pictured_runs(np.tile(MU, (count, 1)), logs, 0.05, np.append(np.full(count - 1, np.nan), 0.02))


def test_adaptive_runs_count_their_full_order_steps(must_fail) -> None:
    def check(found: AdaptiveRuns) -> None:
        rows = adaptive_table(found, ("spot", "pull")).rows
        assert [row[2] for row in rows] == [str(j + 1) for j in range(len(rows))]
        assert [row[3] for row in rows] == [f"{5 * (j + 1)} %" for j in range(len(rows))]
        assert {row[4] for row in rows} == {"0.2"} and {row[5] for row in rows} == {"0.03"}
        assert rows[-1][-1] == "0.02" and rows[0][-1] == "–"

    check(runs(7))
    check(runs(7, turns=2))
    must_fail(check, dataclasses.replace(runs(7), triggered=0 * runs(7).triggered))
    with styled():
        picture = adaptive_picture(runs(7, turns=2), ("spot", "pull"))
        assert "7 adaptive runs with 28 full-order steps" in picture.caption
        assert "The 6 with the most" in picture.caption
        assert "again from the start" in picture.caption
        assert adaptive_picture(pictured_runs(MU[None], [[]], 0.05), ("spot", "pull")) is None
    empty = adaptive_table(pictured_runs(MU[None], [[]], 0.05), ("spot", "pull"))
    assert "True error" not in empty.head and empty.rows[0][2] == "0"


def test_displacements_are_magnified_until_they_are_seen() -> None:
    mesh = Mesh([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [[0, 1, 2]], "triangle", range(6), 2)
    for largest in (1e-5, 3e-3, 0.3, 0.6, 40.0):
        body = BodyComparison([], 0.0, np.array([0.0, 0.0, 0.0, largest, 0.0, 0.0]), np.zeros(3))
        assert 0.019 < magnification(mesh, body) * largest / 5.0 < 0.151
    assert body_pictures(body, (), Mesh(np.zeros((4, 2)), [[0, 1, 2]], "triangle", range(8), 2)) == []


def test_bodies_are_drawn_with_the_points_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("romflow.report.scene._SMOOTH", 100)
    space = box([2, 2, 3], [1.0, 1.0, 2.0]).space()
    N, chosen = len(space.nodes), np.arange(0, space.G, 9)
    u = 1e-3 * space.nodes[:, [2, 0, 1]].ravel()
    body = BodyComparison([0.5], 3.0, u, space.nodes[:, 2], space.nodes[:, 0], 1.1 * u, np.ones(N), np.zeros(N))
    weight = np.where(np.arange(len(chosen)) % 4 == 3, 0.0, 1.0 + np.arange(len(chosen)))
    with styled():
        pictures = body_pictures(body, ("load",), space.mesh)
        points = points_picture(ReducedPoints(space.points[:, chosen].T, weight), space.mesh)
        weightless = points_picture(ReducedPoints(space.points[:, :1].T, np.zeros(1)), space.mesh)
    assert [picture.title for picture in pictures] == ["Accumulated plastic strain", "Von Mises stress"]
    assert "boundary of the body" in pictures[0].caption and "At t = 3, load = 0.5." in pictures[0].caption
    assert f"{np.count_nonzero(weight)} cubature points" in points.caption and "inside" in points.caption
    assert "No cubature points" in weightless.caption
    assert points_picture(ReducedPoints(np.zeros((1, 3)), [1.0]), Mesh([[0.0], [1.0]], [[0, 1]], "line", [0])) is None
    assert on_paper(np.eye(3)).shape == (3, 2)


@pytest.mark.parametrize("wrong", [
    lambda: BodyComparison([1.0], 0.0, np.zeros(5), np.zeros(2)),
    lambda: BodyComparison([1.0], 0.0, np.zeros(4), np.zeros(2), np.zeros(3)),
    lambda: ReducedPoints(np.zeros((3, 2)), np.zeros(2)),
    lambda: MechanicsHistory([1.0], [0.0, 1.0], np.zeros(3)),
    lambda: MechanicsHistory([1.0], [0.0, 1.0], np.zeros(2), outputs_true=np.zeros((1, 3))),
    lambda: dataclasses.replace(runs(1), run=np.full(20, 5.0)),
])
def test_arrays_that_do_not_belong_together_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(ShapeError):
        wrong()
