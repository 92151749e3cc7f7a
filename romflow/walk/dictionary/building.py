"""From a design to a dictionary: cheap solves, clusters, full-order runs of some members, local models."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.files import plain, write_json
from romflow.linalg.clustering.medoids import farthest_first
from romflow.reduction.dictionary.assessment import Assessment, Costs
from romflow.reduction.dictionary.criterion import priced
from romflow.reduction.dictionary.pairs import Pairs, dissimilarities
from romflow.reduction.dictionary.training import Trained
from romflow.rom.dictionary.design import Design
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.model import ReducedModel
from romflow.tasks.adaptive import Tasks
from romflow.tasks.executor import Executor
from romflow.walk.dictionary.choosing import Choice, Sample, choose, latest_field
from romflow.walk.dictionary.questions import input_kind, simplified_request
from romflow.walk.progress import Progress
from romflow.walk.truth import Truth

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["RECORD", "Building", "Built", "dictionary_summary", "offline_file"]

#: What was chosen and why, in the run folder; and the folder of the cheap solves.
RECORD, SIMPLIFIED = "dictionary.json", "simplified"
_MAP = 120  # rows of the dissimilarities that the record shows
_TIMED = 256
_TRAINING_ERRORS = ("leave_one_out_error", "projection_error")


def offline_file(cluster: int) -> str:
    """Name of the file of a local model's offline data, in the run folder."""
    return f"offline_{cluster}.h5"


@dataclass(frozen=True, eq=False)
class Built:
    """A dictionary, the parameters (k, p) of its full-order runs, and the record of how it was chosen."""

    rom: RomDictionary
    mu: np.ndarray
    record: dict[str, Any]


class Building:
    """The table [dictionary] of a study, carried out; every solve, feature and tile that is stored is taken as it is.

    Parameters
    ----------
    study : Study
    folder : Path
        Of the run.
    truth : Truth
        The full-order model.
    executor : Executor
    progress : Progress
    tasks : callable
        Truth -> tasks(kernel, shared, parts) on its model and store.
    reduce : callable
        (reductor, mu (k, p)) -> the reduced model of stored snapshots.
    """

    def __init__(self, study: Study, folder: Path, truth: Truth, executor: Executor, progress: Progress,
                 tasks: Callable[[Truth], Tasks], reduce: Callable[[Any, np.ndarray], ReducedModel]) -> None:
        if study.config.dictionary is None:
            raise ConfigError("the study has no table [dictionary]; add one")
        self.wish = study.config.dictionary
        self.study, self.folder, self.truth, self.progress = study, folder, truth, progress
        self._executor, self._tasks, self._reduce = executor, tasks, reduce
        self._pair_seconds = 0.0

    def run(self, design: np.ndarray) -> Built:
        """The dictionary of the design (N, p).

        Raises
        ------
        SolveFailed
            Too many solves failed, or all of a cluster.
        InputError
            The samples cannot be clustered so.
        """
        cheap = self._cheap()
        sample = self._sample(cheap, design)
        started = time.perf_counter()
        with self.progress.timed("clustering"):
            config = self.study.config
            modes = config.reduction.max_size if "max_size" in config.reduction.model_fields_set else None
            choice = choose(sample, self.wish, self.progress.note, modes, None if config.uq is None else config.uq.size)
        training = time.perf_counter() - started
        runs = self._runs(sample, choice)
        assessment = priced(choice.assessment, self._costs(cheap, sample, runs, choice.trained, training))
        models, about = self._models(sample, runs, choice)
        rom = RomDictionary(tuple(models), choice.trained.recommender, choice.trained.field,
                            self.wish.fallback.tolerance, self._facts(models, choice),
                            Design.of(self.study.parameters, sample.mu))
        record = self._record(sample, choice, assessment, about)
        write_json(self.folder / RECORD, record)
        return Built(rom, np.concatenate([sample.mu[rows] for rows in runs]), record)

    def _cheap(self) -> Truth:
        """The simplified model with its store; the full-order one where nothing is simplified."""
        request = simplified_request(self.study)
        if request == self.truth.request:
            return self.truth
        counts = Progress(self.study.name, self.folder, self.progress.watcher, self.progress.max_failed_share)
        return Truth(request, self.folder / SIMPLIFIED, self.truth.columns, counts, 0.0)

    def _sample(self, cheap: Truth, design: np.ndarray) -> Sample:
        """All samples that could be solved, compared with each other."""
        cheap.progress.begin("offline" if cheap is self.truth else "simplified solves", len(design))
        failed = cheap.solve_missing(design, self._executor)
        if cheap is self.truth:
            failed[~failed] = cheap.set_aside(design[:0], design[~failed])
        else:
            self._take_over(cheap.progress)
        mu = design[~failed]
        if len(mu) < 2:
            raise SolveFailed(f"of {len(design)} solves of the design {len(mu)} gave a solution; there is nothing to "
                              "cluster")
        self.progress.begin("dissimilarities", None)
        with self.progress.timed("dissimilarities"):
            started = time.perf_counter()
            pairs = self._pairs(cheap, mu, self.wish.dissimilarity)
            self._pair_seconds = 2.0 * (time.perf_counter() - started) / len(mu)**2
            euclid = pairs if self.wish.dissimilarity == "euclidean" else self._pairs(cheap, mu, "euclidean")
        field = latest_field(self.truth.fom, input_kind(self.wish, self.truth.fom), mu)
        return Sample(mu, pairs.features, pairs.D, euclid.D, field, field.values(mu))

    def _pairs(self, cheap: Truth, mu: np.ndarray, name: str) -> Pairs:
        return dissimilarities(self._tasks(cheap), cheap.fom, cheap.store, mu, name, self.wish.field,
                               self.folder / "dictionary")

    def _take_over(self, cheap: Progress) -> None:
        """Count what the cheap solves took among the seconds of the run, and not among its snapshots."""
        self.progress.solve_seconds += cheap.solve_seconds
        self.progress.stages["simplified solves"] = cheap.stages.get("full-order solves", 0.0)

    def _runs(self, sample: Sample, choice: Choice) -> list[np.ndarray]:
        """Rows of the full-order runs of each cluster, all stored; a run that fails is replaced by the next member."""
        clusters = range(choice.clustering.clusters)
        orders = [self._order(sample.D, choice, cluster) for cluster in clusters]
        wanted = [min(choice.snapshots, len(order)) for order in orders]
        self.progress.begin("offline", sum(wanted))
        found: list[list[int]] = [[] for _ in clusters]
        tried = [0 for _ in clusters]
        while rows := [(k, int(row)) for k in clusters
                       for row in orders[k][tried[k]:tried[k] + wanted[k] - len(found[k])]]:
            mu = sample.mu[[row for _, row in rows]]
            failed = self.truth.solve_missing(mu, self._executor)
            for (k, row), wrong in zip(rows, failed, strict=True):
                tried[k] += 1
                found[k] += [] if wrong else [row]
        empty = [k for k in clusters if not found[k]]
        if empty:
            raise SolveFailed(f"every full-order run of cluster {empty[0]} failed, so that it has no local model; "
                              "lower [dictionary] clusters, or narrow the parameters")
        return [np.array(rows) for rows in found]

    def _order(self, D: np.ndarray, choice: Choice, cluster: int) -> np.ndarray:
        """Members of a cluster in the order in which they are run: the medoid, then the farthest first."""
        members = choice.clustering.members(cluster)
        return farthest_first(D, members, int(choice.clustering.medoids[cluster]), len(members))

    def _models(self, sample: Sample, runs: list[np.ndarray], choice: Choice) -> tuple[list[Any], list[dict[str, Any]]]:
        """The local models, and what the record tells of each."""
        models, about = [], []
        for cluster, rows in enumerate(runs):
            reductor = self.study.reductor()
            rom = self._reduce(reductor, sample.mu[rows])
            offline = getattr(reductor, "offline", None)
            if offline is not None:
                offline.save(self.folder / offline_file(cluster))
            models.append(rom)
            about.append({"cluster": cluster, "members": int(choice.clustering.sizes[cluster]), "snapshots": len(rows),
                          "size": rom.size, "error": _training_error(rom), "medoid": sample.mu[rows[0]]})
        return models, about

    def _costs(self, cheap: Truth, sample: Sample, runs: list[np.ndarray], trained: Trained,
               training: float) -> Costs:
        """Measured seconds of all that a dictionary is made of."""
        full = _median(self.truth, sample.mu[np.concatenate(runs)])
        few = sample.mu[:_TIMED]
        started = time.perf_counter()
        trained.recommender.recommend(trained.field.values(few))
        recommending = (time.perf_counter() - started) / len(few)
        return Costs(full, full if cheap is self.truth else _median(cheap, sample.mu), self._pair_seconds, training,
                     recommending)

    def _facts(self, models: list[Any], choice: Choice) -> dict[str, Any]:
        facts = {"method": "dictionary", "clusters": len(models), "accuracy": choice.trained.accuracy}
        for name in _TRAINING_ERRORS:
            known = [rom.metadata[name] for rom in models if rom.metadata.get(name) is not None]
            facts |= {name: max(known)} if known else {}
        return facts

    def _record(self, sample: Sample, choice: Choice, assessment: Assessment,
                models: list[dict[str, Any]]) -> dict[str, Any]:
        clustering = choice.clustering
        shown = _seriated(sample.D, clustering.labels)
        return dict(plain({
            "assessment": assessment.plain(),
            "clustering": {"labels": clustering.labels, "medoids": clustering.medoids, "sizes": clustering.sizes,
                           "silhouette": clustering.silhouette, "losses": clustering.losses,
                           "method": self.wish.clustering, "dissimilarity": self.wish.dissimilarity,
                           "field": self.wish.field, "map": sample.D[np.ix_(shown, shown)],
                           "map_labels": clustering.labels[shown]},
            "recommender": choice.trained.plain() | {
                "input": sample.field.kind, "accuracy": choice.trained.accuracy,
                "confusion": _confusion(choice.trained.predicted, clustering.labels)},
            "models": models}))


def dictionary_summary(record: Mapping[str, Any]) -> dict[str, Any]:
    """The "dictionary" part of summary.json."""
    assessment, clustering = record["assessment"], record["clustering"]
    return {"clusters": len(clustering["medoids"]), "sizes": clustering["sizes"],
            "recommended_clusters": assessment["clusters"], "accuracy": record["recommender"]["accuracy"],
            "models": [{key: one[key] for key in ("snapshots", "size", "error")} for one in record["models"]],
            "why": assessment["why"]}


def _training_error(rom: Any) -> float | None:
    known = [rom.metadata[name] for name in _TRAINING_ERRORS if rom.metadata.get(name) is not None]
    return float(known[0]) if known else None


def _seriated(D: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """At most `_MAP` samples, cluster by cluster, within each beside those that are most alike."""
    order = np.argsort(labels, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(_MAP, len(order))).astype(int)]
    parts = []
    for cluster in np.unique(labels[shown]):
        members = shown[labels[shown] == cluster]
        if len(members) > 2:
            tree = linkage(squareform(D[np.ix_(members, members)], checks=False), "average", optimal_ordering=True)
            members = members[leaves_list(tree)]
        parts.append(members)
    return np.concatenate(parts)


def _median(truth: Truth, mu: np.ndarray) -> float:
    known = np.asarray(truth.store.seconds(mu))
    known = known[np.isfinite(known)]
    return float(np.median(known)) if known.size else 0.0


def _confusion(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts (K, K): rows the right cluster, columns what was recommended to held-out samples."""
    K = int(labels.max()) + 1
    found = np.zeros((K, K), dtype=int)
    np.add.at(found, (labels, predicted), 1)
    return found
