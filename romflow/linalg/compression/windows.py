"""Contiguous time windows with a local POD basis each, placed where the sum of what the bases leave out is least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.inner_product import InnerProduct

__all__ = ["Windows", "interval_tails", "optimal_windows", "uniform_windows"]

#: Boundaries are sought among this many times at most.
RESOLUTION = 256
# Singular values kept of an interval while it grows: twice the modes and some more.
_SPARE = 4
_NOISE = 1e-15
# Rows of states that are read at a time for the Gram matrix, in bytes.
_BLOCK = 32 << 20


@dataclass(frozen=True)
class Windows:
    """A partition of the times 0 .. T - 1 into windows.

    Attributes
    ----------
    boundaries : (W + 1,) int
        Window w has the times boundaries[w] .. boundaries[w + 1] - 1.
    errors : (W,)
        What the POD basis of a window leaves out of its states, as a share of the norm of all states; the squares sum
        up to `error` squared.

    Examples
    --------
    >>> parts = Windows(np.array([0, 3, 10]), np.array([0.3, 0.4]))
    >>> parts.error, parts.window_of(3)
    (0.5, 1)
    """

    boundaries: np.ndarray
    errors: np.ndarray

    @property
    def error(self) -> float:
        """(sum over all times of ||u - P u||_X^2 / sum of ||u||_X^2)^{1/2} with the basis of each time's window."""
        return float(np.linalg.norm(self.errors))

    @property
    def parts(self) -> list[slice]:
        """The times of each window."""
        return [slice(int(a), int(b)) for a, b in zip(self.boundaries[:-1], self.boundaries[1:], strict=True)]

    def window_of(self, k: int) -> int:
        """The window that has the time k."""
        return int(np.searchsorted(self.boundaries, k, side="right")) - 1


def optimal_windows(states: np.ndarray | Sequence[np.ndarray], windows: int, modes: int,
                    product: InnerProduct | None = None, resolution: int = RESOLUTION) -> Windows:
    """The windows with the least `error` of all partitions into so many, by dynamic programming on the POD tails.

    With E(i, j) = what the best basis of `modes` vectors leaves out of the times i .. j - 1, squared, the recursion
    D(w, j) = min_i D(w - 1, i) + E(i, j) (Bellman 1961) finds the partition. Several trajectories share the windows
    and the bases.

    Parameters
    ----------
    states : (n, T) array (also a memory map), or several of them on the same times
        Or coordinates in an orthonormal basis, with no product.
    windows : int
        1 <= windows <= T.
    modes : int
        Size of each local basis, >= 1.
    product : InnerProduct, optional
        X; by default Euclidean.
    resolution : int
        The boundaries are among so many evenly spread times, all where T is not larger.

    Raises
    ------
    InputError, ShapeError
        States that do not fit together or are not finite, more windows than times.

    Notes
    -----
    Cost, with b trajectories and C = min(T, resolution): one Gram matrix, n (b T)^2 flops, read by blocks of rows; its
    eigenvalues; C^2 / 2 eigenproblems of size 2 modes + 4 + b T / C. Tails below 1e-8 of the norm are rounding noise.
    The errors of the answer are found anew, with all singular values.

    Examples
    --------
    >>> states = np.repeat(np.eye(3), [2, 5, 3], axis=1)
    >>> optimal_windows(states, 3, 1).boundaries
    array([ 0,  2,  7, 10])
    """
    coordinates = _coordinates(states, product)
    length = coordinates.shape[1]
    _check(windows, modes, length)
    count = min(length, max(resolution, windows))
    marks = np.round(np.linspace(0, length, count + 1)).astype(int)
    tails = interval_tails(coordinates, marks, modes)
    return _windows(coordinates, marks[_best_partition(tails, windows)], modes)


def uniform_windows(states: np.ndarray | Sequence[np.ndarray], windows: int, modes: int,
                    product: InnerProduct | None = None) -> Windows:
    """Windows of equal numbers of times, and their errors: what `optimal_windows` is compared with.

    Examples
    --------
    >>> uniform_windows(np.eye(4), 2, 2).boundaries
    array([0, 2, 4])
    """
    coordinates = _coordinates(states, product)
    length = coordinates.shape[1]
    _check(windows, modes, length)
    return _windows(coordinates, np.round(np.linspace(0, length, windows + 1)).astype(int), modes)


def interval_tails(coordinates: np.ndarray, marks: np.ndarray, modes: int) -> np.ndarray:
    """Sums of the squared singular values behind the first `modes`, of all intervals between marks.

    All intervals grow at once, a piece between two marks a step: the Gram matrix of the kept singular vectors and the
    new states has their new squares. What is dropped on the way is small and counts as left out, so a tail may be a
    little too large.

    Parameters
    ----------
    coordinates : (c, T, b)
        Of b trajectories.
    marks : (C + 1,) int
        Ascending, from 0 to T.
    modes : int

    Returns
    -------
    tails : (C + 1, C + 1)
        tails[i, j] of the times marks[i] .. marks[j] - 1 for i < j, infinite elsewhere.

    Examples
    --------
    >>> interval_tails(np.eye(3)[:, :, None], np.arange(4), 1)[0]
    array([inf,  0.,  1.,  2.])
    """
    c, _, b = coordinates.shape
    count, kept = len(marks) - 1, 2 * modes + _SPARE
    tails = np.full((count + 1, count + 1), np.inf)
    factors = np.zeros((0, c, 0))
    energy = np.zeros(0)
    for j in range(count):
        piece = coordinates[:, marks[j]:marks[j + 1]].reshape(c, -1)
        energy = np.append(energy, 0.0) + np.vdot(piece, piece)
        grown = np.zeros((j + 1, c, factors.shape[2] + piece.shape[1]))
        grown[:j, :, :factors.shape[2]] = factors
        grown[:, :, factors.shape[2]:] = piece
        squares, Q = np.linalg.eigh(grown.transpose(0, 2, 1) @ grown)
        tails[:j + 1, j + 1] = np.maximum(energy - squares[:, -modes:].sum(axis=1), 0.0)
        factors = grown @ Q[:, :, -kept:]
    return tails


def _best_partition(tails: np.ndarray, windows: int) -> np.ndarray:
    """Marks (windows + 1,) of the partition with the least sum."""
    least, origins = tails[0], []
    for _ in range(windows - 1):
        sums = least[:, None] + tails
        origins.append(np.argmin(sums, axis=0))
        least = np.min(sums, axis=0)
    path = [len(tails) - 1]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return np.array([0, *path[::-1]])


def _windows(coordinates: np.ndarray, boundaries: np.ndarray, modes: int) -> Windows:
    scale = float(np.linalg.norm(coordinates)) or 1.0
    c = len(coordinates)
    errors = [float(np.linalg.norm(sl.svdvals(coordinates[:, a:b].reshape(c, -1))[modes:])) / scale
              for a, b in zip(boundaries[:-1], boundaries[1:], strict=True)]
    return Windows(boundaries, np.array(errors))


def _coordinates(states: np.ndarray | Sequence[np.ndarray], product: InnerProduct | None) -> np.ndarray:
    """(c, T, b) with the Gram matrix of the states in X."""
    blocks = [states] if isinstance(states, np.ndarray) else list(states)
    if not blocks or any(block.ndim != 2 or block.shape != blocks[0].shape for block in blocks):
        raise ShapeError(f"the trajectories of time windows have shapes {[np.shape(block) for block in blocks]}; give "
                         "one (n, T) array, or several of the same shape")
    n, length = blocks[0].shape
    total = length * len(blocks)
    if product is None and n <= total:
        flat = np.stack(blocks, axis=2).astype(float)
        _refuse(flat)
        return flat
    G = _gram(blocks, product)
    _refuse(G)
    squares, Q = np.linalg.eigh(G)
    known = squares > _NOISE * max(float(squares[-1]), 0.0)
    if not known.any():
        return np.zeros((1, length, len(blocks)))
    return (np.sqrt(squares[known])[:, None] * Q[:, known].T).reshape(-1, len(blocks), length).transpose(0, 2, 1)


def _gram(blocks: list[np.ndarray], product: InnerProduct | None) -> np.ndarray:
    if product is not None and product.X is not None:
        return np.block([[product.gram(left, right) for right in blocks] for left in blocks])
    total = sum(block.shape[1] for block in blocks)
    G = np.zeros((total, total))
    size = max(1, _BLOCK // (8 * total))
    for start in range(0, len(blocks[0]), size):
        rows = np.concatenate([block[start:start + size] for block in blocks], axis=1)
        G += rows.T @ rows
    return G


def _refuse(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise InputError("the states of time windows are not finite (NaN or infinity); leave such trajectories out")


def _check(windows: int, modes: int, length: int) -> None:
    if not 1 <= windows <= length or modes < 1:
        raise InputError(f"time windows got windows = {windows} and modes = {modes} for {length} times; the rule is "
                         f"1 <= windows <= {length} and modes >= 1")
