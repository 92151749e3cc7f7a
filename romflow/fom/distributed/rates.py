"""What one core of this machine does in a second on a model subdomain: measured in about a second, kept nowhere."""

from __future__ import annotations

import dataclasses
import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.dd.decomposition import decompose
from romflow.dd.geneo import aggregated_modes
from romflow.dd.layout import assemble
from romflow.dd.local_factor import LocalFactor
from romflow.dd.prediction import LocalRates, MeshSize, SplitPlan, box_piece, factor_entries, factor_operations
from romflow.dd.schwarz import Weighted
from romflow.fom.cells import CellMesh, CellProblem
from romflow.fom.gallery.grids import grid
from romflow.linalg.solvers.protocol import Kind

__all__ = ["measure_rates"]

# Unknowns of the largest model subdomain: beyond, the formulas scale.
_MOST = 5000
_THRESHOLD = 0.5
_ELEMENT = {3: "P1", 4: "Q1", 8: "hex"}
# What a rank loads after its start: kernels of the factorisation, aggregation (measured).
_LIBRARIES = 80e6
# Subdomains of a real mesh are less regular than a box, have layers and corners, and so many times more modes (measured
# at contrasts up to 100), by dimension.
_ROUGHER = {2: 1.4, 3: 2.4}


def measure_rates(problem: CellProblem, size: MeshSize, plan: SplitPlan, *, spectral: bool = True,
                  backend: str = "auto") -> LocalRates:
    """Rates on one subdomain of the size that the plan gives, with the forms of the problem on a small grid.

    The grid is a box of cells of the problem's type with one layer of overlap. Integrated, factorised, multiplied and
    (with `spectral`) searched for coarse vectors is exactly what a rank does with each of its subdomains. Latency and
    bandwidth are left at values of one machine; `romflow.tasks.scaling` measures them between two processes.

    Parameters
    ----------
    problem : CellProblem
        Its mesh is not touched.
    size : MeshSize
    plan : SplitPlan
    spectral : bool
        Whether the coarse space comes from local eigenproblems.
    backend : str
        Of the local factors.

    Returns
    -------
    LocalRates
    """
    resident = _resident()
    model = _Model.made(problem, size, plan)
    entries = model.mesh.cells.shape[0] * model.cell_dofs.shape[1] ** 2
    seconds, A = _timed(lambda: model.matrix(problem), 2)
    assembly = entries / seconds
    kind: Kind = "definite" if size.symmetric else "general"
    inner = model.inner
    points, d, c = inner.size / size.components, size.dimension, size.components
    B = sp.csr_array(A[inner][:, inner])
    seconds, factor = _timed(lambda: LocalFactor(B, kind, backend), 2)
    sides = 1.0 if size.symmetric else 2.0
    factorisation = sides * factor_operations(points, d, c) / seconds
    f = np.ones((inner.size, 1))
    seconds, _ = _timed(lambda: factor.solve(f), 8)
    substitution = sides * factor_entries(points, d, c) / seconds
    x = np.ones((A.shape[0], 1))
    seconds, _ = _timed(lambda: A @ x, 8)
    product = A.nnz / seconds
    rate, modes, galerkin = product, float(size.modes), 0.1 * product
    if spectral:
        nodes = np.repeat(np.arange(len(model.mesh.points)), c)
        seconds, found = _timed(lambda: aggregated_modes(model.weighted, A, A, _THRESHOLD, model.modes, nodes), 2)
        rate, modes = A.nnz / seconds, _ROUGHER[d] * found.shape[1]
        columns = sp.csr_array(found)
        galerkin = A.nnz * max(found.shape[1], 1) / _timed(lambda: A @ columns, 2)[0]
    return LocalRates(factorisation, substitution, product, galerkin, assembly, rate, _dense(), _vectors(),
                      _partition(model, size), 1e-6, 4e9, resident, modes, exchange_measured=False)


@dataclass(frozen=True)
class _Model:
    """A box of cells like a subdomain with one layer of overlap, nothing fixed."""

    mesh: CellMesh
    cell_dofs: np.ndarray
    inner: np.ndarray
    weighted: Weighted
    modes: np.ndarray | None
    theta: np.ndarray

    @classmethod
    def made(cls, problem: CellProblem, size: MeshSize, plan: SplitPlan) -> _Model:
        c = size.components
        wanted = min(size.n / plan.subdomains, _MOST) / c
        extents = tuple(side * (wanted * plan.subdomains * c / size.n) ** (1.0 / size.dimension)
                        for side in size.extents)
        crossed = size.vertices == 3
        sides = [max(2, round(e * (0.5 if crossed else 1.0) ** 0.5) + 1)
                 for e in box_piece(extents, plan.subdomains)]
        element = "tet" if size.dimension == 3 and size.vertices == 4 else _ELEMENT[size.vertices]
        points, cells, cell_type = grid(element, [float(side) for side in sides], sides)
        regions = min(2, 1 + max((term.region for term in problem.terms if term.region is not None), default=0))
        mesh = CellMesh(points, cells, cell_type, np.arange(len(cells)) * regions // len(cells),
                        np.zeros((len(points), c), dtype=bool))
        dofs = (cells[:, :, None] * c + np.arange(c)).reshape(len(cells), -1).astype(np.int32)
        weight = np.repeat(_unity(points, np.array(sides, dtype=float)), c)
        everything = np.arange(len(points) * c)
        weighted = Weighted(everything, np.flatnonzero(weight), weight, weight > 0.0)
        modes = None if problem.modes is None else problem.modes(points)
        return cls(mesh, dofs, weighted.inner, weighted, modes,
                   problem.theta(problem.parameters.ppf(_spread(problem.parameters.size)))[0])

    def matrix(self, problem: CellProblem) -> sp.csr_array:
        return assemble(self.cell_dofs, problem.weighted_matrices(self.theta, self.mesh), self.weighted.dofs.size)


def _spread(p: int) -> np.ndarray:
    """One row (1, p) of the unit cube, low and high in turn: neighbouring regions differ."""
    return np.where(np.arange(p) % 2 == 0, 0.1, 0.9)[None]


def _unity(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Partition of unity: zero on the hull, halves on each plane one cell inside it, which two subdomains share."""
    away = np.minimum(points, sides - points)
    return np.where((away <= 0.0).any(axis=1), 0.0, 0.5 ** np.count_nonzero(np.isclose(away, 1.0), axis=1))


def _timed(call: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Least processor seconds of several calls, and the last result."""
    least, result = math.inf, None
    for _ in range(times):
        started = time.process_time()
        result = call()
        least = min(least, time.process_time() - started)
    return max(least, 1e-7), result


def _dense() -> float:
    A = np.diag(np.arange(1.0, 251.0)) + 0.01
    return float(A.shape[0] ** 3 / _timed(lambda: np.linalg.eigh(A), 2)[0])


def _vectors() -> float:
    x, y = np.ones(200_000), np.ones(200_000)

    def update() -> None:
        nonlocal y
        y = y + 0.5 * x

    return x.size / _timed(update, 6)[0]


def _partition(model: _Model, size: MeshSize) -> float:
    """Cells a second of cutting a mesh in 16 parts and collecting what each part has to know."""
    cells = model.mesh.cells
    copies = max(1, 6000 // len(cells))
    offset = (model.cell_dofs.max() + 1) * np.arange(copies)[:, None, None]
    many = (cells[None] + (len(model.mesh.points) * np.arange(copies))[:, None, None]).reshape(-1, cells.shape[1])
    dofs = (model.cell_dofs[None] + offset).reshape(-1, model.cell_dofs.shape[1])
    centroids = np.tile(model.mesh.centroids, (copies, 1)) + 1e3 * np.repeat(np.arange(copies), len(cells))[:, None]

    def cut() -> None:
        whole = decompose(dofs, many, centroids, parts=16, subdomains=16)
        for i in range(16):
            whole.part(i)

    return len(many) / _timed(cut, 1)[0]


def _resident() -> float:
    """Bytes of this process now: its libraries and little else; with what a rank loads beyond them."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return float(pages * resource.getpagesize() + _LIBRARIES)


def with_exchange(rates: LocalRates, latency: float, bandwidth: float) -> LocalRates:
    """The rates with a measured exchange."""
    return dataclasses.replace(rates, latency=latency, bandwidth=bandwidth, exchange_measured=True)
