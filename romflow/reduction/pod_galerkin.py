"""POD of a fixed set of snapshots and projection of the affine model on its modes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.reduction.compression import SnapshotCompression
from romflow.reduction.distributed.modes import ROUTES, pod_by_parts
from romflow.reduction.distributed.projection import DistributedProjection
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.projection import AffineProjection
from romflow.reduction.reduced_basis import AffineReductor
from romflow.rom.affine import AffineReducedModel
from romflow.rom.sketched_residual import DELTA, EPSILON
from romflow.store.snapshots import SnapshotStore


class PodGalerkin(AffineReductor):
    """Galerkin or least-squares projection on the POD modes whose relative projection error is below `tolerance`.

    The singular values, the route of the compression, why it was taken and the error reached are in the model's
    metadata.

    Parameters
    ----------
    tolerance, max_size, estimator, projection, seed, sketch, sketch_rows, epsilon, delta
        As for :class:`romflow.reduction.reduced_basis.AffineReductor`.
    compression : {"auto", "gram", "two-pass", "sketched", "randomised", "streaming", "hapod"}
        See :func:`romflow.linalg.pod.pod`; "hapod" uses the workers of the run.
    """

    method = "pod-galerkin"

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, estimator: str = "orthonormal",
                 projection: str = "auto", seed: int = 0, compression: str = "auto", sketch: str = "sparse-sign",
                 sketch_rows: int = 0, epsilon: float = EPSILON, delta: float = DELTA) -> None:
        super().__init__(tolerance, max_size, estimator, projection, seed, sketch, sketch_rows, epsilon, delta)
        self.compression = SnapshotCompression(compression, seed)

    def accepts(self, fom: Any) -> str | None:
        """None for affine models with an inner product, else the reason and what to use."""
        if is_split(fom) and self.compression.route not in ROUTES:
            return (f"compression = \"{self.compression.route}\" needs whole snapshots, and those of a model on MPI "
                    f"ranks stay in parts; use {', '.join(ROUTES)}, or leave out [cluster] ranks")
        return super().accepts(fom)

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> AffineReducedModel:
        """The reduced model from the snapshots at mu (k, p), of size at most `max_size`."""
        projected = self.start(fom)
        facts = self._extend(projected, store, mu) if len(mu) else {}
        model = self.finish(projected.model(), len(mu), projected)
        return replace(model, metadata=model.metadata | facts)

    def _extend(self, projected: AffineProjection | DistributedProjection, store: SnapshotStore,
                mu: np.ndarray) -> dict[str, Any]:
        """Project on the modes of the snapshots; what the compression found."""
        if isinstance(projected, DistributedProjection):
            found = pod_by_parts(projected.runner, mu, self.tolerance, self.max_size, self.compression.route)
            projected.extend(found.basis)
            return found.pod.facts
        modes = self.compression.of(store, mu, projected.product, self.tolerance, self.max_size)
        projected.extend(modes.basis)
        return modes.facts
