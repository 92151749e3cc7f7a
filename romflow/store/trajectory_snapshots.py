"""Snapshots that are trajectories: written piece by piece, read by times, by entries or piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import StoreError
from romflow.core.fingerprint import snapshot_key
from romflow.store.snapshot_files import SnapshotFiles
from romflow.store.trajectory import Trajectory
from romflow.store.trajectory_files import pieces_of
from romflow.store.trajectory_writer import TrajectoryWriter

__all__ = ["TrajectorySnapshots"]


class TrajectorySnapshots:
    """What a store of snapshots offers for models whose solution is a trajectory.

    A trajectory is one snapshot: its state and outputs are the final ones, and its pieces lie beside it. All other
    methods of the store take it as the snapshot of its final state.
    """

    fingerprint: str
    _files: SnapshotFiles

    def _row(self, mu: ArrayLike) -> NDArray[np.float64]:
        raise NotImplementedError

    def _key_of(self, which: str | ArrayLike) -> str:
        raise NotImplementedError

    def writer(self, mu: ArrayLike) -> TrajectoryWriter:
        """What writes the trajectory of a parameter (p,), replacing a snapshot of it when it is finished.

        Examples
        --------
        >>> import tempfile
        >>> from romflow.store.snapshots import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     store = SnapshotStore(folder, {"kind": "line"}, ["a"])
        ...     writer = store.writer([0.5])
        ...     writer.append(0, [0.0, 0.1], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        ...     key = writer.finish()
        ...     store.trajectory([0.5]).rows(slice(1, 3)), store.get([0.5]).state
        (array([[3., 4.],
               [5., 6.]]), array([2., 4., 6.]))
        """
        row = self._row(mu)
        return TrajectoryWriter(self._files, snapshot_key(self.fingerprint, row), row + 0.0)

    def trajectory(self, which: str | ArrayLike) -> Trajectory:
        """The trajectory of a key or parameter (p,).

        Raises
        ------
        StoreError
            It is not stored or damaged, or the snapshot is a single state.
        """
        key = self._key_of(which)
        header = self._files.needed(key)
        entries = pieces_of(header.info)
        if not entries:
            raise StoreError(f"the snapshot {self._files.path(key)} is a single state and no trajectory; its model has "
                             "no stored times.")
        return Trajectory(self._files, key, header.layout.n, entries)

    def is_trajectory(self, which: str | ArrayLike) -> bool:
        """Whether the snapshot of a key or parameter (p,) is a trajectory.

        Raises
        ------
        StoreError
            It is not stored or damaged.
        """
        info: dict[str, Any] = self._files.needed(self._key_of(which)).info
        return bool(pieces_of(info))
