"""Families of related systems for the solver benchmarks: bars in a cube, layered elasticity, a thermal block.

Coefficients are constant on each element (taken at its centroid), elements are P1 on tensor meshes, and Dirichlet dofs
are removed. A(theta) = sum_q theta_q A_q.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem
from skfem.helpers import ddot, dot, grad, sym_grad, trace


@dataclass(frozen=True)
class Family:
    """A(theta) = sum_q theta_q A_q, one right-hand side, and where theta is drawn from.

    Attributes
    ----------
    name : str
    terms : list of sparse (n, n)
        Symmetric; CSR, each on its own pattern.
    rhs : (n,)
    sample : callable
        ``sample(k, seed) -> (k, Q)``.
    near_nullspace : (n, j), optional
        Rigid-body modes of elasticity.
    """

    name: str
    terms: list[sp.csr_array]
    rhs: np.ndarray
    sample: Callable[[int, int], np.ndarray]
    near_nullspace: np.ndarray | None = None
    _union: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return self.rhs.size

    def assemble(self, theta: np.ndarray) -> sp.csr_array:
        """A(theta) on the union of the patterns, the same arrays of indices every time."""
        if not self._union:
            self._union.update(_union(self.terms))
        data = np.zeros(self._union["indices"].size)
        for weight, term, where in zip(theta, self.terms, self._union["where"], strict=True):
            data[where] += weight * term.data
        return sp.csr_array((data, self._union["indices"], self._union["indptr"]), shape=self.terms[0].shape)


def _union(terms: list[sp.csr_array]) -> dict[str, Any]:
    pattern = sp.csr_array(sum(sp.csr_array((np.ones(t.nnz), t.indices, t.indptr), shape=t.shape) for t in terms))
    pattern.sort_indices()
    number = sp.csr_array((np.arange(1.0, pattern.nnz + 1), pattern.indices, pattern.indptr), shape=pattern.shape)
    where = []
    for term in terms:
        mask = sp.csr_array((np.ones(term.nnz), term.indices, term.indptr), shape=term.shape)
        found = sp.csr_array(number.multiply(mask))
        found.sort_indices()
        where.append(found.data.astype(np.int64) - 1)
    return {"indices": pattern.indices, "indptr": pattern.indptr, "where": where}


def bars(cells: int = 48) -> Family:
    """-div(k grad u) = 1 on the unit cube, u = 0 on x = 0, 16 bars each of its own contrast, log-uniform in 1 .. 1e4.

    The first term is everything outside the bars and has theta = 1. 48 cells give 115,248 unknowns.
    """
    line = np.linspace(0.0, 1.0, cells + 1)
    mesh = skfem.MeshTet.init_tensor(line, line, line)
    _, y, z = mesh.p[:, mesh.t].mean(axis=1)
    row, column = np.floor(9 * y).astype(int), np.floor(9 * z).astype(int)
    inside = (row % 2 == 1) & (column % 2 == 1)
    group = np.where(inside, 1 + 4 * (row // 2) + column // 2, 0)
    basis = skfem.Basis(mesh, skfem.ElementTetP1())
    keep = basis.complement_dofs(basis.get_dofs(lambda x: np.isclose(x[0], 0.0)))
    terms = _terms(mesh, skfem.ElementTetP1(), group, 17, keep, _diffusion)
    rhs = skfem.LinearForm(lambda v, w: v).assemble(basis)[keep]
    return Family("bars", terms, rhs, _contrasts(16, 1e4))


def elasticity(n: int = 16) -> Family:
    """Elasticity of [0, 4] x [0, 1] x [0, 1], nu = 0.3, clamped at x = 0, f = (0, 0, -1), seven layers along z.

    The three odd layers have each its own modulus, log-uniform in 1 .. 1e3; the rest has 1. n = 16 gives 55,488
    unknowns.
    """
    line = np.linspace(0.0, 1.0, n + 1)
    mesh = skfem.MeshTet.init_tensor(np.linspace(0.0, 4.0, 4 * n + 1), line, line)
    layer = np.floor(7 * mesh.p[:, mesh.t].mean(axis=1)[2]).astype(int)
    group = np.where(layer % 2 == 1, 1 + layer // 2, 0)
    element = skfem.ElementVector(skfem.ElementTetP1())
    basis = skfem.Basis(mesh, element)
    keep = basis.complement_dofs(basis.get_dofs(lambda x: np.isclose(x[0], 0.0)))
    terms = _terms(mesh, element, group, 4, keep, _hooke)
    rhs = skfem.LinearForm(lambda v, w: -v[2]).assemble(basis)[keep]
    return Family("elasticity", terms, rhs, _contrasts(3, 1e3), _rigid_modes(basis.doflocs)[keep])


def block2d(cells: int = 333) -> Family:
    """Thermal block with 3 x 3 conductivities uniform in .1 .. 1, zero on the boundary; 333 cells: 110,224 unknowns."""
    line = np.linspace(0.0, 1.0, cells + 1)
    mesh = skfem.MeshTri.init_tensor(line, line)
    x, y = mesh.p[:, mesh.t].mean(axis=1)
    group = 3 * np.floor(3 * y).astype(int) + np.floor(3 * x).astype(int)
    basis = skfem.Basis(mesh, skfem.ElementTriP1())
    keep = basis.complement_dofs(basis.get_dofs())
    terms = _terms(mesh, skfem.ElementTriP1(), group, 9, keep, _diffusion)
    rhs = skfem.LinearForm(lambda v, w: v).assemble(basis)[keep]
    return Family("block2d", terms, rhs, lambda k, seed: np.random.default_rng(seed).uniform(0.1, 1.0, (k, 9)))


def _terms(mesh: Any, element: Any, group: np.ndarray, number: int, keep: np.ndarray,
           form: Callable[..., Any]) -> list[sp.csr_array]:
    found = []
    for index in range(number):
        basis = skfem.Basis(mesh, element, elements=np.flatnonzero(group == index))
        term = sp.csr_array(skfem.BilinearForm(form).assemble(basis))[keep][:, keep]
        term.eliminate_zeros()
        term.sort_indices()
        found.append(sp.csr_array(0.5 * (term + term.T)))
    return found


def _diffusion(u: Any, v: Any, w: Any) -> Any:
    return dot(grad(u), grad(v))


def _hooke(u: Any, v: Any, w: Any) -> Any:
    strain, test = sym_grad(u), sym_grad(v)
    return 2.0 * 0.5 / 1.3 * ddot(strain, test) + 0.3 / (1.3 * 0.4) * trace(strain) * trace(test)


def _contrasts(number: int, largest: float) -> Callable[[int, int], np.ndarray]:
    def sample(k: int, seed: int) -> np.ndarray:
        drawn = np.exp(np.random.default_rng(seed).uniform(0.0, np.log(largest), (k, number)))
        return np.hstack([np.ones((k, 1)), drawn])

    return sample


def _rigid_modes(points: np.ndarray) -> np.ndarray:
    """Translations and rotations (n, 6) of a vector P1 space whose dofs are numbered node by node."""
    x, y, z = points - points.mean(axis=1, keepdims=True)
    modes = np.zeros((points.shape[1], 6))
    for axis in range(3):
        modes[axis::3, axis] = 1.0
    modes[0::3, 3], modes[1::3, 3] = -y[0::3], x[1::3]
    modes[1::3, 4], modes[2::3, 4] = -z[1::3], y[2::3]
    modes[2::3, 5], modes[0::3, 5] = -x[2::3], z[0::3]
    return modes
