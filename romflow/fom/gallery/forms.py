"""The bilinear forms of the gallery, and the rigid motions that elasticity does not feel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.fom.cells import CellMesh
from romflow.fom.gallery.elements import Elements


@dataclass(frozen=True)
class Diffusion:
    """int of grad u . grad v."""

    symmetry: int = 1

    def matrices(self, mesh: CellMesh) -> np.ndarray:
        """(E, v, v)."""
        return np.asarray(np.einsum("eiaja->eij", Elements(mesh).gradient_products()))


@dataclass(frozen=True)
class Wind:
    """int of v du/dx_direction, skew-symmetric for functions that vanish on the boundary.

    Parameters
    ----------
    direction : int
    """

    direction: int
    symmetry: int = -1

    def matrices(self, mesh: CellMesh) -> np.ndarray:
        """(E, v, v); sums over cells are skew-symmetric, the matrix of one cell is not."""
        return Elements(mesh).advection(self.direction)


@dataclass(frozen=True)
class Elasticity:
    """int of (lame tr(eps(u)) tr(eps(v)) + 2 shear eps(u) : eps(v)) at modulus 1; in the plane: plane strain.

    lame = nu / ((1 + nu)(1 - 2 nu)), shear = 1 / (2 (1 + nu)).

    Parameters
    ----------
    poisson : float
        nu, in (-1, 0.5).
    """

    poisson: float
    symmetry: int = 1

    def matrices(self, mesh: CellMesh) -> np.ndarray:
        """(E, d v, d v), entry (i a, j b) the integral of

        lame d_a phi_i d_b phi_j + shear (d_b phi_i d_a phi_j + delta_ab grad phi_i . grad phi_j).
        """
        lame = self.poisson / ((1.0 + self.poisson) * (1.0 - 2.0 * self.poisson))
        shear = 0.5 / (1.0 + self.poisson)
        G = Elements(mesh).gradient_products()
        local = lame * G + shear * G.transpose(0, 1, 4, 3, 2)
        laplace = shear * np.einsum("eiaja->eij", G)
        for a in range(G.shape[2]):
            local[:, :, a, :, a] += laplace
        width = G.shape[1] * G.shape[2]
        return np.asarray(local.reshape(len(G), width, width))


def rigid_body_modes(points: np.ndarray) -> np.ndarray:
    """Nodal values of rigid motions for points (P, d): translations, then rotations; (2 P, 3) or (3 P, 6).

    Examples
    --------
    >>> rigid_body_modes(np.array([[0.0, 2.0]]))
    array([[ 1.,  0., -2.],
           [ 0.,  1.,  0.]])
    """
    d = points.shape[1]
    turns = [(0, 1)] if d == 2 else [(1, 2), (2, 0), (0, 1)]
    modes = np.zeros((len(points), d, d + len(turns)))
    modes[:, :, :d] = np.eye(d)
    for column, (i, j) in enumerate(turns, start=d):
        modes[:, i, column], modes[:, j, column] = -points[:, j], points[:, i]
    return modes.reshape(len(points) * d, -1)
