"""The solver rule "auto" beside every solver that is installed, on six kinds of systems.

    PYTHONPATH=. python benchmarks/solves_wheels.py [--quick] [--json FILE]

Every solver works in a process of its own: set-up, a solve, then four times new numbers on the same pattern with a
solve, to relative residual 1e-8. Processor seconds with one BLAS thread; memory is the peak above the loaded matrix.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import multiprocessing
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from solve_problems import Family, bars, block2d, elasticity  # noqa: E402

from romflow.core.errors import RomflowError  # noqa: E402
from romflow.linalg.solvers import optional  # noqa: E402
from romflow.linalg.solvers.policy import LinearSolver  # noqa: E402

TOLERANCE = 1e-8
UPDATES = 4
MOST_FOR_SUPERLU = 100_000
PHASES = ("setup", "update", "solve")
DIRECT = [(f"direct, {name}", {"method": "direct", "backend": name})
          for name in ("pardiso", "cholmod", "mumps", "superlu")]
GRID = ("ruge-stuben", "smoothed-aggregation")
AUTO = ("auto", {"method": "auto"})


@dataclass(frozen=True)
class Problem:
    """Matrices of one pattern, a right-hand side, what is known of the null space, and the solvers to compare."""

    name: str
    matrices: list[sp.csr_array]
    rhs: np.ndarray
    near_nullspace: np.ndarray | None
    solvers: list[tuple[str, dict[str, str]]]


def problems(quick: bool) -> list[Callable[[], Problem]]:
    """The six builders, so that only one problem is held at a time."""
    return [lambda: of_family(block2d(90 if quick else 333)), lambda: of_family(bars(16 if quick else 48)),
            lambda: of_family(elasticity(5 if quick else 16)), lambda: advection(70 if quick else 300),
            lambda: helmholtz(50 if quick else 200), lambda: dense(300 if quick else 1500)]


def of_family(family: Family) -> Problem:
    """The first members of a family; CG with both kinds of multigrid (rigid-body modes for elasticity)."""
    kinds = GRID if family.near_nullspace is None else GRID[1:]
    krylov = [(f"cg, {kind}", {"method": "cg", "preconditioner": kind}) for kind in kinds]
    # Five factorisations of the bars by SuperLU take minutes.
    direct = DIRECT[:-1] if family.name == "bars" and family.n > MOST_FOR_SUPERLU else DIRECT
    return Problem(family.name, [family.assemble(theta) for theta in family.sample(1 + UPDATES, 0)], family.rhs,
                   family.near_nullspace, [*direct, *krylov, AUTO])


def line(m: int) -> tuple[sp.dia_array, sp.dia_array]:
    """Second difference and upwind difference on m inner nodes of (0, 1)."""
    one = np.ones(m)
    second = sp.diags_array([-one[1:], 2 * one, -one[1:]], offsets=[-1, 0, 1]) * (m + 1) ** 2
    return second, sp.diags_array([-one[1:], one], offsets=[-1, 0]) * (m + 1)


def advection(m: int) -> Problem:
    """-e (laplacian u) + (1, .5) . grad u = 1 on a square, upwind differences, e = .01 to .03."""
    D, U = line(m)
    one = sp.eye_array(m)
    matrices = [sp.csr_array(sp.kron(e * D + U, one) + sp.kron(one, e * D + 0.5 * U))
                for e in np.linspace(0.01, 0.03, 1 + UPDATES)]
    krylov = [("gmres, ruge-stuben", {"method": "gmres", "preconditioner": "ruge-stuben"}),
              ("sketched-gmres, ruge-stuben", {"method": "sketched-gmres", "preconditioner": "ruge-stuben"})]
    return Problem("advection", matrices, np.ones(m * m), None,
                   [solver for solver in DIRECT if "cholmod" not in solver[0]] + [*krylov, AUTO])


def helmholtz(m: int) -> Problem:
    """-(laplacian u) - k^2 u = 1 on a square, k = 20 to 22: symmetric indefinite."""
    D, _ = line(m)
    one = sp.eye_array(m)
    K = sp.csr_array(sp.kron(D, one) + sp.kron(one, D))
    matrices = [sp.csr_array(K - k**2 * sp.eye_array(m * m)) for k in np.linspace(20.0, 22.0, 1 + UPDATES)]
    krylov = [("minres, ruge-stuben", {"method": "minres", "preconditioner": "ruge-stuben"}),
              ("gmres, ruge-stuben", {"method": "gmres", "preconditioner": "ruge-stuben"})]
    return Problem("helmholtz", matrices, np.ones(m * m), None,
                   [solver for solver in DIRECT if "cholmod" not in solver[0]] + [*krylov, AUTO])


def dense(n: int) -> Problem:
    """A matrix with 30 % of its entries, diagonally dominant, unsymmetric."""
    random = np.random.default_rng(0)
    A = sp.csr_array(np.where(random.random((n, n)) < 0.3, random.standard_normal((n, n)), 0.0) + n * np.eye(n))
    solvers = [solver for solver in DIRECT if "cholmod" not in solver[0] and "mumps" not in solver[0]]
    return Problem("dense", [(1.0 + 0.5 * step) * A for step in range(1 + UPDATES)], np.ones(n), None,
                   [*solvers, ("direct, lapack", {"method": "direct", "backend": "lapack"}), AUTO])


def run(problem: Problem, options: dict[str, str]) -> dict[str, Any]:
    """Seconds of set-up, update and solve (means), peak memory, iterations; or why there is nothing."""
    reason = optional.problem(options.get("backend", ""))
    if reason:
        return {"missing": reason}
    warm_up(options)
    solver = LinearSolver(tolerance=TOLERANCE, near_nullspace=problem.near_nullspace, **options)
    before = memory("VmRSS", reset=True)
    times: dict[str, list[float]] = {"setup": [], "update": [], "solve": []}
    iterations = []
    try:
        for number, A in enumerate(problem.matrices):
            started = time.process_time()
            system = solver.update(A) if number else solver.setup(A)
            ready = time.process_time()
            x = system.solve(problem.rhs)
            times["update" if number else "setup"].append(ready - started)
            times["solve"].append(time.process_time() - ready)
            residual = np.linalg.norm(problem.rhs - A @ x) / np.linalg.norm(problem.rhs)
            assert residual <= TOLERANCE, "a solver says that it has converged and has not"
            iterations.append(system.report.iterations)
    except RomflowError as error:
        return {"failed": str(error)}
    return {name: float(np.mean(values)) for name, values in times.items()} | {
        "memory": memory("VmHWM") - before, "iterations": max(iterations),
        "method": f"{system.report.method}, {system.report.backend}"}


def warm_up(options: dict[str, str]) -> None:
    """Libraries are loaded before anything is measured."""
    one = np.ones(150)
    LinearSolver(**options).setup(sp.diags_array([one[1:], 4 * one, one[1:]], offsets=[-1, 0, 1])).solve(one)


def memory(what: str, *, reset: bool = False) -> float:
    """Megabytes of this process by a line of /proc/self/status; `reset` forgets the peak so far."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found[1]) / 1024 if found else float("nan")


def in_child(problem: Problem, options: dict[str, str]) -> dict[str, Any]:
    """`run` in a process forked from this one."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=lambda: there.send(run(problem, options)))
    child.start()
    answer: dict[str, Any] = here.recv()
    child.join()
    return answer


def in_rounds(problem: Problem, quick: bool) -> dict[str, dict[str, Any]]:
    """The least of three rounds, phase by phase; solvers that take long are run once."""
    answers: dict[str, dict[str, Any]] = {}
    for _ in range(3):
        for name, options in problem.solvers:
            before = answers.get(name)
            if before is None:
                answers[name] = in_child(problem, options)
            elif before.get("total", np.inf) < (0.15 if quick else 10.0):
                after = in_child(problem, options)
                answers[name] = before | {key: min(before[key], after[key]) for key in PHASES}
            if "setup" in answers[name]:
                setup, update, solve = (answers[name][key] for key in PHASES)
                answers[name]["total"] = setup + UPDATES * update + (1 + UPDATES) * solve
    return answers


def table(problem: Problem, answers: dict[str, dict[str, Any]]) -> float:
    """Print what was measured; the ratio of "auto" to the best."""
    n, nnz = problem.matrices[0].shape[0], problem.matrices[0].nnz
    print(f"\n{problem.name}: {n} unknowns, {nnz / n:.1f} entries a row; processor seconds to {TOLERANCE:g}")
    print(f"  {'':34} {'set-up':>8} {'update':>8} {'solve':>8} {'all':>8} {'MB':>6} {'iterations':>10}")
    for name, answer in answers.items():
        if "total" not in answer:
            print(f"  {name:34} {'not installed' if 'missing' in answer else 'failed: ' + answer['failed']}"[:118])
            continue
        label = name if name != "auto" else f"auto -> {answer['method']}"
        print(f"  {label:34} {answer['setup']:8.3f} {answer['update']:8.3f} {answer['solve']:8.3f} "
              f"{answer['total']:8.3f} {answer['memory']:6.0f} {answer['iterations']:10d}")
    best = min(answer["total"] for name, answer in answers.items() if name != "auto" and "total" in answer)
    print(f"  auto / best {answers['auto']['total'] / best:.2f}", flush=True)
    return float(answers["auto"]["total"] / best)


def figures(quick: bool) -> dict[str, Figure]:
    """`auto_vs_best`: seconds of "auto" over those of the best explicit solver, the worst of the six problems."""
    # Loaded here, so that the forked processes have them; MKL starts no thread before its first call.
    reasons = [optional.problem(name) for name in optional.EXTRAS]
    importlib.import_module("pyamg")
    print("\n".join(reason for reason in reasons if reason))
    worst = 0.0
    for build in problems(quick):
        problem = build()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # else children would fill what the assembly left, and show no growth
        worst = max(worst, table(problem, in_rounds(problem, quick)))
    return {"auto_vs_best": Figure(worst, 1.3, False, "x", "every installed solver")}


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
