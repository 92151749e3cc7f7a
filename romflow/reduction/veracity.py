"""Whether a snapshot is likely what its model would give: a score in [0, 1] before it enters a basis.

Corrupted files that were sealed as they are, runs that diverged to finite numbers, and units that were mixed up show
in four ways: the size differs from that of neighbours in parameter space, the state is not in the span of neighbours
where the others are, single entries or outputs stand out, or one stored time differs from those around it. Each gives
a doubt d (1 and less: within what the family itself shows); the score is min(1, 1 / d).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.sketching.embeddings import embedding
from romflow.reduction.veracity_doubts import Features, doubts, norms, time_spike
from romflow.store.snapshots import SnapshotStore

__all__ = ["Veracity", "VeracityCheck"]

_ROWS = 256  # of the sketch in which spans are compared
_TIMES = 5  # states of a trajectory that stand for it
_BLOCK = 1 << 22  # numbers of a trajectory read at once


@dataclass(frozen=True)
class Veracity:
    """Scores of k snapshots.

    Attributes
    ----------
    scores : (k,) array
        1: nothing speaks against it; 0: not finite.
    reasons : list of str
        The strongest doubt of each, a clause; "" where the score is 1.
    """

    scores: NDArray[np.float64]
    reasons: list[str]


class VeracityCheck:
    """Scores the snapshots of a store against each other; each is read once.

    Parameters
    ----------
    store : SnapshotStore
    threshold : float
        Snapshots with a smaller score are doubtful; 0 doubts none, 0.2 is a good value, larger ones doubt more.

    Raises
    ------
    InputError
        The threshold is outside [0, 1].

    Notes
    -----
    Cost: one pass over each new snapshot, a sketch of 256 rows, and O(k^2 p + k p^2) beside it. With fewer than 6
    snapshots only numbers that are not finite and spikes in time are found. A parameter that no other is near to, and
    a basis that is rich in every snapshot (a greedy's first steps), make the check milder, never stricter.

    Examples
    --------
    >>> import tempfile
    >>> from romflow.core.snapshot import Snapshot
    >>> x = np.linspace(0.0, 1.0, 50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SnapshotStore(folder, {"kind": "line"}, ["a"])
    ...     mu = np.linspace(1.0, 2.0, 12)[:, None]
    ...     for index, a in enumerate(mu):
    ...         _ = store.put(a, Snapshot((1000.0 if index == 4 else 1.0) / (a + x)))
    ...     found = VeracityCheck(store, 0.2).scores(mu)
    >>> np.flatnonzero(found.scores < 0.2), found.reasons[4]
    (array([4]), 'its norm is 1.1e+03 times that of its neighbours')
    """

    def __init__(self, store: SnapshotStore, threshold: float = 0.2) -> None:
        if not 0.0 <= threshold <= 1.0:
            raise InputError(f"veracity = {threshold}; the rule is a threshold from 0 (off) to 1.")
        self.store, self.threshold = store, threshold
        self._features: dict[str, Features] = {}

    def scores(self, mu: NDArray[np.float64]) -> Veracity:
        """Score each of the stored snapshots at mu (k, p) against all others of them.

        Raises
        ------
        StoreError
            One is not stored, or its state was replaced by a sketch.
        ShapeError
            The states have different lengths.
        """
        rows = np.asarray(mu, dtype=np.float64)
        features = [self._of(row) for row in rows]
        if len({(len(one.sketch), len(one.sizes)) for one in features}) > 1:
            raise ShapeError("the snapshots have states or outputs of different lengths; solve them again.")
        strongest, reasons = np.zeros(len(rows)), [""] * len(rows)
        for values, words in doubts(rows, features):
            for index in np.flatnonzero((values > 1.0) & (values > strongest)):
                strongest[index], reasons[index] = values[index], words(int(index))
        return Veracity(1.0 / np.maximum(1.0, strongest), reasons)

    def set_aside(self, known: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Record the doubtful ones among new snapshots as failures and move them out of the store.

        Parameters
        ----------
        known : (k, p) array
            Parameters of snapshots that are in use; they are not judged again.
        new : (q, p) array
            Parameters of stored snapshots.

        Returns
        -------
        (q,) array of bool
            Which were set aside: to ``damaged/``, with a failure record that says the score and the reason. Those
            whose states a sketch has replaced meanwhile are left alone.
        """
        doubtful = np.zeros(len(new), dtype=bool)
        if not self.threshold:
            return doubtful
        places = np.flatnonzero(self._readable(new))
        used = np.asarray(known, dtype=np.float64)[self._readable(known)]
        found = self.scores(np.concatenate([used, np.asarray(new, dtype=np.float64)[places]]))
        scores, reasons = found.scores[len(used):], found.reasons[len(used):]
        for number in np.flatnonzero(scores < self.threshold):
            doubtful[places[number]] = True
            self._refuse(new[places[number]], float(scores[number]), reasons[number])
        return doubtful

    def _readable(self, mu: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the snapshots at mu (k, p) were read or can be: all but those that a sketch has replaced."""
        replaced = [self.store.stand_in is not None and not self.store.has(row) for row in mu]
        return np.array([self.store.key(row) in self._features or not gone
                         for row, gone in zip(mu, replaced, strict=True)], dtype=bool)

    def _refuse(self, mu: NDArray[np.float64], score: float, reason: str) -> None:
        message = (f"the snapshot at mu = {mu.tolist()} has veracity {score:.2g}, below {self.threshold:g}: {reason}; "
                   "look at the run that gave it, or lower [failures] veracity.")
        self._features.pop(self.store.key(mu), None)
        self.store.record_failure(mu, {"message": message, "error": "Doubtful", "veracity": score, "reason": reason})
        self.store.set_aside(mu, message)

    def _of(self, mu: NDArray[np.float64]) -> Features:
        key = self.store.key(mu)
        if key not in self._features:
            self._features[key] = self._read(mu)
        return self._features[key]

    def _read(self, mu: NDArray[np.float64]) -> Features:
        snapshot = self.store.get(mu)
        spike, when = 0.0, 0.0
        state, largest = snapshot.state, float(norms(snapshot.state[:, None])[0])
        if self.store.is_trajectory(mu):
            moving = self.store.trajectory(mu)
            blocks = (states for _, states in moving.pieces(max(1, _BLOCK // moving.n)))
            spike, when, largest = time_spike(moving.times, blocks)
            places = np.unique(np.linspace(0, len(moving) - 1, _TIMES + 1).round().astype(int)[1:])
            state = np.concatenate([moving.state(int(k)) for k in places])
        return Features.of(self._sketch(state), state, largest, snapshot.outputs, spike, when)

    @staticmethod
    def _sketch(state: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = float(np.max(np.abs(state))) or 1.0  # the square of a huge number overflows
        if len(state) <= 2 * _ROWS:
            return state / scale
        return np.asarray(embedding("sparse-sign", _ROWS, len(state)).apply((state / scale)[:, None])[:, 0])
