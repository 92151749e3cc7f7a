"""Right preconditioner N of a tall matrix from its sketch, with the numerical rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError
from romflow.core.names import nearest
from romflow.linalg.sketching.embeddings import embedding
from romflow.linalg.sketching.row_blocks import RowBlocks

# Singular values of the sketch below this share of the largest count as zero.
RANK_LIMIT = 1e-12
DEFICIENT = ("raise", "minimum-norm")
_ROWS_A_COLUMN = 20
_SHOWN = 8


@dataclass
class SketchedPreconditioner:
    """N (k, rank) with A N well conditioned, and y (rank, m) with N y the sketch-and-solve answer."""

    N: np.ndarray
    coordinates: np.ndarray
    kind: str
    rows: int
    condition: float
    passes: int
    why: str


def sketched_preconditioner(blocks: RowBlocks, B: np.ndarray, kind: str, rows: int | None, deficient: str,
                            seed: int) -> SketchedPreconditioner:
    """N = R^{-1} of the sketch Theta A = Q R, or V_r Sigma_r^{-1} where A is rank-deficient and that is allowed.

    Parameters
    ----------
    blocks : RowBlocks
        A (n, k).
    B : (n, m)
    kind, rows, deficient, seed
        As in `romflow.linalg.sketching.sketched_least_squares.sketched_lstsq`.

    Raises
    ------
    InputError
        A is rank-deficient and `deficient` is "raise"; fewer rows than columns.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.random.default_rng(0).standard_normal((3000, 4)) * [1, 1e-3, 1e-6, 1e-9]
    >>> found = sketched_preconditioner(RowBlocks(A), A[:, :1], "countsketch", None, "raise", 0)
    >>> bool(np.linalg.cond(A @ found.N) < 3)
    True
    """
    n, k = blocks.shape
    if deficient not in DEFICIENT:
        raise InputError(f"no answer to rank deficiency is called {deficient!r}" + nearest(str(deficient), DEFICIENT))
    rows = _ROWS_A_COLUMN * k if rows is None else rows
    if rows < k:
        raise InputError(f"a sketch of {rows} rows was asked for a matrix of {k} columns; the rule is rows >= {k}, "
                         f"better {_ROWS_A_COLUMN * k}")
    tries = [kind] if rows >= n or kind != "countsketch" else [kind, "sparse-sign"]
    for passes, name in enumerate(tries, start=1):
        S, used = _sketch(blocks, B, name, rows, seed + passes - 1)
        R, singular = _triangle(S[:, :k])
        if singular[-1] > RANK_LIMIT * singular[0]:
            break
    full = bool(singular[-1] > RANK_LIMIT * singular[0])
    if not full and deficient == "raise":
        raise InputError(_complaint(S[:, :k], singular))
    N, condition = _inverse(R) if full else _pseudo_inverse(S[:, :k])
    y = (S[:, :k] @ N).T @ S[:, k:]
    why = f"{used} sketch of {S.shape[0]} rows" if used != "none" else "no sketch: the matrix is no taller than one"
    if passes > 1:
        why += "; the countsketch before it lost rank (heavy rows collided, or the matrix is rank-deficient)"
    if not full:
        why += f"; rank {N.shape[1]} of {k}: the answer of least norm"
    return SketchedPreconditioner(N, y, used, S.shape[0], condition, passes, why)


def _sketch(blocks: RowBlocks, B: np.ndarray, kind: str, rows: int, seed: int) -> tuple[np.ndarray, str]:
    """Theta [A B], and the kind used; [A B] itself where it is no taller."""
    n, k = blocks.shape
    if rows >= n:
        S = np.hstack([np.vstack([block for _, block in blocks]), B])
        if not np.isfinite(S).all():
            raise InputError("the least-squares matrix has entries that are not finite (NaN or infinity)")
        return S, "none"
    theta = embedding(kind, rows, n, seed)
    S = np.zeros((rows, k + B.shape[1]))
    for start, block in blocks:
        S[:, :k] += theta.apply_rows(block, start)
    S[:, k:] = theta.apply(B)
    return S, kind


def _triangle(S: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R of S, and the singular values of S with its columns scaled to one: scaling is no loss of rank."""
    R = sl.qr(S, mode="r")[0][:S.shape[1]]
    norms = np.linalg.norm(R, axis=0)
    norms[norms == 0.0] = 1.0
    return R, sl.svdvals(R / norms)


def _inverse(R: np.ndarray) -> tuple[np.ndarray, float]:
    N = sl.solve_triangular(R, np.eye(R.shape[0]))
    return N, float(np.linalg.cond(R))


def _pseudo_inverse(S: np.ndarray) -> tuple[np.ndarray, float]:
    _, sigma, W = sl.svd(S, full_matrices=False)
    rank = int(np.count_nonzero(sigma > RANK_LIMIT * sigma[0]))
    if rank == 0:
        return np.zeros((S.shape[1], 0)), float("inf")
    return W[:rank].T / sigma[:rank], float(sigma[0] / sigma[rank - 1])


def _complaint(S: np.ndarray, singular: np.ndarray) -> str:
    norms = np.linalg.norm(S, axis=0)
    zero = np.flatnonzero(norms == 0.0)
    norms[zero] = 1.0
    R, order = sl.qr(S / norms, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(R))
    rank = int(np.count_nonzero(diagonal > RANK_LIMIT * max(diagonal[0], 1e-300)))
    columns = np.setdiff1d(order[max(rank, 0):], zero) if rank < S.shape[1] else order[-1:]
    said = [f"columns {_list(zero)} are zero"] if zero.size else []
    said += [f"columns {_list(columns)} depend on the others"] if columns.size else []
    return (f"the least-squares matrix is rank-deficient: {' and '.join(said)} (singular values of the scaled sketch "
            f"fall to {singular[-1]:.3g} of {singular[0]:.3g}, the rule is above {RANK_LIMIT:g}); drop them, or ask "
            "for deficient = \"minimum-norm\"")


def _list(columns: np.ndarray) -> str:
    shown = ", ".join(map(str, np.sort(columns)[:_SHOWN]))
    return shown + (f", ... ({columns.size} in all)" if columns.size > _SHOWN else "")
