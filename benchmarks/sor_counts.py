"""SOR iterations of many shifted Laplacians at once, for every relaxation parameter: the table a bandit learns from."""

from __future__ import annotations

import numpy as np

# Within this factor of the goal the residual is looked at in every sweep, before in every fourth.
_NEAR = 50.0


def sor_counts(shifts: np.ndarray, omegas: np.ndarray, cells: int, seed: int, *, tolerance: float = 1e-8,
               limit: int = 5000, batch: int = 300) -> np.ndarray:
    """Sweeps (k, arms) of lexicographic SOR to ||b - A x|| <= tolerance ||b||, x_0 = 0, Gaussian b for each system.

    A = five-point stencil (4, -1) on cells x cells unknowns + shift I. Unknowns on one antidiagonal do not depend on
    each other within a sweep, so that a sweep is 2 cells - 1 array operations on a batch of systems.
    """
    right = np.random.default_rng(seed).standard_normal((len(shifts), cells, cells))
    counts = np.empty((len(shifts), len(omegas)), dtype=int)
    order = np.argsort(shifts)
    for start in range(0, len(shifts), batch):
        part = order[start:start + batch]
        f = _skewed(right[part])
        for arm, omega in enumerate(omegas):
            counts[part, arm] = _sweeps(f, shifts[part], omega, tolerance, limit)
    return counts


def _skewed(right: np.ndarray) -> np.ndarray:
    """Row i + j + 1, column i + 1 of a frame of zeros holds unknown (i, j)."""
    cells = right.shape[1]
    frame = np.zeros((2 * cells + 1, cells + 2, len(right)))
    i, j = np.indices((cells, cells)).reshape(2, -1)
    frame[i + j + 1, i + 1] = right[:, i, j].T
    return frame


def _residual(f: np.ndarray, u: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    cells = f.shape[1] - 2
    row, column = np.indices((2 * cells - 1, cells))
    r = f[1:-1, 1:-1] - (4.0 + shifts) * u[1:-1, 1:-1] + u[:-2, 1:-1] + u[:-2, :-2] + u[2:, 1:-1] + u[2:, 2:]
    r *= ((row >= column) & (row - column < cells))[:, :, None]
    return np.sqrt(np.einsum("ijk,ijk->k", r, r))


def _sweeps(f: np.ndarray, shifts: np.ndarray, omega: float, tolerance: float, limit: int) -> np.ndarray:
    cells, u = f.shape[1] - 2, np.zeros_like(f)
    spans = [(s + 1, max(0, s - cells + 1) + 1, min(s, cells - 1) + 2) for s in range(2 * cells - 1)]
    scale, start = omega / (4.0 + shifts), _residual(f, u, shifts)
    found, waiting, look = np.full(len(shifts), limit), np.ones(len(shifts), dtype=bool), 0
    for sweep in range(limit):
        if sweep >= look:
            share = _residual(f, u, shifts) / start
            done = waiting & (share <= tolerance)
            found[done], waiting = sweep, waiting & ~done
            if not waiting.any():
                break
            look = sweep + (1 if share[waiting].min() < _NEAR * tolerance else 4)
        for r, low, high in spans:
            new = u[r - 1, low:high] + u[r - 1, low - 1:high - 1]
            new += u[r + 1, low:high]
            new += u[r + 1, low + 1:high + 1]
            new += f[r, low:high]
            new *= scale
            u[r, low:high] *= 1.0 - omega
            u[r, low:high] += new
    return found
