"""POD of dual fields whose snapshots lie in files of subdomains: the passes of `linalg.compression` as sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import NotSupported
from romflow.core.fingerprint import fingerprint
from romflow.linalg.compression.deflation import LEVELS, deflated
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.sweeps import Check, Extension, Sweep
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.mechanics.blocks import components_of
from romflow.reduction.mechanics.runner import BlockRunner

__all__ = ["DualSweep", "dual_pod"]


def dual_pod(runner: BlockRunner, field: str, tolerance: float, max_size: int | None = None) -> Pod:
    """Modes (c G, n) with the quadrature weights as inner product, of a dual field along all trajectories.

    Gram matrices S^T diag(w) S are summed over subdomains; where the tolerance is below 1e-6 the remainder behind the
    modes found is treated again, so that small modes are as exact as by one process. The result does not depend on the
    number of subdomains but for rounding. Cost of a task: c G_d k^2 flops and 2 c G_d k n; memory 64 MiB.

    Parameters
    ----------
    runner : BlockRunner
        After `replay`.
    field : {"stress", "accumulated_plastic_strain"}
    tolerance : float
        (sum_j ||s_j - P s_j||^2 / sum_j ||s_j||^2)^{1/2} <= tolerance.
    max_size : int, optional
    """
    sweep = DualSweep(runner, field)
    weights = np.tile(runner.fom.mechanics.space.weights, components_of(field))
    product = InnerProduct(sp.diags_array(weights), "L2")
    return deflated(sweep, product, tolerance, max_size, LEVELS)[0]


class DualSweep(Sweep):
    """Each pass is a kernel on every subdomain, see :class:`Sweep`; the modes are whole in the memory of the driver."""

    def __init__(self, runner: BlockRunner, field: str) -> None:
        self._runner, self._field = runner, field
        self.n = runner.fom.mechanics.space.weights.size * components_of(field)
        self.k = sum(len(runner.store.trajectory(row)) for row in runner.mu)

    def gram(self, modes: Modes, Z: np.ndarray) -> np.ndarray:
        C = self._runner.total("mechanics-gram", **self._about(modes, Z))["gram"]
        return np.asarray(0.5 * (C + C.T))

    def extend(self, modes: Modes, Z: np.ndarray, M: np.ndarray, coordinates: bool = False,
               check: Check | None = None) -> Extension:
        about = {**self._about(modes, Z), "M": self._runner.files.put(M)}
        about["out"] = out = "y-" + fingerprint(about | {"parts": self._runner.subdomains})[:32]
        found = self._runner.total("mechanics-extend", **about, coordinates=coordinates,
                                   fit=None if check is None else check.fit)
        new = modes.append(M.shape[1])
        for number in range(self._runner.subdomains):
            new[:, self._runner.rows(self._field, number)] = self._runner.files.read(out, number).T
        left = found.get("left")
        return Extension(found["gram"], found["cross"], found.get("coordinates"), None if left is None else float(left))

    def coordinates(self, modes: Modes) -> tuple[np.ndarray, float]:
        coordinates, squares = self.known(modes.V)
        return coordinates, float(squares.sum())

    def known(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """V^T X S (r, k) and ||s||_X^2 (k,) of all snapshots."""
        name = self._runner.spread(self._field, V)
        found = self._runner.total("mechanics-coordinates", replays=self._runner.replays, field=self._field, modes=name)
        return found["coordinates"], found["squares"]

    def sketch(self, kind: str, rows: int, seed: int) -> tuple[np.ndarray, float]:
        raise NotSupported("dual fields in subdomains are not sketched; use their Gram matrices")

    def remainder(self, modes: Modes, Z: np.ndarray) -> float:
        return float(np.trace(self.gram(modes, Z)))

    def power(self, W: np.ndarray) -> np.ndarray:
        return np.asarray(self.gram(Modes(self.n), np.zeros((0, self.k))) @ W)

    def _about(self, modes: Modes, Z: np.ndarray) -> dict[str, Any]:
        name = self._runner.spread(self._field, modes.V) if modes.r else None
        return {"replays": self._runner.replays, "field": self._field, "modes": name,
                "Z": self._runner.files.put(Z) if modes.r else None}
