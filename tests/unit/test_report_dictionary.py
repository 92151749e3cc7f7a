"""The part of the page about a dictionary of reduced models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from romflow.report import dictionary, dictionary_section, dictionary_tables
from romflow.report.data import ReportData
from romflow.report.page import page
from romflow.report.style import styled

D = np.array([[0.0, 0.1, 0.9], [0.1, 0.0, 0.8], [0.9, 0.8, 0.0]])


def row(clusters: int, **changes: Any) -> dict[str, Any]:
    return {"clusters": clusters, "refused": None, "runs": 12, "global_error": 0.08, "right_error": 0.01,
            "wrong_error": 0.7, "expected_error": 0.02, "accuracy": 0.95, "break_even_accuracy": 0.9,
            "expected_gain": 4.0, "gain_interval": [3.0, 5.0], "offline_seconds": 20.0, "online_seconds": 1e-4,
            "break_even_queries": 500.0, "expected_curve": [0.5, 0.02], "right_curve": [0.4, 0.01], **changes}


def record() -> dict[str, Any]:
    """As a run writes it."""
    single = row(1, wrong_error=None, accuracy=None, break_even_accuracy=None, expected_gain=None, gain_interval=None,
                 break_even_queries=None, expected_error=0.08, right_error=0.08, expected_curve=[0.6, 0.08])
    angle = {"2": {"angle_error": 0.01, "euclidean_error": 0.04, "ratio": 0.25, "interval": [0.2, 0.3], "gains": True}}
    return {"assessment": {"rows": [single, row(2), row(8, refused="a cluster has one member", expected_error=None,
                                                        expected_curve=[])],
                           "clusters": 2, "snapshots": 6, "modes": 5, "why": ["Build 2 local models: they are better."],
                           "facts": {"tolerance": 0.05, "angle": angle}},
            "clustering": {"labels": [0, 0, 1], "medoids": [0, 2], "sizes": [2, 1], "silhouette": [0.8, 0.6, None],
                           "method": "k-medoids", "dissimilarity": "sine", "field": "state", "map": D.tolist(),
                           "map_labels": [0, 0, 1]},
            "recommender": {"accuracy": 0.95, "accuracy_scatter": 0.02, "per_class": [1.0, 0.9], "classifier": "stack",
                            "input": "temperature", "samples": 60, "entries": 2, "size": 100, "share": 0.02,
                            "numbers": [3, 50], "synthetic": 90, "folds": 5, "confusion": [[40, 0], [2, 18]]},
            "models": [{"cluster": 0, "members": 2, "snapshots": 6, "size": 5, "error": 1e-3, "medoid": [0.5, 2.0]},
                       {"cluster": 1, "members": 1, "snapshots": 1, "size": 1, "error": None, "medoid": [0.9, 1.0]}]}


def data(**changes: Any) -> ReportData:
    study = "[parameters.place]\nlow = 0.0\nhigh = 1.0\n[parameters.height]\nlow = 1.0\nhigh = 2.0\n"
    return ReportData(study_text=study, dictionary={**record(), **changes})


def test_the_page_tells_of_clusters_recommender_and_models() -> None:
    text = page(data())
    for words in ("Which local model answers", "3 cheap simulations", "Build 2 local models",
                  "Which number of clusters", "Dissimilarities of the cheap simulations",
                  "Error by number of clusters", "Error by modes",
                  "2 (recommended)", "a cluster has one member", "What is recommended",
                  "2 of 100 (2 %)", "medoid height", "Angle against Euclidean distance"):
        assert words in text, words
    assert "Attention" not in text.partition("Which local model answers")[2].partition("<section")[0]


def test_a_page_without_a_dictionary_has_no_such_section() -> None:
    assert "Which local model answers" not in page(ReportData())


def test_it_is_kept_with_the_other_data_of_the_page(tmp_path: Path) -> None:
    data().save(tmp_path)
    assert ReportData.from_folder(tmp_path).dictionary == record()


def test_a_choice_against_the_criterion_is_a_warning() -> None:
    found = record()
    found["assessment"]["clusters"] = 1
    found["assessment"]["rows"][1]["accuracy"] = 0.5
    told = dictionary_section.warning(ReportData(dictionary=found))
    assert "asks for 2 clusters; the criterion recommends 1" in told and "must be in 90 %" in told
    assert dictionary_section.warning(data()) == ""


@pytest.mark.parametrize("changes", [
    {"assessment": {}, "clustering": {}, "recommender": {}, "models": []},
    {"assessment": {}, "clustering": {"labels": [0], "map": [[0.0]], "map_labels": [0], "medoids": [0]}},
    {"assessment": {}, "clustering": {"labels": [0, 1], "map": [[0.0, None], [None, 0.0]], "map_labels": [0, 1]}},
    {"assessment": {}, "clustering": {"labels": [0, 1], "map": [[0.0, 0.0], [0.0, 0.0]], "map_labels": [0, 0]}},
])
def test_missing_parts_are_left_out(changes: dict[str, Any]) -> None:
    with styled():
        shown = data(**changes)
        assert len([*dictionary_section.pictures(shown), *dictionary_section.tables(shown)]) >= 8
        assert isinstance(dictionary_section.lead(shown), str)


def test_means_of_the_map_are_those_of_pairs(must_fail: Any) -> None:
    with styled():
        picture = dictionary.dissimilarity_map(record()["clustering"])
        turned = dictionary.dissimilarity_map({**record()["clustering"], "map_labels": [0, 1, 1]})
    assert picture is not None and turned is not None

    def check(words: str) -> None:
        assert "one cluster 0.1, of different clusters 0.85" in words

    check(picture.alt)
    must_fail(check, turned.alt)


def test_nodes_are_drawn_where_the_input_is_a_field_of_the_mesh() -> None:
    points = np.random.default_rng(0).uniform(size=(100, 3)) * [3.0, 0.1, 2.0]
    with styled():
        picture = dictionary.entry_places(points, [3, 50], 100)
        assert picture is not None and "2 of 100 nodes, 2 %" in picture.alt and "Seen along y." in picture.caption
        assert dictionary.entry_places(points, [0, 1], 2) is None
        assert dictionary.entry_places(points, list(range(100)), 100) is None
        assert dictionary.entry_places(points[:, :1], [3], 100) is None


def test_many_samples_are_a_small_picture() -> None:
    many = np.abs(np.subtract.outer(np.arange(900.0), np.arange(900.0))) / 900
    one = record()["clustering"] | {"map": many.tolist(), "map_labels": [0] * 600 + [1] * 300,
                                         "labels": [0] * 900}
    with styled():
        picture = dictionary.dissimilarity_map(one)
    assert picture is not None and "300 of 900 samples" in picture.caption and len(picture.uri) < 150_000


def test_medoids_have_columns_where_the_names_fit() -> None:
    models = record()["models"]
    named = dictionary_tables.model_table(models, [0.8, 0.6, None], [0, 0, 1], ["a", "b"])
    other = dictionary_tables.model_table(models, [], [], ["a"])
    assert named is not None and other is not None
    assert list(named.head[-2:]) == ["medoid a", "medoid b"] and named.rows[0][-1] == "2" and named.rows[0][5] == "0.7"
    assert other.head[-1] == "Silhouette" and other.rows[1][4] == "–"


def test_errors_that_are_all_zero_are_no_picture() -> None:
    nothing = dict.fromkeys(("global_error", "right_error", "expected_error", "wrong_error"), 0.0)
    assert dictionary.error_by_clusters({"rows": [row(1, **nothing), row(2, **nothing)], "clusters": 1}) is None
    with styled():
        assert dictionary.error_by_clusters({"rows": [row(1, **nothing), row(2)], "clusters": 1}) is not None
