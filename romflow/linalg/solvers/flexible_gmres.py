"""GMRES for one right-hand side whose preconditioner need not be linear to the last digit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["flexible_gmres"]


def flexible_gmres(product: Callable[[np.ndarray], np.ndarray], precondition: Callable[[np.ndarray], np.ndarray],
                   b: np.ndarray, accuracy: float, most: int) -> tuple[np.ndarray | None, int]:
    """x with ||b - A x|| <= accuracy ||b||, and the iterations; None in its place after `most` of them.

    The preconditioned directions are kept, so that a preconditioner in single precision, which is linear to 1e-7 only,
    costs no digits (Saad, SIAM J. Sci. Comput. 14, 1993, algorithm 2.2). Memory: two vectors an iteration.

    Examples
    --------
    >>> A = np.array([[2.0, 1.0], [0.0, 1.0]])
    >>> x, count = flexible_gmres(lambda z: A @ z, lambda v: v, np.array([3.0, 1.0]), 1e-12, 5)
    >>> x.round(10), count
    (array([1., 1.]), 2)
    """
    size = float(np.linalg.norm(b))
    if size == 0.0:
        return np.zeros_like(b), 0
    basis, directions = [b / size], []
    H = np.zeros((most + 1, most))
    for j in range(most):
        directions.append(precondition(basis[j]))
        w = product(directions[j])
        for _ in range(2):
            for i, v in enumerate(basis):
                part = float(v @ w)
                H[i, j] += part
                w = w - part * v
        H[j + 1, j] = np.linalg.norm(w)
        if not np.isfinite(H[:j + 2, j]).all():
            return None, j + 1
        y, left = _least(H[:j + 2, :j + 1], size)
        if left <= accuracy * size:
            return np.asarray(sum(c * z for c, z in zip(y, directions, strict=True))), j + 1
        if H[j + 1, j] <= 1e-14 * np.linalg.norm(H[:j + 1, j]):
            return None, j + 1
        basis.append(w / H[j + 1, j])
    return None, most


def _least(H: np.ndarray, size: float) -> tuple[np.ndarray, float]:
    """y (j,) with the least ||size e_1 - H y||, and that norm."""
    target = np.zeros(len(H))
    target[0] = size
    y = np.linalg.lstsq(H, target, rcond=None)[0]
    return y, float(np.linalg.norm(target - H @ y))
