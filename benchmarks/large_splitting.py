"""Domain splitting on 255^2 unknowns, ratio 16: error of the first approximation, and Krylov iterations that it saves.

    python benchmarks/large_splitting.py [--quick] [--json FILE]

Unit square, u = 0 on the boundary, uniform grid, finite volumes. Poisson, and advection-diffusion with the wind (1, .5)
and diffusion .1, .02, .005 (.005 is printed as a limit: the coarse grid does not resolve that wind). Sources: 1, and
exp(x) sin(x + 3y). Errors are Euclidean, relative to the discrete solution, the worse of both sources; the figure of
advection is the worse of diffusion .1 and .02. Iterations are to the relative residual 1e-8 for the source 1, CG for
Poisson and GMRES without restart for the rest, counted with no preconditioner (Jacobi is the same: the diagonal is
constant), incomplete LU (drop tolerance 1e-3, fill 10; GMRES, because it is not symmetric) and the splitting, from zero
and from its first approximation. splitting_iterations_saved compares the splitting (preconditioner and guess) with the
same method without either, the worst problem counts; --quick counts two problems on 127^2 with ratio 8.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from scipy.sparse.linalg import LinearOperator, cg, gmres, spilu  # noqa: E402

from romflow.dd.local_factor import LocalFactor  # noqa: E402
from romflow.dd.splitting.operators import tensor_load  # noqa: E402
from romflow.dd.splitting.splitting import DomainSplitting  # noqa: E402

TOLERANCE, MOST = 1e-8, 900
WIND = (1.0, 0.5)
PROBLEMS: dict[str, dict[str, Any]] = {
    "Poisson": {}, **{f"advection, diffusion {value:g}": {"diffusion": value, "wind": WIND}
                      for value in (0.1, 0.02, 0.005)}}
COUNTED = ("Poisson", "advection, diffusion 0.1", "advection, diffusion 0.02")


def splitting_of(cells: int, ratio: int, problem: str, **options: Any) -> DomainSplitting:
    """The splitting of a problem on cells x cells."""
    x = np.linspace(0.0, 1.0, cells + 1)
    return DomainSplitting.from_coefficients([x, x], ratio, **PROBLEMS[problem], **options)


def sources(splitting: DomainSplitting) -> np.ndarray:
    """Right-hand sides (n, 2)."""
    x, y = splitting.grid.points.T
    return tensor_load(splitting.grid.axes, np.stack([np.ones_like(x), np.exp(x) * np.sin(x + 3.0 * y)], axis=1))


def guess_errors(cells: int, ratio: int, problem: str) -> dict[tuple[str, int], float]:
    """Relative error for each merge and number of passes."""
    errors, truth = {}, None
    for merge in ("average", "combination"):
        for passes in (1, 2):
            splitting = splitting_of(cells, ratio, problem, merge=merge, passes=passes)
            F = sources(splitting)
            truth = LocalFactor(splitting.operator, "general").solve(F) if truth is None else truth
            difference = np.linalg.norm(splitting.guess(F) - truth, axis=0)
            errors[merge, passes] = float((difference / np.linalg.norm(truth, axis=0)).max())
    return errors


def iterations(method: Callable[..., Any], splitting: DomainSplitting, f: np.ndarray, apply: Any,
               guess: np.ndarray | None) -> int:
    """Iterations of SciPy's CG or right-preconditioned GMRES until ||f - A u|| <= 1e-8 ||f||; MOST where it is late."""
    A, count = splitting.operator, []
    start = np.zeros_like(f) if guess is None else guess
    r = f - A @ start
    aim = TOLERANCE * np.linalg.norm(f)
    if method is cg:
        M = None if apply is None else LinearOperator(A.shape, apply, dtype=float)
        step, late = cg(A, r, rtol=0.0, atol=aim, maxiter=MOST, M=M, callback=count.append)
    else:
        both = A if apply is None else LinearOperator(A.shape, lambda v: A @ apply(v), dtype=float)
        step, late = gmres(both, r, rtol=0.0, atol=aim, restart=MOST, maxiter=1, callback=count.append,
                           callback_type="pr_norm")
        step = step if apply is None else apply(step)
    if not late and np.linalg.norm(r - A @ step) > 1.1 * aim:
        raise SystemExit(f"{method.__name__} stopped before the residual was small")
    return len(count)


def counts(cells: int, ratio: int, problem: str) -> dict[str, tuple[int, int]]:
    """Preconditioner -> iterations from zero and from the first approximation; printed with processor seconds."""
    started = time.process_time()
    splitting = splitting_of(cells, ratio, problem)
    f = sources(splitting)[:, 0]
    guess = splitting.guess(f)
    seconds = {"splitting": time.process_time() - started}
    started = time.process_time()
    ilu = spilu(splitting.operator.tocsc(), drop_tol=1e-3, fill_factor=10)
    seconds["incomplete LU"] = time.process_time() - started
    own = cg if splitting.krylov == "cg" else gmres
    ways = {"none": (own, None), "incomplete LU": (gmres, ilu.solve), "splitting": (own, splitting.apply)}
    found = {}
    for name, (method, apply) in ways.items():
        started = time.process_time()
        found[name] = (iterations(method, splitting, f, apply, None), iterations(method, splitting, f, apply, guess))
        spent = 0.5 * (time.process_time() - started)
        print(f"  {name:14} {method.__name__:6} {found[name][0]:4} from zero, {found[name][1]:4} from the guess; "
              f"{spent:.2f} s and {seconds.get(name, 0.0):.2f} s before")
    return found


def figures(quick: bool) -> dict[str, Figure]:
    """Measure and print."""
    print("relative error of the guess on 255^2, ratio 16 (average, combination; after one pass, after two)")
    first = {}
    for problem in PROBLEMS:
        errors = guess_errors(256, 16, problem)
        first[problem] = errors["combination", 1]
        print(f"  {problem:27} " + "  ".join(f"{merge} {errors[merge, 1]:.1e}, {errors[merge, 2]:.1e}"
                                             for merge in ("average", "combination")))
    cells, ratio = (128, 8) if quick else (256, 16)
    saved = {}
    for problem in COUNTED[::2] if quick else COUNTED:
        print(f"{problem}: iterations on {cells - 1}^2, ratio {ratio}")
        found = counts(cells, ratio, problem)
        saved[problem] = {name: 1.0 - found[name][1] / found["none"][0] for name in found}
        print("  saved with the guess: " + ", ".join(f"{name} {value:.0%}" for name, value in saved[problem].items()))
    worst = min(saved.values(), key=lambda shares: shares["splitting"])
    return {
        "splitting_guess_poisson": Figure(first["Poisson"], 2e-3, False, ""),
        "splitting_guess_advection": Figure(max(first[name] for name in COUNTED[1:]), 1e-2, False, ""),
        "splitting_iterations_saved": Figure(
            worst["splitting"], 0.3, True, "share",
            f"guess alone {worst['none']:.2f}, incomplete LU {worst['incomplete LU']:.2f}")}


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    show(figures(options.quick), options.json)


if __name__ == "__main__":
    main()
