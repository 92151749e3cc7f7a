"""Small dictionaries of reduced models with a recommender that is made by hand: cluster 1 above a threshold."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.rom.dictionary.classifiers import LinearClassifier
from romflow.rom.dictionary.inputs import InputField
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.dictionary.recommender import Recommender
from tests.problems import MemoryStore, reaction_diffusion

THRESHOLD = 4.0
#: Parameters of the snapshots of each cluster.
TRAINING = (np.array([[1.0], [2.0], [3.5]]), np.array([[4.5], [6.0], [9.0]]))


def recommender(training: Any, column: int = 0, threshold: float = THRESHOLD, slope: float = 4.0,
                **changes: Any) -> Recommender:
    """Recommends cluster 1 where one column of mu is above the threshold; `training` (N, p)."""
    points = np.asarray(training, dtype=float)
    weights = np.zeros((points.shape[1], 2))
    weights[column, 1] = slope
    options: dict[str, Any] = {"reach": 1.0, "abstain": 0.6, "limit": 3.0, **changes}
    return Recommender(2, points.shape[1], np.arange(points.shape[1]), np.zeros(points.shape[1]),
                       np.ones(points.shape[1]), LinearClassifier(weights, np.array([0.0, -slope * threshold])), points,
                       **options)


@cache
def problem() -> tuple[Any, MemoryStore]:
    fom = reaction_diffusion(40)
    return fom, MemoryStore(fom)


@cache
def local(k: int, size: int = 2) -> Any:
    """The model of one cluster, of at most so many modes."""
    fom, store = problem()
    return PodGalerkin(tolerance=1e-12, max_size=size).reduce(fom, store, TRAINING[k])


def dictionary(tolerance: float = 0.0, size: int = 2, **changes: Any) -> RomDictionary:
    """Two affine models of -u'' + mu u = 1."""
    return RomDictionary((local(0, size), local(1, size)), recommender(np.vstack(TRAINING), **changes),
                         InputField.parameters(1), tolerance, {"study": "toy"})
