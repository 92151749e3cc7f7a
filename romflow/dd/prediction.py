"""Scaling on paper: time, memory and traffic of a split solve, from the sizes of a mesh and measured rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LocalRates", "MeshSize", "Prediction", "SplitPlan", "box_piece", "factor_entries", "factor_operations",
           "predict"]

# METIS pieces are rounder than boxes but rougher: layers around them hold this much more than around a box.
_ROUGH = 1.25
_INDEX, _FLOAT = 4, 8
_GMRES_BASIS = 80
# Bytes an entry of the matrix: the terms, their sum on one pattern, and what the sum of chunks takes at its peak.
_MATRIX = 50.0
# Bytes an entry of the coarse vectors: they, their image, their transpose, and the Galerkin product at its peak.
_COLUMNS = 60.0
# Peak over what stays, of arrays of cells.
_PASSING = 1.8
# Work of the largest rank over that of the average one.
_UNEVEN = 1.15
# Columns up to which the coarse operator is dense.
_DENSE = 2000


@dataclass(frozen=True)
class MeshSize:
    """What of a mesh decides the cost of a solve.

    Attributes
    ----------
    n, cells : int
        Unknowns and cells.
    dimension, vertices, components : int
        Of space; points a cell; unknowns a point.
    row_points : float
        Points that share a cell with a point, itself included, on average.
    extents : tuple of float
        Points along each side of the box that the mesh resembles; their product is n / components.
    modes : int
        Vectors of the near-null space of a subdomain (1, or the rigid-body modes).
    symmetric : bool
    passes : float
        How often a cell is integrated for the terms of the operator, on average.
    """

    n: int
    cells: int
    dimension: int
    vertices: int
    components: int
    row_points: float
    extents: tuple[float, ...]
    modes: int
    symmetric: bool
    passes: float = 1.0


@dataclass(frozen=True)
class SplitPlan:
    """How a mesh is split and what is assumed of the iteration.

    Attributes
    ----------
    ranks, workers : int
        MPI ranks of a solve; solves at a time.
    parts, subdomains, overlap : int
    iterations : int
        Assumed, of a solve.
    coarse_vectors : float
        Assumed, a subdomain.
    solves, cores : int
        In all; cores of one node that the ranks of all workers share, 0 for as many as there are ranks.
    """

    ranks: int
    workers: int
    parts: int
    subdomains: int
    overlap: int
    iterations: int
    coarse_vectors: float
    solves: int = 1
    cores: int = 0


@dataclass(frozen=True)
class LocalRates:
    """What one core of this machine does, and what a message costs; all measured, none kept.

    Attributes
    ----------
    factorisation : float
        Operations a second of a local factorisation, analysis included.
    substitution : float
        Entries of a factor a second, forward and backward.
    product : float
        Matrix entries a second in a product.
    assembly : float
        Entries of element matrices a second: integration and sum.
    galerkin : float
        Products a second of a sparse matrix and sparse columns.
    spectral : float
        Matrix entries a second in the local eigenproblem of the coarse space.
    dense : float
        m^3 a second in the eigenvalues and vectors of a dense symmetric matrix of m rows.
    vectors : float
        Numbers a second in an update of a vector.
    partition : float
        Cells a second when a mesh is cut.
    latency : float
        Seconds of a message.
    bandwidth : float
        Bytes a second between two ranks.
    resident : float
        Bytes of a process with all its libraries.
    modes : float
        Coarse vectors that a subdomain has, from those of the model subdomain.
    exchange_measured : bool
        Whether latency and bandwidth were measured between two ranks here.
    """

    factorisation: float
    substitution: float
    product: float
    galerkin: float
    assembly: float
    spectral: float
    dense: float
    vectors: float
    partition: float
    latency: float
    bandwidth: float
    resident: float
    modes: float
    exchange_measured: bool = True


@dataclass(frozen=True)
class Prediction:
    """What a solve of a split model takes; bytes and seconds.

    Attributes
    ----------
    size : MeshSize
    plan : SplitPlan
    rates : LocalRates
    subdomain, overlapped : float
        Unknowns of a subdomain, without and with its overlap.
    ghosts : float
        Unknowns that the average rank reads from others.
    coarse : int
        Size of the coarse space.
    entries : float
        Of the matrix, all ranks.
    factors : float
        Entries of all local factors.
    assembly, factorisation, coarse_space, iteration, exchange : float
        Seconds of one rank in the first solve: terms and local matrices; local factors; coarse vectors and operator;
        all iterations without messages; messages.
    coarse_operator : float
        Seconds of E alone, which each further solve makes anew (contained in `coarse_space`).
    decomposition : float
        Seconds, once a study, in one process.
    bytes_iteration, bytes_solve : float
        Sent by all ranks together.
    memory_rank, memory_decomposition : float
        Peak of one rank; of the process that cuts the mesh.
    """

    size: MeshSize
    plan: SplitPlan
    rates: LocalRates
    subdomain: float
    overlapped: float
    ghosts: float
    coarse: int
    entries: float
    factors: float
    assembly: float
    factorisation: float
    coarse_space: float
    iteration: float
    exchange: float
    coarse_operator: float
    decomposition: float
    bytes_iteration: float
    bytes_solve: float
    memory_rank: float
    memory_decomposition: float

    @property
    def setup(self) -> float:
        """Seconds until the first iteration, of the rank with the most to do."""
        uneven = _UNEVEN if self.plan.ranks > 1 else 1.0
        return uneven * (self.assembly + self.factorisation + self.coarse_space)

    @property
    def seconds(self) -> float:
        """Seconds of the first solve of a job on as many cores as ranks, decomposition left out."""
        return self.setup + self.iteration + self.exchange

    @property
    def seconds_again(self) -> float:
        """Seconds of a further solve of the same job, which keeps local factors and coarse vectors."""
        return self.coarse_operator + self.iteration + self.exchange

    @property
    def contention(self) -> float:
        """How many ranks share a core of the machine."""
        return max(1.0, self.plan.ranks * self.plan.workers / self.plan.cores) if self.plan.cores else 1.0

    @property
    def core_seconds(self) -> float:
        """Processor seconds of all solves, each set up anew."""
        return self.seconds * self.plan.ranks * self.plan.solves

    @property
    def wall_seconds(self) -> float:
        """Of the whole sweep: decomposition, then the solves, `workers` at a time."""
        rounds = math.ceil(self.plan.solves / self.plan.workers)
        return self.decomposition + rounds * self.seconds * self.contention

    @property
    def memory_all(self) -> float:
        """Peak of all ranks of all workers."""
        return self.memory_rank * self.plan.ranks * self.plan.workers


def box_piece(extents: tuple[float, ...], pieces: float) -> tuple[float, ...]:
    """Sides of the most cube-like box of prod(extents) / pieces points that fits into the extents.

    The side s with prod_i min(s, extents_i) = prod(extents) / pieces; short sides are kept whole.

    Examples
    --------
    >>> box_piece((400.0, 100.0, 100.0), 2)
    (200.0, 100.0, 100.0)
    >>> box_piece((64.0, 2.0), 16)
    (4.0, 2.0)
    """
    left, target = sorted(extents), math.prod(extents) / pieces
    while left and (side := target ** (1.0 / len(left))) > left[0]:
        target /= left.pop(0)
    side = target ** (1.0 / len(left)) if left else math.inf
    return tuple(float(min(side, extent)) for extent in extents)


def _grown(piece: tuple[float, ...], extents: tuple[float, ...], layers: float) -> float:
    """Points of a piece with `layers` more of them on the sides that are not on the boundary, on average."""
    return float(math.prod(min(e + 2.0 * layers * _ROUGH * (1.0 - e / whole), whole)
                           for e, whole in zip(piece, extents, strict=True)))


def factor_entries(points: float, dimension: int, components: int = 1) -> float:
    """Entries of a Cholesky factor of a lattice under nested dissection.

    N (3.6 log2 N - 16) in the plane and N (9.6 N^(1/3) - 40) in space for N points (at least what small grids have),
    times components^2: George (1973) for the orders, METIS orderings of lattices for the numbers (within 15 %).

    Examples
    --------
    >>> round(factor_entries(16384, 2) / 16384), round(factor_entries(8000, 3) / 8000)
    (34, 152)
    """
    if points <= 1.0:
        return max(points, 0.0) * components ** 2
    if dimension == 2:
        a_row = max(3.6 * math.log2(points) - 16.0, 1.6 * math.log2(points))
    else:
        side = points ** (1.0 / 3.0)
        a_row = max(9.6 * side - 40.0, 3.9 * side)
    return float(components ** 2 * points * min(a_row, 0.5 * (points + 1.0)))


def factor_operations(points: float, dimension: int, components: int = 1) -> float:
    """Operations of that factorisation: 18 N^1.5 in the plane, 6.2 N^2 (1 - 2.6 N^(-1/3)) in space, x components^3.

    Examples
    --------
    >>> factor_operations(10000, 2), round(factor_operations(8000, 3) / 8000 ** 2, 2)
    (18000000.0, 5.39)
    """
    if dimension == 2:
        return float(components ** 3 * 18.0 * max(points, 1.0) ** 1.5)
    points = max(points, 64.0)
    return float(components ** 3 * 6.2 * points ** 2 * (1.0 - 2.6 * points ** (-1.0 / 3.0)))


def predict(size: MeshSize, plan: SplitPlan, rates: LocalRates) -> Prediction:
    """Time, memory and traffic of a two-level Schwarz solve on `plan.ranks` ranks: work divided by measured rates.

    Cost: none. With c components, m points of an overlapped subdomain, S subdomains, K coarse vectors each, R ranks,
    N = n / c points, w = vertices c unknowns a cell and its K matrices:

    * overlap: a subdomain is the most cube-like box of N / S points, grown by the layers on its inner sides; the
      innermost unknowns of it are factorised, all of it carries the coarse vectors;
    * assembly: passes w^2 entries for each cell of a rank and its layer, and w^2 for each cell of an overlapped
      subdomain (for the coarse space);
    * iteration: two products, one substitution with all local factors, one coarse solve (dense up to 2,000
      columns, a sparse factor beyond), GMRES against half of the basis, twice;
    * exchange: three messages to each neighbour and the sums, 8 bytes a ghost.

    Parameters
    ----------
    size : MeshSize
    plan : SplitPlan
    rates : LocalRates

    Returns
    -------
    Prediction
    """
    c, S, R = size.components, plan.subdomains, plan.ranks
    points = size.n / c
    entries = size.n * size.row_points * c
    piece, share = box_piece(size.extents, S), box_piece(size.extents, R)
    inner = _grown(piece, size.extents, plan.overlap - 0.5)
    outer = _grown(piece, size.extents, plan.overlap + 0.5)
    local = _grown(share, size.extents, plan.overlap + 1.5)
    ghosts = c * max(local - points / R, 0.0)
    coarse = round(plan.coarse_vectors * S)
    cell_entries = (size.vertices * c) ** 2 * size.cells / points
    factors = S * factor_entries(inner, size.dimension, c) * (1.0 if size.symmetric else 2.0)
    operations = S * factor_operations(inner, size.dimension, c) * (1.0 if size.symmetric else 2.0)
    local_entries = local * c * size.row_points * c
    assembly = (size.passes * local + S / R * outer) * cell_entries / rates.assembly
    spectral = S / R * outer * c * size.row_points * c / rates.spectral
    coarse_setup, coarse_solve, coarse_bytes = _coarse(coarse, size, plan, outer * c, rates)
    basis = min(plan.iterations, _GMRES_BASIS)
    one = (2.0 * entries / R / rates.product + factors / R / rates.substitution
           + coarse_solve + 2.0 * basis * size.n / R / rates.vectors)
    sent, messages = _traffic(size, plan, ghosts, coarse)
    exchange = plan.iterations * (messages * rates.latency + sent / R / rates.bandwidth) if R > 1 else 0.0
    memory = (rates.resident + _MATRIX * local_entries + 11.0 * factors / R + coarse_bytes
              + _FLOAT * (2.0 * _GMRES_BASIS + 8.0) * size.n / R + _piece_bytes(size, plan) * local / points)
    return Prediction(size, plan, rates, size.n / S, outer * c, ghosts if R > 1 else 0.0, coarse, entries, factors,
                      assembly, operations / R / rates.factorisation, spectral + coarse_setup, plan.iterations * one,
                      exchange, coarse_setup, size.cells / rates.partition, sent, sent * plan.iterations, memory,
                      rates.resident + _mesh_bytes(size))


def _coarse(coarse: int, size: MeshSize, plan: SplitPlan, unknowns: float,
            rates: LocalRates) -> tuple[float, float, float]:
    """Seconds of E = Z^T A Z and its inverse, and of one solve; bytes of both. Each rank has all of E.

    The columns of neighbouring subdomains meet, so that a large E is a lattice of S points with K components.
    """
    K = plan.coarse_vectors
    columns = plan.subdomains / plan.ranks * unknowns * K
    galerkin = 2.0 * columns * size.row_points * size.components / rates.galerkin
    transfer = 2.0 * columns / rates.product
    if coarse <= _DENSE:
        return (galerkin + coarse ** 3 / rates.dense, transfer + 2.0 * coarse ** 2 / rates.vectors,
                _COLUMNS * columns + 24.0 * coarse ** 2)
    entries = K ** 2 * factor_entries(plan.subdomains, size.dimension)
    operations = K ** 3 * factor_operations(plan.subdomains, size.dimension)
    return (galerkin + operations / rates.factorisation, transfer + entries / rates.substitution,
            _COLUMNS * columns + 20.0 * entries)


def _traffic(size: MeshSize, plan: SplitPlan, ghosts: float, coarse: int) -> tuple[float, float]:
    """Bytes sent by all ranks in an iteration, and messages that a rank waits for."""
    R = plan.ranks
    if R == 1:
        return 0.0, 0.0
    sums = (3.0 * plan.parts + coarse * R) * _FLOAT * (R - 1)
    neighbours = min(R - 1, 2 * size.dimension)
    return 3.0 * ghosts * R * _FLOAT + sums, 3.0 * neighbours + 5.0 * math.ceil(math.log2(R))


def _mesh_bytes(size: MeshSize) -> float:
    """The mesh with its unknowns, the graph of its cells and the numbering."""
    neighbours = {2: 3, 3: 4}[size.dimension]
    cell = size.vertices * (_FLOAT + _INDEX * size.components) + 2 * (_FLOAT + _INDEX) * neighbours + 6 * _FLOAT
    return _PASSING * 2.0 * size.cells * cell + 6.0 * _FLOAT * size.n


def _piece_bytes(size: MeshSize, plan: SplitPlan) -> float:
    """All cells as the parts keep them, layers around the parts included, and as the ranks number them."""
    points = size.n / size.components
    grown = _grown(box_piece(size.extents, plan.parts), size.extents, plan.overlap + 1.5) * plan.parts / points
    w = size.vertices * size.components
    return size.cells * ((_FLOAT * size.vertices + _INDEX * w + 5 * _FLOAT) * grown + _INDEX * w + _FLOAT) * _PASSING
