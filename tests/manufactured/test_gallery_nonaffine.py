"""Convergence of the nonaffine model to exact solutions with coefficients of place and parameters: 1 in H1, 2 in L2."""

import numpy as np
import pytest
import skfem

from romflow.fom.gallery.nonaffine import Nonaffine
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

MU = np.array([0.7, 2.0])
SPACE = ParameterSpace([Parameter("a", Uniform(0.1, 1.0)), Parameter("k", Uniform(1.0, 3.0))])
ELEMENTS = {"quad": (skfem.MeshQuad, skfem.ElementQuad1()), "triangle": (skfem.MeshTri, skfem.ElementTriP1())}
# u = sin(pi x) sin(pi y), a = 1 + a x y, b = (k y, -k x), c = exp(a x): the source that goes with them.
SINES = "sin(pi*x)*sin(pi*y)"
SOURCE = (f"2*pi**2*(1 + a*x*y)*{SINES} - a*pi*(y*cos(pi*x)*sin(pi*y) + x*sin(pi*x)*cos(pi*y))"
          f" + k*pi*(y*cos(pi*x)*sin(pi*y) - x*sin(pi*x)*cos(pi*y)) + exp(a*x)*{SINES}")
OPTIONS = {"diffusion": "1 + a*x*y", "velocity": ["k*y", "-k*x"], "reaction": "exp(a*x)", "source": SOURCE}


def errors(model: Nonaffine) -> np.ndarray:
    """Errors (2,) of the solution at MU in L2 and in the H1 semi-norm."""
    mesh, element = ELEMENTS[model.mesh.cell_type]
    basis = skfem.Basis(mesh(model.mesh.points.T.copy(), model.mesh.cells.T.copy()), element, intorder=8)
    field = basis.interpolate(model.mesh.nodal(model.solve(MU).state[:, None])[:, 0, 0])
    x, y = np.pi * np.asarray(basis.global_coordinates())
    value = np.sin(x) * np.sin(y)
    gradient = np.pi * np.stack([np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)])
    squares = [(field - value) ** 2, ((field.grad - gradient) ** 2).sum(axis=0)]
    return np.sqrt([(square * basis.dx).sum() for square in squares])


def check(orders: np.ndarray) -> None:
    assert np.abs(orders - [2.0, 1.0]).max() < 0.06


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_all_coefficients_converge(element, must_fail):
    coarse, fine = (errors(Nonaffine(SPACE, cells=cells, element=element, **OPTIONS)) for cells in (20, 40))
    check(np.log2(coarse / fine))
    must_fail(check, np.log2(coarse / fine) + 0.6, np.log2(coarse / fine) - 0.6)


def test_a_forgotten_term_shows(must_fail):
    wrong = OPTIONS | {"reaction": None}
    coarse, fine = (errors(Nonaffine(SPACE, cells=cells, **wrong)) for cells in (10, 20))
    must_fail(check, np.log2(coarse / fine))


@pytest.mark.parametrize("element", ["Q1", "P1"])
def test_a_box_with_insulated_sides_converges(element):
    """u = z (2 - z) with a = 1 + a z: zero on the floor, no flux through the other sides."""
    gaps = []
    for cells in (5, 10):
        model = Nonaffine(SPACE, diffusion="1 + a*z", source="2*(1 + a*z) - a*(2 - 2*z)", cells=[cells] * 3,
                          element=element, fixed=["z = 0"])
        height = model.mesh.points[model.mesh.dofs, 2]
        gaps.append(np.sqrt(np.mean((model.solve(MU).state - height * (2.0 - height)) ** 2)))
    assert gaps[1] < 0.3 * gaps[0] and gaps[1] < 1e-2
