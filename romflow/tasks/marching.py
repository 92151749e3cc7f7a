"""A trajectory is stored piece by piece while its model marches, and goes on where an earlier attempt was ended."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import SolveFailed, StoreError
from romflow.fom.marching import checked_march
from romflow.fom.protocol import SupportsTime
from romflow.store.snapshots import SnapshotStore

__all__ = ["stored_march"]


def stored_march(fom: SupportsTime, store: SnapshotStore, mu: NDArray[np.float64]) -> float:
    """Store the trajectory at mu (p,), from the last good piece that is there; the same bits as without a stop.

    A march that fails with numbers that do not hold leaves no pieces. One that is ended otherwise (a signal, an error
    of the model's own, a full disk, a failure whose report says "resumable") leaves them, and the next attempt goes on
    behind them.

    Parameters
    ----------
    fom : SupportsTime
    store : SnapshotStore
    mu : (p,) array

    Returns
    -------
    float
        Processor seconds of the whole trajectory, those of earlier attempts included.

    Raises
    ------
    SolveFailed
        As for :func:`romflow.fom.marching.checked_march`.
    StoreError
        The disk is full or refuses.
    """
    writer = store.writer(mu)
    try:
        for piece in checked_march(fom, mu, writer.resume()):
            writer.append(piece.start, piece.times, piece.states, piece.series, piece.checkpoint, piece.seconds)
    except BaseException as error:
        if isinstance(error, SolveFailed) and not error.report.get("resumable", "exception" in error.report):
            writer.drop()
        else:
            with contextlib.suppress(StoreError):
                writer.flush()
        raise
    seconds = writer.seconds
    writer.finish()
    return seconds
