"""Vectors of one rank: owned unknowns and ghosts, their exchange between ranks, and sums whose order never varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.dd.communicator import agreed, gathered, swapped
from romflow.dd.decomposition import PartData

__all__ = ["Exchange", "Layout", "LocalSubdomain", "assemble", "parts_of_rank"]

_FORWARD, _REVERSE = 71, 72


def parts_of_rank(parts: int, ranks: int, rank: int) -> range:
    """The contiguous run of parts that a rank has (the rule of numpy.array_split).

    Raises
    ------
    InputError
        There are more ranks than parts.

    Examples
    --------
    >>> parts_of_rank(16, 3, 0), parts_of_rank(16, 3, 2)
    (range(0, 6), range(11, 16))
    """
    if ranks > parts:
        raise InputError(f"the job has {ranks} ranks and the mesh {parts} parts; the rule is at most one rank a part: "
                         "raise [solver] parts, or lower [cluster] ranks")
    size, extra = divmod(parts, ranks)
    first = rank * size + min(rank, extra)
    return range(first, first + size + (rank < extra))


def assemble(cell_dofs: np.ndarray, K: np.ndarray, n: int) -> sp.csr_array:
    """The sum of the cells' matrices: A[i, j] = sum over cells and a, b with dofs (i, j) of K[cell, a, b].

    Contributions are added in the order of the cells; rows and columns of fixed values (-1) are left out.

    Parameters
    ----------
    cell_dofs : (E, w) int
        From 0 to n - 1, or -1.
    K : (E, w, w)
    n : int

    Returns
    -------
    csr (n, n), canonical

    Examples
    --------
    >>> K = np.array([[[1.0, -1.0], [-1.0, 1.0]]] * 2)
    >>> assemble(np.array([[-1, 0], [0, 1]]), K, 2).toarray()
    array([[ 2., -1.],
           [-1.,  1.]])
    """
    w = cell_dofs.shape[1]
    if K.shape != (cell_dofs.shape[0], w, w):
        raise ShapeError(f"the matrices of {cell_dofs.shape[0]} cells with {w} unknowns have the shape {K.shape}; the "
                         f"rule is {(cell_dofs.shape[0], w, w)}")
    rows = np.repeat(cell_dofs.astype(np.int32, copy=False), w, axis=1).ravel()
    columns = np.tile(cell_dofs.astype(np.int32, copy=False), (1, w)).ravel()
    values = K.reshape(-1)
    if cell_dofs.min(initial=0) < 0:
        free = (rows >= 0) & (columns >= 0)
        rows, columns, values = rows[free], columns[free], values[free]
    return sp.csr_array(sp.coo_array((values, (rows, columns)), shape=(n, n)))


@dataclass(frozen=True)
class LocalSubdomain:
    """A subdomain in the numbering of its rank: `cells` are places in `Layout.cells`, `dofs` in the local vector.

    Attributes
    ----------
    number : int
        Among all subdomains of the mesh.
    own_cells, cells : (e,), (f,) int
        Without and with overlap.
    dofs : (m,) int
        Unknowns of `cells`, by rising global number.
    owned : (m,) bool
        Those that belong to this subdomain.
    """

    number: int
    own_cells: np.ndarray
    cells: np.ndarray
    dofs: np.ndarray
    owned: np.ndarray


class Layout:
    """The local vector [owned | ghosts] of a rank over all of its parts, and the plan of its exchange.

    Parameters
    ----------
    comm : communicator
    parts : list of PartData
        Those that `parts_of_rank` gives this rank, in their order.

    Attributes
    ----------
    n, owned, local : int
        Unknowns of the mesh, of this rank, and with its ghosts.
    start : int
        Global number of the first owned unknown.
    dofs : (local,) int64
        Global numbers: start .. start + owned - 1, then the ghosts, rising.
    cells : (E,) int64
        Numbers of all cells of the rank's parts with their layers, rising, each once.
    cell_dofs : (E, w) int32
        Places in the local vector, -1 where fixed: what `assemble` needs.
    nodes : (local,) int
        The same number for unknowns that touch the same cells: the components at a node.
    subdomains : list of LocalSubdomain
    subdomain_count : int
        Of all ranks.
    exchange : Exchange

    Raises
    ------
    InputError
        More ranks than parts, parts of another rank, or parts of different decompositions (on all ranks).
    """

    def __init__(self, comm: Any, parts: Sequence[PartData]) -> None:
        self.comm = comm
        with agreed(comm, "arranging its parts"):
            self._merge(parts)
        self.exchange = Exchange(comm, self.dofs, self.owned, self._rank_starts)

    def _merge(self, parts: Sequence[PartData]) -> None:
        if not parts:
            raise InputError("a rank without parts; the rule is at least one part a rank: raise [solver] parts, or "
                             "lower [cluster] ranks")
        starts = parts[0].starts
        mine = parts_of_rank(starts.size - 1, self.comm.size, self.comm.rank)
        given = [part.number for part in parts]
        if given != list(mine) or any(not np.array_equal(part.starts, starts) for part in parts):
            raise InputError(f"rank {self.comm.rank} of {self.comm.size} was given the parts {given}; the rule is "
                             f"{list(mine)} of one decomposition (parts_of_rank)")
        self.starts, self.parts = starts, mine
        self.subdomain_count = int(parts[0].subdomain_starts[-1])
        self.n, self.start = int(starts[-1]), int(starts[mine.start])
        self.owned = int(starts[mine.stop]) - self.start
        edges = [parts_of_rank(starts.size - 1, self.comm.size, r).start for r in range(self.comm.size)]
        self._rank_starts = np.append(starts[edges], starts[-1])
        every = np.unique(np.concatenate([part.dofs for part in parts]))
        ghosts = every[(every < self.start) | (every >= self.start + self.owned)]
        self.dofs = np.concatenate([np.arange(self.start, self.start + self.owned), ghosts])
        self.local = self.dofs.size
        self.cells = np.unique(np.concatenate([part.cells for part in parts]))
        self.cell_dofs = np.full((self.cells.size, parts[0].cell_dofs.shape[1]), -1, dtype=np.int32)
        self.natural = np.empty(self.local, dtype=np.int64)
        self.subdomains: list[LocalSubdomain] = []
        for part in parts:
            self._insert(part)
        self.nodes = _nodes(self.cell_dofs, self.local)
        self.part_slices = [slice(int(starts[i]) - self.start, int(starts[i + 1]) - self.start) for i in mine]

    def _insert(self, part: PartData) -> None:
        places, rows = self.places(part.dofs), np.searchsorted(self.cells, part.cells)
        self.natural[places] = part.natural
        known = part.cell_dofs >= 0
        self.cell_dofs[rows] = np.where(known, np.append(places, -1)[part.cell_dofs], -1)
        for k in range(part.subdomains):
            one = part.subdomain(k)
            self.subdomains.append(LocalSubdomain(one.number, rows[one.own_cells], rows[one.cells],
                                                  places[one.dofs], one.owned))

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """Places in the local vector of unknowns with these global numbers, all of which the rank has."""
        numbers = np.asarray(numbers)
        inside = (numbers >= self.start) & (numbers < self.start + self.owned)
        ghost = self.owned + np.searchsorted(self.dofs[self.owned:], numbers)
        return np.where(inside, numbers - self.start, ghost)

    def dot(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """X^T Y (i, j) of two blocks over the owned unknowns, summed over the parts in their order.

        Parameters
        ----------
        X, Y : (owned, i) and (owned, j)

        Returns
        -------
        (i, j), the same bits on every rank
        """
        mine = np.stack([X[part].T @ Y[part] for part in self.part_slices])
        return self.sums(mine)

    def dots(self, *pairs: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
        """x^T y of the columns of each pair of blocks (owned, j): arrays (j,), for one message in all."""
        mine = np.array([[np.einsum("ij,ij->j", X[part], Y[part]) for X, Y in pairs] for part in self.part_slices])
        return list(self.sums(mine))

    def sums(self, by_part: np.ndarray) -> np.ndarray:
        """The sum over all parts, in their order, of what this rank has for each of its parts (parts, ...)."""
        return np.sum(np.concatenate(gathered(self.comm, by_part)), axis=0)

    def norm(self, X: np.ndarray) -> np.ndarray:
        """Euclidean norms (j,) of the columns of X (owned, j), over all ranks."""
        return np.sqrt(self.dots((X, X))[0])

    def multiplicity(self) -> np.ndarray:
        """How many overlapped subdomains of all ranks hold each unknown of the local vector, (local,) float64."""
        count = np.zeros((self.local, 1))
        for one in self.subdomains:
            count[one.dofs, 0] += 1.0
        return self.exchange.forward(self.exchange.add(count))[:, 0]


def _nodes(cell_dofs: np.ndarray, n: int) -> np.ndarray:
    marks = np.repeat(np.random.default_rng(0).random(len(cell_dofs))[:, None], cell_dofs.shape[1], axis=1)
    known = cell_dofs >= 0
    return np.unique(np.bincount(cell_dofs[known], marks[known], minlength=n), return_inverse=True)[1]


class Exchange:
    """Values of ghosts from the ranks that own them, and contributions to ghosts back to their owners.

    Parameters
    ----------
    comm : communicator
    dofs : (local,) int64
        Global numbers of the local vector: owned, then ghosts, rising.
    owned : int
    rank_starts : (ranks + 1,) int64
        First owned number of each rank.

    Attributes
    ----------
    neighbours : int
        Ranks that this one talks to.

    Notes
    -----
    Cost: one message to and from each neighbour, 8 bytes a ghost and column. `begin` returns at once; what needs no
    ghosts can be done before `end`.
    """

    def __init__(self, comm: Any, dofs: np.ndarray, owned: int, rank_starts: np.ndarray) -> None:
        self.comm, self.owned, self.local = comm, owned, dofs.size
        ghosts = dofs[owned:]
        edges = np.searchsorted(ghosts, rank_starts)
        wanted = [ghosts[edges[r]:edges[r + 1]] for r in range(comm.size)]
        asked = swapped(comm, wanted)
        self._into = [(r, slice(owned + int(edges[r]), owned + int(edges[r + 1]))) for r in range(comm.size)
                      if wanted[r].size]
        self._out = [(r, asked[r] - int(rank_starts[comm.rank])) for r in range(comm.size)
                     if r != comm.rank and asked[r].size]
        self.neighbours = len({r for r, _ in self._into} | {r for r, _ in self._out})

    def begin(self, X: np.ndarray) -> tuple[list[Any], list[np.ndarray], np.ndarray]:
        """Start to send the owned rows of X (owned or local, j) and to receive those of the ghosts; see `end`."""
        ghosts = np.empty((self.local - self.owned, *X.shape[1:]), dtype=X.dtype)
        requests = [self.comm.Irecv(ghosts[rows.start - self.owned:rows.stop - self.owned], source=r, tag=_FORWARD)
                    for r, rows in self._into]
        buffers = [np.ascontiguousarray(X[rows]) for _, rows in self._out]
        requests += [self.comm.Isend(buffer, dest=r, tag=_FORWARD)
                     for (r, _), buffer in zip(self._out, buffers, strict=True)]
        return requests, buffers, ghosts

    def end(self, running: tuple[list[Any], list[np.ndarray], np.ndarray]) -> np.ndarray:
        """Wait for the values of the ghosts, (local - owned, j)."""
        requests, _, ghosts = running
        for request in requests:
            request.Wait()
        return ghosts

    def forward(self, X: np.ndarray) -> np.ndarray:
        """The local vectors (local, j) whose owned rows are those of X (owned or local, j)."""
        return np.concatenate([X[:self.owned], self.end(self.begin(X))])

    def add(self, X: np.ndarray) -> np.ndarray:
        """X (local, j) after the ghost rows of all ranks were added to their owners' rows, in the order of the ranks.

        The owned rows change in place; the ghost rows keep their contributions.
        """
        buffers = [np.empty((rows.size, *X.shape[1:]), dtype=X.dtype) for _, rows in self._out]
        requests = [self.comm.Irecv(buffer, source=r, tag=_REVERSE)
                    for (r, _), buffer in zip(self._out, buffers, strict=True)]
        requests += [self.comm.Isend(X[rows], dest=r, tag=_REVERSE) for r, rows in self._into]
        for request in requests:
            request.Wait()
        for (_, rows), buffer in zip(self._out, buffers, strict=True):
            X[rows] += buffer
        return X

    def add_rows(self, Z: sp.csr_array) -> sp.csr_array:
        """The owned rows (owned, m) of sparse Z (local, m) after the ghost rows of all ranks were added to them."""
        if self.comm.size == 1:
            return Z
        ghosts = dict(self._into)
        rows, columns, values = self._swapped_entries({r: Z[rows] for r, rows in ghosts.items()}, Z.shape[1])
        own, targets = sp.coo_array(Z[:self.owned]), dict(self._out)
        places = [targets[r][piece] if r in targets else piece for r, piece in enumerate(rows)]
        return sp.csr_array((np.concatenate([own.data, *values]), (np.concatenate([own.row, *places]),
                            np.concatenate([own.col, *columns]))), shape=(self.owned, Z.shape[1]))

    def forward_rows(self, Z: sp.csr_array) -> sp.csr_array:
        """The local rows (local, m) of the matrix whose owned rows are sparse Z (owned, m)."""
        if self.comm.size == 1:
            return Z
        rows, columns, values = self._swapped_entries({r: Z[rows] for r, rows in self._out}, Z.shape[1])
        starts = {r: place.start - self.owned for r, place in self._into}
        places = [piece + starts.get(r, 0) for r, piece in enumerate(rows)]
        ghosts = sp.csr_array((np.concatenate(values), (np.concatenate(places), np.concatenate(columns))),
                              shape=(self.local - self.owned, Z.shape[1]))
        return sp.csr_array(sp.vstack([Z, ghosts], format="csr"))

    def _swapped_entries(self, pieces: dict[int, sp.csr_array],
                         width: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Rows, columns and values of the sparse pieces that the other ranks send to this one, by rank."""
        empty = sp.csr_array((0, width))
        out = [sp.coo_array(pieces.get(r, empty)) for r in range(self.comm.size)]
        return (swapped(self.comm, [piece.row.astype(np.int64) for piece in out]),
                swapped(self.comm, [piece.col.astype(np.int64) for piece in out]),
                swapped(self.comm, [piece.data for piece in out]))
