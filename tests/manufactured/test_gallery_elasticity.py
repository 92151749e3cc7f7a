"""Linear elasticity against an independent weak form: patch test, and convergence with layers of other moduli."""

import numpy as np
import pytest
import skfem
from scipy.sparse.linalg import spsolve

from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

MODULI = np.array([1.0, 8.0])
POISSON = 0.27
SPACE = ParameterSpace([Parameter("modulus", Uniform(0.1, 100.0), size=2)])


def model_of(element: str, cells: int) -> LinearElasticity:
    return LinearElasticity(SPACE, length=1.0, cells=cells, poisson=POISSON, element=element)


def basis_of(element: str, cells: int) -> skfem.Basis:
    axes = [np.linspace(0.0, 1.0, cells + 1)] * 3
    mesh, scalar = {
        "hex": (skfem.MeshHex, skfem.ElementHex1()),
        "tet": (skfem.MeshTet, skfem.ElementTetP1()),
    }[element]
    # Order 4 has no points on faces, where two layers may meet.
    return skfem.Basis(mesh.init_tensor(*axes), skfem.ElementVector(scalar), intorder=4)


def stress(gradient, z):
    """Hooke's law in engineering constants, layer by layer, for gradients (3, 3, ...)."""
    E = MODULI[np.minimum(np.floor(2.0 * z).astype(int), 1)]
    strain = 0.5 * (gradient + np.swapaxes(gradient, 0, 1))
    identity = np.eye(3).reshape(3, 3, *(1,) * (gradient.ndim - 2))
    trace = strain[0, 0] + strain[1, 1] + strain[2, 2]
    return E / (1.0 + POISSON) * (strain + POISSON / (1.0 - 2.0 * POISSON) * trace * identity)


def linear(x, y, z):
    """Zero on x = 0, linear: in the space of every element."""
    zero, slopes = 0.0 * x, (0.3, -0.2, 0.7)
    return np.stack([slope * x for slope in slopes]), np.stack([np.stack([c + zero, zero, zero]) for c in slopes])


def curved(x, y, z):
    """Zero on x = 0, smooth."""
    u = np.stack([x**2 * y, x * z**2, np.sin(2.0 * x) * y * z])
    zero = 0.0 * x
    return u, np.stack([
        np.stack([2.0 * x * y, x**2, zero]),
        np.stack([z**2, zero, 2.0 * x * z]),
        np.stack([2.0 * np.cos(2.0 * x) * y * z, np.sin(2.0 * x) * z, np.sin(2.0 * x) * y]),
    ])


def solved(element: str, cells: int, exact, moduli=MODULI):
    """Model, basis and Galerkin solution for the load v -> int stress(exact) : grad v, by independent quadrature."""
    model, basis = model_of(element, cells), basis_of(element, cells)
    load = skfem.LinearForm(lambda v, w: (stress(exact(*w.x)[1], w.x[2]) * v.grad).sum(axis=(0, 1))).assemble(basis)
    u = spsolve(model.operator.assemble(moduli), load[model.mesh.dofs])
    return model, basis, u


def errors(element: str, cells: int, moduli=MODULI) -> np.ndarray:
    """(L2, energy) errors."""
    model, basis, u = solved(element, cells, curved, moduli)
    field = basis.interpolate(model.mesh.nodal(u)[:, :, 0].reshape(-1))
    x = basis.global_coordinates()
    value, gradient = curved(*x)
    difference = field.grad - gradient
    squares = [((field - value) ** 2).sum(axis=0), (stress(difference, x[2]) * difference).sum(axis=(0, 1))]
    return np.sqrt([(square * basis.dx).sum() for square in squares])


@pytest.mark.parametrize("element", ["hex", "tet"])
def test_linear_displacements_are_found_exactly(element, must_fail):
    model, _, u = solved(element, 4, linear)
    points = model.mesh.points[model.mesh.dofs // 3]
    expected = linear(*points.T)[0][model.mesh.dofs % 3, np.arange(model.n)]

    def check(values):
        assert np.abs(values - expected).max() < 1e-13

    check(u)
    must_fail(check, u + 1e-12, u - 1e-12, solved(element, 4, linear, MODULI[::-1])[2])


@pytest.mark.parametrize("element", ["hex", "tet"])
def test_displacements_converge_across_layers(element, must_fail):
    coarse, fine = errors(element, 6), errors(element, 12)

    def check(found):
        assert abs(found[0] - 2.0) < 0.15 and abs(found[1] - 1.0) < 0.06

    found = np.log2(coarse / fine)
    check(found)
    must_fail(check, found + [0.5, 0.0], found - [0.5, 0.0], found + [0.0, 0.2], found - [0.0, 0.2],
              np.log2(errors(element, 4, MODULI[::-1]) / errors(element, 8, MODULI[::-1])))
