"""Proper orthogonal decomposition by the method of snapshots, in one or two passes over blocks of snapshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError
from romflow.linalg.inner_product import InnerProduct

# Below this relative tolerance the eigenvalues of the Gram matrix are rounding noise.
GRAM_LIMIT = 1e-7
# Modes down to this share of the first singular value are taken from one Gram matrix before deflation.
_TRUSTED = 1e-6
_PASSES = 4

Columns = Callable[[slice], np.ndarray]


@dataclass(frozen=True)
class Pod:
    """Modes V (n, r) with V^T X V = I, singular values (r_known,) and the relative projection error reached."""

    basis: np.ndarray
    singular_values: np.ndarray
    error: float


def pod(snapshots: np.ndarray | Columns, product: InnerProduct, tolerance: float, *, size: int | None = None,
        max_size: int | None = None, route: str = "auto", block: int = 64) -> Pod:
    """The smallest POD basis with (sum_j ||s_j - P s_j||_X^2 / sum_j ||s_j||_X^2)^{1/2} <= tolerance.

    Method of snapshots (Sirovich 1987): C = S^T X S, C w = sigma^2 w, v = S w / sigma, followed by a second
    orthonormalisation in X. The Gram matrix is accumulated by tiles, so that 2 `block` snapshots are held at a time.
    The route "two-pass" deflates the modes found so far and repeats, which recovers singular values below
    1e-8 sigma_1. Cost: n k^2 flops a pass.

    Parameters
    ----------
    snapshots : (n, k), or a callable columns(slice) -> (n, j) together with `size` = k
    product : InnerProduct
    tolerance : float
        Relative projection error, 0 <= tolerance < 1.
    max_size : int, optional
    route : {"auto", "gram", "two-pass"}
        "auto" takes "gram" for tolerances of at least 1e-7.

    Raises
    ------
    InputError
        Route "gram" with a tolerance that it cannot keep; tolerance out of range.

    Examples
    --------
    >>> import numpy as np
    >>> S = np.array([[3.0, 0.0], [0.0, 1e-3]])
    >>> pod(S, InnerProduct(None), 1e-2).basis.shape
    (2, 1)
    """
    columns, k = _as_columns(snapshots, size)
    _check(tolerance, route)
    passes = 1 if route == "gram" or (route == "auto" and tolerance >= GRAM_LIMIT) else _PASSES
    modes: np.ndarray | None = None
    squared = np.empty(0)
    total = tail = 0.0
    for level in range(passes):
        current = _deflated(columns, modes, product)
        values, vectors = _gram_modes(current, k, product, block)
        if level == 0:
            total = float(values.sum())
        keep = _keep(values, total, tolerance, last=level == passes - 1)
        tail = float(np.clip(values[keep:], 0.0, None).sum())
        if keep:
            found = _combine(current, k, vectors[:, :keep] / np.sqrt(values[:keep]), block)
            modes = _orthonormalise(found if modes is None else np.hstack([modes, found]), product)
        if keep == 0 or tail <= tolerance**2 * total:
            break
    if modes is None:
        return Pod(np.zeros((columns(slice(0, 1)).shape[0] if k else 0, 0)), np.zeros(0), 0.0)
    basis, squared, tail = _rotate(columns, k, modes, product, block, tail)
    return _truncate(basis, squared, tail, total, tolerance, max_size)


def _as_columns(snapshots: np.ndarray | Columns, size: int | None) -> tuple[Columns, int]:
    if callable(snapshots):
        if size is None:
            raise InputError("pod got snapshots as a callable without `size`, the number of snapshots; give it")
        return snapshots, size
    S = np.asarray(snapshots, dtype=float)
    if S.ndim != 2 or not np.isfinite(S).all():
        raise InputError(f"pod needs a finite snapshot matrix (n, k); got shape {S.shape}"
                         f"{'' if S.ndim != 2 else ' with entries that are not finite'}")
    return (lambda part: S[:, part]), S.shape[1]


def _check(tolerance: float, route: str) -> None:
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"the POD tolerance is {tolerance}; the rule is 0 <= tolerance < 1")
    if route not in ("auto", "gram", "two-pass"):
        raise InputError(f"no POD route is called '{route}'; known: auto, gram, two-pass")
    if route == "gram" and tolerance < GRAM_LIMIT:
        raise InputError(f"the POD tolerance {tolerance:g} is below {GRAM_LIMIT:g}, where the Gram matrix holds only "
                         "rounding noise; use route = \"two-pass\" or a larger tolerance")


def _deflated(columns: Columns, modes: np.ndarray | None, product: InnerProduct) -> Columns:
    if modes is None:
        return columns

    def remainder(part: slice) -> np.ndarray:
        S = columns(part)
        for _ in range(2):
            S = S - modes @ product.gram(modes, S)
        return S

    return remainder


def _gram_modes(columns: Columns, k: int, product: InnerProduct, block: int) -> tuple[np.ndarray, np.ndarray]:
    C = np.zeros((k, k))
    parts = [slice(start, min(start + block, k)) for start in range(0, k, block)]
    for i, left in enumerate(parts):
        weighted = product.apply(columns(left))
        for right in parts[i:]:
            C[left, right] = weighted.T @ columns(right)
            C[right, left] = C[left, right].T
    values, vectors = sl.eigh(C)
    return values[::-1], vectors[:, ::-1]


def _keep(values: np.ndarray, total: float, tolerance: float, *, last: bool) -> int:
    """Modes to take from this Gram matrix: those the tolerance asks for, and none that is rounding noise."""
    if values.size == 0 or values[0] <= 0.0 or values[0] <= (1e-15**2) * total:
        return 0
    tails = np.append(np.cumsum(np.clip(values[::-1], 0.0, None))[::-1], 0.0)
    wanted = int(np.argmax(tails <= tolerance**2 * total))
    trusted = int(np.count_nonzero(values > (GRAM_LIMIT if last else _TRUSTED) ** 2 * values[0]))
    return min(wanted, trusted)


def _combine(columns: Columns, k: int, W: np.ndarray, block: int) -> np.ndarray:
    return sum(columns(slice(s, min(s + block, k))) @ W[s:s + block] for s in range(0, k, block))


def _orthonormalise(V: np.ndarray, product: InnerProduct) -> np.ndarray:
    for _ in range(2):
        R = sl.cholesky(product.gram(V, V))
        V = sl.solve_triangular(R, V.T, trans="T").T
    return V


def _rotate(columns: Columns, k: int, V: np.ndarray, product: InnerProduct, block: int,
            tail: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Modes ordered by their singular values, taken from the coordinates V^T X S (small and accurate)."""
    parts = [slice(s, min(s + block, k)) for s in range(0, k, block)]
    coordinates = np.hstack([product.gram(V, columns(part)) for part in parts])
    rotation, sigma, _ = sl.svd(coordinates, full_matrices=False)
    basis = V @ rotation
    signs = np.sign(basis[np.argmax(np.abs(basis), axis=0), np.arange(basis.shape[1])])
    return basis * signs, sigma**2, tail


def _truncate(basis: np.ndarray, squared: np.ndarray, tail: float, total: float, tolerance: float,
              max_size: int | None) -> Pod:
    tails = np.append(np.cumsum(squared[::-1])[::-1], 0.0) + tail
    reached = tails <= tolerance**2 * total
    r = int(np.argmax(reached)) if reached.any() else squared.size
    r = min(r, max_size) if max_size is not None else r
    return Pod(basis[:, :r], np.sqrt(squared), float(np.sqrt(tails[r] / total)))
