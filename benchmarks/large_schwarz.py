"""Two-level Schwarz with the cheap spectral coarse space beside the naive one and beside algebraic multigrid.

    python benchmarks/large_schwarz.py [--quick] [--json FILE]

bars         Poisson with bars, 115,248 unknowns, contrasts 1 to 1e6, 2 to 64 subdomains: iterations to 1e-8
naive        the same method with exact eigenproblems on the Neumann matrices (shift-invert Lanczos), everything else
             equal: processor seconds of set-up and solve
elasticity   layers of contrast 1e4: iterations of ours, GAMG (also with threshold .02), BoomerAMG and smoothed
             aggregation

One process, one BLAS thread, processor seconds. PETSc is Debian's, in a Python of its own; where it is not installed
the table says so.
"""

from __future__ import annotations

from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import large_peers  # noqa: E402
import large_problems  # noqa: E402
from large_own import assembled_on, solved, split  # noqa: E402

CONTRASTS = (1.0, 1e2, 1e4, 1e6)
SUBDOMAINS = (2, 4, 8, 16, 32, 64)
# With exact modes fewer of them serve for the same number of iterations.
NAIVE_THRESHOLD = 0.5
BARS_PEERS = ("gamg-0", "gamg-02", "boomeramg", "smoothed-aggregation-08")
ELASTIC_PEERS = ("gamg", "gamg-02", "boomeramg", "smoothed-aggregation-08")


def line(name: str, facts: dict[str, Any]) -> None:
    """Print one row of a table."""
    if "iterations" not in facts:
        print(f"  {name:34} {facts.get('missing') or facts.get('error')}", flush=True)
        return
    coarse = f"coarse {facts['coarse_size']:5}" if "coarse_size" in facts else " " * 12
    mark = "" if facts.get("converged", True) else f"   NOT CONVERGED (residual {facts['relative_residual']:.0e})"
    print(f"  {name:34} {facts['iterations']:5} iterations  {coarse}  set-up {facts['setup_seconds']:7.2f} s  solve "
          f"{facts['solve_seconds']:6.2f} s{mark}", flush=True)


def bars(quick: bool) -> dict[str, Figure]:
    """Iterations for all contrasts and numbers of subdomains, and the cost beside the naive coarse space."""
    cells, numbers = (20, (8, 24)) if quick else (48, SUBDOMAINS)
    ratios, worst = [], {}
    solved(split(large_problems.bars(8), 2))  # what is imported once is not timed
    for number in numbers:
        cut = split(large_problems.bars(cells), number)
        print(f"bars, {cut.problem.n} unknowns, {number} subdomains of at most "
              f"{max(one.dofs.size for one in cut.layout.subdomains)}")
        for contrast in CONTRASTS:
            one = assembled_on(large_problems.bars(cells, contrast), cut.layout)
            own = solved(one)
            line(f"contrast {contrast:g}", own)
            worst[number] = max(worst.get(number, 0), own["iterations"])
            if number == (8 if quick else 16):
                naive = solved(one, eigensolver="exact", threshold=NAIVE_THRESHOLD)
                line(f"contrast {contrast:g}, naive", naive)
                ratios.append(own["seconds"] / naive["seconds"])
    most = numbers[-1]
    return {"max_iterations": Figure(max(worst.values()), 25, False, "", None),
            "iterations_growth_with_subdomains": Figure(worst[most] / worst[8], 1.25, False, "x",
                                                        f"{most} subdomains over 8"),
            "time_vs_naive_geneo": Figure(max(ratios), 0.5, False, "x", "exact eigenproblems, the worst contrast")}


def beside(problem: large_problems.LargeProblem, subdomains: int, methods: tuple[str, ...]) -> dict[str, Any]:
    """Ours and the peers on one system."""
    print(f"{problem.name}, {problem.n} unknowns, contrast {problem.coefficient.max():g}")
    own = solved(split(problem, subdomains))
    line(f"romflow, {subdomains} subdomains", own)
    for name, facts in large_peers.peers(problem, methods, limit=300.0).items():
        line(name, facts)
    return own


def figures(quick: bool) -> dict[str, Figure]:
    """Measure and print."""
    found = bars(quick)
    size = 8 if quick else 12
    elastic = {}
    for contrast in (1e4,) if quick else (1.0, 1e4):
        problem = large_problems.elasticity(size, contrast)
        elastic[contrast] = beside(problem, max(2, problem.n // 1500), () if quick else ELASTIC_PEERS)
    if not quick:
        larger = large_problems.elasticity(16, 1e4)
        elastic["larger"] = beside(larger, larger.n // 1500, ELASTIC_PEERS)
        for contrast in (1.0, 1e4, 1e6):
            beside(large_problems.bars(48, contrast), 16, (*BARS_PEERS, *(["bddc"] if contrast == 1e4 else [])))
    found["elasticity_iterations"] = Figure(max(own["iterations"] for own in elastic.values()), 40, False, "",
                                            None if quick else "GAMG and BoomerAMG: see the output")
    return found


if __name__ == "__main__":
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)
