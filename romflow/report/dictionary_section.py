"""The part of the page about a dictionary of reduced models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from romflow.report import dictionary, dictionary_tables
from romflow.report.data import ReportData
from romflow.report.style import Picture
from romflow.report.tables import Table, parameter_columns
from romflow.report.words import number, plural

__all__ = ["lead", "pictures", "tables", "warning"]


def lead(data: ReportData) -> str:
    """How many clusters there are, and the reasons of the criterion."""
    clustering, found = _part(data, "clustering"), _part(data, "assessment")
    if not clustering:
        return ""
    count, samples = len(clustering.get("medoids") or []), len(clustering.get("labels") or [])
    by = f"{clustering.get('method', 'clusters')}, {clustering.get('dissimilarity', 'dissimilarity')}"
    words = [f"{plural(samples, 'cheap simulation')} of the field '{clustering.get('field', 'state')}' in "
             f"{plural(count, 'cluster')} ({by})."]
    return " ".join([*words, *(found.get("why") or [])])


def warning(data: ReportData) -> str:
    """A number of clusters against the criterion, and a recommender below its break-even accuracy."""
    clustering, found = _part(data, "clustering"), _part(data, "assessment")
    built, wanted = len(clustering.get("medoids") or []), found.get("clusters")
    words = []
    if built and wanted is not None and built != wanted:
        words.append(f"The study asks for {plural(built, 'cluster')}; the criterion recommends {number(wanted)}.")
    own: Mapping[str, Any] = next((row for row in found.get("rows") or [] if row["clusters"] == built), {})
    accuracy, needed = own.get("accuracy"), own.get("break_even_accuracy")
    if built > 1 and accuracy is not None and needed is not None and accuracy < needed:
        words.append(f"The recommender is right in {number(100 * accuracy)} % of the cases and must be in "
                     f"{number(100 * needed)} %, or one global model is better.")
    return " ".join(words)


def pictures(data: ReportData) -> Iterator[Picture | None]:
    """Dissimilarities, errors by clusters and modes, recommendations, and the nodes that are looked at."""
    yield dictionary.error_by_clusters(_part(data, "assessment"))
    yield dictionary.error_by_modes(_part(data, "assessment"))
    yield dictionary.dissimilarity_map(_part(data, "clustering"))
    yield dictionary.confusion_map(_part(data, "recommender"))
    points = getattr(getattr(data.rom, "mesh", None), "points", None)
    about = _part(data, "recommender")
    if points is not None and about.get("numbers") and about.get("size") is not None:
        yield dictionary.entry_places(np.asarray(points, dtype=np.float64), about["numbers"], int(about["size"]))


def tables(data: ReportData) -> Iterator[Table | None]:
    """Gain of each number of clusters, local models, recommender, and angle against Euclid."""
    clustering, found = _part(data, "clustering"), _part(data, "assessment")
    yield dictionary_tables.gain_table(found)
    yield dictionary_tables.model_table(data.dictionary.get("models") or [], clustering.get("silhouette") or [],
                                        clustering.get("labels") or [], parameter_columns(data))
    yield dictionary_tables.recommender_table(_part(data, "recommender"))
    yield dictionary_tables.angle_table(found)


def _part(data: ReportData, name: str) -> Mapping[str, Any]:
    return data.dictionary.get(name) or {}
