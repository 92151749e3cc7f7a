"""Small split problems: diffusion with a jump, advection, and elasticity, with the whole matrix for comparison."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import skfem
from skfem.helpers import ddot, dot, grad, sym_grad, trace

from romflow.dd.decomposition import decompose
from romflow.dd.layout import Layout, assemble, parts_of_rank


@dataclass
class Split:
    """One rank's share of a problem; `natural` brings owned values to the order of `A` and `b`."""

    layout: Layout
    local: sp.csr_array
    cells: np.ndarray
    rhs: np.ndarray
    modes: np.ndarray | None
    A: sp.csr_array
    b: np.ndarray
    symmetric: bool

    @property
    def natural(self) -> np.ndarray:
        """Numbers in the mesh of the owned unknowns."""
        return self.layout.natural[:self.layout.owned]


def split(kind: str, comm: Any, *, side: int = 12, contrast: float = 1e3, parts: int = 4) -> Split:
    """A problem over the parts of this rank; kind is "diffusion", "advection" or "elasticity" (plane)."""
    line = np.linspace(0.0, 1.0, side + 1)
    mesh = skfem.MeshTri.init_tensor(line, line)
    width = 2 if kind == "elasticity" else 1
    scalar = skfem.ElementTriP1()
    basis = skfem.Basis(mesh, skfem.ElementVector(scalar) if width == 2 else scalar)
    centroids = mesh.p[:, mesh.t].mean(axis=1).T
    weight = np.where(np.floor(5 * centroids[:, 1]) % 2 == 1, contrast, 1.0)
    form = {"diffusion": _diffusion, "advection": _advection, "elasticity": _hooke}[kind]
    K = skfem.BilinearForm(form).coo_data(basis).tolocal().transpose(0, 2, 1)
    K = K if kind == "advection" else weight[:, None, None] * K
    free = np.repeat(mesh.p[0] > 1e-12, width)
    number = np.where(free, np.cumsum(free) - 1, -1)
    dofs = number[(width * mesh.t.T[:, :, None] + np.arange(width)).reshape(mesh.t.shape[1], -1)]
    n = int(free.sum())
    whole = decompose(dofs, mesh.t.T, centroids, parts=parts, method="bisection")
    layout = Layout(comm, [whole.part(i) for i in parts_of_rank(parts, comm.size, comm.rank)])
    A, b = assemble(dofs, K, n), np.sin(np.arange(n) + 1.0)
    mine = K[layout.cells]
    positions = np.repeat(mesh.p.T, width, axis=0)[free][layout.natural]
    modes = _modes(positions, layout.natural % 2) if width == 2 else None
    local, rhs = assemble(layout.cell_dofs, mine, layout.local), b[layout.natural[:layout.owned]]
    return Split(layout, local, mine, rhs, modes, A, b, kind != "advection")


def _modes(positions: np.ndarray, component: np.ndarray) -> np.ndarray:
    first = component == 0
    turn = np.where(first, -positions[:, 1], positions[:, 0])
    return np.stack([first.astype(float), 1.0 - first, turn], axis=1)


def _diffusion(u: Any, v: Any, w: Any) -> Any:
    return dot(grad(u), grad(v))


def _advection(u: Any, v: Any, w: Any) -> Any:
    return dot(grad(u), grad(v)) + 20.0 * u.grad[0] * v


def _hooke(u: Any, v: Any, w: Any) -> Any:
    strain, test = sym_grad(u), sym_grad(v)
    return 2.0 * 0.5 / 1.3 * ddot(strain, test) + 0.3 / (1.3 * 0.4) * trace(strain) * trace(test)
