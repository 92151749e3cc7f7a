"""POD of a fixed set of snapshots and projection of the affine model on its modes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.linalg.pod import pod
from romflow.reduction.reduced_basis import AffineReductor
from romflow.rom.affine import AffineReducedModel
from romflow.store.snapshots import SnapshotStore


class PodGalerkin(AffineReductor):
    """Galerkin or least-squares projection on the POD modes whose relative projection error is below `tolerance`.

    Tolerances below 1e-7 take the two-pass route, see `romflow.linalg.pod`. The singular values are in the model's
    metadata.
    """

    method = "pod-galerkin"

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> AffineReducedModel:
        """The reduced model from the snapshots at mu (k, p), of size at most `max_size`."""
        projected = self.start(fom)
        if len(mu):
            modes = pod(lambda part: store.matrix(mu[part]), projected.product, self.tolerance, size=len(mu),
                        max_size=self.max_size)
            projected.extend(modes.basis)
        model = self.finish(projected.model(), len(mu))
        if not len(mu):
            return model
        about = model.metadata | {"singular_values": modes.singular_values.tolist(),
                                  "projection_error": modes.error}
        return replace(model, metadata=about)
