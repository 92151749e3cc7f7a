"""Strains, forces and stiffness of mechanics: patch test, locking, orders of convergence, products."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.fom.mechanics.elements import ELEMENTS, make_element
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.shapes.box import box
from romflow.fom.mechanics.solid import Solid, with_middles
from romflow.fom.mechanics.space import StrainSpace

STRAIGHT = {"tri6": "tri3", "tet10": "tet4"}


def moduli(G, young=1.0, poisson=0.3):
    """Tangent (6, 6, G) of an isotropic elastic body."""
    lame, shear = young * poisson / ((1 + poisson) * (1 - 2 * poisson)), young / (2 * (1 + poisson))
    one = np.array([1.0, 1, 1, 0, 0, 0])
    C = lame * np.outer(one, one) + shear * np.diag([2.0, 2, 2, 1, 1, 1])
    return np.repeat(C[:, :, None], G, axis=2)


def distorted(element, cells=3, share=0.15):
    """The unit box with its inner corners moved by up to `share` of a cell."""
    kind = make_element(element)
    solid = box([cells] * kind.d, element=STRAIGHT.get(element, element))
    inner = np.setdiff1d(np.arange(len(solid.nodes)), np.unique(solid.outside[0]))
    nodes = solid.nodes.copy()
    nodes[inner] += np.random.default_rng(1).uniform(-share, share, (inner.size, kind.d)) / cells
    parts = nodes, solid.cells, solid.cell
    return Solid(*(with_middles(*parts) if element in STRAIGHT else parts))


def solved(space, tangent, held, values, forces):
    """u with `values` (n,) at the dofs `held` under `forces`."""
    K = space.stiffness(tangent)
    u = np.where(held, values, 0.0)
    free = ~held
    u[free] = spsolve(K[free][:, free].tocsc(), (forces - K @ u)[free])
    return u


def patch_error(space, outside, tangent=None):
    d = space.d
    A = np.arange(1.0, d * d + 1).reshape(d, d) / 10
    exact = (space.nodes @ A.T + 1.0).ravel()
    held = np.isin(np.arange(space.n) // d, outside)
    u = solved(space, moduli(space.G) if tangent is None else tangent, held, exact, np.zeros(space.n))
    return np.abs(u - exact).max()


@pytest.mark.parametrize("element", ELEMENTS)
def test_patch(element):
    solid = distorted(element)
    space = solid.space(element)
    assert patch_error(space, np.unique(solid.outside[0])) < 1e-12
    assert space.weights.sum() == pytest.approx(1.0, rel=1e-12)


def test_patch_fails_where_strain_is_wrong():
    solid = distorted("hex8-bbar")
    space = solid.space()
    space.B[:, 3] *= 1.001
    assert patch_error(space, np.unique(solid.outside[0])) > 1e-6


def test_patch_fails_where_the_dilatation_is_of_the_first_point():
    solid = distorted("quad4-bbar")
    space = solid.space()
    plain = solid.space("quad4")
    B = plain.B.reshape(-1, 4, 6, 8)
    volume = B[:, :, :3].sum(axis=2)
    B[:, :, :3] += (volume[:, :1] - volume)[:, :, None] / 3.0
    assert patch_error(space, np.unique(solid.outside[0])) < 1e-12
    assert patch_error(plain, np.unique(solid.outside[0])) > 1e-6


@pytest.mark.parametrize("element", ELEMENTS)
def test_linear_strain_and_rigid_turn(element):
    space = distorted(element).space(element)
    A = np.random.default_rng(0).standard_normal((space.d, space.d))
    E = np.zeros((3, 3))
    E[:space.d, :space.d] = 0.5 * (A + A.T)
    voigt = np.array([E[0, 0], E[1, 1], E[2, 2], 2 * E[0, 1], 2 * E[1, 2], 2 * E[0, 2]])
    assert space.strain((space.nodes @ A.T).ravel()) == pytest.approx(np.tile(voigt[:, None], space.G), abs=1e-11)
    assert np.abs(space.strain((space.nodes @ (A - A.T)).ravel())).max() < 1e-11


@pytest.mark.parametrize("element", ["tri6", "hex8-bbar"])
def test_stiffness_is_the_derivative_of_the_forces(element):
    space = distorted(element).space(element)
    rng = np.random.default_rng(0)
    C = rng.standard_normal((6, 6, space.G))
    u = rng.standard_normal(space.n)
    K = space.stiffness(C)
    assert K @ u == pytest.approx(space.forces(np.einsum("ijg,jg->ig", C, space.strain(u))), abs=1e-11)
    assert abs(K - K.T).max() > 0.1
    again = space.stiffness(2.0 * C)
    assert np.array_equal(K.indices, again.indices) and np.allclose(again.data, 2.0 * K.data)
    assert K.has_sorted_indices and np.all(np.diff(K.indices[K.indptr[3]:K.indptr[4]]) > 0)


def test_choices_of_cells_points_and_columns_agree():
    space = distorted("tet10").space()
    U = np.random.default_rng(0).standard_normal((space.n, 3))
    whole = space.strain(U)
    cells = np.array([7, 2, 90])
    points = (4 * cells[:, None] + np.arange(4)).ravel()
    assert np.array_equal(space.strain(U, cells), whole[:, points])
    assert np.allclose(space.strain(U[:, 1], slice(5, 8)), whole[:, 20:32, 1], atol=1e-13)
    rows, dofs = space.point_rows(points)
    assert np.allclose(np.einsum("miw,mwb->imb", rows, U[dofs]), whole[:, points])
    shape, nodes = space.shape_rows(points)
    assert np.allclose(np.einsum("mv,mvx->xm", shape, space.nodes[nodes]), space.points[:, points])
    assert np.allclose(space.at_points(space.nodes[:, 2]), space.points[2])
    assert space.at_points(space.nodes, cells).shape == (12, 3)


@pytest.mark.parametrize("element", ["tri3", "tri6", "quad4", "tet10", "hex8"])
def test_products(element):
    space = distorted(element).space(element)
    x = space.nodes
    one, linear = np.ones(len(x)), x[:, 0]
    M = space.mass()
    assert linear @ M @ linear == pytest.approx(1 / 3, rel=1e-12)
    assert one @ M @ linear == pytest.approx(0.5, rel=1e-12)
    u = np.zeros(x.shape)
    u[:, 1] = 2.0 * x[:, 0]
    assert u.ravel() @ space.h1 @ u.ravel() == pytest.approx(4 / 3 + 4, rel=1e-12)
    assert space.mass(2).shape == (2 * len(x),) * 2


def test_extrapolation_stays_in_range():
    space = distorted("tet10").space()
    field = np.random.default_rng(0).uniform(2.0, 3.0, (2, space.G))
    nodal = space.extrapolate(field)
    assert nodal.shape == (2, len(space.nodes)) and nodal.min() >= 2.0 and nodal.max() <= 3.0
    assert np.allclose(space.extrapolate(np.full(space.G, 7.0)), 7.0)


def ring(cells):
    """A quarter of a ring, radii 1 and 2, from the unit square."""
    solid = box(cells, element="quad4")
    angle, radius = 0.5 * np.pi * (1.0 - solid.nodes[:, 1]), 1.0 + solid.nodes[:, 0]
    nodes = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return Solid(nodes, solid.cells[:, ::-1].copy(), "quad")


def hole_growth(element, poisson):
    """Growth of the inner radius under a pressure 1, as a share of Lame's solution (plane strain)."""
    solid = ring((6, 12))
    space, places = solid.space(element), Places(solid)
    facets = places.facets("x**2 + y**2 < 1.0001")
    forces = facets.loads(-facets.normals, len(space.nodes)).ravel()
    held = np.zeros(space.n, dtype=bool)
    held[2 * places.nodes("x = 0")] = held[2 * places.nodes("y = 0") + 1] = True
    u = solved(space, moduli(space.G, poisson=poisson), held, np.zeros(space.n), forces)
    exact = (1 + poisson) / 3.0 * ((1 - 2 * poisson) + 4.0)
    return u[2 * places.nodes([1.0, 0.0])[0]] / exact


def test_mean_dilatation_does_not_lock_and_full_integration_does():
    assert hole_growth("quad4-bbar", 0.4999) == pytest.approx(1.0, abs=0.02)
    assert hole_growth("quad4", 0.3) == pytest.approx(1.0, abs=0.02)
    assert hole_growth("quad4", 0.4999) < 0.6


def bent(element):
    """Deflection of a nearly incompressible square bar, as a share of that of tri6 or tet10."""
    kind = make_element(element)
    solid = box([10] + [2] * (kind.d - 1), [10.0] + [1.0] * (kind.d - 1), element)
    space, places = solid.space(element), Places(solid)
    facets = places.facets("x = max")
    pull = np.zeros(facets.points.shape)
    pull[..., 1] = 1.0
    held = np.isin(np.arange(space.n) // kind.d, places.nodes("x = 0"))
    u = solved(space, moduli(space.G, poisson=0.4999), held, np.zeros(space.n),
               facets.loads(pull, len(space.nodes)).ravel())
    return u.reshape(-1, kind.d)[places.nodes([10.0] + [0.5] * (kind.d - 1))[0], 1]


def test_bending_in_space_without_locking():
    fine = bent("tet10")
    assert bent("hex8-bbar") == pytest.approx(fine, rel=0.25)
    assert bent("hex8") < 0.5 * fine


def energy_error(element, cells):
    """Errors in strain and in displacement of u = sin(pi x) sin(pi y) (1, 1) with E = 1, nu = 0.25."""
    solid = distorted(element, cells, 0.1)
    space = solid.space(element)
    pi, lame = np.pi, 0.4

    def waves(x, y):
        return np.sin(pi * x) * np.sin(pi * y), np.cos(pi * x) * np.cos(pi * y)

    s, c = waves(*space.points)
    force = pi**2 * ((lame + 3 * lame) * s - (lame + lame) * c)
    local = np.stack([np.bincount(space.cells.ravel(), ((force * space.weights).reshape(len(space.cells), -1)
                                                        @ space.shape).ravel(), len(space.nodes))] * 2, axis=1)
    exact = np.stack([waves(*space.nodes.T)[0]] * 2, axis=1).ravel()
    held = np.isin(np.arange(space.n) // 2, np.unique(solid.outside[0]))
    u = solved(space, moduli(space.G, 1.0, 0.25), held, exact, local.ravel())
    x, y = space.points
    dx, dy = pi * np.cos(pi * x) * np.sin(pi * y), pi * np.sin(pi * x) * np.cos(pi * y)
    strain = space.strain(u)
    misfit = (strain[0] - dx) ** 2 + (strain[1] - dy) ** 2 + (strain[3] - dx - dy) ** 2
    at = space.at_points(u.reshape(-1, 2)).T - s
    return np.sqrt(misfit @ space.weights), np.sqrt((at**2).sum(axis=0) @ space.weights)


@pytest.mark.parametrize(("element", "order"), [("tri3", 1), ("quad4", 1), ("quad4-bbar", 1), ("tri6", 2)])
def test_orders_of_convergence(element, order):
    coarse, fine = energy_error(element, 8), energy_error(element, 16)
    rates = np.log2(np.array(coarse) / np.array(fine))
    assert rates[0] > order - 0.15
    assert rates[1] > order + 0.75


def test_bad_meshes():
    nodes, cells = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), np.array([[0, 1, 2, 3]])
    with pytest.raises(InputError, match="1 of 1 cells are turned inside out.*VTK"):
        StrainSpace(nodes, cells[:, ::-1], "quad4")
    with pytest.raises(ConfigError, match="no element is called 'quad5'.*quad4"):
        StrainSpace(nodes, cells, "quad5")
    with pytest.raises(ShapeError, match=r"\(C, 3\)"):
        StrainSpace(nodes, cells, "tri3")
    with pytest.raises(ShapeError, match=r"\(N, 3\)"):
        StrainSpace(nodes, cells, "hex8")
    with pytest.raises(InputError, match="there are 4"):
        StrainSpace(nodes, cells + 1, "quad4")
    with pytest.raises(InputError, match="finite"):
        StrainSpace(nodes * np.nan, cells, "quad4")
    with pytest.raises(InputError, match="choose quad4 or quad4-bbar"):
        Solid(nodes, cells, "quad").space("tri3")


def test_mesh_for_pictures():
    space = box((1, 1, 1), element="tet10").space()
    mesh = space.mesh
    assert mesh.n == space.n and mesh.cell_type == "tetra" and mesh.cells.shape == (6, 4) and mesh.components == 3
