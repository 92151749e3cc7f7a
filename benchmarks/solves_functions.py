"""Parametrised inverses and log-determinants: interpolated powers, plain interpolation and Zahm-Nouy weights.

    python benchmarks/solves_functions.py [--quick] [--json FILE]

Three problems. One parameter: I + mu H on 60 unknowns, H the 1-D second difference scaled so that the spectrum is in
[1, 9.9] for mu in [0, 9]. Two parameters: I + mu_1 A_1 + mu_2 A_2 on 200 unknowns, A_i = D^T W_i D / h^2 with the
forward differences D of the unit interval (h = 1 / 201, zero at both ends) and W_i the left and right half of its 201
cells, mu in [.5, 2]^2. Thermal block: bilinear elements on the square with 2 x 2 blocks, mu in [.1, 1]^4.

Inverse errors are max over test parameters of ||A^{-1} - approximation||_2 / ||A^{-1}||_2; log-determinant errors are
the largest absolute error over the spread (max - min) of the log-determinant on the test parameters, which neither a
constant nor a scaling of the problem changes. The bounds of the inverse error are those of || L^T (.) L ||_2 with
A_0 = L L^T, A_0 = I with one parameter and A(1, 1) with two, where the spectrum of A_0^{-1} A is in [.5, 2].
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from scipy.interpolate import (  # noqa: E402
    LinearNDInterpolator,
    NearestNDInterpolator,
    RBFInterpolator,
    make_interp_spline,
)
from scipy.sparse.linalg import LinearOperator, cg, gmres, splu  # noqa: E402

from romflow.linalg.functions.interpolated_inverse import InterpolatedInverse, greedy_inverse  # noqa: E402
from romflow.linalg.functions.matrix_functions import PowerInterpolation  # noqa: E402
from romflow.linalg.functions.spectral_interval import SpectralInterval  # noqa: E402

Terms = Sequence[sp.csr_array]


def assemble(terms: Terms, theta: np.ndarray) -> sp.csc_array:
    """A(theta)."""
    return sp.csc_array(sum(value * A for value, A in zip(theta, terms, strict=True)))


def factorise(A: sp.sparray) -> Any:
    """SuperLU without pivoting, for symmetric positive definite matrices."""
    return splu(sp.csc_array(A), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def one_parameter(n: int = 60) -> Terms:
    """Identity and H."""
    H = sp.diags_array([-np.ones(n - 1), 2.0 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1], format="csr")
    return [sp.eye_array(n, format="csr"), sp.csr_array(H * (8.9 / 9.0 / np.linalg.norm(H.toarray(), 2)))]


def half_domains(n: int = 200) -> Terms:
    """Identity and the second differences of both halves."""
    D = sp.diags_array([np.ones(n), -np.ones(n)], offsets=[0, -1], shape=(n + 1, n)).tocsr()
    left = (np.arange(n + 1) < (n + 1) / 2).astype(float)
    stiff = [(n + 1.0) ** 2 * (D.T @ sp.diags_array(side) @ D) for side in (left, 1.0 - left)]
    return [sp.eye_array(n, format="csr"), *(sp.csr_array(A) for A in stiff)]


def thermal_block(cells: int) -> Terms:
    """One stiffness matrix for each quarter of the square, zero on its boundary."""
    n, K = cells - 1, np.array([[4, -1, -2, -1], [-1, 4, -1, -2], [-2, -1, 4, -1], [-1, -2, -1, 4]]) / 6.0
    number = np.full((cells + 1, cells + 1), -1)
    number[1:-1, 1:-1] = np.arange(n * n).reshape(n, n)
    corners = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1)
    terms, half = [], cells // 2
    for row, column in product((slice(0, half), slice(half, cells)), repeat=2):
        c = corners[row, column].reshape(-1, 4)
        i, j, v = np.repeat(c, 4, axis=1).ravel(), np.tile(c, 4).ravel(), np.tile(K.ravel(), len(c))
        free = (i >= 0) & (j >= 0)
        terms.append(sp.csr_array((v[free], (i[free], j[free])), shape=(n * n, n * n)))
    return terms


class Exact:
    """Inverses and log-determinants at the points and at the test parameters, and the errors of any weights."""

    def __init__(self, terms: Terms, points: np.ndarray, test: np.ndarray) -> None:
        self.there, self.here = ([assemble(terms, theta).toarray() for theta in at] for at in (points, test))
        self.inverses, self.test_inverses = (np.linalg.inv(np.stack(A)) for A in (self.there, self.here))
        self.logs, self.test_logs = (np.array([np.linalg.slogdet(A)[1] for A in As]) for As in (self.there, self.here))

    def errors(self, weights: np.ndarray) -> tuple[float, float]:
        """Relative inverse error, log-determinant error over the spread."""
        size = np.linalg.norm(self.test_inverses, 2, axis=(1, 2))
        logs = np.abs(weights @ self.logs - self.test_logs).max() / np.ptp(self.test_logs)
        return float((self.absolute(weights) / size).max()), float(logs)

    def absolute(self, weights: np.ndarray, A0: np.ndarray | None = None) -> np.ndarray:
        """Inverse errors (b,) in the norm of A_0."""
        L = np.eye(self.inverses.shape[1]) if A0 is None else np.linalg.cholesky(A0)
        return np.array([np.linalg.norm(L.T @ (exact - np.tensordot(w, self.inverses, 1)) @ L, 2)
                         for w, exact in zip(weights, self.test_inverses, strict=True)])


def plain_weights(points: np.ndarray, test: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of the usual interpolations on the same points (they are linear in the values)."""
    unit = np.eye(len(points))
    if points.shape[1] == 1:
        order = np.argsort(points[:, 0])
        x, t = points[order, 0], test[:, 0]
        return {"plain: piecewise linear": make_interp_spline(x, unit[order], k=1)(t),
                "plain: cubic spline": make_interp_spline(x, unit[order], k=3)(t)}
    linear, nearest = LinearNDInterpolator(points, unit)(test), NearestNDInterpolator(points, unit)(test)
    return {"plain: piecewise linear": np.where(np.isnan(linear), nearest, linear),
            "plain: thin-plate splines": RBFInterpolator(points, unit)(test)}


def compare(terms: Terms, powers: PowerInterpolation, test: np.ndarray,
            spectrum: SpectralInterval, reference: np.ndarray) -> dict[str, tuple[float, float]]:
    """Errors of every kind of weights at the same points, printed; the bound is checked on the way."""
    exact = Exact(terms, powers.points, test)
    zahm_nouy = InterpolatedInverse(terms, [factorise(A) for A in exact.there], powers.points)
    rows = {"interpolated powers": powers.weights(test), **plain_weights(powers.points[:, 1:], test[:, 1:]),
            "Zahm-Nouy": np.stack([zahm_nouy.weights(theta) for theta in test]),
            "Zahm-Nouy, weights >= 0": np.stack([zahm_nouy.weights(theta, nonnegative=True) for theta in test])}
    found = {name: exact.errors(weights) for name, weights in rows.items()}
    bound, neumann = (powers.inverse_bound(test, spectrum, kind) for kind in ("chebyshev", "neumann"))
    error = exact.absolute(rows["interpolated powers"], assemble(terms, reference).toarray())
    print(f"  {powers.size} points, order {powers.order}, Lebesgue constant {powers.lebesgue:.2f}; inverse error in "
          f"the norm of A_0 {error.max():.2e}, its bound {bound.max():.2e}, by the Neumann series {neumann.max():.2e}")
    for name, (inverse, logs) in found.items():
        shown = "" if name.startswith("Zahm") else f"log-determinant {logs:.2e}"
        print(f"    {name:26} inverse {inverse:.2e}  {shown}")
    if (error > bound + 1e-12).any():
        raise SystemExit("the bound of interpolated powers does not hold")
    return found


def iterations(solver: Callable[..., Any], A: sp.sparray, f: np.ndarray, M: Any = None) -> int:
    """Iterations to relative residual 1e-8."""
    count: list[Any] = []
    extra = {"callback_type": "pr_norm", "restart": 300} if solver is gmres else {}
    x, info = solver(A, f, rtol=1e-8, atol=0.0, M=M, maxiter=20 * f.size, callback=count.append, **extra)
    if info or np.linalg.norm(f - A @ x) > 1e-6 * np.linalg.norm(f):
        raise SystemExit(f"{solver.__name__} did not converge")
    return len(count)


def as_preconditioner(name: str, terms: Terms, powers: PowerInterpolation, candidates: np.ndarray, test: np.ndarray,
                      sizes: Sequence[int]) -> float:
    """Mean CG iterations with interpolated powers over those of the better of plain and Jacobi CG; a table."""
    n, f = terms[0].shape[0], np.random.default_rng(0).standard_normal(terms[0].shape[0])
    systems = [assemble(terms, theta) for theta in test]
    plain = np.mean([iterations(cg, A, f) for A in systems])
    jacobi = np.mean([iterations(cg, A, f, sp.diags_array(1.0 / A.diagonal())) for A in systems])
    print(f"{name}, {n} unknowns, CG iterations: plain {plain:.1f}, Jacobi {jacobi:.1f}; GMRES plain "
          f"{np.mean([iterations(gmres, A, f) for A in systems[:2]]):.1f}")
    solvers = [factorise(assemble(terms, theta)).solve for theta in powers.points]
    by_powers = measured([powers.inverse_operator(theta, solvers, n) for theta in test], systems, f)
    print(f"    interpolated powers, {powers.size} factors: {by_powers[0]:.1f} (GMRES {by_powers[1]:.1f})")
    for size in sizes:
        P = greedy_inverse(terms, factorise, candidates, size)
        row = []
        for label, options in {"free": {}, ">= 0": {"nonnegative": True}, "3 terms": {"terms": 3},
                               "1 term": {"terms": 1}}.items():
            used = np.mean([np.count_nonzero(P.weights(theta, **options)) for theta in test])
            counts = measured([P.preconditioner(theta, **options) for theta in test], systems, f)
            row.append(f"{label} {counts[0]:.1f} (GMRES {counts[1]:.1f}, {counts[0] * used:.0f} solves)")
        print(f"    Zahm-Nouy, {P.size:2} greedy factors: {'; '.join(row)}")
    return float(by_powers[0] / min(plain, jacobi))


def measured(operators: Sequence[LinearOperator], systems: Sequence[sp.csc_array],
             f: np.ndarray) -> tuple[float, float]:
    """Mean iterations of CG and of GMRES."""
    pairs = list(zip(operators, systems, strict=True))
    return (float(np.mean([iterations(cg, A, f, P) for P, A in pairs])),
            float(np.mean([iterations(gmres, A, f, P) for P, A in pairs])))


def costs(cells: int) -> None:
    """Processor seconds of one more factor and of the weights, on a thermal block."""
    terms, rng = thermal_block(cells), np.random.default_rng(3)
    P = InterpolatedInverse(terms, [], np.empty((0, 4)))
    seconds = {"factorisation": 0.0, "samples": 0.0}
    for theta in rng.uniform(0.1, 1.0, (5, 4)):
        started = time.process_time()
        factor = factorise(assemble(terms, theta))
        seconds["factorisation"] += (time.process_time() - started) / 5
        started = time.process_time()
        P.add(theta, factor)
        seconds["samples"] += (time.process_time() - started) / 5
    test = rng.uniform(0.1, 1.0, (50, 4))
    P.weights(test[0])
    started = time.process_time()
    for theta in test:
        P.weights(theta)
    weights = (time.process_time() - started) / len(test)
    print(f"cost with {P.n} unknowns: factorisation {seconds['factorisation']:.3f} s, its samples (16 solves, 16 x 4 "
          f"products) {seconds['samples']:.3f} s, weights of one theta {1e3 * weights:.2f} ms with {P.size} factors")


def figures(quick: bool) -> dict[str, Figure]:
    """Measure and print the comparison."""
    rng = np.random.default_rng(1)
    terms, test = one_parameter(), np.column_stack([np.ones(100), np.append(rng.uniform(0.0, 9.0, 98), [0.0, 9.0])])
    training = np.column_stack([np.ones(400), np.linspace(0.0, 9.0, 400)])
    print("one parameter, I + mu H, mu in [0, 9]")
    found = {m: compare(terms, PowerInterpolation.build(training, m), test, SpectralInterval(1.0, 9.9),
                        np.array([1.0, 0.0]))
             for m in (5, 10, 20)}
    terms = half_domains()
    grid = np.array(list(product(np.linspace(0.5, 2.0, 25), repeat=2)))
    training = np.column_stack([np.ones(len(grid)), grid])
    drawn = np.vstack([rng.uniform(0.5, 2.0, (10 if quick else 150, 2)), grid[[0, 24, 300, 312, 600, 624]]])
    test = np.column_stack([np.ones(len(drawn)), drawn])
    powers = PowerInterpolation.build(training, 6)
    print("two parameters, I + mu_1 A_1 + mu_2 A_2, mu in [.5, 2]^2")
    two = compare(terms, powers, test, SpectralInterval.from_coefficients(training, np.ones(3)), np.ones(3))
    ratio = as_preconditioner("two parameters", terms, powers, training[::5] if quick else training,
                              test[:3 if quick else 20], (5,) if quick else (5, 10))
    terms, candidates = thermal_block(30 if quick else 60), rng.uniform(0.1, 1.0, (30 if quick else 300, 4))
    block = as_preconditioner("thermal block", terms, PowerInterpolation.build(candidates, 2), candidates,
                              rng.uniform(0.1, 1.0, (3 if quick else 20, 4)), (1, 5) if quick else (1, 5, 10, 28))
    costs(60 if quick else 332)
    return {
        "powers_inverse_error": Figure(two["interpolated powers"][0], 2e-3, False, ""),
        "powers_logdet_error": Figure(two["interpolated powers"][1], 1e-3, False, ""),
        "powers_preconditioner_iterations": Figure(max(ratio, block), 0.2, False, "of CG"),
        "zahm_nouy_inverse_error_11": Figure(found[10]["Zahm-Nouy"][0], 1e-6, False, "")}


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)


if __name__ == "__main__":
    main()
