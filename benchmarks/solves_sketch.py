"""The sketched residual estimator beside the orthonormal basis of the residual space, on the 2-D thermal block.

    python benchmarks/solves_sketch.py [--quick] [--json FILE]

Both estimators are built for the same basis, one vector after the other as a greedy does, in processor seconds of one
run with one BLAS thread; the factorisation of the inner product, the whitening and the projected operators are in both
times. The peer is romflow's own `estimator = "orthonormal"`, which whitens through the same local substitutions.
"""

from __future__ import annotations

import time
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from solve_problems import block2d  # noqa: E402

import romflow  # noqa: E402
from romflow.fom.affine import AffineModel, AffineOperator, AffineVector  # noqa: E402
from romflow.linalg.inner_product import InnerProduct  # noqa: E402
from romflow.linalg.orthonormal import extend_orthonormal  # noqa: E402
from romflow.parameters.distributions import Uniform  # noqa: E402
from romflow.parameters.expressions import Theta  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402
from romflow.reduction.projection import AffineProjection  # noqa: E402
from romflow.reduction.residual_columns import Sketch, SketchedColumns  # noqa: E402
from romflow.reduction.sketched import SketchedProjection  # noqa: E402
from romflow.reduction.snapshot_sketch import SnapshotSketcher  # noqa: E402

PEER = "orthonormal basis"
ROWS = 400


def thermal_block(cells: int) -> AffineModel:
    """The 3 x 3 block as an affine model with the energy product at k = 1."""
    family = block2d(cells)
    space = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=9)])
    operator = AffineOperator(Theta(list(space.columns), space.columns), family.terms)
    rhs = AffineVector(Theta(["1"], space.columns), family.rhs[:, None])
    return AffineModel(space, operator, rhs, sp.csr_array(sum(family.terms)), spec={"kind": f"block2d {cells}"})


def build(fom: AffineModel, V: np.ndarray, sketch: Sketch | None) -> tuple[Any, float]:
    """Reduced model on the basis V (n, r), fed one vector a step, and its processor seconds."""
    started = time.process_time()
    product = InnerProduct(fom.inner_product)
    columns = None if sketch is None else SketchedColumns(fom, product, sketch)
    projected = AffineProjection(fom, product, None, "galerkin", columns)
    for j in range(V.shape[1]):
        projected.extend(V[:, j:j + 1])
    model = projected.model()
    return model, time.process_time() - started


def basis(fom: AffineModel, size: int) -> np.ndarray:
    """X-orthonormal basis (n, r) of random snapshots."""
    product = InnerProduct(fom.inner_product)
    V = np.empty((fom.n, 0))
    for row in fom.parameters.sample(size, np.random.default_rng(7)):
        V = np.hstack([V, extend_orthonormal(V, fom.solve(row).state[:, None], product)])
    return V


def ratios(exact: Any, sketched: Any, mu: np.ndarray) -> np.ndarray:
    """Sketched over exact residual norm (k,)."""
    return sketched.solve(mu).error / exact.solve(mu).error


def floor(fom: AffineModel, model: Any, mu: np.ndarray) -> float:
    """Largest relative residual estimate at parameters whose snapshots span the basis: what rounding leaves."""
    scale = InnerProduct(fom.inner_product).dual_norm(fom.rhs.vectors)[0]
    theta_a, theta_f = model.operator_theta(mu), model.rhs_theta(mu)
    x = model.solve(mu).coefficients
    return float(model.residual.norm(theta_a, theta_f, x).max() / scale)


def from_sketches(fom: AffineModel, exact: Any, size: int, sketch: Sketch) -> str:
    """Break-up of the projection from sketches alone, of the same snapshots, beside the Galerkin projection."""
    product = InnerProduct(fom.inner_product)
    mu, new = fom.parameters.sample(size, np.random.default_rng(7)), fom.parameters.sample(10, np.random.default_rng(8))
    snapshots = [fom.solve(row).state[:, None] for row in mu]
    truth = np.hstack([fom.solve(row).state[:, None] for row in new])
    started = time.process_time()
    sketcher = SnapshotSketcher(fom, product, sketch)
    sketches = [sketcher.of(u) for u in snapshots]
    middle = time.process_time()
    errors = {}
    for kind in ("galerkin", "least-squares"):
        projected = SketchedProjection(sketcher, projection=kind)
        for part in sketches:
            projected.extend(part)
        rom = projected.model()
        errors[kind] = float(rom.sketched_gap(sketcher.of(truth).states, rom.solve(new).coefficients).max())
    best = product.norm(truth - exact.lift(exact.solve(new).coefficients)).max()
    stored = 8 * sketches[0].packed().size
    return (f"  from sketches alone sketching {middle - started:.2f} s, {stored} bytes a snapshot in place of "
            f"{8 * fom.n}\n  largest error       galerkin {errors['galerkin'] / best:.3f}, least squares "
            f"{errors['least-squares'] / best:.3f} of the Galerkin projection with the basis (sketched norm)")


def figures(quick: bool) -> dict[str, Figure]:
    """Measure, print the break-up, and return the figures."""
    cells, size = (120, 20) if quick else (333, 40)
    fom = thermal_block(cells)
    V = basis(fom, size)
    sketch = Sketch.chosen("sparse-sign", ROWS, seed=1)
    sketched, seconds = build(fom, V, sketch)
    exact, peer_seconds = build(fom, V, None)
    mu = fom.parameters.sample(1000, np.random.default_rng(11))
    ratio = ratios(exact, sketched, mu)
    gap = np.abs(ratio - 1.0)
    trained = fom.parameters.sample(size, np.random.default_rng(7))
    floors = {name: floor(fom, rom, trained) for name, rom in (
        ("sketched", sketched), ("orthonormal", exact), ("gram", exact.with_estimator("gram")))}
    started = time.process_time()
    product = InnerProduct(fom.inner_product)
    product.whiten(fom.rhs.vectors)
    base = time.process_time() - started
    print(f"{fom.n} dofs, r = {size}, {sketched.factor.shape[1]} columns, s = {ROWS} (epsilon {sketch.epsilon:.3f} at "
          f"delta {sketch.delta:g})")
    print(f"  processor seconds   sketched {seconds:.2f}   orthonormal {peer_seconds:.2f}   "
          f"factor of X, in both {base:.2f}")
    print(f"  ratio               mean {ratio.mean():.4f}  std {ratio.std():.4f}  min {ratio.min():.3f}  "
          f"max {ratio.max():.3f}")
    print("  round-off floor     " + "  ".join(f"{name} {value:.2e}" for name, value in floors.items()))
    print(from_sketches(fom, exact, size, sketch))
    return {
        "sketch_ratio_std": Figure(float(ratio.std()), 0.04, False, ""),
        "sketch_ratio_q95": Figure(float(np.quantile(gap, 0.95)), 0.1, False, ""),
        "sketch_ratio_worst": Figure(float(gap.max()), 0.14, False, ""),
        "sketch_floor": Figure(floors["sketched"], 2e-12, False, "||f||"),
        "sketch_offline_speedup": Figure(peer_seconds / seconds, 3.0, True, "x", PEER),
    }


if __name__ == "__main__":
    wish = arguments(__doc__.splitlines()[0])
    print(f"romflow {romflow.__version__}")
    show(figures(wish.quick), wish.json)
