"""Peer of large.py: PETSc's preconditioned CG on a stored system. Runs by itself, with a Python that has petsc4py.

    python3 large_petsc_peer.py FOLDER NAME...          GAMG, BoomerAMG, ICC on FOLDER/matrix.npz, one rank
    mpiexec -n S python3 large_petsc_peer.py FOLDER bddc  BDDC on FOLDER/subdomain-0000.npz ..., one subdomain a rank

Prints one JSON line a method: iterations, whether it converged, relative residual ||b - A x|| / ||b||, seconds of
processor time of set-up and of the iterations (summed over ranks). It needs NumPy and petsc4py, and nothing of romflow.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import petsc4py

petsc4py.init(["peer"])
from petsc4py import PETSc  # noqa: E402

METHODS = {
    "gamg": {"pc_type": "gamg"},
    "gamg-0": {"pc_type": "gamg", "pc_gamg_threshold": 0.0},
    "gamg-02": {"pc_type": "gamg", "pc_gamg_threshold": 0.02},
    "boomeramg": {"pc_type": "hypre", "pc_hypre_type": "boomeramg"},
    "icc": {"pc_type": "icc"},
    "bddc": {"pc_type": "bddc"},
}
MAX_ITERATIONS = 3000


def main():
    """Run the methods that are named."""
    folder = Path(sys.argv[1])
    goal = json.loads((folder / "goal.json").read_text())
    for name in sys.argv[2:]:
        facts = measured(folder, name, goal)
        if PETSc.COMM_WORLD.rank == 0:
            print(json.dumps({"method": name, **facts}), flush=True)


def measured(folder, name, goal):
    """Facts of one method; an error of PETSc is one of them."""
    if METHODS[name]["pc_type"] == "hypre" and not PETSc.Sys.hasExternalPackage("hypre"):
        return {"missing": "this PETSc was built without hypre"}
    try:
        A, b = parted(folder) if name == "bddc" else whole(folder)
        return solved(A, b, METHODS[name], goal)
    except PETSc.Error as error:
        return {"error": f"PETSc error {error.ierr}"}


def whole(folder):
    """The matrix and its right-hand side on one rank, with the near-null-space and the block size."""
    with np.load(folder / "matrix.npz") as data:
        n = len(data["rhs"])
        A = PETSc.Mat().createAIJ((n, n), bsize=int(data["components"]),
                                  csr=(data["indptr"], data["indices"], data["data"]), comm=PETSc.COMM_SELF)
        b = PETSc.Vec().createWithArray(data["rhs"].copy(), bsize=int(data["components"]), comm=PETSc.COMM_SELF)
        attach(A, data["near_nullspace"])
    return A, b


def parted(folder):
    """A MATIS of one subdomain a rank: what is assembled over a rank's own cells, with its dofs' global numbers."""
    comm = PETSc.COMM_WORLD
    with np.load(folder / f"subdomain-{comm.rank:04d}.npz") as data:
        n, dofs, width = int(data["n"]), data["dofs"].astype(PETSc.IntType), int(data["components"])
        A = PETSc.Mat().create(comm)
        A.setSizes((n, n), bsize=width)
        A.setType(PETSc.Mat.Type.IS)
        numbering = PETSc.LGMap().create(dofs[::width] // width, bsize=width, comm=comm)
        A.setLGMap(numbering, numbering)
        local = PETSc.Mat().createAIJ((len(dofs),) * 2, bsize=width, comm=PETSc.COMM_SELF,
                                      csr=(data["indptr"], data["indices"], data["data"]))
        A.setISLocalMat(local)
        A.assemble()
        b = A.createVecLeft()
        b.setValues(dofs, data["rhs"], addv=PETSc.InsertMode.ADD)
        b.assemble()
        start, stop = b.getOwnershipRange()
        attach(A, data["near_nullspace"][start:stop])
    return A, b


def attach(A, modes):
    """Rigid-body modes (rows of this rank) as the near-null-space of A; none where there are no columns."""
    if modes.shape[1] == 0:
        return
    vectors = []
    for column in modes.T:
        vector = A.createVecLeft()
        vector.setArray(column)
        for earlier in vectors:
            vector.axpy(-vector.dot(earlier), earlier)
        vector.normalize()
        vectors.append(vector)
    A.setNearNullSpace(PETSc.NullSpace().create(vectors=vectors, comm=A.comm))


def solved(A, b, options, goal):
    """Set up, solve from zero, and look at the residual."""
    database = PETSc.Options()
    for key, value in options.items():
        database[key] = value
    ksp = PETSc.KSP().create(A.comm)
    ksp.setOperators(A)
    ksp.setType("cg")
    ksp.setNormType(getattr(PETSc.KSP.NormType, goal["norm"].upper()))
    ksp.setTolerances(rtol=goal["tolerance"], max_it=MAX_ITERATIONS)
    ksp.setFromOptions()
    for key in options:
        database.delValue(key)
    x = b.duplicate()
    started = time.process_time()
    ksp.setUp()
    middle = time.process_time()
    ksp.solve(b, x)
    ended = time.process_time()
    residual = b.duplicate()
    A.mult(x, residual)
    residual.aypx(-1.0, b)
    return {"iterations": ksp.its, "converged": ksp.reason > 0, "reason": int(ksp.reason),
            "relative_residual": residual.norm() / b.norm(),
            "setup_seconds": over_ranks(middle - started, A.comm), "solve_seconds": over_ranks(ended - middle, A.comm),
            "petsc": ".".join(map(str, PETSc.Sys.getVersion()))}


def over_ranks(value, comm):
    """The sum of each rank's value, without mpi4py."""
    vector = PETSc.Vec().createMPI((1, comm.size), comm=comm)
    vector.set(value)
    return vector.sum()


if __name__ == "__main__":
    main()
