"""One rank of a split model: its parts, their systems, and what it solves together with the other ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.dd.communicator import agreed, gathered
from romflow.dd.layout import Layout, parts_of_rank
from romflow.fom.cells import CellProblem
from romflow.fom.distributed.certified import certified_solve
from romflow.fom.distributed.choice import make_solver
from romflow.fom.distributed.folder import DecompositionIndex, PartPiece, read_piece
from romflow.fom.distributed.terms import RankTerms


class RankModel:
    """The parts of one rank, assembled; every method is called on all ranks together.

    Parameters
    ----------
    comm : communicator
    problem : CellProblem
        Its mesh is not touched.
    options : mapping
        The keys of [solver].
    index : DecompositionIndex
    take : callable
        Part -> `PartPiece`; called for the parts of this rank alone.

    Attributes
    ----------
    layout : Layout
    pieces : list of PartPiece

    Raises
    ------
    InputError
        More ranks than parts.
    StoreError
        A part's file is missing or damaged, on any rank.
    """

    def __init__(self, comm: Any, problem: CellProblem, options: Mapping[str, Any], index: DecompositionIndex,
                 take: Callable[[int], PartPiece]) -> None:
        self.comm, self.problem, self.index, self._options = comm, problem, index, dict(options)
        with agreed(comm, "reading its parts"):
            self.pieces = [take(i) for i in parts_of_rank(index.parts, comm.size, comm.rank)]
        self.layout = Layout(comm, [piece.data for piece in self.pieces])
        with agreed(comm, "assembling its parts"):
            self._terms = RankTerms(problem, self.pieces, self.layout)
            self._rhs = np.concatenate([piece.rhs for piece in self.pieces])
        self._solver: Any = None
        self._why = ""

    @classmethod
    def from_folder(cls, comm: Any, problem: CellProblem, options: Mapping[str, Any], index: DecompositionIndex,
                    folder: str | Path) -> RankModel:
        """The rank whose parts are read from the files in ``folder/decomposition``."""
        return cls(comm, problem, options, index, lambda i: read_piece(folder, i))

    def solve(self, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Solve at mu (p,).

        Returns
        -------
        (local,) array
            The state on the owned unknowns of the rank and its ghosts.
        (o,) array
            Outputs, the same bits on every rank.
        dict
            "relative_residual" and "solver".

        Raises
        ------
        ParameterError, SolveFailed
            On every rank: mu is outside the space; the solver does not converge.
        """
        with agreed(self.comm, "assembling a system"):
            row = self.problem.parameters.validate(mu)
            theta = self.problem.theta(row)[0]
            A, b = self._terms.matrix(theta), self._rhs @ self.problem.rhs_theta(row)[0]
        try:
            self._prepare(A, theta)
            u = self._solver.solve(b[:, None])[:, 0]
        except SolveFailed as error:
            self._forget()
            loose = "; ".join(self.index.floating)
            reason = f" (nothing is fixed in a piece of {loose}, so its values are not determined)" if loose else ""
            raise SolveFailed(f"no solution for mu = {row[0].tolist()}{reason}: {error}",
                              {**error.report, "mu": row[0].tolist()}) from error
        report = dict(self._solver.report)
        facts = {"with": report.get("method"), "choice": self._why, **report,
                 "iterations": int(np.max(report["iterations"]))}
        local = self.layout.exchange.forward(u[:, None])[:, 0]
        return local, self._outputs(row, u), {"relative_residual": float(np.max(report["relative_residual"])),
                                              "solver": facts}

    def riesz(self, columns: Callable[[PartPiece], np.ndarray], tolerance: float) -> tuple[np.ndarray, dict[str, Any]]:
        """X^{-1} C for functionals C = sum_i R_i^T C_i that are given part by part.

        Parameters
        ----------
        columns : callable
            Part -> C_i (n_c, j) on its closure.
        tolerance : float
            Relative residual of each column.

        Returns
        -------
        (local, j) array
            The representatives on the owned unknowns of the rank and its ghosts.
        dict
            Report of :func:`romflow.fom.distributed.certified.certified_solve`, with "eps" of each column.
        """
        with agreed(self.comm, "adding its functionals"):
            C = self._added(columns)
            product = np.array(self.problem.product)
            X = self._terms.matrix(product)
        C = self.layout.exchange.add(C)[:self.layout.owned]
        self._forget()
        self._solver, _ = make_solver(self.layout, self.problem, {**self._options, "tolerance": tolerance},
                                      self._modes(), symmetric=True)
        self._solver.setup(X, self._terms.neumann(product))
        Z, report = certified_solve(self.layout, X, self._solver, C, tolerance)
        self._forget()
        return self.layout.exchange.forward(Z), report

    def closures(self, local: np.ndarray) -> dict[int, np.ndarray]:
        """Part -> values (n_c, ...) on its closure, of a local vector or block (local, ...)."""
        return {piece.data.number: local[self.layout.places(piece.data.dofs[:piece.data.closure])]
                for piece in self.pieces}

    def _added(self, columns: Callable[[PartPiece], np.ndarray]) -> np.ndarray:
        total: np.ndarray | None = None
        for piece in self.pieces:
            C = columns(piece)
            total = np.zeros((self.layout.local, C.shape[1])) if total is None else total
            total[self.layout.places(piece.data.dofs[:piece.data.closure])] += C
        return np.zeros((self.layout.local, 0)) if total is None else total

    def _prepare(self, A: Any, coefficients: np.ndarray) -> None:
        neumann = self._terms.neumann(coefficients)
        if self._solver is None:
            self._solver, self._why = make_solver(self.layout, self.problem, self._options, self._modes())
            self._solver.setup(A, neumann)
        else:
            self._solver.update(A, neumann)

    def _forget(self) -> None:
        if hasattr(self._solver, "destroy"):
            self._solver.destroy()
        self._solver = None

    def _modes(self) -> np.ndarray | None:
        """Near-nullspace (local, j) of the operator on the rank's unknowns."""
        if self.problem.modes is None:
            return None
        found: np.ndarray | None = None
        for piece in self.pieces:
            modes = self.problem.modes(piece.mesh.points)[piece.nodal]
            found = np.zeros((self.layout.local, modes.shape[1])) if found is None else found
            found[self.layout.places(piece.data.dofs)] = modes
        return found

    def _outputs(self, row: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Outputs (o,): the parts' shares, added in the order of the parts."""
        theta = self.problem.output_theta(row)[0]
        mine = np.stack([np.einsum("q,qon,n->o", theta, piece.outputs, u[part])
                         for piece, part in zip(self.pieces, self.layout.part_slices, strict=True)])
        return np.asarray(np.sum(np.concatenate(gathered(self.comm, mine)), axis=0))
