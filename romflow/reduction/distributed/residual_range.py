"""The factor T of Riesz representatives Z = Q T with Q^T X Q = I, grown block by block over the parts."""

from __future__ import annotations

import numpy as np

from romflow.reduction.distributed.representatives import Representatives
from romflow.reduction.distributed.runner import Blocks, Combined, PartRunner, width

__all__ = ["PartRange", "upper_factor"]

#: Share that the augmented norm may exceed the norm of T c by: delta of :func:`upper_factor`.
DELTA = 0.01
# Directions of a remainder down to this share of its largest are taken from its Gram matrix.
_TRUST = 1e-6
# What a remainder may leave of a column, relative to its norm, and relative to the error that the column has anyway.
_NOISE, _HARMLESS = 1e-14, 1e-2
_LEVELS, _SWEEPS = 5, 3
_ORTHONORMAL = 1e-13


class PartRange:
    """||T c||_2 = ||Z c||_X for the representatives Z (n, m) so far, to rounding of the columns, not of its square.

    A Gram matrix alone loses half of the digits. A block is therefore projected on the complement of Q twice, its
    columns scaled, and of the remainder R the directions with a share above 1e-6 are taken from R^T X R,
    X-orthonormalised against Q and themselves until that holds to 1e-13, and removed; then the Gram matrix of what is
    left follows, as long as a column keeps more than 1e-14 of its norm or 1e-2 of its eps. What is left in the end is
    measured and added to eps. Cost: some ten passes over Q a level, each a task a part; two levels as a rule.

    Parameters
    ----------
    runner : PartRunner

    Attributes
    ----------
    T : (i, m)
    eps : (m,)
        Bounds of the error of each column in the X norm.
    """

    def __init__(self, runner: PartRunner) -> None:
        self._runner = runner
        self._Q: Blocks = ()
        self.T, self.eps = np.zeros((0, 0)), np.zeros(0)

    def extend(self, new: Representatives) -> None:
        """Append the representatives; their files stay."""
        m, j = self.T.shape[1], width(new.blocks)
        if not j:
            return
        first = self._runner.total("inner", left=new.blocks, right=new.blocks)["cross"]
        norms = np.sqrt(np.maximum(first.diagonal(), 0.0))
        scale = np.where(norms > 0.0, norms, 1.0)
        start = len(self.T)
        R, head = self._outside(new.blocks, np.diag(1.0 / scale))
        allowed = np.maximum(_HARMLESS * new.eps / scale, _NOISE)
        rows = [head]
        for _ in range(_LEVELS):
            if (_sizes(R.gram) <= allowed).all():
                break
            R, K = self._level(R)
            rows.append(K)
        self._runner.remove(R.blocks)
        self._Q = self._runner.joined(self._Q)
        fresh = np.vstack(rows) * scale
        self.T = np.block([[self.T, fresh[:start]], [np.zeros((len(fresh) - start, m)), fresh[start:]]])
        self.eps = np.append(self.eps, new.eps + _sizes(R.gram) * scale)

    def _outside(self, blocks: Blocks, scaling: np.ndarray) -> tuple[Combined, np.ndarray]:
        """R = (I - Q Q^T X) Z D, projected twice, and Q^T X Z D."""
        R = self._runner.combine([(blocks, scaling)], self._Q, "remainder")
        head = np.zeros_like(R.cross)
        for _ in range(2 if self._Q else 0):
            R, head = self._without(R, self._Q, R.cross, self._Q), head + R.cross
        return R, head

    def _without(self, R: Combined, blocks: Blocks, K: np.ndarray, against: Blocks) -> Combined:
        """R - B K, in place of R."""
        left = self._runner.combine([(R.blocks, np.eye(K.shape[1])), (blocks, -K)], against, "remainder")
        self._runner.remove(R.blocks)
        return left

    def _level(self, R: Combined) -> tuple[Combined, np.ndarray]:
        """Take the directions of R that its Gram matrix tells, and what it is without them, with their coordinates."""
        squared, W = np.linalg.eigh(0.5 * (R.gram + R.gram.T))
        keep = squared > _TRUST**2 * squared[-1]
        Y = self._orthonormal(R.blocks, W[:, keep] / np.sqrt(squared[keep]))
        K = self._runner.total("inner", left=Y, right=R.blocks)["cross"]
        self._Q += Y
        R = self._without(R, Y, K, Y)
        K = K + R.cross
        return self._without(R, Y, R.cross, ()), K

    def _orthonormal(self, blocks: Blocks, M: np.ndarray) -> Blocks:
        """Y = R M, made X-orthonormal to itself and to Q."""
        Y = self._runner.combine([(blocks, M)], self._Q, "range")
        for _ in range(_SWEEPS):
            inside = Y.gram - Y.cross.T @ Y.cross
            defect = max(np.abs(Y.gram - np.eye(len(inside))).max(initial=0.0), np.abs(Y.cross).max(initial=0.0))
            if defect <= _ORTHONORMAL:
                break
            values, U = np.linalg.eigh(0.5 * (inside + inside.T))
            root = (U / np.sqrt(np.maximum(values, 1e-4))) @ U.T
            better = self._runner.combine([(Y.blocks, root), (self._Q, -Y.cross @ root)], self._Q, "range")
            self._runner.remove(Y.blocks)
            Y = better
        return Y.blocks


def _sizes(gram: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(gram.diagonal(), 0.0))


def upper_factor(T: np.ndarray, eps: np.ndarray, delta: float = DELTA) -> np.ndarray:
    """T' (m, m) upper triangular with ||T' c|| >= ||T c|| + sum_j eps_j |c_j| for every c (m,).

    By (a + b)^2 <= (1 + delta) a^2 + (1 + 1/delta) b^2 and (sum_j eps_j |c_j|)^2 <= m sum_j eps_j^2 c_j^2, with m the
    columns whose eps is not zero: rows (1 + delta)^{1/2} T and ((1 + 1/delta) m)^{1/2} diag(eps), and their QR factor.
    It exceeds ||T c|| by delta/2 where the errors do not matter. Leading columns serve a smaller model, as those of T.

    Examples
    --------
    >>> T = upper_factor(np.array([[3.0, 0.0], [0.0, 4.0]]), np.zeros(2))
    >>> bool(np.allclose(np.linalg.norm(T, axis=0), [3.0, 4.0]))
    True
    """
    active = np.flatnonzero(eps > 0.0)
    if not active.size:
        return np.linalg.qr(T, mode="r") if T.size else T
    rows = np.zeros((active.size, T.shape[1]))
    rows[np.arange(active.size), active] = np.sqrt((1.0 + 1.0 / delta) * active.size) * eps[active]
    return np.linalg.qr(np.vstack([np.sqrt(1.0 + delta) * T, rows]), mode="r")
