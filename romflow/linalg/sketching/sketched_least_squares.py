"""Tall dense least squares at QR accuracy: a sketch is the preconditioner, one pass of normal equations the answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg as sl
from scipy.sparse.linalg import LinearOperator, lsqr

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.core.names import nearest
from romflow.linalg.sketching.row_blocks import BLOCK, RowBlocks, Tall
from romflow.linalg.sketching.sketched_preconditioner import SketchedPreconditioner, sketched_preconditioner
from romflow.linalg.sketching.sketched_regression import (
    Regression,
    RidgelessSize,
    ridgeless_sketch_size,
    sketched_regression,
)

__all__ = ["LstsqReport", "Regression", "RidgelessSize", "ridgeless_sketch_size", "sketched_lstsq",
           "sketched_regression"]

METHODS = ("normal", "lsqr")
# Rows of the dense products: such a strip and its image stay in the second-level cache.
_STRIP = 1 << 10
_EPS = np.finfo(float).eps
_LOST = 1e-4
_POOR = 1e8
_INNER = 1e-8
_ITERATIONS = 200

Correction = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass
class LstsqReport:
    """What `sketched_lstsq` did.

    Attributes
    ----------
    method, kind : str
        Kind of embedding actually used, "none" where the matrix is no taller than its sketch would be.
    rows, rank : int
        Rows of the sketch; numerical rank of the matrix.
    condition, preconditioned_condition : float
        Condition of A estimated from the sketch; condition of A N (1 is ideal; nan for LSQR).
    corrections : list of float
        ||A dx|| / ||b|| of the refinement steps, the last one below rounding or stagnated.
    residual_norm : (m,)
        ||b - A x|| of each right-hand side.
    iterations, passes : int
        LSQR iterations of all right-hand sides; times that A was read.
    seconds : float
        Processor seconds.
    why : str
        One sentence: what was chosen and why.
    """

    method: str
    kind: str
    rows: int
    rank: int
    condition: float
    why: str
    preconditioned_condition: float = float("nan")
    corrections: list[float] = field(default_factory=list)
    residual_norm: np.ndarray = field(default_factory=lambda: np.zeros(0))
    iterations: int = 0
    passes: int = 0
    seconds: float = 0.0

    def facts(self) -> dict[str, object]:
        """The report as JSON-able values."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def sketched_lstsq(A: Tall, b: np.ndarray, *, method: str = "normal", kind: str = "countsketch",
                   rows: int | None = None, deficient: str = "raise", max_refinements: int = 5, seed: int = 0,
                   shape: tuple[int, int] | None = None, block: int = BLOCK) -> tuple[np.ndarray, LstsqReport]:
    """argmin_x ||A x - b|| with an error of the order of that of a QR factorisation, reading A three or four times.

    A sketch Theta A = Q R gives N = R^{-1}, for which A N is well conditioned (Rokhlin and Tygert 2008). "normal" forms
    M = (A N)^T (A N) in one pass, which also corrects the sketch-and-solve answer, and then refines
    x <- x + N M^{-1} N^T A^T (b - A x). "lsqr" runs LSQR on A N from the true residual, restarted likewise.
    Refinement stops as soon as the next correction is predicted below rounding, or no longer halves.

    Cost: 3 n k^2 flops at the speed of matrix products and one sketch ("normal", the faster one up to k ~ 500 for each
    right-hand side), or 4 n k flops an iteration, some 20 to 40 ("lsqr"). Memory: the sketch (s, k), one block, and one
    array like b.

    Parameters
    ----------
    A : (n, k) array or memory map, sparse (n, k), list of blocks of rows, or a callable rows(slice) -> (m, k)
        n >= k; read several times, in the same order.
    b : (n,) or (n, m)
    method : {"normal", "lsqr"}
    kind : str
        Embedding; a "countsketch" that loses rank (few heavy rows that collide) is repeated as "sparse-sign".
    rows : int, optional
        s; 20 k by default.
    deficient : {"raise", "minimum-norm"}
        What a rank-deficient A gives (singular values of the sketch below 1e-12 of the largest): an error that names
        dependent columns, or the solution of least norm (Meng, Saunders and Mahoney 2014).
    max_refinements : int
    seed : int
    shape : (int, int), optional
        (n, k), needed for a callable.
    block : int
        Rows read at a time.

    Returns
    -------
    x : (k,) or (k, m)
    report : LstsqReport

    Raises
    ------
    ShapeError, InputError
        Mismatched shapes, entries that are not finite, a rank-deficient A, unknown names.
    SolveFailed
        The corrections stagnate above 1e-4; the report is attached.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((5000, 5)) * [1, 1e-1, 1e-2, 1e-3, 1e-4]
    >>> x, report = sketched_lstsq(A, A @ np.ones(5))
    >>> bool(np.abs(x - 1).max() < 1e-11), report.rank
    (True, 5)
    """
    started = time.process_time()
    if method not in METHODS:
        raise InputError(f"no method of sketched_lstsq is called {method!r}" + nearest(str(method), METHODS))
    blocks = RowBlocks(A, shape, block)
    B = _right_hand_sides(b, blocks.shape)
    sketch = sketched_preconditioner(blocks, B, kind, rows, deficient, seed)
    report = LstsqReport(method, sketch.kind, sketch.rows, sketch.N.shape[1], sketch.condition, sketch.why,
                         passes=sketch.passes)
    x = sketch.N @ sketch.coordinates
    if report.rank == 0:
        x, correct = np.zeros((blocks.shape[1], B.shape[1])), _nothing
    elif method == "normal":
        x, correct = _normal_equations(blocks, B, sketch, x, report)
    else:
        correct = _lsqr(blocks, sketch.N, report)
    x = _refined(blocks, B, sketch.N, x, correct, max_refinements, report)
    report.seconds = time.process_time() - started
    return (x[:, 0] if np.ndim(b) == 1 else x), report


def _right_hand_sides(b: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if np.iscomplexobj(b):
        raise InputError("b is complex; give real and imaginary parts as two right-hand sides")
    B = np.asarray(b, dtype=float)
    n, k = shape
    if B.ndim not in (1, 2) or B.shape[0] != n:
        raise ShapeError(f"a least-squares matrix of shape ({n}, {k}) came with right-hand sides of shape {B.shape}; "
                         f"the rule is ({n},) or ({n}, m)")
    if n < k or k < 1:
        raise ShapeError(f"sketched_lstsq is for tall matrices; this one is ({n}, {k}): the rule is n >= k >= 1; for "
                         "wide ones use numpy.linalg.lstsq")
    if not np.isfinite(B).all():
        raise InputError("the right-hand side of the least squares has entries that are not finite (NaN or infinity)")
    return B[:, None] if B.ndim == 1 else B


def _normal_equations(blocks: RowBlocks, B: np.ndarray, sketch: SketchedPreconditioner, x: np.ndarray,
                      report: LstsqReport) -> tuple[np.ndarray, Correction]:
    """x corrected by one pass of preconditioned normal equations, and the same correction for later residuals."""
    for attempt in range(2):
        M, G = _gram(blocks, B, sketch.N, x)
        report.passes += 1
        values, vectors = sl.eigh(M)
        squared = values[-1] / values[0] if values[0] > 0.0 else np.inf
        report.preconditioned_condition = float(np.sqrt(squared))
        if squared < _POOR or attempt:
            break
        # The sketch missed a direction: what this pass has seen of it is the better preconditioner.
        sketch.N = sketch.N @ (vectors / np.sqrt(np.maximum(values, _EPS * values[-1])))
    if not squared < 1.0 / _EPS:
        raise SolveFailed(f"the {sketch.kind} sketch with {sketch.rows} rows is no preconditioner for this matrix (A N "
                          f"has condition {np.sqrt(squared):.3g}); take more rows or kind = \"sparse-sign\"",
                          report.facts())

    def correct(residual: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        return vectors @ ((vectors.T @ gradient) / values[:, None])

    return x + sketch.N @ correct(B, G), correct


def _nothing(residual: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    return gradient


def _gram(blocks: RowBlocks, B: np.ndarray, N: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r, m = N.shape[1], B.shape[1]
    M, G, image = np.zeros((r, r)), np.zeros((r, m)), np.empty((_STRIP, r))
    for start, block in blocks:
        for first in range(0, block.shape[0], _STRIP):
            part = block[first:first + _STRIP]
            Y = np.matmul(part, N, out=image[:part.shape[0]])
            residual = B[start + first:start + first + part.shape[0]] - part @ x
            M += Y.T @ Y
            G += Y.T @ residual
    return M, G


def _refined(blocks: RowBlocks, B: np.ndarray, N: np.ndarray, x: np.ndarray, correct: Correction, limit: int,
             report: LstsqReport) -> np.ndarray:
    scale = np.linalg.norm(B, axis=0)
    scale[scale == 0.0] = 1.0
    previous = 1.0
    for _ in range(max(limit, 1)):
        residual, gradient = _residual(blocks, B, x)
        report.passes += 1
        gradient = N.T @ gradient
        step = correct(residual, gradient)
        size = float((np.linalg.norm(step, axis=0) / scale).max(initial=0.0))
        squared = np.einsum("ij,ij->j", residual, residual)
        stagnated = size > 0.5 * previous
        report.corrections.append(size)
        if stagnated and len(report.corrections) > 1:
            report.residual_norm = np.sqrt(squared)
            break
        x = x + N @ step
        report.residual_norm = np.sqrt(np.maximum(squared - np.einsum("ij,ij->j", step, gradient), 0.0))
        if size * min(size / previous, 1.0) <= 0.01 * _EPS:
            break
        previous = size
    if not report.corrections[-1] <= _LOST:
        raise SolveFailed(f"the corrections of the least squares stagnate at {report.corrections[-1]:.3g} of ||b||; "
                          "the matrix is too ill-conditioned for this sketch: take more rows or kind = "
                          "\"sparse-sign\", or drop dependent columns", report.facts())
    return x


def _residual(blocks: RowBlocks, B: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    residual, gradient = np.empty_like(B), np.zeros_like(x)
    for start, block in blocks:
        for first in range(0, block.shape[0], _STRIP):
            part = block[first:first + _STRIP]
            rows = slice(start + first, start + first + part.shape[0])
            residual[rows] = B[rows] - part @ x
            gradient += part.T @ residual[rows]
    return residual, gradient


def _lsqr(blocks: RowBlocks, N: np.ndarray, report: LstsqReport) -> Correction:
    def forward(v: np.ndarray) -> np.ndarray:
        report.passes += 1
        w = N @ v.ravel()
        return np.concatenate([block @ w for _, block in blocks])

    def backward(u: np.ndarray) -> np.ndarray:
        report.passes += 1
        u = u.ravel()
        return N.T @ sum(block.T @ u[start:start + block.shape[0]] for start, block in blocks)

    operator = LinearOperator((blocks.shape[0], N.shape[1]), matvec=forward, rmatvec=backward, dtype=float)

    def correct(residual: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        step = np.zeros_like(gradient)
        for j in range(gradient.shape[1]):
            size, slope = np.linalg.norm(residual[:, j]), np.linalg.norm(gradient[:, j])
            if size > 0.0 and slope > 0.0:
                # Relative to the slope at the start: relative to the residual, LSQR would stop at once in a restart.
                found = lsqr(operator, residual[:, j], atol=_INNER * slope / size, btol=0.0, conlim=0.0,
                             iter_lim=_ITERATIONS)
                step[:, j] = found[0]
                report.iterations += int(found[2])
        return step

    return correct
