"""One rank's part of a body: a problem of mechanics of its own cells, and how its numbers belong to the whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from romflow.dd.communicator import agreed, collected, gathered, spread
from romflow.dd.decomposition import Decomposition, decompose
from romflow.dd.layout import Layout, parts_of_rank
from romflow.fom.mechanics.loads import Loads
from romflow.fom.mechanics.problem import MechanicsProblem
from romflow.fom.mechanics.space import StrainSpace
from romflow.fom.mechanics.supports import Supports, rigid_motions

__all__ = ["RankBody", "RankSums", "counts"]

_FEWEST, _PARTS, _PART_DOFS, _LARGEST, _SUBDOMAIN_DOFS = 4, 16, 7500, 150_000, 15_000


class RankBody:
    """The cells of a rank's parts with the layers around them, as a problem of their own.

    The law is integrated on the layers too, so that forces and stiffness are exact at all dofs of the rank's own cells
    and no stress travels. Parts and subdomains are those of `romflow.dd.decomposition`, cut on rank 0: they do not
    depend on the number of ranks.

    Parameters
    ----------
    comm : communicator
    whole : MechanicsProblem
        The same on every rank; its strain rows are not made, and it is not kept.
    options : mapping
        The keys of [solver].

    Attributes
    ----------
    problem : MechanicsProblem
        Of the local cells, nodes and dofs; it has no outputs.
    layout : Layout
        Of the free dofs.
    order : (f,) int
        Local free dof of each place in the layout's local vector.
    motions : (f, 3 or 6)
        Rigid motions in the layout's order.
    sums : RankSums
    n, G : int
        Dofs and Gauss points of the whole body.
    dofs, points : (n_l,) and (G_l,) int
        Their numbers in the whole body.
    own_dofs : (k,) int
        Places in `dofs` of those that belong to this rank and no other.

    Raises
    ------
    InputError
        More ranks than parts, or more subdomains than cells.
    """

    def __init__(self, comm: Any, whole: MechanicsProblem, options: Mapping[str, Any]) -> None:
        self.comm = comm
        space, free = whole.space, np.asarray(whole.supports.free, dtype=bool)
        self.n, self.G = whole.n, space.G
        number = np.where(free, np.cumsum(free) - 1, -1)
        split = _decomposed(comm, number[space.dofs], space, options)
        with agreed(comm, "cutting its parts out of the mesh"):
            mine = [split.part(i) for i in parts_of_rank(split.parts, comm.size, comm.rank)]
        self.layout = Layout(comm, mine)
        part_of_cell = split.cell_subdomain // (split.subdomains // split.parts)
        part_of_node = np.full(len(space.nodes), split.parts)
        np.minimum.at(part_of_node, space.cells, part_of_cell[:, None])
        with agreed(comm, "making its part of the problem"):
            self._restrict(whole, number)
            self.sums = RankSums(self, part_of_node[self._nodes], part_of_cell[self.layout.cells])
        self._everyone()

    def _restrict(self, whole: MechanicsProblem, number: np.ndarray) -> None:
        """The problem on the layout's cells."""
        space, cells, q = whole.space, self.layout.cells, whole.space.element.q
        self._nodes, places = np.unique(space.cells[cells], return_inverse=True)
        self.dofs = (self._nodes[:, None] * space.d + np.arange(space.d)).ravel()
        self.points = (q * cells[:, None] + np.arange(q)).ravel()
        supports = whole.supports
        held = np.flatnonzero(number[self.dofs] < 0)
        self.problem = replace(
            whole, space=StrainSpace(space.nodes[self._nodes], places.reshape(len(cells), -1), space.element.name),
            temperature=whole.temperature.restrict(self._nodes),
            supports=Supports(held, supports.modes[self.dofs], supports.theta),
            loads=Loads(whole.loads.forces[self.dofs], whole.loads.theta, whole.loads.names), outputs=())
        known = number[self.dofs][number[self.dofs] >= 0]
        self.order = np.searchsorted(known, self.layout.natural)
        kept = np.flatnonzero(number >= 0)[self.layout.natural]
        self.motions = np.ascontiguousarray(rigid_motions(space.nodes)[0][kept])

    def _everyone(self) -> None:
        """Which numbers of the whole each rank has; on rank 0."""
        self.own_dofs = np.concatenate(self.sums.own_dofs)
        self._own_points = np.concatenate(self.sums.own_points)
        self._all_dofs = collected(self.comm, self.dofs[self.own_dofs])
        self._all_points = collected(self.comm, self.points[self._own_points])

    def gather(self, values: np.ndarray) -> np.ndarray | None:
        """The values (n,) of all dofs on rank 0, from those of each rank (n_l,); collective."""
        pieces = collected(self.comm, values[self.own_dofs])
        if pieces is None or self._all_dofs is None:
            return None
        found = np.zeros(self.n)
        found[np.concatenate(self._all_dofs)] = np.concatenate(pieces)
        return found

    def gather_points(self, field: np.ndarray) -> np.ndarray | None:
        """The field (c, G) of all points on rank 0, from that of each rank (c, G_l); collective."""
        pieces = collected(self.comm, np.ascontiguousarray(field[:, self._own_points].T))
        if pieces is None or self._all_points is None:
            return None
        found = np.zeros((len(field), self.G), dtype=field.dtype)
        for numbers, values in zip(self._all_points, pieces, strict=True):
            found[:, numbers] = values.T
        return found


class RankSums:
    """`romflow.fom.mechanics.sums.Sums` over all ranks: part by part, in the order of the parts.

    Parameters
    ----------
    body : RankBody
    part_of_node, part_of_cell : (N_l,) and (C_l,) int
    """

    def __init__(self, body: RankBody, part_of_node: np.ndarray, part_of_cell: np.ndarray) -> None:
        self._comm, self._layout, self._count = body.comm, body.layout, len(part_of_node)
        q, d = body.problem.space.element.q, body.problem.space.d
        self._free = [body.order[part] for part in body.layout.part_slices]
        self._nodes = [np.flatnonzero(part_of_node == i) for i in body.layout.parts]
        self.own_dofs = [(nodes[:, None] * d + np.arange(d)).ravel() for nodes in self._nodes]
        cells = [np.flatnonzero(part_of_cell == i) for i in body.layout.parts]
        self.own_points = [(q * own[:, None] + np.arange(q)).ravel() for own in cells]

    def free(self, r: np.ndarray) -> float:
        """See `Sums`."""
        return float(np.sqrt(self._layout.sums(np.array([r[own] @ r[own] for own in self._free]))))

    def dot(self, x: np.ndarray, y: np.ndarray) -> float:
        """See `Sums`."""
        own = self._nodes if x.size == self._count else self.own_dofs
        return float(self._layout.sums(np.array([x[some] @ y[some] for some in own])))

    def points(self, values: np.ndarray) -> float:
        """See `Sums`."""
        return float(self._layout.sums(np.array([float(np.sum(values[own])) for own in self.own_points])))

    def largest(self, values: np.ndarray) -> float:
        """The largest of values (G,) at the Gauss points."""
        mine = [float(values[own].max(initial=-np.inf)) for own in self.own_points]
        return float(np.max(np.concatenate(gathered(self._comm, np.array(mine)))))

    def together(self, doing: str) -> AbstractContextManager[None]:
        """See `Sums`."""
        return agreed(self._comm, doing)


def counts(n: int, cells: int, parts: int | None = None, subdomains: int | None = None) -> tuple[int, int]:
    """Parts and subdomains of a body with n free dofs, which do not depend on the number of ranks.

    One part to 7,500 dofs, but 4 at least and 16 at most (more beyond 2.4 million), and subdomains of about 15,000:
    their factors serve many solves, and overlaps of quadratic cells are costly.

    Examples
    --------
    >>> counts(24_000, 5_000), counts(500_000, 100_000), counts(500_000, 100_000, parts=2)
    ((4, 4), (16, 32), (2, 34))
    """
    if parts is None:
        parts = max(min(_PARTS, max(_FEWEST, n // _PART_DOFS)), -(-n // _LARGEST))
        parts = min(parts, cells, parts if subdomains is None else subdomains)
    if subdomains is None:
        subdomains = parts * max(1, min(round(n / (_SUBDOMAIN_DOFS * parts)), cells // parts))
    return parts, subdomains


def _decomposed(comm: Any, cell_dofs: np.ndarray, space: StrainSpace, options: Mapping[str, Any]) -> Decomposition:
    """The decomposition of the free dofs, cut by rank 0 and the same on all."""
    corners = np.ascontiguousarray(space.cells[:, :space.element.corners])
    found: Decomposition | None = None
    with agreed(comm, "decomposing the mesh"):
        if comm.rank == 0:
            parts, subdomains = counts(int(cell_dofs.max()) + 1, len(corners), options["parts"], options["subdomains"])
            found = decompose(cell_dofs, corners, space.nodes[corners].mean(axis=1), parts=parts,
                              subdomains=subdomains, overlap=options["overlap"], method=options["partition"])
    told = spread(comm, None if found is None else {
        "labels": found.cell_subdomain, "counts": np.array([found.parts, found.subdomains, found.overlap])})
    parts, subdomains, overlap = (int(count) for count in told["counts"])
    return Decomposition(cell_dofs, corners, told["labels"], parts, subdomains, overlap)
