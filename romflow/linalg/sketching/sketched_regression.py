"""Sketch-and-solve regression with a bound for each coefficient, and the sketch size of ridgeless regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import scipy.fft as sf
import scipy.linalg as sl

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.sketching.embeddings import embedding
from romflow.linalg.sketching.row_blocks import BLOCK, RowBlocks, Tall
from romflow.linalg.sketching.sketched_preconditioner import RANK_LIMIT

DENSE = ("srht", "gaussian")


@dataclass(frozen=True)
class Regression:
    """Coefficients x (k,) with a `bound` (k,) on each |x - x_exact|: all hold together with probability 1 - delta."""

    x: np.ndarray
    bound: np.ndarray
    residual_norm: float
    delta: float
    rows: int


@dataclass(frozen=True)
class RidgelessSize:
    """Sketch size of least estimated risk, and the table it was chosen from.

    Attributes
    ----------
    size : int
    sizes : (i,) int
    risk : (i,)
        Mean squared error of predictions on rows left out.
    deviation : (i,)
        Standard error of `risk` over folds and sketches.
    null_risk : float
        The risk of the prediction zero: where it is below every entry of `risk`, regression does not pay.
    peak : int
        Features k: the interpolation peak, where sketches make the risk explode.
    """

    size: int
    sizes: np.ndarray
    risk: np.ndarray
    deviation: np.ndarray
    null_risk: float
    peak: int


def sketched_regression(A: Tall, b: np.ndarray, rows: int, *, kind: str = "srht", delta: float = 0.01, seed: int = 0,
                        shape: tuple[int, int] | None = None, block: int = BLOCK) -> Regression:
    """argmin_x ||Theta (A x - b)|| with a bound on every coefficient, for dense Theta only; reads A twice.

    With C = (Theta A)^T (Theta A), each |x_j - x_exact_j| <= ||b - A x|| (2 log(2 k / delta) C^{-1}_jj / s)^{1/2}, all
    together with probability at least 1 - delta. For the gaussian kind this is exact: given Theta A, the sketch of the
    optimal residual is N(0, ||r||^2 / s). For srht, Price, Song and Woodruff (2017, Theorem 1) prove
    ||x - x_exact||_inf <= epsilon / sqrt(k) ||r|| ||A^+|| for s of the order of k^(1 + o(1)) / epsilon^2 without stated
    constants, with probability 1 - 1/poly(k); the gaussian constants are taken. The bound falls like s^{-1/2}: this is
    an answer to a few digits; for full accuracy take `sketched_lstsq`.

    Parameters
    ----------
    A : (n, k), as for `sketched_lstsq`
    b : (n,)
    rows : int
        s >= 2 k; s = 2 k log(2 k / delta) / epsilon^2 gives the epsilon of the theorem.
    kind : {"srht", "gaussian"}
        Sparse kinds are refused: they keep ||A x - b|| near its minimum, but a single heavy row that collides with
        another spoils single coefficients.
    delta : float
        Probability that a bound fails, in (0, 1).
    seed : int
    shape : (int, int), optional
    block : int

    Returns
    -------
    Regression

    Raises
    ------
    InputError, ShapeError
        A sparse kind; too few rows; a rank-deficient sketch; shapes; entries that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((4000, 3))
    >>> found = sketched_regression(A, A @ [1.0, 2.0, 3.0] + 0.1 * rng.standard_normal(4000), rows=400)
    >>> bool((np.abs(found.x - [1, 2, 3]) < found.bound + 0.01).all())
    True
    """
    if kind not in DENSE:
        raise InputError(f"sketched_regression was asked for the kind {kind!r}, which bounds no single coefficient (a "
                         "heavy row may collide with another); take 'srht' or 'gaussian', or sketched_lstsq for the "
                         "accurate answer with any kind")
    if not 0.0 < delta < 1.0:
        raise InputError(f"sketched_regression was asked for with delta = {delta}; the rule is 0 < delta < 1")
    blocks = RowBlocks(A, shape, block)
    n, k = blocks.shape
    b = _vector(b, n)
    if rows < 2 * k:
        raise InputError(f"a regression on {k} features was asked for with a sketch of {rows} rows; the rule is at "
                         f"least {2 * k}")
    theta = embedding(kind, rows, n, seed)
    S = sum((theta.apply_rows(part, start) for start, part in blocks), np.zeros((rows, k)))
    Q, R = sl.qr(S, mode="economic")
    norms = np.linalg.norm(R, axis=0)
    if norms.min() == 0.0 or sl.svdvals(R / norms)[-1] < RANK_LIMIT:
        raise InputError("the regression matrix is rank-deficient: its coefficients are not determined; drop zero and "
                         "dependent columns, or take sketched_lstsq with deficient = \"minimum-norm\"")
    x = sl.solve_triangular(R, Q.T @ theta.apply(b))
    residual = sqrt(sum(float(np.sum((b[start:start + len(part)] - part @ x) ** 2)) for start, part in blocks))
    spread = np.linalg.norm(sl.solve_triangular(R, np.eye(k)), axis=1)
    return Regression(x, residual * sqrt(2.0 * log(2.0 * k / delta) / rows) * spread, residual, delta, rows)


def ridgeless_sketch_size(A: np.ndarray, b: np.ndarray, sizes: Sequence[int] | None = None, *, seed: int = 0,
                          folds: int = 5, repeats: int = 4) -> RidgelessSize:
    """The sketch size for which minimum-norm regression on the sketched rows predicts left-out rows best.

    Ridgeless regression x = (Theta A)^+ Theta b has a risk that explodes where s is near the number of features k and
    falls again on both sides (Chen, Zeng, Yang and Sun 2023): fewer rows act as a regularisation. For isotropic
    features, signal alpha and noise sigma < alpha the best size below the peak is k (1 - sigma / alpha). The choice is
    empirical: an orthogonal sketch of the rows of each training fold (random signs, cosine transform, s of its rows),
    and its risk on the fold left out. One transform serves all sizes, and the largest size is the fold itself. Use the
    size with an orthogonal kind ("srht"). Cost: folds repeats (n k log n + sum of s k min(s, k)).

    Parameters
    ----------
    A : (n, k)
        Features as they will be used (centred, if so).
    b : (n,)
    sizes : sequence of int, optional
        Between 1 and the rows of a training fold; by default 12 sizes on both sides of k, and all rows.
    seed : int
    folds, repeats : int
        Parts that are left out in turn; sketches for each.

    Returns
    -------
    RidgelessSize

    Raises
    ------
    InputError, ShapeError
        Sizes out of range; fewer than two folds or rows; shapes; entries that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((130, 100))
    >>> b = A @ rng.standard_normal(100) / 10 + 0.5 * rng.standard_normal(130)
    >>> ridgeless_sketch_size(A, b, [25, 50, 100]).size
    50
    """
    A = np.asarray(A, dtype=float)
    if A.ndim != 2 or not np.isfinite(A).all():
        raise ShapeError(f"ridgeless_sketch_size needs finite features (n, k); got shape {A.shape}"
                         f"{'' if A.ndim != 2 else ' with entries that are not finite'}")
    b = _vector(b, A.shape[0])
    if not 2 <= folds <= A.shape[0] or repeats < 1:
        raise InputError(f"ridgeless_sketch_size got folds = {folds} and repeats = {repeats} for {A.shape[0]} rows; "
                         "the rule is 2 <= folds <= rows and repeats >= 1")
    parts = np.array_split(np.random.default_rng(seed).permutation(A.shape[0]), folds)
    known = A.shape[0] - max(map(len, parts))
    chosen = _sizes(sizes, A.shape[1], known)
    risks = [_risks(A, b, left_out, chosen, seed + 1 + fold * repeats + repeat)
             for fold, left_out in enumerate(parts) for repeat in range(repeats)]
    risk, deviation = np.mean(risks, axis=0), np.std(risks, axis=0, ddof=1) / sqrt(len(risks))
    return RidgelessSize(int(chosen[np.argmin(risk)]), chosen, risk, deviation, float(np.mean(b**2)), A.shape[1])


def _risks(A: np.ndarray, b: np.ndarray, left_out: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    kept = np.setdiff1d(np.arange(A.shape[0]), left_out)
    random = np.random.default_rng(seed)
    signed = np.column_stack([A[kept], b[kept]]) * random.choice([-1.0, 1.0], (kept.size, 1))
    # Any beginning of the rows in random order is a random subset. The Hadamard transform would need padding, after
    # which its rows are orthogonal only in the mean.
    sketched = sf.dct(signed, axis=0, norm="ortho")[random.permutation(kept.size)]
    risks = np.empty(sizes.size)
    for i, s in enumerate(sizes):
        x = sl.lstsq(sketched[:s, :-1], sketched[:s, -1])[0]
        risks[i] = np.mean((b[left_out] - A[left_out] @ x) ** 2)
    return risks


def _sizes(sizes: Sequence[int] | None, k: int, known: int) -> np.ndarray:
    if sizes is None:
        share = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 4.0])
        found = np.unique(np.append(np.rint(share * k).astype(int), known))
        return found[(found >= 1) & (found <= known)]
    found = np.unique(np.asarray(sizes))
    if found.size == 0 or found.dtype.kind not in "iu" or found[0] < 1 or found[-1] > known:
        raise InputError(f"ridgeless_sketch_size got the sizes {list(sizes)}; the rule is whole numbers from 1 to "
                         f"{known}, the rows that a training fold has")
    return found


def _vector(b: np.ndarray, n: int) -> np.ndarray:
    b = np.asarray(b, dtype=float)
    if b.shape != (n,):
        raise ShapeError(f"a regression on {n} rows came with observations of shape {b.shape}; the rule is ({n},)")
    if not np.isfinite(b).all():
        raise InputError("the observations of the regression have entries that are not finite (NaN or infinity)")
    return b
