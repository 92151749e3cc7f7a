"""Sweeps of 100 parameters as one problem, beside each system on its own: AMG-CG built anew, direct refactorisation.

    python benchmarks/solves_sweep.py [--quick] [--json FILE]

Every answer has a true relative residual of at most 1e-8. Times are processor seconds of one run with one BLAS thread,
set-up and the assembly of A(theta) from its terms included; each family has a process of its own. The sweep solves all
parameters. Of the peers every fifth system is measured and the mean taken; they get the union of the patterns for
nothing, and the fastest on two systems of several settings (AMG) or of the installed back ends (direct).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
import pyamg  # noqa: E402
import scipy.sparse as sp  # noqa: E402
import solve_problems  # noqa: E402
from solve_problems import Family  # noqa: E402

from romflow.linalg.affine_pattern import AffinePattern  # noqa: E402
from romflow.linalg.solvers.optional import problem  # noqa: E402
from romflow.linalg.solvers.policy import LinearSolver  # noqa: E402
from romflow.linalg.sweep.iterations import conjugate_gradient  # noqa: E402
from romflow.linalg.sweep.reduced_guess import ReducedGuess  # noqa: E402
from romflow.linalg.sweep.sweep import SweepSolver  # noqa: E402

TOLERANCE = 1e-8
# Cells of the full and of the quick run.
FAMILIES = {"bars": (48, 16), "elasticity": (16, 6), "block2d": (333, 120)}
NAMES = {"pardiso": "PARDISO", "cholmod": "CHOLMOD", "mumps": "MUMPS", "superlu": "SuperLU"}
AMG = "pyamg AMG-CG built anew"
STRONG = ("symmetric", {"theta": 0.08})
# Half the smoothing of pyamg's default, still symmetric.
HALF = {"presmoother": ("gauss_seidel", {"sweep": "forward"}), "postsmoother": ("gauss_seidel", {"sweep": "backward"})}
Settings = dict[str, Any]
SCALAR: dict[str, Settings] = {
    "smoothed aggregation .08": {"strength": STRONG}, "classical": {},
    "smoothed aggregation .08, half smoothing": {"strength": STRONG} | HALF, "classical, half smoothing": HALF}
VECTOR: dict[str, Settings] = {
    "blocks, rigid modes": {}, "blocks, rigid modes, .08": {"strength": STRONG},
    "blocks, rigid modes, .08, energy 1": {"strength": STRONG, "smooth": ("energy", {"degree": 1})},
    "blocks, rigid modes, .08, energy 2": {"strength": STRONG, "smooth": ("energy", {"degree": 2})},
    "blocks, rigid modes, energy 2": {"smooth": ("energy", {"degree": 2})}}


class NotSolved(Exception):
    """A true residual above the tolerance."""


@dataclass
class Run:
    """One way through the systems: seconds once, seconds and iterations of each, and the worst true residual."""

    name: str
    setup: float = 0.0
    seconds: list[float] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    residual: float = 0.0

    def add(self, A: sp.csr_array, b: np.ndarray, u: np.ndarray, seconds: float, iterations: int) -> None:
        """Take in one answer, whose residual is looked at outside of the times."""
        self.residual = max(self.residual, float(np.linalg.norm(b - A @ u) / np.linalg.norm(b)))
        if not self.residual <= TOLERANCE:
            raise NotSolved(f"{self.name} left a relative residual of {self.residual:.2e}")
        self.seconds.append(seconds)
        self.iterations.append(iterations)

    def total(self, systems: int) -> float:
        """Seconds of so many systems."""
        return self.setup + systems * float(np.mean(self.seconds))

    def line(self, last: int, reference: float) -> str:
        """A row of the break-up; `reference` is the seconds a system of what it is compared with."""
        ms, tail = 1e3 * np.mean(self.seconds), 1e3 * np.mean(self.seconds[-last:])
        return (f"  {self.name:42}{len(self.seconds):8d}{self.setup:10.2f}{ms:10.1f}{np.mean(self.iterations):8.1f}"
                f"{tail:11.1f}{np.mean(self.iterations[-last:]):8.1f}{1e3 * reference / ms:9.2f}{self.residual:10.1e}")


HEAD = (f"  {'':42}{'systems':>8}{'once, s':>10}{'ms each':>10}{'iter.':>8}{'last third':>11}{'iter.':>8}{'faster':>9}"
        f"{'residual':>10}")


# -- ways to solve -------------------------------------------------------------------------------------------------

def swept(family: Family, thetas: np.ndarray, strategy: str, guess_size: int = 64,
          name: str = "") -> tuple[Run, SweepSolver]:
    """The sweep of romflow."""
    run, b = Run(name or f"\"{strategy}\""), family.rhs
    reference = family.sample(500, 99).max(axis=0)
    started = time.process_time()
    sweep = SweepSolver(family.terms, b[:, None], tolerance=TOLERANCE, strategy=strategy, reference=reference,
                        near_nullspace=family.near_nullspace, guess_size=guess_size)
    run.setup = time.process_time() - started
    for theta in thetas:
        started = time.process_time()
        u = sweep.solve(theta)
        spent = time.process_time() - started
        run.setup += sweep.last.setup_seconds
        run.add(family.assemble(theta), b, u, spent - sweep.last.setup_seconds, sweep.last.iterations)
    others = {report.strategy for report in sweep.reports} - {strategy, "guess"}
    if others and strategy not in ("auto", "learned"):
        run.name += f" (failed; {', '.join(sorted(others))})"
    return run, sweep


def hierarchy(family: Family, A: sp.csr_array, settings: Settings) -> Any:
    """pyamg's multigrid for A."""
    matrix = sp.csr_matrix(A)
    if family.near_nullspace is not None:
        return pyamg.smoothed_aggregation_solver(sp.bsr_matrix(matrix, blocksize=(3, 3)), B=family.near_nullspace,
                                                 **settings)
    build = pyamg.smoothed_aggregation_solver if "strength" in settings else pyamg.ruge_stuben_solver
    return build(matrix, **settings)


def anew(family: Family, pattern: AffinePattern, thetas: Iterable[np.ndarray], settings: Settings, name: str = AMG,
         keep: np.ndarray | None = None) -> Run:
    """AMG-CG of pyamg, built for each system, or once for theta = `keep`."""
    run, b = Run(name), family.rhs
    started = time.process_time()
    kept = None if keep is None else hierarchy(family, pattern.transposed(keep), settings)
    run.setup = time.process_time() - started
    for theta in thetas:
        history: list[float] = []
        started = time.process_time()
        A = pattern.transposed(theta)
        if kept is None:
            u = hierarchy(family, A, settings).solve(b, tol=0.99 * TOLERANCE, maxiter=1000, accel="cg",
                                                     residuals=history)
        else:
            u, _ = pyamg.krylov.cg(A, b, tol=0.99 * TOLERANCE, maxiter=1000, M=kept.aspreconditioner(),
                                   residuals=history)
        spent = time.process_time() - started
        run.add(A, b, u, spent, len(history) - 1)
    return run


def refactorised(family: Family, pattern: AffinePattern, thetas: Iterable[np.ndarray], backend: str) -> Run:
    """A direct factorisation for each system; the symbolic analysis once."""
    run, b = Run(f"{NAMES[backend]} refactorisation"), family.rhs
    solver, first = LinearSolver("direct", symmetric=True, backend=backend, tolerance=TOLERANCE), 0.0
    for theta in thetas:
        started = time.process_time()
        A = pattern.transposed(theta)
        if not first:
            solver.setup(A)
            first = time.process_time() - started
            started = time.process_time()
        u = solver.update(A).solve(b)
        run.add(A, b, u, time.process_time() - started, 0)
    run.setup = max(first - run.seconds[0], 0.0)
    return run


def jacobi(family: Family, pattern: AffinePattern, thetas: np.ndarray, guess_size: int, name: str) -> Run:
    """Jacobi-CG, with guesses from the solutions so far where `guess_size` is above zero."""
    run, b = Run(name), family.rhs
    reduced = ReducedGuess(family.terms, b[:, None], guess_size)
    for theta in thetas:
        started = time.process_time()
        A = pattern.transposed(theta)
        diagonal = A.diagonal()
        start = reduced.guess(theta, np.ones(1)) if guess_size and reduced.size else np.zeros_like(b)
        u, iterations = conjugate_gradient(A, b, lambda r, d=diagonal: r / d, start, 0.9 * TOLERANCE, 2000)
        if guess_size:
            reduced.extend(u)
        run.add(A, b, u, time.process_time() - started, iterations)
    return run


def installed() -> list[str]:
    """Direct back ends that are fast and load here."""
    return [name for name in NAMES if name != "superlu" and not problem(name)]


def fastest(names: Iterable[str], measure: Callable[[str], Run]) -> str:
    """The name whose run takes least; all are printed, also those that do not reach the tolerance."""
    seconds, shown = {}, []
    for name in names:
        try:
            run = measure(name)
        except NotSolved as error:
            shown.append(f"{name} not solved ({error})")
            continue
        seconds[name] = float(np.mean(run.seconds))
        shown.append(f"{name} {1e3 * seconds[name]:.0f} ms, {np.mean(run.iterations):.0f} iterations")
    print("  tried: " + "; ".join(shown), flush=True)
    return min(seconds, key=lambda name: seconds[name])


# -- one family ----------------------------------------------------------------------------------------------------

def measured(name: str, quick: bool) -> dict[str, Any]:
    """Seconds of a sweep of one family and of its peers, with the break-up."""
    family: Family = getattr(solve_problems, name)(FAMILIES[name][quick])
    systems, part, trials = (15, 3, 1) if quick else (100, 15, 2)
    thetas, pattern = family.sample(systems, 0), AffinePattern(family.terms)
    few = thetas[::10 if quick else 5]
    print(f"\n{name}, {family.n} unknowns, {len(family.terms)} terms, {systems} parameters to {TOLERANCE:g}; peers on "
          f"{len(few)} of them", flush=True)
    settings = SCALAR if family.near_nullspace is None else VECTOR
    best = fastest(settings, lambda chosen: anew(family, pattern, few[:trials], settings[chosen]))
    backend = fastest(installed() or ["superlu"], lambda chosen: refactorised(family, pattern, few[:trials], chosen))
    auto, sweep = swept(family, thetas, "auto")
    peers = [anew(family, pattern, few, settings[best], f"pyamg, {best}"),
             refactorised(family, pattern, few, backend)]
    if name == "block2d":
        peers.append(anew(family, pattern, few[:5], settings[best], "one AMG kept (theta = 1)", np.ones(9)))
    reference = peers[0].total(systems) / systems
    print(HEAD)
    for run in (*peers, *breakup(family, thetas[:part])):
        print(run.line(max(part // 3, 1), reference))
    print(auto.line(systems // 3, reference))
    counts = {used: row["systems"] for used, row in sweep.summary()["strategies"].items()}
    print(f"  auto took {counts}; {sweep.why}")
    return report(name, auto, peers, backend, systems)


def breakup(family: Family, thetas: np.ndarray) -> list[Run]:
    """What each idea brings, on the first systems."""
    return [swept(family, thetas, "multigrid", 0, "prolongations kept")[0],
            swept(family, thetas, "multigrid", 64, "and reduced guesses")[0]]


def report(name: str, auto: Run, peers: list[Run], backend: str, systems: int) -> dict[str, Any]:
    """Seconds of the whole sweep by each way."""
    names = (AMG, f"{NAMES[backend]} refactorisation", "one AMG kept")
    totals = {peer: run.total(systems) for peer, run in zip(names, peers, strict=False)}
    own = auto.total(systems)
    print(f"  whole sweep: romflow {own:.2f} s; " + "; ".join(
        f"{peer} {seconds:.2f} s ({seconds / own:.2f} x)" for peer, seconds in totals.items()), flush=True)
    return {"own": own, "peers": totals}


def ideas() -> None:
    """All strategies on a small problem of bars."""
    family, systems = solve_problems.bars(24), 30
    thetas, pattern = family.sample(systems, 0), AffinePattern(family.terms)
    amg = SCALAR["smoothed aggregation .08"]
    middle = np.exp(np.log(family.sample(500, 99)).mean(axis=0))
    runs = [anew(family, pattern, thetas[::5], amg),
            anew(family, pattern, thetas[:3], amg, "one AMG kept (geometric mean of theta)", middle),
            jacobi(family, pattern, thetas, 0, "Jacobi-CG"), jacobi(family, pattern, thetas, 64, "and reduced guesses")]
    wanted = [("deflated", 64, "and reduced basis as coarse space"), ("multigrid", 0, "prolongations kept"),
              ("multigrid", 64, "and reduced guesses"), ("directions", 64, "\"directions\""),
              ("direct", 0, "\"direct\""), ("direct", 64, "\"direct\" and reduced guesses"),
              ("auto", 64, "\"auto\""), ("learned", 64, "\"learned\"")]
    runs += [swept(family, thetas, strategy, size, name)[0] for strategy, size, name in wanted]
    # Five factors, then hundreds of iterations with two of them: a few systems tell.
    runs.append(swept(family, thetas[:7], "interpolated", 64, "\"interpolated\"")[0])
    print(f"\nall ideas, bars with {family.n} unknowns\n{HEAD}")
    for run in runs:
        print(run.line(systems // 3, float(np.mean(runs[0].seconds))))


# -- the figures ---------------------------------------------------------------------------------------------------

def alone(told: dict[str, Any]) -> dict[str, Any]:
    """One family in a new process, whose tables go to the same output."""
    with tempfile.TemporaryDirectory(prefix="romflow-") as folder:
        target = Path(folder) / "answer.json"
        command = [sys.executable, "-W", "ignore", __file__, "--alone", json.dumps(told | {"target": str(target)})]
        sys.stdout.flush()
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"the measurement {told} failed")
        return json.loads(target.read_text(encoding="utf-8"))


def figures(quick: bool) -> dict[str, Figure]:
    """Measure, print the break-ups, and return the figures."""
    found = {name: alone({"family": name, "quick": quick}) for name in FAMILIES}
    solid = [found["bars"], found["elasticity"]]
    direct = [next((name, seconds) for name, seconds in one["peers"].items() if name.endswith("refactorisation"))
              for one in solid]
    ratios = [seconds / one["own"] for one, (_, seconds) in zip(solid, direct, strict=True)]
    worst = int(np.argmin(ratios))
    plane = found["block2d"]
    rival = min(plane["peers"], key=lambda name: plane["peers"][name])
    return {
        "sweep_speedup_vs_amg": Figure(min(one["peers"][AMG] / one["own"] for one in solid), 4.0, True, "x", AMG),
        "sweep_speedup_vs_direct": Figure(ratios[worst], 2.0, True, "x", direct[worst][0]),
        "sweep_2d_speedup_vs_best": Figure(plane["peers"][rival] / plane["own"], 1.0, True, "x", rival)}


def main() -> None:
    """The figures, or one measurement of them."""
    if sys.argv[1:2] == ["--alone"]:
        told = json.loads(sys.argv[2])
        answer = measured(told["family"], told["quick"])
        if told["family"] == "bars" and not told["quick"]:
            ideas()
        Path(told["target"]).write_text(json.dumps(answer), encoding="utf-8")
        return
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)


if __name__ == "__main__":
    main()
