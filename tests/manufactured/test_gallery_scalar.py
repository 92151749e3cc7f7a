"""Convergence of the scalar models of the gallery to exact solutions: order 1 in H1, order 2 in L2."""

from collections.abc import Callable

import numpy as np
import pytest
import skfem
from scipy.sparse.linalg import spsolve

from romflow.fom.affine import AffineModel
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

BLOCKS = (2, 3)
MU = np.array([1.0, 0.2, 5.0, 0.7, 3.0, 0.1])
DIFFUSION, ANGLE, SPEED = 0.3, 0.7, 4.0
CELLS = (12, 24, 48)


def basis_of(model: AffineModel) -> skfem.Basis:
    """The space of the model with a quadrature that is exact far beyond its order, made anew from its picture mesh."""
    mesh, element = {
        "quad": (skfem.MeshQuad, skfem.ElementQuad1()),
        "triangle": (skfem.MeshTri, skfem.ElementTriP1()),
    }[model.mesh.cell_type]
    return skfem.Basis(mesh(model.mesh.points.T.copy(), model.mesh.cells.T.copy()), element, intorder=8)


def errors(model: AffineModel, mu: np.ndarray, source: Callable, exact: Callable) -> np.ndarray:
    """Errors (L2, H1 semi-norm) of A(mu) u = f for the load of `source`; `exact` gives value and gradient."""
    basis = basis_of(model)
    load = skfem.LinearForm(lambda v, w: source(*w.x) * v).assemble(basis)
    u = spsolve(model.operator.assemble(mu), load[model.mesh.dofs])
    field = basis.interpolate(model.mesh.nodal(u)[:, 0, 0])
    value, gradient = exact(*basis.global_coordinates())
    squares = [(field - value) ** 2, ((field.grad - gradient) ** 2).sum(axis=0)]
    return np.sqrt([(square * basis.dx).sum() for square in squares])


def orders(make: Callable[[int], AffineModel], mu: np.ndarray, source: Callable, exact: Callable) -> np.ndarray:
    """Observed orders (2,) between the two finest meshes."""
    found = [errors(make(cells), mu, source, exact) for cells in CELLS]
    return np.log2(found[-2] / found[-1])


def check_orders(found: np.ndarray) -> None:
    assert np.abs(found - [2.0, 1.0]).max() < 0.06


def block_source(x, y):
    return (BLOCKS[0] ** 2 + BLOCKS[1] ** 2) * np.pi**2 * np.sin(BLOCKS[0] * np.pi * x) * np.sin(BLOCKS[1] * np.pi * y)


def block_exact(x, y):
    """u = sin(2 pi x) sin(3 pi y) / mu_q: continuous, with continuous flux, for it vanishes on every interface."""
    a, b = BLOCKS[0] * np.pi, BLOCKS[1] * np.pi
    k = MU[np.floor(BLOCKS[0] * x).astype(int) + BLOCKS[0] * np.floor(BLOCKS[1] * y).astype(int)]
    return (np.sin(a * x) * np.sin(b * y) / k,
            np.stack([a * np.cos(a * x) * np.sin(b * y), b * np.sin(a * x) * np.cos(b * y)]) / k)


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_thermal_block_converges_across_jumps_of_the_conductivity(element, must_fail):
    space = ParameterSpace([Parameter("conductivity", Uniform(0.01, 10.0), size=6)])

    def make(cells):
        return ThermalBlock(space, BLOCKS, cells, element)

    found = orders(make, MU, block_source, block_exact)
    check_orders(found)
    must_fail(check_orders, found + [0.6, 0.0], found - [0.6, 0.0], found + [0.0, 0.6], found - [0.0, 0.6])
    must_fail(check_orders, orders(make, MU[::-1], block_source, block_exact))


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_output_of_the_thermal_block_converges_to_the_series(element):
    """Integral of u for -lap u = 1: sum over odd m, n of 64 / (pi^6 m^2 n^2 (m^2 + n^2)) = 0.03514425..., order 2."""
    odd = np.arange(1.0, 4000.0, 2.0) ** 2
    series = (64.0 / np.pi**6 / (odd[:, None] * odd * (odd[:, None] + odd))).sum()
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 10.0))])
    found = [series / 2.0 - ThermalBlock(space, 1, cells, element).solve([2.0]).outputs[0] for cells in CELLS]
    assert abs(series - 0.0351442537) < 1e-9
    assert found[-1] > 0.0 and abs(np.log2(found[-2] / found[-1]) - 2.0) < 0.03


def wind_source(x, y):
    value, gradient = wind_exact(x, y)
    return 2.0 * DIFFUSION * np.pi**2 * value + SPEED * (np.cos(ANGLE) * gradient[0] + np.sin(ANGLE) * gradient[1])


def wind_exact(x, y):
    return (np.sin(np.pi * x) * np.sin(np.pi * y),
            np.pi * np.stack([np.cos(np.pi * x) * np.sin(np.pi * y), np.sin(np.pi * x) * np.cos(np.pi * y)]))


@pytest.mark.parametrize("element", ["P1", "Q1"])
def test_advection_diffusion_converges(element, must_fail):
    space = ParameterSpace([Parameter("diffusion", Uniform(0.1, 1.0)), Parameter("angle", Uniform(-4.0, 4.0))])

    def make(cells):
        return AdvectionDiffusion(space, cells, element, speed=SPEED)

    found = orders(make, np.array([DIFFUSION, ANGLE]), wind_source, wind_exact)
    check_orders(found)
    must_fail(check_orders, orders(make, np.array([DIFFUSION, -ANGLE]), wind_source, wind_exact))


def test_loads_are_the_integrals_of_the_shape_functions():
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 10.0))])
    for element in ("Q1", "P1"):
        model = ThermalBlock(space, 1, [5, 4], element)
        load = skfem.LinearForm(lambda v, w: 1.0 * v).assemble(basis_of(model))[model.mesh.dofs]
        assert np.abs(model.rhs.vectors[:, 0] - load).max() < 1e-15
        assert np.array_equal(model.outputs.functionals[0, 0], model.rhs.vectors[:, 0])
