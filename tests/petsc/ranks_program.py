"""What each rank of the tests under mpiexec runs: FOLDER KIND."""

import json
import sys
from pathlib import Path

import numpy as np

from romflow.core.errors import RomflowError
from romflow.dd.communicator import gathered, world
from romflow.dd.petsc import PetscSolver
from tests.petsc.split_problems import split


def main() -> None:
    """Solve, update and fail; rank 0 writes what there was."""
    folder, kind, comm = Path(sys.argv[1]), sys.argv[2], world()
    one = split(kind, comm, side=16)
    solver = PetscSolver(one.layout, symmetric=one.symmetric, tolerance=1e-12, near_nullspace=one.modes)
    solver.setup(one.cells)
    X = solver.solve(one.rhs[:, None])
    report = solver.report
    solver.update(2.0 * one.cells)
    half = solver.solve(one.rhs[:, None])
    told = [_error(one, solver, comm), _unused(one)]
    every = np.concatenate(gathered(comm, np.column_stack([one.natural, X, half])))
    words = gathered(comm, np.array([[hash(text) % 2**31 for text in told]]))
    if comm.rank == 0:
        np.save(folder / "answer.npy", every[np.argsort(every[:, 0])])
        facts = {"report": report, "told": told, "same": bool((np.concatenate(words) == words[0]).all())}
        (folder / "facts.json").write_text(json.dumps(facts))
    solver.destroy()


def _error(one, solver, comm) -> str:
    """One rank alone has a NaN: all ranks raise the same."""
    bad = one.rhs[:, None].copy()
    bad[0, 0] = np.nan if comm.rank == comm.size - 1 else 1.0
    return _raised(lambda: solver.solve(bad))


def _unused(one) -> str:
    solver = PetscSolver(one.layout, symmetric=True, options={"pc_gamg_treshold": 0.1})
    return _raised(lambda: solver.setup(one.local))


def _raised(action) -> str:
    try:
        action()
    except RomflowError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


if __name__ == "__main__":
    main()
