"""The section on time: what it shows, what it says of the estimate, and what it leaves out."""

import dataclasses

import numpy as np
import pytest

from romflow.core.errors import ShapeError
from romflow.report import EvolutionComparison, ReportData
from romflow.report import evolution as section
from romflow.report.page import page
from tests.unit.test_report_page import Parts

TIMES = np.linspace(0.0, 2.0, 21)


def comparison(**changed):
    error = 1e-3 * TIMES
    outputs = np.stack([np.sin(TIMES), 3 * np.cos(TIMES)])
    found = EvolutionComparison([0.5, 2.0], TIMES, error, 3 * error, 2 * np.sqrt(TIMES), outputs, outputs + 1e-3,
                                np.full(outputs.shape, 5e-3), 3 * error**2, error**2)
    return dataclasses.replace(found, **changed)


def shown(found, kind="bound"):
    return Parts(page(ReportData(summary={"validation": {"error_kind": kind}, "offline": {"basis_size": 4}},
                                 evolution=found)))


def test_section_holds_errors_outputs_and_their_diagnosis(must_fail):
    parts = shown(comparison())
    assert "evolution" in parts.ids
    assert {"Error over time", "Outputs over time", "Phase and amplitude of the error"} <= set(parts.titles)

    def check(words):
        assert "relative error 7.07·10⁻⁴" in words and "at every time" in words
        assert "75 %" in words and "25 %" in words

    check(parts.words())
    must_fail(check, shown(comparison(true_error=2e-3 * TIMES)).words(),
              shown(comparison(dispersion=TIMES**2)).words())


def test_a_bound_that_failed_is_told():
    words = shown(comparison(estimate=0.5e-3 * TIMES)).words()
    assert "The error bound was below the true error at 20 of 20 times." in words
    assert "error indicator" in shown(comparison(), "indicator").words()


def test_without_a_trajectory_there_is_no_section():
    assert "evolution" not in shown(None).ids


def test_what_was_not_measured_is_left_out():
    none = dict.fromkeys(("estimate", "norm", "outputs_true", "outputs_reduced", "output_estimate", "dispersion",
                          "dissipation"))
    parts = shown(comparison(**none))
    assert "Error over time" in parts.titles and "Outputs over time" not in parts.titles
    assert "Phase and amplitude of the error" not in parts.titles
    parts = shown(comparison(true_error=np.zeros(21), outputs_true=None, dispersion=np.zeros(21),
                             dissipation=np.zeros(21)))
    assert "Error over time" not in parts.titles and "Outputs over time" in parts.titles


def test_numbers_that_are_not_finite_do_no_harm():
    error = np.where(TIMES > 1, np.nan, 1e-3)
    parts = shown(comparison(true_error=error, estimate=np.full(21, np.inf), output_estimate=np.full((2, 21), np.inf),
                             dispersion=error, dissipation=error))
    assert {"Error over time", "Outputs over time"} <= set(parts.titles)
    assert "nan" not in parts.words()


def test_of_many_outputs_the_worst_are_drawn():
    truth = np.ones((7, 21))
    reduced = truth + 1e-3 * np.array([1, 9, 2, 8, 7, 3, 6])[:, None]
    found = comparison(outputs_true=truth, outputs_reduced=reduced, output_estimate=None)
    assert section._chosen(found) == [1, 3, 4, 6]
    assert "4 of 7 outputs" in section.outputs_over_time(found, [], "bound").caption


def test_a_wide_band_does_not_flatten_the_curves():
    figure, (axes, _) = section._stack(2)
    section._draw_output(axes, comparison(output_estimate=np.full((2, 21), 1e6)), 0, "error bound")
    low, high = axes.get_ylim()
    assert high - low <= 4.0 and figure is not None


def test_comparison_survives_the_file(tmp_path):
    data = ReportData(evolution=comparison(dissipation=None))
    data.save(tmp_path)
    again = ReportData.from_folder(tmp_path).evolution
    for part in dataclasses.fields(EvolutionComparison):
        one, two = getattr(data.evolution, part.name), getattr(again, part.name)
        assert (one is None and two is None) or np.array_equal(one, two), part.name


def test_arrays_of_other_lengths_are_refused():
    with pytest.raises(ShapeError, match="estimate"):
        comparison(estimate=np.ones(3))
    with pytest.raises(ShapeError, match="outputs_true"):
        comparison(outputs_true=np.ones(21))


def test_the_full_order_models_own_steps_have_a_table() -> None:
    """A standing wave against itself with half the steps: the parts of the mean square error go on the page."""
    from romflow.report.evolution import diagnosis_tables

    wrong = np.linspace(0.0, 1e-4, len(TIMES))
    found = EvolutionComparison([0.5], TIMES, wrong, step_dispersion=3 * wrong, step_dissipation=wrong)
    tables = diagnosis_tables(found)
    assert [table.rows[-1][2:] for table in tables] == [["75 %", "25 %"]]
    assert diagnosis_tables(EvolutionComparison([0.5], TIMES, wrong)) == []
