"""Two levels of parts of a mesh, the numbering of its unknowns by parts, and what one part has to know."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.dd.partition import cell_graph, pieces, split

__all__ = ["Decomposition", "PartData", "SubdomainData", "decompose", "default_counts"]

_PARTS, _PART_DOFS, _SUBDOMAIN_DOFS = 16, 150_000, 2500


def default_counts(n: int, cells: int, parts: int | None = None, subdomains: int | None = None) -> tuple[int, int]:
    """Parts and subdomains: 16 parts (more beyond 2.4 million unknowns), subdomains of about 2,500 unknowns.

    Every part has as many subdomains as the others, so the number of subdomains asked for is rounded up to that.

    Parameters
    ----------
    n, cells : int
        Unknowns and cells of the mesh.
    parts, subdomains : int, optional
        What the user asks for; subdomains alone may lower the default number of parts.

    Raises
    ------
    InputError
        Less than one of either.

    Examples
    --------
    >>> default_counts(115_248, 663_552)
    (16, 48)
    >>> default_counts(115_248, 663_552, subdomains=4)
    (4, 4)
    """
    if min(1 if parts is None else parts, 1 if subdomains is None else subdomains) < 1:
        raise InputError(f"[solver] parts = {parts}, subdomains = {subdomains}; the rule is at least 1 of each")
    if parts is None:
        parts = max(_PARTS, -(-n // _PART_DOFS))
        parts = max(1, min(parts, cells, parts if subdomains is None else subdomains))
    wanted = subdomains if subdomains is not None else max(parts, round(n / _SUBDOMAIN_DOFS))
    return parts, parts * max(1, -(-wanted // parts)) if subdomains is not None else parts * max(
        1, min(round(wanted / parts), max(cells // parts, 1)))


@dataclass(frozen=True)
class SubdomainData:
    """One subdomain of a part; cells and dofs are places in `PartData.cells` and `PartData.dofs`.

    Attributes
    ----------
    number : int
        Among all subdomains of the mesh.
    own_cells : (e,) int
        Cells of the subdomain itself.
    cells : (f,) int
        With `overlap` more layers of cells, by rising number of the cell.
    dofs : (m,) int
        All unknowns of `cells`, by rising global number.
    owned : (m,) bool
        Those of `dofs` that belong to this subdomain.
    """

    number: int
    own_cells: np.ndarray
    cells: np.ndarray
    dofs: np.ndarray
    owned: np.ndarray


@dataclass(frozen=True)
class PartData:
    """What one part of a decomposed mesh has to know; NumPy arrays only, the same for every number of ranks.

    Attributes
    ----------
    number : int
        Of the part.
    starts : (P + 1,) int64
        Part i owns the unknowns starts[i] .. starts[i + 1] - 1 of the global numbering.
    subdomain_starts : (P + 1,) int64
        Part i has the subdomains subdomain_starts[i] .. subdomain_starts[i + 1] - 1.
    overlap : int
    cells : (E_i,) int64
        Numbers of cells in the mesh: first the part's own, then the layer around it, both rising. The layer reaches
        one cell beyond the overlapped subdomains, so that an assembly over all of `cells` has exact rows there.
    own_cells : int
        How many of `cells` are the part's own.
    cell_dofs : (E_i, w) int32
        Places in `dofs`; -1 where the value is fixed.
    dofs : (n_i,) int64
        Global numbers: the owned unknowns, then the other unknowns of the part's own cells (rising), then those that
        only the layer touches (rising).
    closure : int
        How many of `dofs` the part's own cells touch: the owned ones and the first ghosts.
    natural : (n_i,) int64
        The numbers that these unknowns have in the mesh (those of the `cell_dofs` given to `decompose`).
    sub_own_cells, sub_cells, sub_dofs : (.,) int32
        The arrays of all subdomains of the part one after the other (see `SubdomainData`).
    sub_own_cells_starts, sub_cells_starts, sub_dofs_starts : (s + 1,) int64
    sub_owned : (.,) bool
        Beside `sub_dofs`.
    """

    number: int
    starts: np.ndarray
    subdomain_starts: np.ndarray
    overlap: int
    cells: np.ndarray
    own_cells: int
    cell_dofs: np.ndarray
    dofs: np.ndarray
    closure: int
    natural: np.ndarray
    sub_own_cells: np.ndarray
    sub_own_cells_starts: np.ndarray
    sub_cells: np.ndarray
    sub_cells_starts: np.ndarray
    sub_dofs: np.ndarray
    sub_dofs_starts: np.ndarray
    sub_owned: np.ndarray

    @property
    def start(self) -> int:
        """Global number of the first owned unknown."""
        return int(self.starts[self.number])

    @property
    def owned(self) -> int:
        """Number of owned unknowns."""
        return int(self.starts[self.number + 1] - self.starts[self.number])

    @property
    def own_cell_dofs(self) -> np.ndarray:
        """Places in the closure of the unknowns of the part's own cells, (own_cells, w); -1 where fixed."""
        return self.cell_dofs[:self.own_cells]

    @property
    def subdomains(self) -> int:
        """How many subdomains the part has."""
        return self.sub_dofs_starts.size - 1

    def subdomain(self, k: int) -> SubdomainData:
        """The k-th subdomain of the part."""
        own = slice(*self.sub_own_cells_starts[k:k + 2])
        cells, dofs = slice(*self.sub_cells_starts[k:k + 2]), slice(*self.sub_dofs_starts[k:k + 2])
        return SubdomainData(int(self.subdomain_starts[self.number]) + k, self.sub_own_cells[own],
                             self.sub_cells[cells], self.sub_dofs[dofs], self.sub_owned[dofs])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Every field by its name, as an array; `from_arrays` is the inverse."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> PartData:
        """The part whose `to_arrays` these are."""
        whole = ("number", "overlap", "own_cells", "closure")
        return cls(**{field.name: int(arrays[field.name]) if field.name in whole else np.asarray(arrays[field.name])
                      for field in fields(cls)})


class Decomposition:
    """A mesh in parts and subdomains, and the numbering of its unknowns by parts; made by `decompose`.

    Attributes
    ----------
    n, parts, subdomains, overlap : int
    starts, subdomain_starts : (P + 1,) int64
        See `PartData`.
    number : (n,) int64
        Global number of the mesh's unknown i.
    natural : (n,) int64
        The inverse: natural[number[i]] = i.
    cell_subdomain : (E,) int64
    """

    def __init__(self, cell_dofs: np.ndarray, cells: np.ndarray, cell_subdomain: np.ndarray, parts: int,
                 subdomains: int, overlap: int, graph: sp.csr_array | None = None) -> None:
        self.parts, self.subdomains, self.overlap = parts, subdomains, overlap
        self.cell_subdomain = cell_subdomain
        self._dofs, self._cells, self._graph = cell_dofs, cells, graph
        self.n = int(cell_dofs.max(initial=-1)) + 1
        each = subdomains // parts
        self._part_of_cell = cell_subdomain // each
        self.subdomain_starts = each * np.arange(parts + 1, dtype=np.int64)
        self._owner = _owners(cell_dofs, cell_subdomain, self.n, subdomains)
        self.natural = np.argsort(self._owner, kind="stable")
        self.number = np.empty(self.n, dtype=np.int64)
        self.number[self.natural] = np.arange(self.n)
        self._owner = self._owner[self.natural]
        self.starts = np.searchsorted(self._owner, self.subdomain_starts).astype(np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the numbering and of the subdomains: two decompositions with one fingerprint are equal."""
        digest = hashlib.sha256(f"{self.n} {self.parts} {self.subdomains} {self.overlap}".encode())
        digest.update(np.ascontiguousarray(self.number, dtype="<i8").tobytes())
        digest.update(np.ascontiguousarray(self.cell_subdomain, dtype="<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def disconnected(self) -> np.ndarray:
        """Numbers of the subdomains that consist of several pieces: allowed, but they need more coarse vectors."""
        if self._graph is None:
            self._graph = cell_graph(self._cells, 1)
        return np.flatnonzero(pieces(self._graph, self.cell_subdomain) > 1)

    def part(self, i: int) -> PartData:
        """The data of part i. Cost: sorts of what the part has, and one pass over flags of the whole mesh."""
        if not 0 <= i < self.parts:
            raise InputError(f"there is no part {i}; the rule is 0 <= part < {self.parts}")
        own = np.flatnonzero(self._part_of_cell == i)
        region = own
        for _ in range(self.overlap + 1):
            region = self._with_neighbours(region)
        numbers = np.concatenate([own, region[self._part_of_cell[region] != i]])
        dofs, closure, cell_dofs = self._unknowns(numbers, own.size, i)
        arrays = self._overlapped(numbers, cell_dofs, dofs, i)
        return PartData(i, self.starts, self.subdomain_starts, self.overlap, numbers, own.size, cell_dofs, dofs,
                        closure, self.natural[dofs], **arrays)

    @cached_property
    def _cells_of_vertices(self) -> sp.csr_array:
        count, width = self._cells.shape
        incidence = sp.csr_array((np.ones(self._cells.size, dtype=np.int8), self._cells.reshape(-1),
                                  np.arange(0, self._cells.size + 1, width)),
                                 shape=(count, int(self._cells.max()) + 1))
        return sp.csr_array(incidence.T)

    def _with_neighbours(self, numbers: np.ndarray) -> np.ndarray:
        """The cells with all cells that share a vertex with them, rising."""
        vertices = _marked(self._cells[numbers], self._cells_of_vertices.shape[0])
        return _marked(self._cells_of_vertices[vertices].indices, self._cells.shape[0])

    def _unknowns(self, numbers: np.ndarray, own_cells: int, i: int) -> tuple[np.ndarray, int, np.ndarray]:
        """Global numbers of the part's unknowns, how many its own cells touch, and the places of all its cells."""
        natural = self._dofs[numbers]
        free = natural >= 0
        wide = np.where(free, self.number[np.where(free, natural, 0)] if self.n else 0, -1)
        owned = np.arange(self.starts[i], self.starts[i + 1])
        place = np.full(self.n, -1, dtype=np.int32)
        place[owned] = 0
        near = _marked(wide[:own_cells][free[:own_cells]], self.n)
        near = near[place[near] < 0]
        place[near] = 0
        far = _marked(wide[free], self.n)
        dofs = np.concatenate([owned, near, far[place[far] < 0]])
        place[dofs] = np.arange(dofs.size, dtype=np.int32)
        return dofs, owned.size + near.size, np.where(free, place[np.where(free, wide, 0)], np.int32(-1))

    def _overlapped(self, numbers: np.ndarray, cell_dofs: np.ndarray, dofs: np.ndarray, i: int) -> dict[str, Any]:
        """The arrays of all subdomains of a part, one after the other, with their starts."""
        vertices = np.unique(self._cells[numbers], return_inverse=True)[1].reshape(numbers.size, -1)
        labels = self.cell_subdomain[numbers]
        lists: dict[str, list[np.ndarray]] = {"sub_own_cells": [], "sub_cells": [], "sub_dofs": [], "sub_owned": []}
        for s in range(int(self.subdomain_starts[i]), int(self.subdomain_starts[i + 1])):
            own = labels == s
            cells = np.flatnonzero(_grown(own, vertices, self.overlap))
            cells = cells[np.argsort(numbers[cells])]
            touched = np.zeros(dofs.size + 1, dtype=bool)
            touched[cell_dofs[cells]] = True
            places = np.flatnonzero(touched[:-1])
            places = places[np.argsort(dofs[places])]
            lists["sub_own_cells"].append(np.flatnonzero(own))
            lists["sub_cells"].append(cells)
            lists["sub_dofs"].append(places)
            lists["sub_owned"].append(self._owner[dofs[places]] == s)
        arrays: dict[str, Any] = {}
        for name, members in lists.items():
            arrays[name] = np.concatenate(members).astype(bool if name == "sub_owned" else np.int32)
            if name != "sub_owned":
                arrays[f"{name}_starts"] = np.concatenate([[0], np.cumsum([m.size for m in members])]).astype(np.int64)
        return arrays


def decompose(cell_dofs: np.ndarray, cells: np.ndarray, centroids: np.ndarray, *, parts: int | None = None,
              subdomains: int | None = None, overlap: int = 1, method: str = "metis") -> Decomposition:
    """Parts of a mesh, subdomains inside each part, and the numbering in which both are contiguous.

    An unknown belongs to the lowest subdomain that touches it, hence to the lowest part. The numbers of a subdomain's
    unknowns are contiguous and in the order of the mesh; subdomains and parts come in their order. Nothing here depends
    on the number of ranks.

    Parameters
    ----------
    cell_dofs : (E, w) int
        Unknowns 0 .. n - 1 of every cell, -1 for values that are fixed.
    cells : (E, v) int
        Vertices of every cell: cells that share one are neighbours in the sense of the overlap.
    centroids : (E, d)
    parts, subdomains : int, optional
        See `default_counts`.
    overlap : int
        Layers of cells by which the subdomains are enlarged.
    method : {"metis", "bisection"}

    Returns
    -------
    Decomposition

    Raises
    ------
    ShapeError, InputError
        The arrays do not fit, there are more subdomains than cells, or an unknown that no cell touches.

    Examples
    --------
    >>> cells = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    >>> dofs = cells - 1
    >>> whole = decompose(dofs, cells, np.arange(4.0)[:, None], parts=2, overlap=0, method="bisection")
    >>> whole.starts
    array([0, 2, 4])
    >>> part = whole.part(1)
    >>> part.dofs, part.closure
    (array([2, 3, 1, 0]), 3)
    """
    cell_dofs, cells = np.asarray(cell_dofs), np.asarray(cells)
    centroids = np.asarray(centroids, dtype=float)
    _check(cell_dofs, cells, centroids, overlap)
    n = int(cell_dofs.max(initial=-1)) + 1
    parts, subdomains = default_counts(n, cells.shape[0], parts, subdomains)
    graph = cell_graph(cells, centroids.shape[1]) if method == "metis" and subdomains > 1 else None
    coarse = split(cells, centroids, parts, method, graph)
    each = subdomains // parts
    fine = each * coarse
    for i in range(parts if each > 1 else 0):
        members = np.flatnonzero(coarse == i)
        within = None if graph is None else sp.csr_array(graph[members][:, members])
        fine[members] += split(cells[members], centroids[members], each, method, within)
    return Decomposition(cell_dofs, cells, fine, parts, subdomains, overlap, graph)


def _check(cell_dofs: np.ndarray, cells: np.ndarray, centroids: np.ndarray, overlap: int) -> None:
    count = cells.shape[0]
    shapes = f"cell_dofs {cell_dofs.shape}, cells {cells.shape}, centroids {centroids.shape}"
    if any(array.ndim != 2 or array.shape[0] != count for array in (cell_dofs, cells, centroids)) or count == 0:
        raise ShapeError(f"the arrays of a mesh are {shapes}; the rule is (E, w), (E, v), (E, d) with E >= 1")
    if not np.issubdtype(cell_dofs.dtype, np.integer) or cell_dofs.min() < -1:
        raise InputError(f"cell_dofs are {cell_dofs.dtype} from {cell_dofs.min()}; the rule is whole numbers from 0, "
                         "and -1 for fixed values")
    if cell_dofs.max() < 0:
        raise InputError("every value of the mesh is fixed; nothing is left to solve: check the boundary conditions")
    if overlap < 0:
        raise InputError(f"[solver] overlap = {overlap}; the rule is 0 or more layers of cells")
    if not np.isfinite(centroids).all():
        raise InputError("centroids of cells are not finite; check the coordinates of the mesh")


def _owners(cell_dofs: np.ndarray, cell_subdomain: np.ndarray, n: int, subdomains: int) -> np.ndarray:
    owner = np.full(n, subdomains, dtype=np.int64)
    # Of repeated places the last value stays: the lowest subdomain.
    order = np.argsort(-cell_subdomain, kind="stable")
    for column in range(cell_dofs.shape[1]):
        dofs, first = cell_dofs[order, column], cell_subdomain[order]
        owner_here = np.full(n, subdomains, dtype=np.int64)
        owner_here[dofs[dofs >= 0]] = first[dofs >= 0]
        np.minimum(owner, owner_here, out=owner)
    lost = np.flatnonzero(owner == subdomains)
    if lost.size:
        raise InputError(f"the unknown {lost[0]} belongs to no cell ({lost.size} such); the rule is that unknowns are "
                         "numbered 0 .. n - 1 without gaps: renumber them, or fix those values")
    return owner


def _grown(marked: np.ndarray, vertices: np.ndarray, layers: int) -> np.ndarray:
    """The marked cells with `layers` more layers of cells that share a vertex with them, as a mask."""
    for _ in range(layers):
        touched = np.zeros(int(vertices.max()) + 1, dtype=bool)
        touched[vertices[marked]] = True
        marked = touched[vertices].any(axis=1)
    return marked


def _marked(numbers: np.ndarray, size: int) -> np.ndarray:
    """The distinct numbers 0 .. size - 1, rising."""
    flags = np.zeros(size, dtype=bool)
    flags[numbers] = True
    return np.flatnonzero(flags)
