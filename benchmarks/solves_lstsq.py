"""Sketched least squares beside numpy.linalg.lstsq, and coordinated sampling beside CountSketch.

    python benchmarks/solves_lstsq.py [--quick] [--json FILE]

Processor seconds of one run with one BLAS thread. The matrices have singular values that fall evenly (in the logarithm)
over the condition number, in random directions; the right-hand side has a part orthogonal to the range, which no x
reaches. A speed-up counts as zero where the error in x is above its target.
"""

from __future__ import annotations

import time

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402

from romflow.linalg.sketching.coordinated import coordinated_sketch, estimate_product  # noqa: E402
from romflow.linalg.sketching.embeddings import embedding  # noqa: E402
from romflow.linalg.sketching.sketched_least_squares import sketched_lstsq  # noqa: E402

PEER = "numpy.linalg.lstsq"
# Condition, orthogonal part of b relative to the rest, error in x to reach, name of the figure.
CASES = ((1e4, 1e-2, 1e-12, "lstsq_error_1e4"), (1e8, 1e-6, 1e-7, "lstsq_error_1e8"))


def orthogonal_part(U: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A unit vector (n,) orthogonal to the range of U (n, k)."""
    gram, z = U.T @ U, rng.standard_normal(len(U))
    for _ in range(2):
        z -= U @ np.linalg.solve(gram, U.T @ z)
    return z / np.linalg.norm(z)


def error(found: np.ndarray, x: np.ndarray) -> float:
    """Relative error in x."""
    return float(np.linalg.norm(found - x) / np.linalg.norm(x))


def least_squares(n: int, k: int, seed: int = 0) -> dict[str, Figure]:
    """Both condition numbers: speed-up (the worse one) and errors."""
    rng = np.random.default_rng(seed)
    U = rng.standard_normal((n, k)) / np.sqrt(n)
    beyond, x = orthogonal_part(U, rng), rng.standard_normal(k)
    left, right = (np.linalg.qr(rng.standard_normal((k, k)))[0] for _ in range(2))
    figures, speedups = {}, []
    print(f"least squares {n} x {k}:   condition   seconds   {PEER}   error in x   of {PEER}   A N    passes")
    for condition, noise, target, name in CASES:
        A = U @ (left * np.logspace(0.0, -np.log10(condition), k) @ right)
        b = A @ x
        b += noise * np.linalg.norm(b) * beyond
        started = time.process_time()
        found, report = sketched_lstsq(A, b, seed=seed)
        between = time.process_time()
        peer = np.linalg.lstsq(A, b, rcond=None)[0]
        own_seconds, seconds = between - started, time.process_time() - between
        reached = error(found, x)
        print(f"{condition:36.0e} {own_seconds:9.3f} {seconds:20.3f} {reached:12.1e} {error(peer, x):23.1e} "
              f"{report.preconditioned_condition:5.2f} {report.passes:9d}")
        speedups.append(seconds / own_seconds if reached <= target else 0.0)
        figures[name] = Figure(reached, target, False, "", None)
        del A
    return {"lstsq_speedup": Figure(min(speedups), 5.0, True, "x", PEER)} | figures


def sparse_operand(n: int, d: int, nonzeros: int, rng: np.random.Generator) -> sp.csr_array:
    """Rows with `nonzeros` normal entries in random columns."""
    columns = np.argsort(rng.random((n, d), dtype=np.float32), axis=1)[:, :nonzeros]
    return sp.csr_array((rng.standard_normal(n * nonzeros), columns.ravel(), np.arange(0, n * nonzeros + 1, nonzeros)),
                        shape=(n, d))


def sampling(n: int, d: int, rows: int, seeds: int) -> dict[str, Figure]:
    """Error of A^T B from coordinated samples over that of CountSketch, at equal storage."""
    rng = np.random.default_rng(0)
    A, B = sparse_operand(n, d, 4, rng), sparse_operand(n, d, 4, rng)
    exact, scale = (A.T @ B).toarray(), sp.linalg.norm(A) * sp.linalg.norm(B)
    ours, alone, theirs = [], [], []
    for seed in range(seeds):
        left, right, other = (coordinated_sketch(*given) for given in ((A, rows, seed), (B, rows, seed),
                                                                       (B, rows, seed + 1000)))
        size = left.nbytes // (8 * d)
        theta = embedding("countsketch", size, n, seed)
        ours.append(np.linalg.norm(estimate_product(left, right).toarray() - exact) / scale)
        theirs.append(np.linalg.norm(theta.apply(A.toarray()).T @ theta.apply(B.toarray()) - exact) / scale)
        alone.append(np.linalg.norm(independent(left, other) - exact) / scale)
    print(f"A^T B, {n} x {d}, 4 non-zeros a row, {rows} rows kept ({left.nbytes} bytes): coordinated "
          f"{np.mean(ours):.3f}, independent samples {np.mean(alone):.3f}, CountSketch of {size} rows "
          f"{np.mean(theirs):.3f}")
    return {"coordinated_vs_countsketch": Figure(float(np.mean(ours) / np.mean(theirs)), 0.5, False, "",
                                                 "CountSketch")}


def independent(left, right) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The estimate from samples with different seeds: a row is in both with the product of the probabilities."""
    _, mine, theirs = np.intersect1d(left.indices, right.indices, return_indices=True)
    weight = 1.0 / (left.probability[mine] * right.probability[theirs])
    return (left.values[mine].T @ (sp.diags_array(weight) @ right.values[theirs])).toarray()


def figures(quick: bool) -> dict[str, Figure]:
    """All figures of this part."""
    if quick:
        return least_squares(120_000, 100) | sampling(20_000, 200, 1000, 2)
    return least_squares(1_000_000, 100) | sampling(20_000, 200, 1000, 10)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
