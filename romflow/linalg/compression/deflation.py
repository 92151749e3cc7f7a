"""POD modes by levels: right singular vectors from a small matrix, modes from a pass, then the remainder again.

A level finds orthonormal W (k, m) and sigma for the remainder S' = S - V V^T X S from its Gram matrix (method of
snapshots, Sirovich 1987) or from a sketch Theta Q S, whose right singular vectors are those of S up to its distortion.
A pass makes T = S' W / sigma, whose columns are nearly orthonormal, and T^T X T; so S = [V, T] K + rest, and an SVD of
the small K in the true norm gives the modes and singular values. As W has orthonormal columns, the rest S' (I - W W^T)
is orthogonal in the Frobenius sense to what was taken, and its square adds up with the values left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.sweeps import Check, Sweep
from romflow.linalg.inner_product import InnerProduct

__all__ = ["LEVELS", "NOISE", "Sketch", "deflated", "truncated"]

#: Levels at most; each takes six further digits.
LEVELS = 5

#: Singular values below this share of the norm of all snapshots are rounding noise.
NOISE = 1e-14
# Modes down to this share of a level's first are taken from its Gram matrix; from a sketch, down to the second one.
_GRAM_TRUST, _SKETCH_TRUST = 1e-6, 1e-13
_LAST_TRUST = 1e-7
# The energy that the passes themselves give tells errors above this; smaller ones are lost in its rounding.
_VISIBLE = 3e-6
# A remainder that is as small a share of the squared error as this may be known roughly.
_SHARE = 1e-2
# The sketch's values may be off by some percent: more modes are made than they ask for, and cut by the true values.
_SPARE, _SAFETY = 4, 0.95
_PROBES = 6
_PROBE_SEED = 1
# A remainder this many times what the sketch says means that it missed directions.
_MISSED = 4.0
# Directions of T with less than this share of the largest are rounding noise.
DEPENDENT = 1e-10
EXACT, PROBED = "its error is exact", "its error is exact to half a per cent by random probes of the remainder"


@dataclass(frozen=True)
class Sketch:
    """The embedding of the first level: kind, rows s and seed."""

    kind: str
    rows: int
    seed: int


@dataclass(frozen=True)
class _Values:
    """Squared singular values (k',) of a remainder, its right singular vectors (k, k'), and how far to trust them."""

    squared: np.ndarray
    vectors: np.ndarray
    trust: float
    sketched: bool
    energy: float

    def tail(self, m: int) -> float:
        """Sum of the values behind the first m; with their signs, as the trace of a Gram matrix has no noise."""
        return max(float(self.squared[m:].sum()), 0.0)

    def fit(self, m: int) -> np.ndarray:
        """K (m, k) with S' = T K + rest."""
        return np.sqrt(self.squared[:m])[:, None] * self.vectors[:, :m].T


def deflated(sweep: Sweep, product: InnerProduct, tolerance: float, max_size: int | None, levels: int = LEVELS,
             sketch: Sketch | None = None) -> tuple[Pod, str]:
    """The POD by at most so many levels, the first from a sketch where one is given; and how its error was found.

    Cost: n k^2 flops a Gram matrix or n k a sketch, and 2 n k m for the m modes of a level, twice that if another level
    follows. Memory: the basis with a few more modes, and matrices of k x k. Levels follow each other until the
    remainder is below the tolerance or below 1e-14, or `max_size` modes are there.
    """
    modes, K, G = sweep.modes(), np.zeros((0, sweep.k)), None
    energy, rest, note = 0.0, 0.0, EXACT
    missed = False
    for level in range(levels):
        values = _values(sweep, modes, K, sketch if level == 0 else None, level == levels - 1)
        energy = values.energy if level == 0 else energy
        rest, note = values.tail(0), EXACT
        if rest <= max(tolerance, NOISE) ** 2 * energy:
            break
        wanted, m = _count(values, energy, tolerance, max_size, 0 if missed else modes.r)
        more = wanted > m and level < levels - 1
        check = None if more else _check(values, wanted, m)
        project = more or (values.sketched and values.tail(m) > _SHARE * values.tail(wanted))
        grown = sweep.extend(modes, K, values.vectors[:, :m] / np.sqrt(values.squared[:m]), project, check)
        F = grown.cross
        G = np.block([[np.eye(len(F)), F], [F.T, grown.gram]])
        K, gain = np.vstack([K, values.fit(m)]), 0.0
        if grown.coordinates is not None:
            # T^T X S = T^T X S' + (T^T X V) Z are the dual coordinates of the projection of S: G K = [Z; T^T X S].
            dual = np.vstack([K[:len(F)], grown.coordinates + F.T @ K[:len(F)]])
            best = np.linalg.lstsq(G, dual, rcond=None)[0]
            gain, K = float(np.vdot(best - K, dual - G @ K)), best
        if more:
            K, G = modes.whiten(product, K, G), None
            continue
        rest, note = _rest(values, check, grown.left, m, energy - float(np.vdot(K, G @ K)), gain)
        promised = max(values.tail(m), _SHARE * values.tail(wanted), NOISE**2 * energy)
        missed = values.sketched and rest > _MISSED * promised
        done = rest <= tolerance**2 * energy or (max_size is not None and modes.r >= max_size)
        if level == levels - 1 or (done and not missed):
            break
        modes.whiten(product, K, G)
        K, G = sweep.coordinates(modes)[0], None
    return truncated(modes, product, K, G, rest, energy, tolerance, max_size), note


def truncated(modes: Modes, product: InnerProduct, K: np.ndarray, G: np.ndarray | None, rest: float, energy: float,
              tolerance: float, max_size: int | None) -> Pod:
    """The POD of S = T K + rest, cut where its error is within the tolerance.

    Parameters
    ----------
    modes : Modes
        T (n, m), used up.
    product : InnerProduct
    K : (m, k)
    G : (m, m) or None
        T^T X T; None where that is I.
    rest : float
        ||rest||_X^2.
    energy : float
        ||S||_X^2.
    tolerance : float
    max_size : int or None
    """
    root = np.eye(modes.r)
    if G is not None:
        values, Q = np.linalg.eigh(G)
        keep = values > DEPENDENT * values[-1]
        root = Q[:, keep] / np.sqrt(values[keep])
        K = (root.T @ G) @ K
    U, sigma, _ = sl.svd(K, full_matrices=False) if K.size else (np.zeros((len(K), 0)), np.zeros(0), None)
    known = sigma > NOISE * np.sqrt(energy)
    tails = np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0) + rest
    tails[int(known.sum()):] = rest + float(np.sum(sigma[~known] ** 2))
    reached = tails <= tolerance**2 * energy
    r = min(int(np.argmax(reached)) if reached.any() else sigma.size, int(known.sum()))
    r = min(r, max_size) if max_size is not None else r
    modes.transform(root @ U[:, :r])
    modes.whiten(product, np.zeros((r, 0)))
    modes.fix_signs()
    return Pod(modes.V, sigma[known], float(np.sqrt(tails[r] / energy)) if energy else 0.0, energy=energy,
               count=K.shape[1])


def _values(sweep: Sweep, modes: Modes, Z: np.ndarray, sketch: Sketch | None, last: bool) -> _Values:
    if sketch is not None:
        sketched, energy = sweep.sketch(sketch.kind, sketch.rows, sketch.seed)
        _, sigma, Wt = sl.svd(sketched, full_matrices=False, overwrite_a=True, check_finite=False)
        return _Values(sigma**2, Wt.T, _SKETCH_TRUST, True, energy)
    C = sweep.gram(modes, Z)
    squared, W = sl.eigh(C, overwrite_a=True, check_finite=False) if C.size else (np.zeros(0), C)
    trust = _LAST_TRUST if last else _GRAM_TRUST
    return _Values(squared[::-1], W[:, ::-1], trust, False, max(float(squared.sum()), 0.0))


def _count(values: _Values, energy: float, tolerance: float, max_size: int | None, r: int) -> tuple[int, int]:
    """Modes that the tolerance and `max_size` ask of this level, and how many of them it can give."""
    squared = values.squared
    tails = np.append(np.cumsum(squared[::-1])[::-1], 0.0)
    safe = tolerance * (_SAFETY if values.sketched else 1.0)
    wanted = int(np.argmax(tails <= max(safe, NOISE) ** 2 * energy))
    if max_size is not None:
        wanted = min(wanted, max_size - r)
    trusted = int(np.count_nonzero(squared > max(values.trust**2 * squared[0], NOISE**2 * energy)))
    wanted = max(wanted, 1)
    return wanted, max(1, min(wanted + _spare(tails, wanted), trusted, squared.size))


def _spare(tails: np.ndarray, wanted: int) -> int:
    """Further modes to make: as many as let the rest be known roughly, or the least where that takes too many."""
    most = _SPARE + wanted // 8
    later = tails[wanted + _SPARE:wanted + most + 1]
    small = np.flatnonzero(later <= _SHARE * tails[wanted]) if wanted < tails.size else ()
    return _SPARE + int(small[0]) if len(small) else _SPARE


def _check(values: _Values, wanted: int, m: int) -> Check | None:
    """How the pass finds ||S' - T K||_X^2: not at all where the passes' own sums tell it."""
    if values.tail(wanted) > _VISIBLE**2 * values.energy:
        return None
    if values.sketched and values.tail(m) <= _SHARE * values.tail(wanted):
        random = np.random.default_rng(_PROBE_SEED)
        return Check(values.fit(m), random.standard_normal((len(values.vectors), _PROBES)) / np.sqrt(_PROBES))
    return Check(values.fit(m))


def _rest(values: _Values, check: Check | None, left: float | None, m: int, missing: float,
          gain: float) -> tuple[float, str]:
    """||S - T K||_X^2: measured for the fit and less by what the projection gains, or what is missing of ||S||_X^2."""
    if check is not None and left is not None:
        return max(left - gain, 0.0), EXACT if check.probes is None else PROBED
    return max(missing, 0.0) if values.sketched else values.tail(m), EXACT
