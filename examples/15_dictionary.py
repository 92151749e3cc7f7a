"""A dictionary of reduced models: layers that a wind of any direction moves, cut into clusters by cheap solves.

    python examples/15_dictionary.py

No small space holds layers at all sides of a square. Solves on a coarse mesh are clustered by the angle between them,
each cluster gets a basis of its own from a few solves on the fine mesh, and a classifier recommends the model.
"""

import math
import tempfile
from pathlib import Path

import numpy as np

import romflow
from romflow.linalg.clustering.medoids import farthest_first, k_medoids
from romflow.linalg.dissimilarity.fields import sine
from romflow.reduction.dictionary.training import train
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.model import RomDictionary

CLUSTERS, MODES, RUNS = 4, 10, 16


def study(cells: int) -> romflow.Study:
    """-diffusion lap u + (cos angle, sin angle) . grad u = 1 on a square."""
    return romflow.Study.from_dict({
        "study": {"name": "wind"},
        "model": {"kind": "advection-diffusion", "cells": cells, "stability": "min-theta"},
        "parameters": {"diffusion": {"low": 0.02, "high": 0.04}, "angle": {"low": 0.0, "high": 2 * math.pi}},
        "sampling": {"method": "sobol", "size": 1}, "reduction": {"method": "pod-galerkin"}, "cluster":
        {"kind": "serial"}})


def stored(folder: Path, model, mu: np.ndarray) -> romflow.SnapshotStore:
    """A store with the solves at mu (k, p)."""
    store = romflow.SnapshotStore(folder, model.spec, model.parameters.columns)
    for row in store.missing(mu) if len(mu) else ():
        store.put(mu[row], model.solve(mu[row]))
    return store


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    coarse, fine = study(12).model, study(32).model
    space, rng = fine.parameters, np.random.default_rng(0)
    mu = space.sample(128, rng)

    U = stored(folder / "coarse", coarse, mu).matrix(mu)
    D = sine(U, U, romflow.InnerProduct(coarse.inner_product, coarse.norm))
    found = k_medoids(D, CLUSTERS)
    chosen = [farthest_first(D, np.flatnonzero(found.labels == k), found.medoids[k], RUNS) for k in range(CLUSTERS)]
    store = stored(folder / "fine", fine, mu[np.concatenate(chosen)])

    reductor = PodGalerkin(tolerance=1e-6, max_size=MODES)
    trained = train(InputField.parameters(space.size), mu, found.labels, classifier="nearest")
    rom = RomDictionary([reductor.reduce(fine, store, mu[own]) for own in chosen], trained.recommender, trained.field,
                        tolerance=0.2)
    rom.save(folder / "model.h5")
    single = reductor.reduce(fine, store, mu[np.concatenate(chosen)])

    unseen = space.sample(100, rng)
    truth = np.column_stack([fine.solve(row).state for row in unseen])
    X = romflow.InnerProduct(fine.inner_product, fine.norm)
    answer = romflow.load(folder / "model.h5").solve(unseen)
    kept = ~answer.refused
    error = X.norm(truth - rom.lift(answer.coefficients)) / X.norm(truth)
    alone = X.norm(truth - single.lift(single.solve(unseen).coefficients)) / X.norm(truth)
    print(f"{CLUSTERS} clusters of {np.bincount(found.labels)} cheap solves; {MODES} modes for each, {rom.n} unknowns")
    print(f"mean error {error[kept].mean():.1e} where one model of {MODES} modes has {alone[kept].mean():.1e}")
    print(f"of 100 new draws {answer.shares()}; largest bound {answer.relative_error[kept].max():.2f}")
    return {"error": error[kept].mean(), "alone": alone[kept].mean(), "refused": answer.shares()["refused"],
            "second": answer.shares()["second"], "accuracy": trained.accuracy,
            "effectivity": (answer.error[kept] / (error * X.norm(truth))[kept]).min()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
