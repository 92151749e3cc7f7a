"""Recommenders of local models on overlapping regimes: accuracy from few nodes, augmentation, selection of nodes.

    python benchmarks/dictionary_recommender.py [--quick] [--json FILE]

A plate is heated by four burners whose shares of the power, places and surroundings are random, and held at two sides;
its overstress in thermal strain is the simulation. Ten times (--quick: three), 60 draws are clustered by the angles of
what they simulate to (four medoids) and 500 others, the same for all, labelled by the nearest medoid: nothing but
simulation decides a label. Where two burners are as hot, regimes overlap. The recommender sees the nodal temperature.

classifier_accuracy     share of the 500 that is recommended rightly, mean over these, logistic regression
feature_share           nodes that are looked at
augmentation_gain       accuracy with synthetic samples less that without, mean over these, nearest neighbours (a
                        logistic regression is given none, and what perceptrons gain is printed)
augmentation_worst      the least gain of all, of nearest neighbours and perceptrons
synthetic_labels_right  synthetic samples that simulation gives the label that they were given
selection_speedup       processor time of mRMR with mutual information of all pairs by scikit-learn, to that of the
                        selection by distance, for the same number of nodes; the brute force on correlations is printed
selection_loss          accuracy with nodes by brute force (correlations) less that with nodes by distance
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse.linalg as sla  # noqa: E402
from mechanics_problems import say  # noqa: E402
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression  # noqa: E402

from romflow.fom.mechanics.space import StrainSpace  # noqa: E402
from romflow.linalg.clustering.medoids import k_medoids  # noqa: E402
from romflow.linalg.dissimilarity.fields import sine  # noqa: E402
from romflow.parameters.loading import Loading  # noqa: E402
from romflow.parameters.spatial_field import SpatialField  # noqa: E402
from romflow.reduction.dictionary.classifiers import Setting, fit  # noqa: E402
from romflow.reduction.dictionary.selection import greedy, select  # noqa: E402
from romflow.reduction.dictionary.training import train  # noqa: E402
from romflow.rom.dictionary.inputs import InputField  # noqa: E402
from romflow.rom.dictionary.recommender import scaling  # noqa: E402

CLUSTERS, TRAINING, TEST, REPEATS, SEED = 4, 60, 500, 10, 20260
YOUNG, POISSON, EXPANSION, REFERENCE = 200e3, 0.3, 1.2e-5, 450.0
BURNERS = np.array([[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]])
HEAT, WIDTH, JITTER, EVENNESS = 350.0, 0.18, 0.04, 0.5
NOISE, LENGTH, TERMS = 20.0, 0.3, 12
KINDS = ("logistic", "nearest", "mlp")


class Plate:
    """A unit square, plane strain, smooth sides x = 0 and 1 held in x; linear stresses and the overstress in them."""

    def __init__(self, cells: int) -> None:
        line = np.linspace(0.0, 1.0, cells + 1)
        self.nodes = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)
        number = np.arange(len(self.nodes)).reshape(cells + 1, cells + 1)
        corners = (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:])
        self.space = StrainSpace(self.nodes, np.stack(corners, axis=-1).reshape(-1, 4), "quad4-bbar")
        shear = YOUNG / (2 * (1 + POISSON))
        bulk = YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
        self.elasticity = np.diag([2 * shear] * 3 + [shear] * 3)
        self.elasticity[:3, :3] += bulk
        held = np.zeros((len(self.nodes), 2), dtype=bool)
        held[:, 0] = (self.nodes[:, 0] == 0.0) | (self.nodes[:, 0] == 1.0)
        held[:, 1] = self.nodes[:, 1] == 0.0
        self.free = np.flatnonzero(~held.ravel())
        K = self.space.stiffness(np.repeat(self.elasticity[:, :, None], self.space.G, axis=2))
        self.factor = sla.splu(K[self.free][:, self.free].tocsc())
        self.noise = _modes(line)

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Nodal temperatures (count, F)."""
        rng = np.random.default_rng(seed)
        power = HEAT * rng.dirichlet(np.full(len(BURNERS), EVENNESS), count) * rng.uniform(0.8, 1.2, (count, 1))
        places = BURNERS + JITTER * rng.standard_normal((count, *BURNERS.shape))
        T = REFERENCE + NOISE * rng.standard_normal((count, TERMS)) @ self.noise
        for k in range(len(BURNERS)):
            far = ((self.nodes[None] - places[:, k, None]) ** 2).sum(axis=2)
            T += power[:, k, None] * np.exp(-far / (2 * WIDTH**2))
        return T

    def simulate(self, T: np.ndarray) -> np.ndarray:
        """Overstress ((mises - R(T)) / 300 MPa)_+^4 at the Gauss points (G, count), weighted for the L2 product."""
        return np.concatenate([self._overstress(part) for part in np.array_split(T, max(1, len(T) // 25))], axis=1)

    def _overstress(self, T: np.ndarray) -> np.ndarray:
        at = self.space.at_points(T.T)
        strain = np.zeros((6, *at.shape))
        strain[:3] = -EXPANSION * (at - REFERENCE)
        stress = np.einsum("ij,jgb->igb", self.elasticity, strain, optimize=True)
        load = np.stack([-self.space.forces(column) for column in np.moveaxis(stress, 2, 0)], axis=1)
        u = np.zeros((self.space.n, len(T)))
        u[self.free] = self.factor.solve(load[self.free])
        stress += np.einsum("ij,jgb->igb", self.elasticity, self.space.strain(u), optimize=True)
        stress[:3] -= stress[:3].mean(axis=0)
        mises = np.sqrt(1.5 * ((stress[:3] ** 2).sum(axis=0) + 2 * (stress[3:] ** 2).sum(axis=0)))
        over = np.maximum(mises - 400.0 * (1 - 0.6 * (at - 20) / 1000), 0.0) / 300.0
        return (over**4 * np.sqrt(self.space.weights)[:, None]).astype(np.float32)


def _modes(line: np.ndarray) -> np.ndarray:
    """Karhunen-Loeve modes (TERMS, F) of unit variance, products of those on a line."""
    kernel = np.exp(-((line[:, None] - line) ** 2) / (2 * LENGTH**2)) / len(line)
    values, vectors = np.linalg.eigh(kernel)
    values, vectors = values[:-9:-1], vectors[:, :-9:-1] * np.sqrt(len(line))
    weight = np.outer(values, values)
    pairs = np.unravel_index(np.argsort(-weight.ravel(), kind="stable")[:TERMS], weight.shape)
    return np.stack([np.sqrt(weight[i, j]) * np.outer(vectors[:, i], vectors[:, j]).ravel()
                     for i, j in zip(*pairs, strict=True)])


@dataclass(frozen=True)
class Case:
    """One of the ten: 60 samples, their labels, those of the test, and what labels other fields by simulation."""

    fields: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    label: Callable[[np.ndarray], np.ndarray]


def cases(plate: Plate, repeats: int) -> tuple[list[Case], np.ndarray]:
    """All of them, and the fields of the test."""
    T = plate.draw(TRAINING * repeats + TEST, SEED)
    started = time.process_time()
    P = plate.simulate(T)
    say(f"{len(T)} simulations, {(time.process_time() - started) / len(T) * 1e3:.0f} ms each")
    found = []
    for k in range(repeats):
        own = P[:, TRAINING * k:TRAINING * (k + 1)].astype(float)
        clusters = k_medoids(sine(own, own), CLUSTERS)
        medoids = own[:, clusters.medoids]
        test = np.argmin(sine(medoids, P[:, TRAINING * repeats:].astype(float)), axis=0)
        found.append(Case(T[TRAINING * k:TRAINING * (k + 1)], np.argmin(sine(medoids, own), axis=0), test,
                          lambda x, m=medoids: np.argmin(sine(m, plate.simulate(x).astype(float)), axis=0)))
    return found, T[TRAINING * repeats:]


def accuracies(field: InputField, every: list[Case], test: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """Accuracy (cases, [without, with synthetic samples]) of each kind, and the share of the nodes."""
    found, share = {}, 0.0
    for kind in KINDS:
        rows = []
        for k, case in enumerate(every):
            trained = [train(field, case.fields, case.labels, classifier=kind, augment=augment, seed=k)
                       for augment in ((False,) if kind == "logistic" else (False, True))]
            rows.append([(one.recommender.recommend_fields(test).label == case.test).mean() for one in trained])
            share = max(share, trained[-1].recommender.numbers.size / field.size)
        found[kind] = np.array(rows)
        gain = 100 * (found[kind][:, -1] - found[kind][:, 0])
        say(f"{kind}: accuracy {found[kind][:, 0].mean():.3f}" + ("" if kind == "logistic" else (
            f", with synthetic samples {found[kind][:, 1].mean():.3f}; gain {gain.mean():+.2f} points, from "
            f"{gain.min():+.1f} to {gain.max():+.1f}")))
    return found, share


def confirmed(field: InputField, every: list[Case]) -> float:
    """Share of synthetic labels that simulation gives too, 120 of each case."""
    found = [train(field, case.fields, case.labels, classifier="nearest", seed=k, verify=case.label)
             for k, case in enumerate(every)]
    return float(np.mean([one.facts["synthetic_right"] for one in found]))


def speedup(points: np.ndarray, x: np.ndarray, y: np.ndarray, count: int) -> float:
    """Processor time of brute force to that of the selection by distance, for fields x at the points, labels y."""
    select(x, y, count, points)
    ours = min(_seconds(lambda: select(x, y, count, points)) for _ in range(5))
    relevance: dict[str, np.ndarray] = {}

    def brute() -> None:
        relevance["of all"] = mutual_info_classif(x, y, random_state=0)
        greedy(relevance["of all"], lambda j: mutual_info_regression(x, x[:, j], random_state=0), count)

    theirs = _seconds(brute)
    many = min(64, len(points) // 10)
    by_distance, by_samples = (min(_seconds(lambda at=at: select(x, y, many, at)) for _ in range(3))
                               for at in (points, None))
    say(f"selection of {count} of {len(points)} nodes: {1e3 * ours:.0f} ms by distance, {theirs:.1f} s with mutual "
        f"information of all pairs; of {many}: {1e3 * by_distance:.0f} ms, and {1e3 * by_samples:.0f} ms with "
        "correlations of all pairs")
    return theirs / ours


def loss(plate: Plate, every: list[Case], test: np.ndarray) -> float:
    """Mean accuracy with nodes by correlations of all pairs less that with nodes by distance."""
    hits = []
    for case in every:
        for at in (None, plate.nodes):
            numbers = select(case.fields, case.labels, min(64, len(plate.nodes) // 50), at).numbers
            mean, scale = scaling(case.fields[:, numbers])
            fitted = fit(Setting("logistic", 0.03), (case.fields[:, numbers] - mean) / scale, case.labels, CLUSTERS)
            scores = fitted.scores((test[:, numbers] - mean) / scale)
            hits.append((scores.argmax(axis=1) == case.test).mean())
    brute, ours = np.reshape(hits, (-1, 2)).mean(axis=0)
    say(f"accuracy with nodes by correlations of all pairs {brute:.3f}, by distance {ours:.3f}")
    return float(brute - ours)


def _seconds(what: Callable[[], object]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started


def measure(quick: bool) -> dict[str, Figure]:
    """All figures."""
    plate = Plate(24 if quick else 99)
    loading = Loading(("any",))
    field = InputField.temperature(SpatialField(["any"], loading.columns), loading, plate.nodes, 0.0)
    every, test = cases(plate, 3 if quick else REPEATS)
    found, share = accuracies(field, every, test)
    gains = {kind: rows[:, 1] - rows[:, 0] for kind, rows in found.items() if kind != "logistic"}
    right = confirmed(field, every)
    some = slice(None, None, 3 if quick else 1)
    faster = speedup(plate.nodes[some], every[0].fields[:, some], every[0].labels, 2 if quick else 3)
    return {"classifier_accuracy": Figure(float(found["logistic"].mean()), 0.9, True, "1"),
            "feature_share": Figure(share, 0.02, False, "1"),
            "augmentation_gain": Figure(100 * float(gains["nearest"].mean()), 2.0, True, "points"),
            "augmentation_worst": Figure(100 * float(min(gain.min() for gain in gains.values())), -1.0, True, "points"),
            "synthetic_labels_right": Figure(right, 0.95, True, "1"),
            "selection_speedup": Figure(faster, 20.0, True, "x", "mRMR, mutual information of all pairs"),
            "selection_loss": Figure(loss(plate, every, test), 0.01, False, "1")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
