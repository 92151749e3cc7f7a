"""Peers of large.py on one system: PETSc (GAMG, BoomerAMG, ICC, BDDC) of Debian, and pyamg's smoothed aggregation.

    python benchmarks/large_peers.py elasticity --size 12 --contrast 1e4 --methods gamg bddc smoothed-aggregation

PETSc runs in a Python of its own, because Debian's is built for another MPI: install python3-petsc4py, or name an
interpreter that has petsc4py in ROMFLOW_PETSC_PYTHON. Conjugate gradients from zero; times are processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from figures import pin_threads

PETSC_METHODS = ("gamg", "gamg-0", "gamg-02", "boomeramg", "icc", "bddc")
METHODS = (*PETSC_METHODS, "smoothed-aggregation", "smoothed-aggregation-08")
Facts = dict[str, Any]
_SCRIPT = Path(__file__).with_name("large_petsc_peer.py")
_DEBIAN = "/usr/lib/petscdir/petsc3.*/*-real"


def peers(problem: Any, methods: Sequence[str] = METHODS, *, tolerance: float = 1e-8, norm: str = "unpreconditioned",
          subdomains: int = 16, limit: float = 1200.0) -> dict[str, Facts]:
    """What each method needs for a LargeProblem: iterations, processor seconds, the residual it reached.

    Parameters
    ----------
    problem : LargeProblem
    methods : of METHODS
    tolerance : float
        Relative; of the residual in `norm`.
    norm : {"unpreconditioned", "preconditioned"}
        What PETSc's iteration watches; pyamg's always watches the residual itself.
    subdomains : int
        Of BDDC, one a rank.
    limit : float
        Seconds; a method that takes longer is reported with "error".

    Returns
    -------
    dict
        Method -> facts: {iterations, converged, relative_residual, setup_seconds, solve_seconds}, or {missing: why},
        or {error: what}.
    """
    A, b = problem.matrix(), problem.rhs()
    found: dict[str, Facts] = {}
    asked = [name for name in methods if name in PETSC_METHODS]
    interpreter = petsc_interpreter() if asked else None
    if asked and interpreter is None:
        missing = {"missing": "PETSc is not installed (Debian: apt install python3-petsc4py)"}
        found |= dict.fromkeys(asked, missing)
    elif interpreter is not None:
        with tempfile.TemporaryDirectory(prefix="romflow-peers-") as name:
            folder = Path(name)
            (folder / "goal.json").write_text(json.dumps({"tolerance": tolerance, "norm": norm}))
            _write_matrix(folder, problem, A, b)
            for method in asked:
                ranks = subdomains if method == "bddc" else 1
                if method == "bddc":
                    _write_subdomains(folder, problem, subdomains)
                found |= _petsc(interpreter, folder, method, ranks, limit)
    found |= {name: pyamg_peer(problem, A, b, theta, tolerance) for name, theta in
              (("smoothed-aggregation", 0.0), ("smoothed-aggregation-08", 0.08)) if name in methods}
    return {name: found[name] for name in methods}


def petsc_interpreter() -> tuple[list[str], dict[str, str]] | None:
    """An interpreter with petsc4py and its environment; None where there is none."""
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PETSC_DIR", "PETSC_ARCH")}
    clean["OPENBLAS_NUM_THREADS"] = clean["OMP_NUM_THREADS"] = "1"
    candidates: list[tuple[list[str], dict[str, str]]] = []
    if named := os.environ.get("ROMFLOW_PETSC_PYTHON"):
        candidates.append(([named], clean))
    for home in sorted(Path("/").glob(_DEBIAN.lstrip("/")), reverse=True):
        own = {"PETSC_DIR": str(home), "PYTHONPATH": str(home / "lib/python3/dist-packages")}
        candidates.append((["/usr/bin/python3"], clean | own))
    for command, environment in candidates:
        if _loads(command, environment):
            return command, environment
    return None


def pyamg_peer(problem: Any, A: sp.csr_array, b: np.ndarray, theta: float, tolerance: float) -> Facts:
    """Smoothed aggregation of pyamg with strength threshold theta as the preconditioner of CG."""
    import pyamg

    started = time.process_time()
    level = pyamg.smoothed_aggregation_solver(_blocked(A, problem.components), B=problem.near_nullspace,
                                              coarse_solver="splu", strength=("symmetric", {"theta": theta}))
    middle = time.process_time()
    history: list[float] = []
    x = level.solve(b, tol=tolerance, accel="cg", maxiter=3000, residuals=history)
    residual = float(np.linalg.norm(b - A @ x) / np.linalg.norm(b))
    return {"iterations": len(history) - 1, "converged": residual <= 10 * tolerance, "relative_residual": residual,
            "setup_seconds": middle - started, "solve_seconds": time.process_time() - middle}


def _blocked(A: sp.csr_array, components: int) -> Any:
    matrix = sp.csr_matrix((A.data, A.indices.astype(np.int32), A.indptr.astype(np.int32)), shape=A.shape)
    return matrix if components == 1 else matrix.tobsr((components, components))


def _loads(command: list[str], environment: dict[str, str]) -> bool:
    try:
        tried = subprocess.run([*command, "-c", "from petsc4py import PETSc"], env=environment, timeout=60,
                               capture_output=True)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def _petsc(interpreter: tuple[list[str], dict[str, str]], folder: Path, method: str, ranks: int,
           limit: float) -> dict[str, Facts]:
    command, environment = interpreter
    launch = [] if ranks == 1 else _launcher(command, ranks)
    if ranks > 1 and not launch:
        return {method: {"missing": f"no mpiexec beside {command[0]}"}}
    running = subprocess.Popen([*launch, *command, str(_SCRIPT), str(folder), method], env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, told = running.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return {method: {"error": f"took more than {limit:.0f} s"}}
    finally:
        _ended(running)
    if running.returncode or not out.strip():
        last = [line for line in told.splitlines() if line.strip()][-1:]
        return {method: {"error": f"returned {running.returncode}: {''.join(last)}"}}
    facts = json.loads(out.splitlines()[-1])
    return {facts.pop("method"): facts}


def _ended(running: subprocess.Popen[str]) -> None:
    """mpiexec takes its ranks along when it is asked to end, and leaves them behind when it is killed."""
    if running.poll() is None:
        running.terminate()
        try:
            running.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()


def _launcher(command: list[str], ranks: int) -> list[str]:
    beside = Path(command[0]).with_name("mpiexec")
    if command[0] != "/usr/bin/python3" and beside.exists():
        return [str(beside), "-n", str(ranks)]
    if not Path("/usr/bin/mpiexec.openmpi").exists():
        return []
    return ["/usr/bin/mpiexec.openmpi", "--allow-run-as-root", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1",
            "-n", str(ranks)]


def _write_matrix(folder: Path, problem: Any, A: sp.csr_array, b: np.ndarray) -> None:
    np.savez(folder / "matrix.npz", indptr=A.indptr.astype(np.int32), indices=A.indices.astype(np.int32), data=A.data,
             rhs=b, components=problem.components, near_nullspace=_modes(problem))


def _write_subdomains(folder: Path, problem: Any, subdomains: int) -> None:
    from romflow.dd.partition import partition_cells

    owner = partition_cells(problem.cells, problem.points, subdomains)
    for number in range(subdomains):
        cells = np.flatnonzero(owner == number)
        dofs = np.unique(problem.cell_dofs[cells])
        dofs = dofs[dofs >= 0]
        local = problem.matrix(cells)[dofs][:, dofs]
        load = np.zeros(problem.n)
        free = problem.cell_dofs[cells] >= 0
        np.add.at(load, problem.cell_dofs[cells][free], problem.element_vectors(cells)[free])
        np.savez(folder / f"subdomain-{number:04d}.npz", n=problem.n, dofs=dofs, components=problem.components,
                 indptr=local.indptr.astype(np.int32), indices=local.indices.astype(np.int32),
                 data=local.data, rhs=load[dofs], near_nullspace=_modes(problem))


def _modes(problem: Any) -> np.ndarray:
    modes = problem.near_nullspace
    return np.zeros((problem.n, 0)) if modes is None else modes


def _text(facts: Facts) -> str:
    if "iterations" not in facts:
        return facts.get("missing") or facts["error"]
    sign = "" if facts["converged"] else f" DID NOT CONVERGE (reason {facts.get('reason')})"
    return (f"{facts['iterations']:5d} iterations, residual {facts['relative_residual']:.1e}, set-up "
            f"{facts['setup_seconds']:.2f} s, iterations {facts['solve_seconds']:.2f} s{sign}")


def main() -> None:
    """Print a table for one problem and several contrasts."""
    import large_problems

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("problem", choices=("bars", "elasticity", "block"))
    parser.add_argument("--size", type=int, required=True, help="cells a side")
    parser.add_argument("--contrast", type=float, nargs="+", default=[1e4])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--norm", choices=("unpreconditioned", "preconditioned"), default="unpreconditioned")
    parser.add_argument("--subdomains", type=int, default=16, help="of BDDC")
    asked = parser.parse_args()
    for contrast in asked.contrast:
        values = 10.0 ** np.random.default_rng(0).uniform(-np.log10(contrast), 0.0, 9)
        problem = (large_problems.block(asked.size, values) if asked.problem == "block"
                   else getattr(large_problems, asked.problem)(asked.size, contrast))
        print(f"{problem.name}, n = {problem.n}, contrast {contrast:g}", flush=True)
        for method in asked.methods:
            found = peers(problem, [method], norm=asked.norm, subdomains=asked.subdomains)
            print(f"  {method:24} {_text(found[method])}", flush=True)


if __name__ == "__main__":
    pin_threads()
    sys.exit(main())
