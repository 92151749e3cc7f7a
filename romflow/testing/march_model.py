"""Further laws of models that march in time: their times, whole trajectories, the last state, and resuming."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.core.snapshot import Snapshot
from romflow.fom.marching import checked_march
from romflow.fom.protocol import Piece
from romflow.testing.report import Law, Verdict

if TYPE_CHECKING:
    from romflow.testing.model import ModelCase

__all__ = ["MARCH_LAWS"]

# Twice the 32 MB of a stored piece.
_LARGE = 64 << 20


def _times(case: ModelCase) -> Verdict:
    times = np.asarray(case.fom.times)
    if times.dtype.kind not in "iuf" or times.ndim != 1 or len(times) < 2:
        return Verdict(False, f"times has shape {times.shape} and type {times.dtype}")
    return Verdict(bool(np.isfinite(times).all() and np.all(np.diff(times) > 0.0)),
                   f"{len(times)} times from {times[0]:g} to {times[-1]:g}")


def _whole(case: ModelCase) -> Verdict:
    try:
        pieces = _marched(case)
    except SolveFailed as error:
        return Verdict(False, str(error))
    largest = max(piece.states.nbytes for piece in pieces)
    if largest > _LARGE:
        return Verdict(False, f"a piece holds {largest / 1e6:.0f} MB of states, and the whole of it is lost by a kill")
    return Verdict(True, f"{len(pieces)} pieces hold the {sum(len(piece.times) for piece in pieces)} times")


def _last(case: ModelCase) -> Verdict:
    last, solved = _marched(case)[-1], case.solved[0]
    state = solved.state if isinstance(solved, Snapshot) else np.asarray(solved)
    gap = float(np.abs(last.states[:, -1] - state).max(initial=0.0))
    outputs = solved.outputs if isinstance(solved, Snapshot) else None
    if (outputs is None) != (last.series is None):
        return Verdict(False, "one of march and solve gives outputs, the other does not")
    if outputs is not None and last.series is not None:
        if last.series[:, -1].shape != outputs.shape:
            return Verdict(False, f"march gives outputs of shape {last.series[:, -1].shape}, solve {outputs.shape}")
        gap = max(gap, float(np.abs(last.series[:, -1] - outputs).max(initial=0.0)))
    return Verdict(gap == 0.0, f"the last of march and solve differ by {gap:.3g}")


def _resumed(case: ModelCase) -> Verdict:
    pieces = _marched(case)
    behind = [i for i in range(len(pieces) - 1) if pieces[i].checkpoint]
    if not behind:
        return Verdict(None, "no piece but the last has a checkpoint: an interrupted march begins anew")
    i = behind[len(behind) // 2]
    whole = np.hstack([piece.states for piece in pieces[i + 1:]])
    resume = pieces[i + 1].start, pieces[i].checkpoint
    rest = np.hstack([piece.states.copy() for piece in checked_march(case.make(), case.mu[0].copy(), resume)])
    gap = float(np.abs(rest - whole).max(initial=0.0))
    return Verdict(gap == 0.0, f"the times from index {resume[0]} on differ by {gap:.3g} where the march was resumed")


def _marched(case: ModelCase) -> list[Piece]:
    return [Piece(piece.start, piece.times, piece.states.copy(), None if piece.series is None else piece.series.copy(),
                  {name: np.array(values) for name, values in piece.checkpoint.items()})
            for piece in checked_march(case.fom, case.mu[0].copy())]


MARCH_LAWS: list[Law[ModelCase]] = [
    Law("times", "times (K + 1,) are finite numbers that rise, K from 1", _times),
    Law("march", "march(mu) yields Pieces with all the times in order and finite states", _whole, ("times",)),
    Law("march-last", "solve gives the last state and the last outputs of march", _last, ("march", "solve-shape")),
    Law("march-resumes", "march(mu, resume) goes on behind a piece to the same bits, in a fresh instance too", _resumed,
        ("march",)),
]
