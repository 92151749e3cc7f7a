"""A clamped elastic beam of layers in three dimensions, each layer with its own modulus."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import skfem

from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.gallery.elements import Elements, FreeUnknowns
from romflow.fom.gallery.grids import SOLID_ELEMENTS, box, check_element, counts, picture_mesh
from romflow.fom.gallery.rules import check_positive
from romflow.parameters.expressions import Theta
from romflow.parameters.space import ParameterSpace

# Elements whose matrices are held at once.
_CHUNK = 8192


class LinearElasticity(AffineModel):
    """Small-strain elasticity on [0, length] x [0, 1]^2, clamped at x = 0, body force (0, 0, -1), free elsewhere.

    The modulus E of an element is that of the layer floor(L z) of its centroid, for L parameters; Poisson's ratio nu is
    the same everywhere. Stress = E (lame tr(eps) 1 + 2 shear eps) with lame = nu / ((1 + nu)(1 - 2 nu)) and
    shear = 1 / (2 (1 + nu)). A(mu) = sum_q E_q A_q; X is A at moduli 1, so that min_q E_q bounds the coercivity
    constant from below (min-theta). Output "tip" = mean of u_z over the face x = length. Elements of first order are
    too stiff in bending: refine along the beam and across it together.

    Parameters
    ----------
    parameters : ParameterSpace
        One positive modulus a layer, from the lowest.
    length : float
        Length of the beam.
    cells : int or [int, int, int]
        Boxes along x, y, z.
    poisson : float
        Poisson's ratio, in (-1, 0.5).
    element : {"hex", "tet"}
        Trilinear hexahedra, or linear tetrahedra (six to a box).

    Raises
    ------
    ConfigError
        An option is wrong, a layer holds no element, or a modulus can be zero or negative.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("modulus", Uniform(1.0, 10.0), size=2)])
    >>> model = LinearElasticity(space, cells=[4, 2, 2])
    >>> model.n, model.operator.Q, model.mesh.components
    (108, 2, 3)
    """

    def __init__(self, parameters: ParameterSpace, length: float = 4.0, cells: int | Sequence[int] = (16, 4, 4),
                 poisson: float = 0.3, element: str = "hex") -> None:
        grid = counts(cells, 3, "cells")
        check_element(element, SOLID_ELEMENTS)
        check_positive("linear-elasticity", parameters, parameters.columns)
        length = _number("length", length, 0.0, np.inf, "above 0")
        poisson = _number("poisson", poisson, -1.0, 0.5, "in (-1, 0.5), both ends excluded")
        elements = Elements(box(element, (length, 1.0, 1.0), grid))
        mesh = elements.mesh
        unknowns = FreeUnknowns(elements.vertices, mesh.p[0] == 0.0, components=3)
        columns = parameters.columns
        one = Theta(["1"], columns)
        stiffness = AffineOperator(Theta(list(columns), columns), _terms(elements, unknowns, parameters.size, poisson))
        force = np.zeros((*elements.vertices.shape, 3))
        force[:, :, 2] = -elements.load()
        tip = _mean_on_face(mesh, elements, length)
        super().__init__(
            parameters, stiffness, AffineVector(one, unknowns.vector(force.reshape(len(force), -1))[:, None]),
            stiffness.assemble(np.ones(parameters.size)), AffineOutputs(["tip"], one, tip[unknowns.nodal][None, None]),
            spec={"kind": "linear-elasticity", "length": length, "cells": list(grid), "poisson": poisson,
                  "element": element},
            norm="energy norm at moduli 1", stability={"kind": "min-theta", "reference": [1.0] * parameters.size},
            mesh=picture_mesh(mesh, unknowns.nodal, components=3),
            near_nullspace=_rigid_body_modes(mesh.p)[unknowns.nodal])


def _terms(elements: Elements, unknowns: FreeUnknowns, layers: int, poisson: float) -> list[Any]:
    layer = np.minimum(np.floor(layers * elements.centroids[:, 2] + 1e-9).astype(int), layers - 1)
    terms = []
    for q in range(layers):
        inside = np.flatnonzero(layer == q)
        if inside.size == 0:
            raise ConfigError(f"layer {q} of {layers} holds no element; the rule is at least as many cells along z as "
                              "there are moduli")
        chunks = [inside[start:start + _CHUNK] for start in range(0, inside.size, _CHUNK)]
        parts = [unknowns.matrix(_local(elements, part, poisson), part, symmetric=True) for part in chunks]
        terms.append(functools.reduce(operator.add, parts))
    return terms


def _local(elements: Elements, chosen: np.ndarray, poisson: float) -> np.ndarray:
    """Element matrices (E', 3v, 3v) at modulus 1, entry (i a, j b) the integral of

    lame d_a phi_i d_b phi_j + shear (d_b phi_i d_a phi_j + delta_ab grad phi_i . grad phi_j).
    """
    lame = poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    shear = 0.5 / (1.0 + poisson)
    G = elements.gradient_products(chosen)
    local = lame * G + shear * G.transpose(0, 1, 4, 3, 2)
    laplace = shear * np.einsum("eiaja->eij", G)
    for a in range(3):
        local[:, :, a, :, a] += laplace
    width = 3 * G.shape[1]
    return np.asarray(local.reshape(len(G), width, width))


def _rigid_body_modes(points: np.ndarray) -> np.ndarray:
    """Nodal values (3 P, 6) of three translations and three rotations for points (3, P)."""
    modes = np.zeros((points.shape[1], 3, 6))
    modes[:, :, :3] = np.eye(3)
    for rotation in range(3):
        i, j = (rotation + 1) % 3, (rotation + 2) % 3
        modes[:, i, 3 + rotation], modes[:, j, 3 + rotation] = -points[j], points[i]
    return modes.reshape(-1, 6)


def _mean_on_face(mesh: Any, elements: Elements, length: float) -> np.ndarray:
    """Nodal functional (3 P,): mean of the z component over the face x = length, whose area is 1."""
    facets = mesh.facets_satisfying(lambda x: x[0] > length * (1.0 - 1e-9))
    face = skfem.FacetBasis(mesh, elements.basis.elem, facets=facets, intorder=2)
    weights = skfem.LinearForm(lambda v, _: v).assemble(face)
    functional = np.zeros(3 * weights.size)
    functional[2::3] = weights
    return functional


def _number(key: str, value: Any, low: float, high: float, rule: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        raise ConfigError(f"{key} = {shown(value)} is not a number {rule}")
    return float(value)
