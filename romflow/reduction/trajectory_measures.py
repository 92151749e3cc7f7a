"""What stored trajectories say of a reduced model: true errors and coordinates, a piece of a trajectory at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import StoreError
from romflow.linalg.inner_product import InnerProduct
from romflow.store.snapshots import SnapshotStore

__all__ = ["TrajectoryErrors", "in_time", "trajectory_coordinates", "trajectory_errors"]


@dataclass(frozen=True)
class TrajectoryErrors:
    """X-norms of errors and of true states at each stored time.

    Attributes
    ----------
    times : (K + 1,)
    error, norm : (K + 1, k)
    """

    times: np.ndarray
    error: np.ndarray
    norm: np.ndarray

    @property
    def total_error(self) -> np.ndarray:
        """(sum_j (t_j - t_{j-1}) ||u_j - V x_j||_X^2)^{1/2} (k,), the L2(0, T; X) error of the time grid."""
        return in_time(self.times, self.error)

    @property
    def total_norm(self) -> np.ndarray:
        """The same norm of the true trajectories (k,)."""
        return in_time(self.times, self.norm)


def in_time(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(sum_j (t_j - t_{j-1}) values_j^2)^{1/2} (k,) for values (K + 1, k); the start counts for nothing.

    Examples
    --------
    >>> in_time(np.array([0.0, 1.0, 3.0]), np.array([[9.0], [1.0], [2.0]]))
    array([3.])
    """
    return np.asarray(np.sqrt(np.einsum("j,jk->k", np.diff(times), values[1:] ** 2)))


def trajectory_errors(rom: Any, product: InnerProduct, store: SnapshotStore, mu: np.ndarray,
                      answer: Any) -> TrajectoryErrors:
    """Errors of the reduced trajectories of `answer` against the stored ones at mu (k, p).

    Memory: one piece of a trajectory and as many reduced states lifted.

    Raises
    ------
    StoreError
        A trajectory has other times than the reduced model.
    """
    error, norm = np.empty((len(rom.times), len(mu))), np.empty((len(rom.times), len(mu)))
    for j, row in enumerate(mu):
        trajectory = store.trajectory(row)
        if not np.array_equal(trajectory.times, rom.times):
            raise StoreError(f"the trajectory at mu = {row.tolist()} is stored at other times than the reduced "
                             "model's; it belongs to another study: run in another folder")
        for which, U in trajectory.pieces():
            norm[which, j] = product.norm(U)
            error[which, j] = product.norm(U - rom.lift(answer.trajectory[which, :, j].T))
    return TrajectoryErrors(rom.times, error, norm)


def trajectory_coordinates(rom: Any, product: InnerProduct, store: SnapshotStore, mu: np.ndarray) -> np.ndarray:
    """V^T X u (K + 1, r, k) of the stored trajectories at mu (k, p)."""
    weighted = product.apply(rom.basis)
    found = np.empty((len(rom.times), rom.size, len(mu)))
    for j, row in enumerate(mu):
        for which, U in store.trajectory(row).pieces():
            found[which, :, j] = U.T @ weighted
    return found
