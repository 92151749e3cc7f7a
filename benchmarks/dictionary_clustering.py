"""Clusters of 400 travelling bumps by angle, beside k-means and other baselines.

    python benchmarks/dictionary_clustering.py [--quick] [--json FILE]

Hats of one width at random places of (0, 1), with amplitudes over two decades. Each cluster gets n = 5 POD modes of its
members; the error is the mean over all bumps of the relative projection error on the modes of their own cluster.
clustering_ratio_vs_kmeans is this error of angle k-medoids by that of k-means on the same fields, for K = 5 and 8 (the
worse of the two), and constant_amplitude_ratio the same (the better of the two) where all amplitudes are 1: near 1, for
then the angle gains little or nothing. Errors are means over the seeds 0 to 4 (--quick: seed 0).
"""

from __future__ import annotations

from collections.abc import Callable

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import say  # noqa: E402
from sklearn.cluster import KMeans  # noqa: E402

from romflow.linalg.clustering.medoids import k_medoids  # noqa: E402
from romflow.linalg.clustering.subspaces import k_subspaces  # noqa: E402
from romflow.linalg.dissimilarity.fields import euclidean, sine  # noqa: E402

BUMPS, POINTS, WIDTH, MODES, CLUSTERS = 400, 400, 0.14, 5, (5, 8)
Labels = Callable[[np.ndarray, int, int], np.ndarray]


def bumps(seed: int, decades: float) -> np.ndarray:
    """Fields (n, N) of hats at random places, with amplitudes over so many decades."""
    rng = np.random.default_rng(seed)
    places, amplitudes = rng.uniform(size=BUMPS), 10.0**(decades * rng.uniform(-0.5, 0.5, size=BUMPS))
    x = np.linspace(0.0, 1.0, POINTS)
    return amplitudes * np.maximum(0.0, 1.0 - np.abs(x[:, None] - places) / WIDTH)


def unit(U: np.ndarray) -> np.ndarray:
    """Fields of length 1."""
    return U / np.linalg.norm(U, axis=0)


def projection_error(U: np.ndarray, labels: np.ndarray) -> float:
    """Mean relative error of the fields on the modes of their own cluster."""
    left = np.empty(U.shape[1])
    for cluster in np.unique(labels):
        inside = labels == cluster
        V = np.linalg.svd(U[:, inside], full_matrices=False)[0][:, :MODES]
        left[inside] = np.linalg.norm(U[:, inside] - V @ (V.T @ U[:, inside]), axis=0)
    return float(np.mean(left / np.linalg.norm(U, axis=0)))


def means(U: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """k-means of the fields as they are."""
    return np.asarray(KMeans(clusters, n_init=10, random_state=seed).fit(U.T).labels_)


METHODS: dict[str, Labels] = {
    "angle k-medoids": lambda U, K, seed: k_medoids(sine(U, U), K, seed=seed).labels,
    "k-means": means,
    "k-means of fields of length 1": lambda U, K, seed: means(unit(U), K, seed),
    "Euclidean k-medoids": lambda U, K, seed: k_medoids(euclidean(U, U), K, seed=seed).labels,
    "k-subspaces": lambda U, K, seed: k_subspaces(U, K, MODES, seed=seed).labels}


def errors(decades: float, seeds: range) -> dict[tuple[str, int], float]:
    """Mean error over the seeds of each method and number of clusters."""
    found: dict[tuple[str, int], list[float]] = {}
    for seed in seeds:
        U = bumps(seed, decades)
        found.setdefault(("one basis", 1), []).append(projection_error(U, np.zeros(BUMPS, dtype=int)))
        for name, label in METHODS.items():
            for K in CLUSTERS:
                found.setdefault((name, K), []).append(projection_error(U, label(U, K, seed)))
    return {case: float(np.mean(values)) for case, values in found.items()}


def ratios(found: dict[tuple[str, int], float]) -> list[float]:
    """Angle k-medoids by k-means, a number of clusters at a time."""
    return [found["angle k-medoids", K] / found["k-means", K] for K in CLUSTERS]


def tell(title: str, found: dict[tuple[str, int], float]) -> None:
    """The table of errors."""
    say(f"{title}: one basis of {MODES} modes {found['one basis', 1]:.4f}")
    for name in METHODS:
        say(f"  {name:30}" + "".join(f"  K = {K}: {found[name, K]:.4f}" for K in CLUSTERS))


def measure(quick: bool) -> dict[str, Figure]:
    """All figures."""
    seeds = range(1 if quick else 5)
    spread, constant = errors(2.0, seeds), errors(0.0, seeds)
    tell("amplitudes over two decades", spread)
    tell("constant amplitudes", constant)
    same = min(ratios(constant))
    say("constant amplitudes: " + ("the angle gains nothing" if same > 0.8 else f"the angle still gains ({same:.2f})"))
    return {"clustering_ratio_vs_kmeans": Figure(max(ratios(spread)), 0.3, False, "1", "scikit-learn"),
            "constant_amplitude_ratio": Figure(same, 0.8, True, "1", "scikit-learn")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
