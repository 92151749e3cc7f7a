"""Sums of element matrices over parts: terms on a part's closure, and affine sums on one pattern for a rank."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from romflow.dd.layout import Layout, assemble
from romflow.fom.cells import CellProblem
from romflow.fom.distributed.folder import PartPiece
from romflow.fom.distributed.part import PartOperators
from romflow.fom.scattering import scattered


def part_operators(problem: CellProblem, piece: PartPiece) -> PartOperators:
    """Operators of a part from its own cells alone, on its closure."""
    data = piece.data
    own = [(piece, np.arange(data.own_cells), data.own_cell_dofs)]
    terms = [term_matrix(problem, q, own, data.closure) for q in range(problem.Q)]
    used = [weight * terms[q] for q, weight in enumerate(problem.product) if weight]
    rhs = np.zeros((data.closure, piece.rhs.shape[1]))
    rhs[:data.owned] = piece.rhs
    outputs = np.zeros((*piece.outputs.shape[:2], data.closure))
    outputs[:, :, :data.owned] = piece.outputs
    return PartOperators(data.number, data.start, data.owned, data.dofs[:data.closure], terms,
                         sp.csr_array(functools.reduce(operator.add, used)), rhs, outputs)


#: A part, places of some of its cells, and the places (E, w) of their unknowns, -1 where fixed.
Cells = tuple[PartPiece, np.ndarray, np.ndarray]


def term_matrix(problem: CellProblem, q: int, cells: Sequence[Cells], n: int) -> sp.csr_array:
    """Sum of the element matrices of term q over some cells of parts: csr (n, n).

    Memory: the element matrices of one chunk of cells, and sums of chunks by twos.
    """
    return _summed(lambda: (
        scattered(cell_dofs[chunk], problem.element_matrices(q, piece.mesh.chosen(places[chunk])), n)
        for piece, places, cell_dofs in cells
        for chunk in _chunks(np.isin(places, problem.term_cells(q, piece.mesh)).nonzero()[0], problem.chunk)), n)


def _chunks(chosen: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (chosen[start:start + size] for start in range(0, chosen.size, size))


def _summed(matrices: Callable[[], Iterator[sp.csr_array]], n: int) -> sp.csr_array:
    """The sum of many sparse matrices, added in pairs of equal standing: few large sums, in one fixed order."""
    waiting: list[tuple[int, sp.csr_array]] = []
    for matrix in matrices():
        level = 0
        while waiting and waiting[-1][0] == level:
            matrix, level = sp.csr_array(waiting.pop()[1] + matrix), level + 1
        waiting.append((level, matrix))
    while len(waiting) > 1:
        last = waiting.pop()[1]
        waiting[-1] = (waiting[-1][0], sp.csr_array(waiting[-1][1] + last))
    return waiting[0][1] if waiting else sp.csr_array((n, n))


class RankTerms:
    """sum_q c_q A_q over all cells of a rank, own and layer: rows of all overlapped unknowns are exact.

    All sums share one pattern, the union of those of the terms; a term keeps 12 bytes for each of its entries, so that
    terms on different regions cost no more together than one on the whole.

    Parameters
    ----------
    problem : CellProblem
    pieces : list of PartPiece
        The parts of the rank.
    layout : Layout
        Of these parts.
    """

    def __init__(self, problem: CellProblem, pieces: Sequence[PartPiece], layout: Layout) -> None:
        self._problem, self._pieces, self._layout = problem, pieces, layout
        cells = _each_once(pieces, layout)
        matrices = [term_matrix(problem, q, cells, layout.local) for q in range(problem.Q)]
        union = functools.reduce(operator.add, (_ones(A, np.bool_) for A in matrices))
        self._indices, self._indptr = union.indices, union.indptr
        numbers = sp.csr_array((np.arange(1, union.nnz + 1, dtype=np.int32), union.indices, union.indptr), union.shape)
        self._terms = []
        while matrices:
            A = matrices.pop(0)
            self._terms.append((numbers.multiply(_ones(A, np.int32)).tocsr().data - 1, A.data))

    def matrix(self, coefficients: np.ndarray) -> sp.csr_array:
        """The sum (local, local) for coefficients (Q,); all sums share their index arrays.

        Cost: two operations an entry of a term.
        """
        values = np.zeros(self._indices.size)
        for c, (slots, data) in zip(coefficients, self._terms, strict=True):
            if c:
                values[slots] += c * data
        shape = (self._layout.local, self._layout.local)
        A = sp.csr_array((values, self._indices, self._indptr), shape=shape, copy=False)
        A.has_canonical_format = True
        return A

    def neumann(self, coefficients: np.ndarray) -> Callable[[int], sp.csr_array]:
        """i -> the matrix (m, m) of the overlapped cells of the rank's i-th subdomain alone, on their unknowns."""
        owners = [(piece, k) for piece in self._pieces for k in range(piece.data.subdomains)]

        def matrix(i: int) -> sp.csr_array:
            piece, k = owners[i]
            one = piece.data.subdomain(k)
            places = np.full(piece.data.dofs.size + 1, -1, dtype=np.int32)
            places[one.dofs] = np.arange(one.dofs.size)
            return _summed(lambda: (
                assemble(places[piece.data.cell_dofs[chunk]],
                         self._problem.weighted_matrices(coefficients, piece.mesh.chosen(chunk)), one.dofs.size)
                for chunk in _chunks(one.cells, self._problem.chunk)), one.dofs.size)

        return matrix


def _each_once(pieces: Sequence[PartPiece], layout: Layout) -> list[Cells]:
    """All cells of a rank, each from the first of its parts that holds it, in the numbering of the layout."""
    seen = np.zeros(layout.cells.size, dtype=bool)
    cells = []
    for piece in pieces:
        rows = np.searchsorted(layout.cells, piece.data.cells)
        new = np.flatnonzero(~seen[rows])
        seen[rows] = True
        cells.append((piece, new, layout.cell_dofs[rows[new]]))
    return cells


def _ones(A: sp.csr_array, kind: type) -> sp.csr_array:
    return sp.csr_array((np.ones(A.nnz, dtype=kind), A.indices, A.indptr), shape=A.shape)
