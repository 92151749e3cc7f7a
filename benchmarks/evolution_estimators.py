"""Three evaluations of the residual norm on -u'' + 50 mu u = Gaussian: where each of them leaves the accurate value.

    python benchmarks/evolution_estimators.py [--quick] [--json FILE] [--picture FILE]

P1 with 500 intervals, mu in [1e-2, 1e2], H1_0 norm, 12 snapshots at equal distances in mu, 325 products of
coefficients. The reference is the norm from an orthonormal basis of the residual space; the direct evaluation on the
mesh is drawn beside it. Norms are relative to ||f||.
"""

from __future__ import annotations

from pathlib import Path

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402

from romflow.fom.affine import AffineModel, AffineOperator, AffineVector  # noqa: E402
from romflow.linalg.inner_product import InnerProduct  # noqa: E402
from romflow.linalg.orthonormal import extend_orthonormal  # noqa: E402
from romflow.parameters.distributions import LogUniform  # noqa: E402
from romflow.parameters.expressions import Theta  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402
from romflow.reduction.reduced_basis import ReducedBasisReductor  # noqa: E402
from romflow.rom.affine import AffineReducedModel  # noqa: E402
from romflow.rom.residual import GramResidual, residual_coefficients  # noqa: E402

TERMS = 325


def problem(cells: int = 500) -> AffineModel:
    """-u'' + 50 mu u = exp(-((x - .5) / .05)^2) on (0, 1), zero at both ends, ||f|| = 1."""
    n, h = cells - 1, 1.0 / cells
    K = sp.csr_array(sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) / h)
    M = sp.csr_array(sp.diags_array([np.ones(n - 1), 4 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]) * (h / 6))
    f = M @ np.exp(-(((np.linspace(h, 1.0 - h, n) - 0.5) / 0.05) ** 2))
    f /= InnerProduct(K).dual_norm(f[:, None])[0]
    return AffineModel(ParameterSpace([Parameter("mu", LogUniform(1e-2, 1e2))]),
                       AffineOperator(Theta(["1", "50*mu"], ["mu"]), [K, M]),
                       AffineVector(Theta(["1"], ["mu"]), f[:, None]), K, spec={"kind": "gaussian"}, norm="H1_0",
                       stability={"kind": "expression", "expression": "1"})


def lowest(values: np.ndarray, reference: np.ndarray) -> float:
    """The largest norm that the values miss by more than a tenth."""
    return float(reference[np.abs(values / reference - 1.0) > 0.1].max(initial=0.0))


def direct(fom: AffineModel, rom: AffineReducedModel, mu: np.ndarray) -> np.ndarray:
    """Norms from the residual on the mesh."""
    states = rom.lift(rom.solve(mu).coefficients).T
    residual = [fom.rhs.assemble(row) - fom.operator.assemble(row) @ u for row, u in zip(mu, states, strict=True)]
    return InnerProduct(fom.inner_product).dual_norm(np.stack(residual, axis=1))


def draw(mu: np.ndarray, curves: dict[str, np.ndarray], terms: int, target: Path) -> None:
    """Norms against the parameter, and against the accurate norm."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained", sharey=True)
    styles = {"gram": ("Gram matrix", "#d55e00", ".", 3), "direct": ("on the mesh", "#999999", ".", 3),
              "eim": (f"interpolation, {terms} of {TERMS} terms", "#0072b2", ".", 3)}
    left.loglog(mu, curves["orthonormal"], "k-", linewidth=1.0, label="orthonormal basis")
    right.loglog(curves["orthonormal"], curves["orthonormal"], "k-", linewidth=1.0)
    for name, (label, colour, marker, size) in styles.items():
        left.loglog(mu, curves[name], marker, color=colour, markersize=size, label=label)
        right.loglog(curves["orthonormal"], curves[name], marker, color=colour, markersize=size)
    left.set(xlabel="parameter", ylabel="residual norm / norm of the right-hand side", ylim=(1e-16, 1e-4))
    right.set(xlabel="accurate residual norm", xlim=(1e-15, 1e-4))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    left.legend(loc="lower left", fontsize="small")
    figure.savefig(target, dpi=150)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    fom = problem()
    snapshots = np.linspace(1e-2, 1e2, 12)[:, None]
    projection = ReducedBasisReductor(tolerance=0.0).start(fom)
    for row in snapshots:
        projection.extend(extend_orthonormal(projection.V, fom.solve(row).state[:, None], projection.product))
    rom = projection.model()
    mu = np.geomspace(1e-2, 1e2, 301 if options.quick else 2001)[:, None]
    theta_a, theta_f, x = rom.operator_theta(mu), rom.rhs_theta(mu), rom.solve(mu).coefficients
    eim = rom.with_estimator("eim", np.geomspace(1e-2, 1e2, 300)[:, None]).residual
    gram = GramResidual(rom.factor.T @ rom.factor)
    curves = {name: residual.norm(theta_a, theta_f, x)
              for name, residual in (("orthonormal", rom.residual), ("gram", gram), ("eim", eim))}
    curves["direct"] = direct(fom, rom, mu)
    c = residual_coefficients(theta_a, theta_f, x)
    reference = curves["orthonormal"]
    if options.picture is not None:
        draw(mu[:, 0], curves, len(eim.values), options.picture)
    show({"eim_follows_down_to": Figure(lowest(curves["eim"], reference), 2.4e-10, False, ""),
          "eim_share_of_terms": Figure(len(eim.values) / TERMS, 0.3, False, ""),
          "eim_min_ratio": Figure(float((curves["eim"] / reference).min()), 0.9, True, ""),
          "gram_stalls_at": Figure(lowest(curves["gram"], reference), 1e-8, True, ""),
          "gram_negative_share": Figure(float(np.mean(np.einsum("bi,bi->b", c @ gram.G, c) < 0.0)), 0.15, True, ""),
          "direct_follows_down_to": Figure(lowest(curves["direct"], reference), 1e-11, False, "")}, options.json)


if __name__ == "__main__":
    main()
