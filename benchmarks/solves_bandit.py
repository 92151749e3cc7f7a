"""Learnt solver settings beside the best fixed ones, and sketched Newton systems beside MINRES.

    PYTHONPATH=. python benchmarks/solves_bandit.py [--quick] [--json FILE]

Iterations are counted, times are processor seconds with one BLAS thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import pyamg  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from scipy.sparse.linalg import LinearOperator, cg, splu  # noqa: E402
from solve_problems import block2d  # noqa: E402
from sor_counts import sor_counts  # noqa: E402

from romflow.linalg.constrained.kkt import KktSystem, SchurPreconditioner, inner_solver  # noqa: E402
from romflow.linalg.constrained.newton import EqualityProblem, newton_sketch  # noqa: E402
from romflow.linalg.learning.bandit import ContextualBandit  # noqa: E402
from romflow.linalg.learning.bandit_baseline import TsallisInf  # noqa: E402
from romflow.linalg.learning.learned_choice import Bandit, LearnedChoice, best_fixed  # noqa: E402

SEEDS = (0, 1, 2)


def played(bandit: Bandit, contexts: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Losses (k,) that a bandit pays along the sequence."""
    paid = np.empty(len(contexts))
    for step, context in enumerate(contexts):
        arm = bandit.ask(context)
        paid[step] = losses[step, arm]
        bandit.tell(arm, context, paid[step])
    return paid


def shifted_laplacians(cells: int, systems: int, ranges: tuple[float, ...]) -> dict[str, Figure]:
    """SOR on Laplacian + c I, c uniform in [0, range]; the figures are the worst of three seeds and of the ranges."""
    omegas, fixed, optimal = np.linspace(1.0, 1.95, 20), [], []
    for largest in ranges:
        c = np.random.default_rng(0).uniform(0.0, largest, systems)
        losses = sor_counts(c, omegas, cells, 0)
        whole, last = best_fixed(losses), slice(2 * systems // 3, None)
        runs = [played(ContextualBandit(20, (0.0, largest), seed), c, losses) for seed in SEEDS]
        plain = played(TsallisInf(20, 0), c, losses)
        worst = max(run[last].mean() for run in runs)
        optimum = best_fixed(losses[last]).optimum
        print(f"SOR, {cells} x {cells} Laplacian + c I, c in [0, {largest}], {systems} systems, mean sweeps: omega 1 "
              f"{losses[:, 0].mean():.1f}; 1.5 {losses[:, 10].mean():.1f}; best fixed ({omegas[whole.arm]:.2f}) "
              f"{whole.mean:.1f}; instance optimum {whole.optimum:.1f}; Tsallis-INF {plain.mean():.1f} (last third "
              f"{plain[last].mean():.1f}); contextual {np.mean(runs):.1f} (last third, worst seed {worst:.1f})")
        fixed.append(worst / whole.mean)
        optimal.append(worst / optimum)
    return {"bandit_vs_best_fixed": Figure(max(fixed), 1.0, False, "x", "best fixed omega"),
            "bandit_vs_optimum": Figure(max(optimal), 1.2, False, "x", "instance optimum")}


Setting = tuple[str, float]
DEFAULT: Setting = ("smoothed aggregation", 0.0)
SETTINGS: list[Setting] = [DEFAULT, ("smoothed aggregation", 0.08), ("smoothed aggregation", 0.25), ("classical", 0.25),
                           ("classical", 0.5), ("SSOR", 1.4), ("SSOR", 1.6), ("SSOR", 1.8), ("SSOR", 1.9)]


def preconditioner(kind: str, value: float, A: sp.csr_array) -> Any:
    """AMG with strength `value`, or SSOR with omega `value`."""
    matrix = sp.csr_matrix(A)
    if kind == "smoothed aggregation":
        return pyamg.smoothed_aggregation_solver(matrix, strength=("symmetric", {"theta": value})).aspreconditioner()
    if kind == "classical":
        return pyamg.ruge_stuben_solver(matrix, strength=("classical", {"theta": value})).aspreconditioner()
    diagonal = A.diagonal()
    lower = splu(sp.csc_array(sp.tril(A, -1) + sp.diags_array(diagonal / value)), permc_spec="NATURAL",
                 diag_pivot_thresh=0.0)
    middle = diagonal * (2.0 - value) / value
    return LinearOperator(A.shape, matvec=lambda r: lower.solve(middle * lower.solve(r), "T"), dtype=float)


def seconds_of(setting: Setting, A: sp.csr_array, f: np.ndarray) -> float:
    """Processor seconds of set-up and CG to 1e-8."""
    started = time.process_time()
    u, info = cg(A, f, M=preconditioner(*setting, A), rtol=1e-8, maxiter=2000)
    spent = time.process_time() - started
    if info or np.linalg.norm(f - A @ u) > 1.1e-8 * np.linalg.norm(f):
        return np.inf
    return max(spent, 1e-9)


def thermal_block_sweep(cells: int, systems: int) -> dict[str, Figure]:
    """Preconditioner kinds and strengths on the thermal block, chosen by log(max mu / min mu), fed by seconds."""
    family = block2d(cells)
    theta = family.sample(systems, 3)
    context = np.log(theta.max(axis=1) / theta.min(axis=1))
    losses = np.empty((systems, len(SETTINGS)))
    for row, mu in enumerate(theta):
        A = family.assemble(mu)
        for arm in np.random.default_rng(row).permutation(len(SETTINGS)):
            losses[row, arm] = seconds_of(SETTINGS[arm], A, family.rhs)
    means, known = 1e3 * losses.mean(axis=0), best_fixed(losses)
    print(f"thermal block 3 x 3, {family.n} unknowns, mu in [.1, 1]^9, {systems} systems to 1e-8, ms a system (set-up "
          f"and CG): " + "; ".join(f"{kind} {value:g} {mean:.1f}" for (kind, value), mean in
                                   zip(SETTINGS, means, strict=True)))
    gain = learnt_gain("all settings", context, losses, SETTINGS)
    learnt_gain("AMG only", context, losses[:, :5], SETTINGS[:5])
    learnt_gain("SSOR only, against omega = 1.4", context, losses[:, 5:], SETTINGS[5:])
    print(f"  best fixed in hindsight: {' '.join(map(str, SETTINGS[known.arm]))}")
    return {"bandit_sweep_gain": Figure(gain, 1.0, True, "x", "pyamg's default AMG-CG")}


def learnt_gain(name: str, context: np.ndarray, losses: np.ndarray, settings: list[Setting]) -> float:
    """Seconds of the first setting over those of the learnt choice, the choosing included; the worst of three seeds."""
    spent, own = [], 0.0
    for seed in SEEDS:
        choice = LearnedChoice(ContextualBandit(len(settings), (0.0, np.log(10.0)), seed), settings)
        started, total = time.process_time(), 0.0
        for row, x in enumerate(context):
            index, _ = choice.choose(x)
            choice.learn(index, x, losses[row, index])
            total += losses[row, index]
        own = time.process_time() - started
        spent.append(total + own)
    known, ms = best_fixed(losses), 1e3 / len(losses)
    pulls = ", ".join(f"{row['arm'][0]} {row['arm'][1]:g}: {row['pulls']}" for row in choice.summary())
    print(f"  {name}: default {ms * losses[:, 0].sum():.1f}, learnt {', '.join(f'{ms * s:.1f}' for s in spent)} (3 "
          f"seeds, choosing {ms * own:.2f} included), best fixed in hindsight {1e3 * known.mean:.1f}, instance optimum "
          f"{1e3 * known.optimum:.1f}; pulls {pulls}")
    return float(losses[:, 0].sum() / max(spent))


def control(cells: int, beta: float, cubic: float) -> tuple[EqualityProblem, int, int]:
    """min 1/2 ||y - y_d||^2 + beta/2 ||u||^2 such that -Laplace y + cubic y^3 = u, P1 on the unit square; n, m."""
    N, h = cells + 1, 1.0 / cells
    i, j = np.meshgrid(np.arange(cells), np.arange(cells), indexing="ij")
    a = (i * N + j).ravel()
    mesh = np.concatenate([np.stack([a, a + N, a + 1], 1), np.stack([a + N + 1, a + 1, a + N], 1)])
    rows, columns = np.repeat(mesh, 3, 1).ravel(), np.tile(mesh, 3).ravel()
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0, 1, N), np.linspace(0, 1, N), indexing="ij"))
    inside = np.flatnonzero((np.minimum(x, y) > 0.5 * h) & (np.maximum(x, y) < 1.0 - 0.5 * h))

    def assembled(local: np.ndarray) -> sp.csr_array:
        whole = sp.csr_array((np.tile(local.ravel(), len(mesh)), (rows, columns)), shape=(N * N, N * N))
        return whole[inside][:, inside]

    K = assembled(np.array([[1.0, -0.5, -0.5], [-0.5, 0.5, 0.0], [-0.5, 0.0, 0.5]]))
    M = assembled(h * h / 24.0 * (np.ones((3, 3)) + np.eye(3)))
    m, lumped = inside.size, np.asarray(M.sum(axis=1)).ravel()
    target = (np.sin(2 * np.pi * x) * np.sin(np.pi * y))[inside]
    problem = EqualityProblem(
        lambda z: 0.5 * (z[:m] - target) @ (M @ (z[:m] - target)) + 0.5 * beta * z[m:] @ (M @ z[m:]),
        lambda z: np.concatenate([M @ (z[:m] - target), beta * (M @ z[m:])]),
        lambda z, p: sp.block_diag([M + sp.diags_array(6.0 * cubic * z[:m] * lumped * p), beta * M]),
        lambda z: K @ z[:m] + cubic * lumped * z[:m] ** 3 - M @ z[m:],
        lambda z: sp.hstack([K + sp.diags_array(3.0 * cubic * lumped * z[:m] ** 2), -M]))
    return problem, 2 * m, m


def constrained_newton(cells: int) -> dict[str, Figure]:
    """Applications of the preconditioner of a whole semilinear solve, and of one system to three accuracies."""
    ratios = []
    for beta, cubic in ((1e-3, 1.0), (1e-4, 100.0)):
        problem, n, m = control(cells, beta, cubic)
        taken: dict[str, float] = {}
        for inner in ("direct", "minres", "sketch"):
            started = time.process_time()
            found = newton_sketch(problem, np.zeros(n), inner=inner)
            report, spent = found.report, time.process_time() - started
            taken[inner] = sum(report.applications)
            print(f"control of a semilinear problem, {n} + {m} unknowns, beta {beta:g}, cubic {cubic:g}, {inner:6}: "
                  f"{report.iterations} Newton steps, inner iterations {report.inner_iterations}, "
                  f"{taken[inner]} applications, KKT {report.kkt[-1]:.1e}, {spent:.2f} s")
        ratios.append(taken["sketch"] / taken["minres"])
    one_system(cells)
    return {"newton_sketch_vs_minres": Figure(max(ratios), 6.0, False, "x", "MINRES, same preconditioner")}


def one_system(cells: int) -> None:
    """Iterations / applications of P^{-1} on one system with a random right-hand side."""
    problem, n, m = control(cells, 1e-3, 0.0)
    z = np.zeros(n)
    H, G = sp.csr_array(problem.hessian(z, z[:m])), sp.csr_array(problem.jacobian(z))
    system = KktSystem(H, G, SchurPreconditioner(H.diagonal(), G))
    b = np.random.default_rng(0).standard_normal(n + m)
    ways: dict[str, Callable[..., Any]] = {
        "MINRES": inner_solver("minres", 2000), "sketch": inner_solver("sketch", 2000),
        "sketch, Gaussian column in each": inner_solver("sketch", 2000, 1, 1)}
    if n + m < 500:
        ways["Gaussian sketches only, n / 10 columns"] = inner_solver("gaussian", 5000, (n + m) // 10)
    for name, solve in ways.items():
        parts = []
        for tolerance in (0.5, 0.1, 0.01):
            found = solve(system, b, tolerance, np.random.default_rng(1))
            parts.append(f"{found.iterations} / {found.applications}")
        print(f"  one system, {n + m} unknowns, random right-hand side, to .5, .1, .01: {name}: {', '.join(parts)}")


def figures(quick: bool) -> dict[str, Figure]:
    """The four figures; `quick` uses small problems."""
    if quick:
        return shifted_laplacians(8, 400, (0.6,)) | thermal_block_sweep(24, 16) | constrained_newton(12)
    return shifted_laplacians(16, 3000, (0.6, 0.15)) | thermal_block_sweep(72, 200) | constrained_newton(50)


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
