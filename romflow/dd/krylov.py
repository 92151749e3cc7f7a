"""Conjugate gradients and flexible GMRES over ranks, for several right-hand sides at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import SolveFailed
from romflow.dd.layout import Layout

__all__ = ["Answer", "conjugate_gradients", "flexible_gmres"]

Apply = Callable[[np.ndarray], np.ndarray]
_BASIS = 80
_AIM = 0.9


@dataclass(frozen=True)
class Answer:
    """Solutions X (owned, j), iterations of each column (j,), and the true relative residuals (j,).

    `rounding` is None, or ||eps |A| |x||| / ||b|| where no vector of 64-bit numbers is sure to reach the tolerance:
    then the residuals are below this and perhaps above the tolerance.
    """

    X: np.ndarray
    iterations: np.ndarray
    residuals: np.ndarray
    rounding: float | None = None


def conjugate_gradients(layout: Layout, A: Any, B: np.ndarray, preconditioner: Apply, tolerance: float,
                        max_iterations: int, guess: np.ndarray, strict: bool = True) -> Answer:
    """X with ||b - A x|| <= max(tolerance ||b||, ||eps |A| |x|||) for each column, by conjugate gradients.

    beta = z_new^T (r_new - r) / z^T r (Polak and Ribiere), which forgives rounding in the preconditioner. A column that
    reaches the tolerance leaves the block; in the end the true residual decides, and the recurrence starts again where
    it was wrong.

    Parameters
    ----------
    layout : Layout
    A : operator
        ``A @ X`` for X (owned, j), symmetric positive definite.
    B : (owned, j)
        No zero columns.
    preconditioner : callable
        R (owned, j) -> Z (owned, j).
    tolerance : float
    max_iterations : int
    guess : (owned, j)
    strict : bool
        Too many iterations are an error; else what was reached is returned.

    Returns
    -------
    Answer

    Raises
    ------
    SolveFailed
        On all ranks: too many iterations, or p^T A p <= 0.
    """
    X, aim = guess.copy(), tolerance * layout.norm(B)
    iterations = np.zeros(B.shape[1], dtype=int)
    for _ in range(4):
        R = B - A @ X
        norms = layout.norm(R)
        late = np.flatnonzero(~(norms <= aim))
        if late.size == 0 or iterations.max() >= max_iterations:
            break
        X[:, late], steps = _cg_pass(layout, A, X[:, late], R[:, late], _AIM * aim[late], preconditioner,
                                     max_iterations - int(iterations.max()))
        iterations[late] += steps
    return _judged(layout, A, X, B, iterations, tolerance, "CG", max_iterations, strict)


def _cg_pass(layout: Layout, A: Any, X: np.ndarray, R: np.ndarray, aim: np.ndarray, preconditioner: Apply,
             most: int) -> tuple[np.ndarray, np.ndarray]:
    X = X.copy()
    steps = np.zeros(X.shape[1], dtype=int)
    active = np.arange(X.shape[1])
    Z = preconditioner(R)
    P, rho = Z, layout.dots((R, Z))[0]
    for step in range(1, most + 1):
        Q = A @ P
        curvature = layout.dots((P, Q))[0]
        _positive(curvature, rho, step)
        alpha = rho / curvature
        X[:, active] += alpha * P
        change = -alpha * Q
        R = R + change
        steps[active] = step
        going = layout.norm(R) > aim[active]
        if not going.any():
            break
        if not going.all():
            active, R, P, rho, change = active[going], R[:, going], P[:, going], rho[going], change[:, going]
        Z = preconditioner(R)
        fresh, turn = layout.dots((R, Z), (change, Z))
        P = Z + np.maximum(turn / rho, 0.0) * P
        rho = fresh
    return X, steps


def _positive(curvature: np.ndarray, rho: np.ndarray, step: int) -> None:
    if not (np.isfinite(curvature).all() and np.isfinite(rho).all()):
        raise SolveFailed(f"CG left the range of floating-point numbers at iteration {step}; check the coefficients",
                          {"iterations": step})
    if not ((curvature > 0.0).all() and (rho > 0.0).all()):
        raise SolveFailed(f"the matrix or the preconditioner is not positive definite (p^T A p = {curvature.min():.1e},"
                          f" r^T z = {rho.min():.1e} at iteration {step} of CG): take one_level = \"ras\", which works "
                          "with GMRES", {"iterations": step})


def flexible_gmres(layout: Layout, A: Any, B: np.ndarray, preconditioner: Apply, tolerance: float,
                   max_iterations: int, guess: np.ndarray, strict: bool = True) -> Answer:
    """X with ||b - A x|| <= max(tolerance ||b||, ||eps |A| |x|||) for each column, by flexible GMRES (Saad 1993).

    The columns have bases of their own and share the products and the preconditioner's solves. The basis is
    orthogonalised twice; it starts again after 80 vectors. The preconditioned vectors are kept, so that rounding in
    the preconditioner (single precision) does not limit the residual.

    Parameters
    ----------
    As `conjugate_gradients`; A is any regular matrix.

    Returns
    -------
    Answer

    Raises
    ------
    SolveFailed
        On all ranks: too many iterations, or numbers that are not finite.
    """
    X, aim = guess.copy(), tolerance * layout.norm(B)
    iterations = np.zeros(B.shape[1], dtype=int)
    previous = np.full(B.shape[1], np.inf)
    while True:
        R = B - A @ X
        norms = layout.norm(R)
        late = np.flatnonzero(~(norms <= aim) & (norms < 0.9 * previous))
        if late.size == 0 or iterations.max() >= max_iterations:
            break
        previous[late] = norms[late]
        step, steps = _cycle(layout, A, R[:, late], norms[late], _AIM * aim[late], preconditioner,
                             min(_BASIS, max_iterations - int(iterations.max())))
        X[:, late] += step
        iterations[late] += steps
    return _judged(layout, A, X, B, iterations, tolerance, "GMRES", max_iterations, strict)


def _cycle(layout: Layout, A: Any, R: np.ndarray, norms: np.ndarray, aim: np.ndarray, preconditioner: Apply,
           length: int) -> tuple[np.ndarray, np.ndarray]:
    """Corrections (owned, j) from one basis of at most `length` vectors a column, and the iterations of each."""
    columns = [_Arnoldi(r, float(norm)) for r, norm in zip(R.T, norms, strict=True)]
    going = list(range(len(columns)))
    for _ in range(length):
        Z = preconditioner(np.stack([columns[c].basis[-1] for c in going], axis=1))
        W = A @ Z
        for place, c in enumerate(going):
            columns[c].extend(layout, Z[:, place], np.ascontiguousarray(W[:, place]))
        going = [c for c in going if columns[c].misfit > aim[c] and not columns[c].exhausted]
        if not going:
            break
    return np.stack([column.correction() for column in columns], axis=1), np.array([c.steps for c in columns])


class _Arnoldi:
    """Basis, preconditioned vectors and Hessenberg matrix of one right-hand side; A Z = V H."""

    def __init__(self, r: np.ndarray, norm: float) -> None:
        self.basis, self._images = [r / norm], []
        self._H, self._norm, self.misfit = np.zeros((_BASIS + 1, _BASIS)), norm, norm
        self.exhausted, self.steps = False, 0
        self._y = np.zeros(0)

    def extend(self, layout: Layout, z: np.ndarray, w: np.ndarray) -> None:
        k = self.steps
        size = float(layout.norm(w[:, None])[0])
        for _ in range(2):
            h = _against(layout, self.basis, w)
            self._H[:k + 1, k] += h
            for v, factor in zip(self.basis, h, strict=True):
                w -= factor * v
        norm = float(layout.norm(w[:, None])[0])
        if not (np.isfinite(norm) and np.isfinite(size)):
            raise SolveFailed(f"GMRES left the range of floating-point numbers at iteration {k + 1}; check the "
                              "coefficients and the boundary conditions", {"iterations": k + 1})
        self._H[k + 1, k] = norm
        self._images.append(np.ascontiguousarray(z))
        self.steps = k + 1
        self.exhausted = norm <= 1e-14 * size
        self.basis.append(w / norm if norm > 0.0 else w)
        target = np.zeros(k + 2)
        target[0] = self._norm
        self._y = sl.lstsq(self._H[:k + 2, :k + 1], target, check_finite=False)[0]
        self.misfit = float(np.linalg.norm(target - self._H[:k + 2, :k + 1] @ self._y))

    def correction(self) -> np.ndarray:
        total = np.zeros_like(self.basis[0])
        for factor, z in zip(self._y, self._images, strict=True):
            total += factor * z
        return total


def _against(layout: Layout, basis: list[np.ndarray], w: np.ndarray) -> np.ndarray:
    return layout.sums(np.array([[v[part] @ w[part] for v in basis] for part in layout.part_slices]))


def _judged(layout: Layout, A: Any, X: np.ndarray, B: np.ndarray, iterations: np.ndarray, tolerance: float, name: str,
            most: int, strict: bool) -> Answer:
    residuals = layout.norm(B - A @ X) / layout.norm(B)
    if (residuals <= tolerance).all():
        return Answer(X, iterations, residuals)
    floor = A.rounding(X) / layout.norm(B)
    if (residuals <= np.maximum(tolerance, floor)).all():
        return Answer(X, iterations, residuals, float(floor.max()))
    if not strict:
        return Answer(X, iterations, residuals)
    worst = float(residuals.max())
    spent = int(iterations.max())
    limit = f" (the limit max_iterations = {most} is reached)" if spent >= most else ", where it stagnates"
    raise SolveFailed(f"{name} over {layout.comm.size} rank(s) has the relative residual {worst:.1e} after {spent} "
                      f"iterations{limit}; the tolerance is {tolerance:g}: take coarse = \"geneo\" or a larger "
                      "threshold, or raise max_iterations or the tolerance of [solver]",
                      {"iterations": spent, "relative_residual": worst, "method": name.lower()})
