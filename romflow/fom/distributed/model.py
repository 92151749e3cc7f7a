"""A mesh model in parts: its coefficients and names are at hand, its matrices only part by part."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import StoreError
from romflow.core.mesh import Mesh
from romflow.core.snapshot import Snapshot
from romflow.core.work_sections import SolverConfig
from romflow.dd.choice import check
from romflow.dd.communicator import Single
from romflow.dd.decomposition import Decomposition, default_counts
from romflow.dd.layout import parts_of_rank
from romflow.fom.cell_model import picture_mesh
from romflow.fom.cells import CellProblem
from romflow.fom.distributed.folder import (
    DecompositionIndex,
    decomposed,
    pieces,
    read_index,
    read_numbering,
    read_piece,
    write_decomposition,
)
from romflow.fom.distributed.part import PartOperators
from romflow.fom.distributed.rank import RankModel
from romflow.fom.distributed.terms import part_operators
from romflow.store.snapshots import SnapshotStore


class DistributedModel:
    """A(mu) u = f(mu) on a mesh that is split into parts; MPI ranks solve it, each with some of the parts.

    Unknowns are numbered by parts: part i owns the entries starts[i] .. starts[i + 1] - 1 of a state. Parts and numbers
    do not depend on the number of ranks, and nothing here holds a matrix of the whole.

    Parameters
    ----------
    problem : CellProblem
    ranks : int
        MPI ranks of a solve; no part of `spec`.
    solver : mapping, optional
        The keys of [solver].

    Attributes
    ----------
    problem : CellProblem
    parameters : ParameterSpace
    spec : dict
        JSON identity: that of the problem, how it is split, and the tolerance of the solver.
    operator_theta, rhs_theta, output_theta : Theta
        Q, Qf and Ql coefficients.
    output_names : tuple of o str
    product_weights : (Q,) array
        X = sum_q w_q A_q.
    symmetric : bool
    norm : str
    stability : dict or None
    files : tuple of Path

    Examples
    --------
    >>> from romflow.fom.gallery.thermal_block import ThermalBlock
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    >>> model = DistributedModel(ThermalBlock.cell_problem(space, [2, 2], 8), ranks=2, solver={"parts": 3})
    >>> model.n, model.parts, model.spec["kind"]
    (49, 3, 'thermal-block')
    """

    def __init__(self, problem: CellProblem, ranks: int, solver: Mapping[str, Any] | None = None) -> None:
        self.problem, self.ranks = problem, ranks
        self.options = {**SolverConfig(method="auto").wishes(), **(solver or {})}
        check(self.options["method"], self.options["petsc"])
        self.parameters = problem.parameters
        self.operator_theta, self.rhs_theta = problem.theta, problem.rhs_theta
        self.output_theta, self.output_names = problem.output_theta, problem.output_names
        self.product_weights = np.array(problem.product, dtype=np.float64)
        self.symmetric, self.norm, self.stability = problem.symmetric, problem.norm, problem.stability
        self.files = problem.files
        split = {name: self.options[name] for name in ("parts", "subdomains", "partition")}
        self.spec = {**problem.spec, "split": split, "solver": {"tolerance": self.options["tolerance"]}}
        self._folder: Path | None = None

    @functools.cached_property
    def n(self) -> int:
        """Length of a state."""
        return self._index.n if self._index is not None else self.problem.n

    @functools.cached_property
    def parts(self) -> int:
        """Number of parts."""
        if self._index is not None:
            return self._index.parts
        return default_counts(self.problem.n, len(self.problem.mesh.cells), self.options["parts"],
                              self.options["subdomains"])[0]

    @functools.cached_property
    def mesh(self) -> Mesh:
        """The whole mesh, for pictures of states."""
        natural = self._whole.natural if self._folder is None else read_numbering(self._folder)
        return picture_mesh(self.problem.mesh, self.problem.nodal[natural], self.problem.components)

    def decompose(self, folder: str | Path) -> DecompositionIndex:
        """Write the decomposition into ``folder/decomposition``, once; another call finds it there.

        Only here the whole mesh is in memory. The folder is that of the snapshots.

        Raises
        ------
        StoreError
            Another decomposition is there, or belongs to the snapshots there; the disk is full or refuses.
        InputError
            More ranks than parts.
        """
        if self.options["parts"] is not None:
            parts_of_rank(self.options["parts"], self.ranks, 0)
        index = write_decomposition(self.problem, self.options, folder)
        parts_of_rank(index.parts, self.ranks, 0)
        if Path(folder, "store.json").is_file():
            known = SnapshotStore.open(folder).first_fact("decomposition")
            if known is not None and known != index.fingerprint:
                raise StoreError(f"{folder} holds snapshots of another decomposition of this mesh, made by another "
                                 "release of the partitioner perhaps; choose another --out folder.")
        self._folder = Path(folder)
        return index

    def index(self, folder: str | Path) -> DecompositionIndex:
        """The index of the decomposition in a folder.

        Raises
        ------
        StoreError
            There is none, or it is another one.
        """
        found = read_index(self.problem, self.options, folder)
        self._folder = Path(folder)
        return found

    def part_operators(self, folder: str | Path, i: int) -> PartOperators:
        """Operators of part i from its own cells, made from its file alone.

        Cost: one pass over the cells of the part for each form.
        """
        return part_operators(self.problem, read_piece(folder, i))

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Solution and outputs at mu (p,), in this process alone: all parts at once, without MPI.

        For runs there is the job of `romflow.fom.distributed.job`, which stores what each rank has.

        Raises
        ------
        ParameterError, SolveFailed
            mu is outside the space; the solver does not converge.
        """
        u, outputs, facts = self._alone.solve(mu)
        return Snapshot(u, outputs, facts)

    @functools.cached_property
    def _alone(self) -> RankModel:
        if self._folder is not None:
            index = read_index(self.problem, self.options, self._folder)
            return RankModel.from_folder(Single(), self.problem, self.options, index, self._folder)
        whole = self._whole
        made = list(pieces(self.problem, whole))
        index = DecompositionIndex(whole.fingerprint, whole.n, whole.subdomains, whole.starts,
                                   np.array([piece.data.closure for piece in made]), int(whole.disconnected.size))
        return RankModel(Single(), self.problem, self.options, index, made.__getitem__)

    @functools.cached_property
    def _whole(self) -> Decomposition:
        return decomposed(self.problem, self.options)

    @property
    def _index(self) -> DecompositionIndex | None:
        return None if self._folder is None else read_index(self.problem, self.options, self._folder)
