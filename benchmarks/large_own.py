"""romflow's two-level Schwarz method on a LargeProblem: set-up, solve, and what they took, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from large_problems import LargeProblem

from romflow.dd.communicator import Single
from romflow.dd.decomposition import decompose
from romflow.dd.layout import Layout, assemble
from romflow.dd.solver import SchwarzSolver


@dataclass(frozen=True)
class Split:
    """A problem cut into subdomains, all of them in this process, assembled in that numbering.

    `elements` (E, w, w) are the matrices of the cells of the layout.
    """

    problem: LargeProblem
    layout: Layout
    elements: np.ndarray
    A: sp.csr_array
    b: np.ndarray

    def neumann(self, i: int) -> sp.csr_array:
        """Matrix of the overlapped cells of subdomain i alone, on its unknowns."""
        one = self.layout.subdomains[i]
        place = np.full(self.layout.local + 1, -1, dtype=np.int32)
        place[one.dofs] = np.arange(one.dofs.size)
        return assemble(place[self.layout.cell_dofs[one.cells]], self.elements[one.cells], one.dofs.size)


def split(problem: LargeProblem, subdomains: int, overlap: int = 1) -> Split:
    """Cut a problem into so many subdomains (METIS) and assemble it: not timed, as it is not for the peers."""
    cut = decompose(problem.cell_dofs, problem.cells, problem.centroids, parts=1, subdomains=subdomains,
                    overlap=overlap)
    return assembled_on(problem, Layout(Single(), [cut.part(0)]))


def assembled_on(problem: LargeProblem, layout: Layout) -> Split:
    """A problem on a layout of all of its cells."""
    elements = problem.element_matrices(layout.cells)
    A = assemble(layout.cell_dofs, elements, layout.local)
    return Split(problem, layout, elements, A, problem.rhs()[layout.natural])


def solved(cut: Split, tolerance: float = 1e-8, **options: Any) -> dict[str, Any]:
    """Iterations, coarse size and processor seconds of set-up and solve; the residual is computed anew.

    The set-up holds the weights, the local factors, the subdomains' Neumann matrices, the eigenproblems and the coarse
    operator.
    """
    modes = cut.problem.near_nullspace
    started = time.process_time()
    solver = SchwarzSolver(cut.layout, symmetric=True, definite=True, tolerance=tolerance,
                           near_nullspace=None if modes is None else modes[cut.layout.natural], **options)
    solver.setup(cut.A, cut.neumann)
    middle = time.process_time()
    x = solver.solve(cut.b[:, None])[:, 0]
    ended = time.process_time()
    residual = float(np.linalg.norm(cut.b - cut.A @ x) / np.linalg.norm(cut.b))
    return {"iterations": int(np.max(solver.report["iterations"])), "coarse_size": solver.report["coarse_size"],
            "setup_seconds": middle - started, "solve_seconds": ended - middle, "seconds": ended - started,
            "relative_residual": residual}
