"""The part of the page about random inputs: both errors of every number, and sensible whatever is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from romflow.report import ReportData
from romflow.report.page import page
from romflow.report.style import styled
from romflow.report.uncertainty import MAX_INPUTS, convergence, density, sensitivity
from romflow.report.uncertainty_posterior import column_table, fit_table, posterior_picture
from romflow.report.uncertainty_section import MAX_OUTPUTS, pictures, tables
from romflow.report.uncertainty_studies import (
    budget_picture,
    budget_table,
    control_table,
    distance_table,
    levels_picture,
    levels_table,
    rare_table,
)
from romflow.report.uncertainty_tables import answer_table, error_note, index_table
from romflow.uq.estimate import Estimate
from romflow.uq.streaming.answers import Answers, Curve, OutputAnswers, Point
from tests.unit.test_report_page import Parts


def estimate(value: float | None = 1.0, error: float | None = 0.01, kind: str | None = "bound") -> dict[str, Any]:
    ends = (None, None) if value is None else (value - 0.1, value + 0.2)
    return {"value": value, "low": ends[0], "high": ends[1], "model_error": error,
            "model_kind": None if error is None else kind}


def answer(inputs: tuple[str, ...] = ("a", "b"), error: float | None = 0.01) -> dict[str, Any]:
    x = np.linspace(-3.0, 3.0, 40)
    heights = np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)
    indices = {name: estimate(0.5 / (i + 1), error) for i, name in enumerate(inputs)}
    return {"mean": estimate(0.0, error), "variance": estimate(1.0, error), "std": estimate(1.0, error),
            "skewness": estimate(0.0, error), "kurtosis": estimate(3.0, error),
            "quantiles": [{"level": 0.95, **estimate(1.6, error)}],
            "exceedance": [{"threshold": 2.0, **estimate(0.023, error)}],
            "density": {"x": x.tolist(), "density": heights.tolist(), "low": heights.tolist(),
                        "high": (heights * 1.1).tolist()},
            "first_order": indices, "total": indices,
            "convergence": [{"draws": 2**k, "mean": {**estimate(0.0, error), "low": -(2.0**-k), "high": 2.0**-k},
                             "std": estimate(1.0, error)} for k in range(4, 9)]}


def answers(**outputs: dict[str, Any]) -> dict[str, Any]:
    return {"method": "sobol", "size": 4096, "evaluations": 8192, "seconds": 0.1, "confidence": 0.95, "outside": 0,
            "outside_share": 0.0, "failed": 0, "failed_share": 0.0, "base_points": 1024, "failed_base_points": 0,
            "outputs": outputs or {"mean": answer()}}


def everything() -> dict[str, Any]:
    budget = {name: {"evaluations": n, "failed": 0, "seconds": 1.0, "share_of_seconds": 0.5, "share_of_variance": 0.5}
              for name, n in (("full-order", 50), ("reduced", 5000))}
    three = {"mean": estimate(), "variance": estimate(), "std": estimate()}
    event = {"threshold": 2.0, **estimate(0.02)}
    posterior = {"mean": estimate(0.4), "std": estimate(0.1), "r_hat": 1.001, "effective_size": 900.0,
                 "quantiles": [{"level": level, **estimate(0.4)} for level in (0.05, 0.5, 0.95)],
                 "density": {"x": [0.2, 0.4, 0.6], "density": [1.0, 2.0, 1.0]}}
    return {
        "model": "reduced", "answers": answers(),
        "control": {"outputs": {"mean": {**three, "exceedance": [event], "gain": {"mean": 30.0, "variance": 20.0,
                                                                                   "exceedance": [4.0]}}},
                    "budget": budget, "correlation": {"reduced": {"mean": 1.0 - 2e-9}}, "notes": ["a note of it"],
                    "energy_distance": {"mean": {"distance": estimate(1e-9), "relative": 1e-8, "p_value": 0.4}}},
        "rare": {"evaluations": 5000, "rounds": [2000, 3000], "stopped": "tolerance", "notes": [],
                 "outputs": {"mean": {"exceedance": [{**event, "seen": 40, "effective": 31.5}]}}},
        "levels": {"dimensions": [2, 4, 8], "cells": [8, 16, 32], "points": 64, "repetitions": 8, "evaluations": 900,
                   "failed": 1, "outputs": {"mean": {
                       **{key: estimate() for key in ("mean", "truncation", "discretisation", "cubature", "total")},
                       "truncation_rate": 3.1, "order": 2.0,
                       "convergence": [{"points": 2**k, "error": 2.0**-k} for k in range(3, 7)]}}},
        "calibration": {"size": 4000, "chains": 4, "mixed": False, "full_order_solves": 7, "columns": {"a": posterior},
                        "fit": [{"output": "mean", "time": None, "value": 1.0, "std": 0.1, "mean": 1.02, "low": 0.9,
                                 "high": 1.2}]}}


def words(uq: dict[str, Any]) -> Parts:
    return Parts(page(ReportData(uq=uq)))


def test_the_page_shows_every_part() -> None:
    parts = words(everything())
    text = " ".join(parts.text)
    for title in ("Answers for mean", "Sobol' indices of mean", "Answers of the full-order model", "Models",
                  "Rare events by importance sampling", "The error of the mean, split", "Posterior of the inputs",
                  "Fit to the measurements", "Distribution of mean", "What mean depends on", "Convergence of mean",
                  "How the budget was spent", "Three errors of the mean of mean"):
        assert title in parts.titles
    for phrase in ("4,096 draws (sobol) of the reduced model", "a bound on what the reduced model changes",
                   "1 - 2·10⁻⁹", "a note of it", "The chains do not agree yet", "decided 7 times", "1 of them failed"):
        assert phrase in text
    assert all(image["alt"] for image in parts.images)


def test_without_uq_there_is_no_such_part() -> None:
    assert "uncertainty" not in words({}).ids
    assert "uncertainty" in words(everything()).ids


def test_empty_parts_leave_nothing() -> None:
    nothing: dict[str, Any] = {}
    made = (budget_picture, budget_table, control_table, distance_table, rare_table, levels_table, posterior_picture,
            column_table, fit_table)
    assert [make(nothing) for make in made] == [None] * len(made)
    assert levels_picture("q", nothing) is None
    data = ReportData(uq={"answers": None, "control": {}, "rare": None})
    assert not list(filter(None, pictures(data))) and not list(filter(None, tables(data)))


def test_an_unknown_error_of_the_model_is_said_and_an_indicator_is_no_bound() -> None:
    unknown = answer_table("q", answer(error=None), 0.95)
    assert "is not known" in unknown.note and unknown.rows[0][4] == "–"
    assert "bound on" in error_note([estimate()]) and "no bound" not in error_note([estimate()])
    assert "an indicator, no bound" in error_note([estimate(kind="indicator")])
    assert sensitivity("q", answer(error=None)) is not None and convergence("q", answer(error=None), 0.95) is not None


def test_numbers_that_are_not_there_are_left_out_of_pictures() -> None:
    found = answer()
    found["quantiles"] = [{"level": 0.5, **estimate(None)}]
    found["total"] = found["first_order"] = {"a": estimate(None), "b": estimate(0.3)}
    found["convergence"] = [{"draws": 2, "mean": estimate(None), "std": estimate(None)}, *found["convergence"]]
    assert density("q", found) and sensitivity("q", found) and convergence("q", found, 0.95)
    assert answer_table("q", found, 0.95).rows[5][1] == "–"
    text = " ".join(words({"answers": answers(q=found)}).text)
    assert "nan" not in text and "None" not in text


def test_of_what_was_not_asked_there_are_no_pictures() -> None:
    bare = {**answer(), "density": None, "first_order": {}, "total": {}, "convergence": [], "quantiles": [],
            "exceedance": [], "skewness": None, "kurtosis": None}
    assert density("q", bare) is sensitivity("q", bare) is convergence("q", bare, 0.95) is None
    assert index_table("q", bare) is None and len(answer_table("q", bare, 0.9).rows) == 3


def test_dependent_inputs_have_one_index_and_the_table_says_so() -> None:
    together = index_table("q", answer(("a_0, a_1", "b")))
    assert together is not None and "one index together" in together.note
    assert [row[0] for row in together.rows] == ["a_0, a_1: first", "a_0, a_1: total", "b: first", "b: total"]
    alone = index_table("q", answer(("a", "b")))
    assert alone is not None and not alone.note


def test_many_inputs_have_a_row_each_the_most_important_first() -> None:
    table = index_table("q", answer(tuple(f"k_{i}" for i in range(30))))
    assert table is not None and table.wide and len(table.rows) == 20 and "10 inputs with smaller" in table.note
    assert [row[0] for row in table.rows][:2] == ["k_0", "k_1"] and {len(row) for row in table.rows} == {9}
    alone = {**answer(tuple(f"k_{i}" for i in range(9))), "total": {}}
    few = index_table("q", alone)
    assert few is not None and few.rows[0][5:] == ["–"] * 4


def test_the_full_order_model_has_no_error_of_a_reduced_one() -> None:
    found = {"model": "full-order", "answers": answers(q=answer(error=0.0))}
    text = " ".join(words(found).text)
    assert "of the full-order model" in text and "No error of a reduced model is in these values" in text
    assert "kept apart" not in text and "thin ones" not in text and "thin ones" in " ".join(words(everything()).text)


def test_many_inputs_and_outputs_are_cut_and_the_page_says_so() -> None:
    inputs = tuple(f"k_{i}" for i in range(30))
    picture = sensitivity("q", answer(inputs))
    assert picture is not None and f"{30 - MAX_INPUTS} inputs with smaller indices left out" in picture.caption
    parts = words({"answers": answers(**{f"q{i}": {**answer(("a",)), "density": None, "convergence": []}
                                         for i in range(10)})})
    assert f"{10 - MAX_OUTPUTS} further outputs in uq.json" in " ".join(parts.text)
    assert "Answers for q5" in parts.titles and "Answers for q6" not in parts.titles


def test_a_threshold_far_away_does_not_flatten_the_density() -> None:
    found = answer()
    far = {**found, "exceedance": [*found["exceedance"], {"threshold": 1e6, **estimate(0.0)}]}
    with styled():
        near = density("q", found)
        assert near == density("q", far)
        assert near != density("q", {**found, "exceedance": []})


def test_draws_outside_and_failed_ones_are_a_warning() -> None:
    found = {**answers(), "outside": 41, "outside_share": 0.01, "failed": 20, "failed_share": 0.005}
    text = " ".join(words({"answers": found}).text)
    assert "1 % of the draws are outside the range" in text and "0.5 % of the evaluations have no answer" in text
    assert "Attention" not in " ".join(words({"answers": answers()}).text)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_what_answers_write_is_what_the_page_reads(value: float) -> None:
    one = Estimate(value, value - 0.1, value + 0.1, None, None)
    curve = Curve(*(np.linspace(0.0, 1.0, 5) for _ in range(4)), width=0.2)
    steps = [Point(2**k, Estimate(value, value - 2.0**-k, value + 2.0**-k), one) for k in range(3)]
    made = OutputAnswers(one, one, one, density=curve, first_order={"a": one}, total={"a": one}, convergence=steps)
    uq = {"answers": Answers("sobol", 16, 16, 0.1, 0.95, 0, 0, {"q": made}).plain()}
    assert {"Answers for q", "Distribution of q", "Convergence of q"} <= set(words(uq).titles)
