"""Mesh models before they are assembled: cells, forms on them and coefficients, for whole meshes and parts alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import ConfigError, ShapeError
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace


@dataclass(frozen=True, eq=False)
class CellMesh:
    """Points and cells of one type, the region of each cell, and which nodal values are fixed to zero.

    Parameters
    ----------
    points : (P, d) array
    cells : (E, v) array of int
        Point numbers of each cell, in the order of scikit-fem.
    cell_type : {"triangle", "quad", "tetra", "hexahedron"}
    region : (E,) array of int
        Number of the region that a cell belongs to, from 0.
    fixed : (P, components) array of bool
        Values of a point that are zero.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> mesh = CellMesh(points, np.array([[0, 1, 2], [1, 2, 3]]), "triangle", np.array([0, 1]), np.zeros((4, 1), bool))
    >>> piece = mesh.chosen([1])
    >>> piece.points.shape, piece.cells, piece.region
    ((3, 2), array([[0, 1, 2]]), array([1]))
    """

    points: np.ndarray
    cells: np.ndarray
    cell_type: str
    region: np.ndarray
    fixed: np.ndarray

    def chosen(self, cells: Any) -> CellMesh:
        """The mesh of these cells alone, in their order; its points keep their order among each other."""
        chosen = self.cells[cells]
        numbers, places = np.unique(chosen, return_inverse=True)
        return CellMesh(self.points[numbers], places.reshape(chosen.shape), self.cell_type, self.region[cells],
                        self.fixed[numbers])

    @property
    def centroids(self) -> np.ndarray:
        """Centroids (E, d)."""
        return np.asarray(self.points[self.cells].mean(axis=1))


class Form(Protocol):
    """A bilinear form, integrated cell by cell; the same for a cell in whatever mesh it is.

    Attributes
    ----------
    symmetry : int
        1 for a symmetric form, -1 for a skew-symmetric one, else 0: how rounding is removed from sums.
    """

    symmetry: int

    def matrices(self, mesh: CellMesh) -> np.ndarray:
        """Matrices (E, w, w) of all the cells, w = v * components, entry (v i + c) for component c at corner i."""
        ...


@dataclass(frozen=True)
class CellTerm:
    """One term of an operator: a form on all cells, or on those of one region.

    Attributes
    ----------
    form : Form
    region : int or None
        None: all the cells.
    """

    form: Form
    region: int | None = None


@dataclass(frozen=True, eq=False)
class CellProblem:
    """A(mu) u = f(mu) on a mesh, A(mu) = sum_q theta_q(mu) A_q, of which nothing is made before it is asked for.

    The mesh is made at the first use of `mesh`; parts of a mesh take their own cells instead, and `element_matrices` is
    the same for both.

    Parameters
    ----------
    parameters : ParameterSpace
    spec : dict
        JSON identity.
    components : int
        Values a point.
    make_mesh : callable
        Gives the `CellMesh`.
    theta : Theta
        Q coefficients of the operator.
    terms : tuple of Q CellTerm
    product : tuple of Q numbers
        The inner product is X = sum_q product[q] A_q: symmetric positive definite.
    rhs_theta : Theta
        Qf coefficients of the right-hand side.
    rhs : callable
        (P * components, Qf) nodal vectors of a mesh; value j * components + c is component c at point j.
    output_theta : Theta
        Ql coefficients.
    output_names : tuple of o str
    outputs : callable
        (Ql, o, P * components) nodal functionals of a mesh.
    norm : str
        Name of the norm of X.
    stability : dict or None
        See `romflow.fom.protocol.SupportsAffine`.
    modes : callable, optional
        (P * components, j) nodal values of vectors that A maps to almost nothing, from points (P, d).
    files : tuple of Path
        Files that the mesh is made from.
    chunk : int
        Cells whose matrices are held at once.

    Raises
    ------
    ShapeError
        The numbers of terms, coefficients and weights differ.
    """

    parameters: ParameterSpace
    spec: dict[str, Any]
    components: int
    make_mesh: Callable[[], CellMesh]
    theta: Theta
    terms: tuple[CellTerm, ...]
    product: tuple[float, ...]
    rhs_theta: Theta
    rhs: Callable[[CellMesh], np.ndarray]
    output_theta: Theta
    output_names: tuple[str, ...]
    outputs: Callable[[CellMesh], np.ndarray]
    norm: str
    stability: dict[str, Any] | None
    modes: Callable[[np.ndarray], np.ndarray] | None = None
    files: tuple[Path, ...] = ()
    chunk: int = 8192

    def __post_init__(self) -> None:
        sizes = {"terms": len(self.terms), "coefficients": len(self.theta.expressions), "weights": len(self.product)}
        if len(set(sizes.values())) != 1 or not self.terms:
            raise ShapeError("a cell problem has " + ", ".join(f"{size} {word}" for word, size in sizes.items())
                             + "; the rule is one of each for every term, and at least one term")

    @cached_property
    def mesh(self) -> CellMesh:
        """The whole mesh."""
        mesh = self.make_mesh()
        if mesh.fixed.shape != (len(mesh.points), self.components):
            raise ShapeError(f"the marks of fixed values have shape {mesh.fixed.shape}; the rule is "
                             f"({len(mesh.points)}, {self.components}), points and components")
        if mesh.fixed.all():
            raise ConfigError("every value of the mesh is fixed, so nothing is unknown; take more cells, or fix less")
        return mesh

    @property
    def Q(self) -> int:
        """Number of terms of the operator."""
        return len(self.terms)

    @property
    def symmetric(self) -> bool:
        """Every term is symmetric."""
        return all(term.form.symmetry == 1 for term in self.terms)

    @cached_property
    def nodal(self) -> np.ndarray:
        """Nodal value (n,) of each unknown; unknowns are numbered in the order of their nodal values."""
        return np.flatnonzero(~self.mesh.fixed.ravel())

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return int(self.nodal.size)

    @property
    def cell_dofs(self) -> np.ndarray:
        """Unknowns (E, w) of each cell, int32, -1 where the value is fixed."""
        free = ~self.mesh.fixed.ravel()
        numbers = np.where(free, np.cumsum(free) - 1, -1).astype(np.int32)
        local = self.mesh.cells[:, :, None] * self.components + np.arange(self.components)
        return np.asarray(numbers[local.reshape(len(self.mesh.cells), -1)])

    def term_cells(self, q: int, mesh: CellMesh) -> np.ndarray:
        """Numbers of the cells of a mesh on which term q is not zero."""
        region = self.terms[q].region
        return np.arange(len(mesh.cells)) if region is None else np.flatnonzero(mesh.region == region)

    def element_matrices(self, q: int, mesh: CellMesh) -> np.ndarray:
        """Matrices (E, w, w) of term q on all the cells of `mesh`, which is a mesh of cells of the term.

        Exactly symmetric or skew-symmetric where the form is. Cost: (E, w, w) numbers; choose at most `chunk` cells.
        """
        return _even(self.terms[q].form.matrices(mesh), self.terms[q].form.symmetry)

    def weighted_matrices(self, theta: np.ndarray, mesh: CellMesh) -> np.ndarray:
        """Matrices (E, w, w) of sum_q theta_q A_q on the cells of `mesh`; each form is integrated once.

        Parameters
        ----------
        theta : (Q,)
        mesh : CellMesh
            At most `chunk` cells of any regions.
        """
        weights: dict[Any, np.ndarray] = {}
        for q, term in enumerate(self.terms):
            weight = weights.setdefault(term.form, np.zeros(len(mesh.cells)))
            weight[self.term_cells(q, mesh)] += theta[q]
        total: Any = 0.0
        for form, weight in weights.items():
            if weight.any():
                total = total + weight[:, None, None] * _even(form.matrices(mesh), form.symmetry)
        width = mesh.cells.shape[1] * self.components
        return np.asarray(total) if np.ndim(total) else np.zeros((len(mesh.cells), width, width))

    def vectors(self) -> np.ndarray:
        """Terms (n, Qf) of the right-hand side on the unknowns."""
        return np.asarray(self.rhs(self.mesh)[self.nodal])

    def functionals(self) -> np.ndarray:
        """Functionals (Ql, o, n) of the outputs on the unknowns."""
        return np.asarray(self.outputs(self.mesh)[:, :, self.nodal])

    def near_nullspace(self) -> np.ndarray | None:
        """Near-nullspace (n, j) of the operator on the unknowns; None where the problem names none."""
        return None if self.modes is None else self.modes(self.mesh.points)[self.nodal]


def _even(local: np.ndarray, symmetry: int) -> np.ndarray:
    return local if symmetry == 0 else 0.5 * (local + symmetry * local.transpose(0, 2, 1))
