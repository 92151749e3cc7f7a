"""Problems of the benchmarks of large meshes: bars in a cube, layered elasticity, a block in the plane.

Coefficients are constant on each cell (taken at its centroid), elements are P1 on tensor meshes, Dirichlet dofs are
removed. Each cell's matrix is its coefficient times a matrix of its shape alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem
from skfem.helpers import ddot, dot, grad, sym_grad, trace

_CHUNK = 150_000


@dataclass(frozen=True)
class LargeProblem:
    """A mesh problem by its cells: nothing of it is assembled before it is asked for.

    Attributes
    ----------
    name : str
    mesh : skfem mesh
    coefficient : (E,)
        Of each cell.
    cell_dofs : (E, w)
        Number of each cell's unknown, -1 where it is fixed to zero; dofs are numbered node by node.
    positions : (n, d)
        Of the unknowns.
    components : int
        Unknowns a node.
    """

    name: str
    mesh: Any
    coefficient: np.ndarray
    cell_dofs: np.ndarray
    positions: np.ndarray
    components: int
    _kernel: Callable[..., Any]
    _load: Callable[..., Any]

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return len(self.positions)

    @property
    def points(self) -> np.ndarray:
        """Mesh points (P, d)."""
        return self.mesh.p.T

    @property
    def cells(self) -> np.ndarray:
        """Vertices of the cells (E, v)."""
        return self.mesh.t.T

    @property
    def centroids(self) -> np.ndarray:
        """Of the cells (E, d)."""
        return self.points[self.cells].mean(axis=1)

    @property
    def near_nullspace(self) -> np.ndarray | None:
        """Rigid-body modes (n, 3 or 6) of elasticity; None for scalar problems."""
        return rigid_modes(self.positions, np.arange(self.n) % self.components) if self.components > 1 else None

    def with_coefficient(self, coefficient: np.ndarray) -> LargeProblem:
        """The same problem with another coefficient (E,)."""
        return replace(self, coefficient=np.asarray(coefficient, dtype=float))

    def element_matrices(self, cells: np.ndarray | None = None) -> np.ndarray:
        """Matrices (E', w, w) of these cells."""
        cells = np.arange(len(self.cell_dofs)) if cells is None else cells
        local = self._form().coo_data(self._basis(cells, 0)).tolocal()
        return self.coefficient[cells, None, None] * (0.5 * (local + local.transpose(0, 2, 1)))

    def element_vectors(self, cells: np.ndarray | None = None) -> np.ndarray:
        """Load vectors (E', w) of these cells."""
        cells = np.arange(len(self.cell_dofs)) if cells is None else cells
        return skfem.LinearForm(self._load).coo_data(self._basis(cells, 1)).tolocal()

    def matrix(self, cells: np.ndarray | None = None) -> sp.csr_array:
        """The matrix (n, n) of these cells, of all by default; entries that are zero are kept out."""
        total = sp.csr_array((self.n, self.n))
        for chunk in self._chunks(cells):
            total = total + assembled(self.cell_dofs[chunk], self.element_matrices(chunk), self.n)
        total.sort_indices()
        return total

    def rhs(self) -> np.ndarray:
        """The right-hand side (n,)."""
        total = np.zeros(self.n)
        for chunk in self._chunks(None):
            dofs, free = self.cell_dofs[chunk], self.cell_dofs[chunk] >= 0
            total += np.bincount(dofs[free], self.element_vectors(chunk)[free], minlength=self.n)
        return total

    def _chunks(self, cells: np.ndarray | None) -> Iterator[np.ndarray]:
        cells = np.arange(len(self.cell_dofs)) if cells is None else cells
        return (cells[start:start + _CHUNK] for start in range(0, len(cells), _CHUNK))

    def _form(self) -> Any:
        return skfem.BilinearForm(self._kernel)

    def _basis(self, cells: np.ndarray, order: int) -> Any:
        scalar = skfem.ElementTriP1() if self.mesh.p.shape[0] == 2 else skfem.ElementTetP1()
        element = scalar if self.components == 1 else skfem.ElementVector(scalar)
        return skfem.Basis(self.mesh, element, elements=cells, intorder=order)


def bars(cells: int = 48, contrast: float = 1e4) -> LargeProblem:
    """-div(k grad u) = 1 on the unit cube, u = 0 on x = 0, k = `contrast` in 16 bars along x, else 1.

    48 cells a side give 115,248 unknowns.
    """
    line = np.linspace(0.0, 1.0, cells + 1)
    mesh = skfem.MeshTet.init_tensor(line, line, line)
    _, y, z = mesh.p[:, mesh.t].mean(axis=1)
    inside = (np.floor(9 * y) % 2 == 1) & (np.floor(9 * z) % 2 == 1)
    return _problem("bars", mesh, np.where(inside, contrast, 1.0), mesh.p[0] > 1e-12, 1, _diffusion, _one)


def elasticity(n: int = 16, contrast: float = 1e4) -> LargeProblem:
    """Elasticity of [0, 4] x [0, 1] x [0, 1] with 4n, n, n cells, clamped at x = 0, nu = 0.3, load (0, 0, -1).

    Seven layers along z; E = `contrast` in the three odd ones, else 1. n = 16, 24, 44: 55,488, 180,000,
    1,069,200 unknowns.
    """
    line = np.linspace(0.0, 1.0, n + 1)
    mesh = skfem.MeshTet.init_tensor(np.linspace(0.0, 4.0, 4 * n + 1), line, line)
    stiff = np.floor(7 * mesh.p[:, mesh.t].mean(axis=1)[2]) % 2 == 1
    return _problem("elasticity", mesh, np.where(stiff, contrast, 1.0), mesh.p[0] > 1e-12, 3, _hooke, _weight)


def block(cells: int = 333, conductivity: np.ndarray | None = None) -> LargeProblem:
    """-div(k grad u) = 1 on the unit square, zero on its boundary, k = conductivity[3 floor(3y) + floor(3x)].

    333 cells a side give 110,224 unknowns; the nine conductivities are 1 where none are given.
    """
    line = np.linspace(0.0, 1.0, cells + 1)
    mesh = skfem.MeshTri.init_tensor(line, line)
    x, y = mesh.p[:, mesh.t].mean(axis=1)
    values = np.ones(9) if conductivity is None else np.asarray(conductivity, dtype=float)
    inside = np.all((mesh.p > 1e-12) & (mesh.p < 1 - 1e-12), axis=0)
    group = 3 * np.floor(3 * y).astype(int) + np.floor(3 * x).astype(int)
    return _problem("block", mesh, values[group], inside, 1, _diffusion, _one)


def assembled(cell_dofs: np.ndarray, matrices: np.ndarray, n: int) -> sp.csr_array:
    """Sum (n, n) of element matrices (E, w, w) over dofs (E, w); those of dof -1 and zeros are left out."""
    rows = np.broadcast_to(cell_dofs[:, :, None], matrices.shape)
    columns = np.broadcast_to(cell_dofs[:, None, :], matrices.shape)
    keep = (rows >= 0) & (columns >= 0) & (matrices != 0.0)
    entries = (rows[keep].astype(np.int32), columns[keep].astype(np.int32))
    return sp.csr_array(sp.coo_array((matrices[keep], entries), shape=(n, n)))


def rigid_modes(positions: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Translations and rotations (n, 3 or 6) at dofs (n,) that are component `component` at `positions` (n, d).

    Examples
    --------
    >>> rigid_modes(np.array([[-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([0, 1, 0, 1]))
    array([[ 1.,  0., -0.],
           [ 0.,  1., -1.],
           [ 1.,  0., -0.],
           [ 0.,  1.,  1.]])
    """
    d = positions.shape[1]
    x = positions - positions.mean(axis=0)
    turns = [(0, 1)] if d == 2 else [(0, 1), (1, 2), (2, 0)]
    modes = [(component == axis).astype(float) for axis in range(d)]
    modes += [np.where(component == a, -x[:, b], np.where(component == b, x[:, a], 0.0)) for a, b in turns]
    return np.stack(modes, axis=1)


def _problem(name: str, mesh: Any, coefficient: np.ndarray, free: np.ndarray, components: int,
             kernel: Callable[..., Any], load: Callable[..., Any]) -> LargeProblem:
    free = np.repeat(free, components)
    number = np.where(free, np.cumsum(free) - 1, -1)
    dofs = components * mesh.t.T[:, :, None] + np.arange(components)
    positions = np.repeat(mesh.p.T, components, axis=0)[free]
    cell_dofs = number[dofs.reshape(len(dofs), -1)]
    return LargeProblem(name, mesh, coefficient, cell_dofs, positions, components, kernel, load)


def _diffusion(u: Any, v: Any, w: Any) -> Any:
    return dot(grad(u), grad(v))


def _hooke(u: Any, v: Any, w: Any) -> Any:
    strain, test = sym_grad(u), sym_grad(v)
    return 2.0 * 0.5 / 1.3 * ddot(strain, test) + 0.3 / (1.3 * 0.4) * trace(strain) * trace(test)


def _one(v: Any, w: Any) -> Any:
    return 1.0 * v


def _weight(v: Any, w: Any) -> Any:
    return -v[2]
