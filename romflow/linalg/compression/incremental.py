"""A POD that takes in further snapshots without the earlier ones."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.blocks import squared_sum
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.inner_product import InnerProduct

__all__ = ["update"]

# A snapshot that keeps less than this share of its norm outside the basis only rotates it.
_INSIDE = 1e-14


def update(pod: Pod, snapshots: np.ndarray, product: InnerProduct, tolerance: float, *, max_size: int | None = None,
           block: int = 32) -> Pod:
    """The POD of the earlier and the new snapshots, whose error bounds that of both sets together.

    For a block B of snapshots: C = V^T X B, R = B - V C (twice), R = Q T with Q^T X Q = I, and the singular value
    decomposition of [[diag(sigma), C], [0, T]] rotates [V, Q] (Brand 2002, by blocks). What is cut adds to the squares
    left out before, exactly so in the Frobenius sense, and stays below tolerance^2 of the energy so far. The basis is
    orthonormalised again where rounding asks for it. Cost: about 4 n r b + 2 n (r + b)^2 flops for b snapshots.

    Parameters
    ----------
    pod : Pod
        What :func:`romflow.linalg.pod.pod` or this function answered; it is left as it is.
    snapshots : (n, j)
    product : InnerProduct
        The same as before.
    tolerance : float
        Relative projection error over all snapshots so far.
    max_size : int, optional
    block : int
        Snapshots taken in at a time.

    Raises
    ------
    ShapeError, InputError
        Other unknowns, numbers that are not finite, or a tolerance out of range.

    Examples
    --------
    >>> from romflow.linalg.pod import pod
    >>> S, product = np.diag([3.0, 2.0, 1e-6]), InnerProduct(None)
    >>> grown = update(pod(S[:, :1], product, 1e-3), S[:, 1:], product, 1e-3)
    >>> grown.singular_values, grown.count
    (array([3., 2.]), 3)
    """
    S = np.asarray(snapshots, dtype=float)
    if S.ndim != 2 or len(S) != len(pod.basis):
        raise ShapeError(f"the POD has modes of {len(pod.basis)} entries, the new snapshots have shape {S.shape}; "
                         "give columns (n, j) of the same unknowns")
    if not 0.0 <= tolerance < 1.0 or block < 1:
        raise InputError(f"the update got tolerance = {tolerance} and block = {block}; the rule is 0 <= tolerance < 1 "
                         "and at least 1 snapshot a block")
    modes = Modes.of(pod.basis)
    sigma = pod.singular_values[:modes.r]
    energy = pod.energy or float(np.sum(sigma**2)) / max(1.0 - pod.error**2, np.finfo(float).eps)
    tail, V0 = pod.error**2 * energy, modes.r
    for start in range(0, S.shape[1], block):
        B = S[:, start:start + block]
        squared_sum(B, f"new snapshots {start} to {start + B.shape[1] - 1}")
        energy += float(np.vdot(B, product.apply(B)))
        sigma, cut = _take_in(modes, sigma, B, product, tolerance**2 * energy - tail, max_size)
        tail += cut
    modes.fix_signs()
    error = float(np.sqrt(tail / energy)) if energy else 0.0
    why = f"{S.shape[1]} snapshots taken into {V0} modes; its error is the sum of all that was cut, which bounds it"
    return Pod(modes.V, sigma, error, "incremental", why, energy, pod.count + S.shape[1])


def _take_in(modes: Modes, sigma: np.ndarray, B: np.ndarray, product: InnerProduct, allowed: float,
             max_size: int | None) -> tuple[np.ndarray, float]:
    """Take a block into the modes, cutting squares of at most `allowed`; the new singular values and what was cut."""
    r = modes.r
    C, R = np.zeros((r, B.shape[1])), B
    for _ in range(2):
        step = product.gram(modes.V, R)
        C, R = C + step, R - modes.V @ step
    norms = product.norm(R)
    new = norms > _INSIDE * product.norm(B)
    outside = Modes.of(R[:, new] / norms[new])
    outside.orthonormalise(product)
    T = product.gram(outside.V, R)
    # The new directions are orthogonal to the old ones once more, as they were divided by small norms.
    Q = outside.V - modes.V @ product.gram(modes.V, outside.V)
    K = np.block([[np.diag(sigma), C], [np.zeros((len(T), r)), T]])
    modes.append(Q.shape[1])[:] = Q.T
    K = modes.whiten(product, K)
    U, values, _ = sl.svd(K, full_matrices=False)
    tails = np.append(np.cumsum(values[::-1] ** 2)[::-1], 0.0)
    keep = int(np.argmax(tails <= max(allowed, 0.0)))
    keep = min(keep, max_size) if max_size is not None else keep
    modes.transform(U[:, :keep])
    modes.whiten(product, np.zeros((keep, 0)))
    return values[:keep], float(tails[keep])
