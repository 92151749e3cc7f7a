"""Random domains against solutions that are known on the domain itself."""

import numpy as np
import pytest
import skfem
from skfem.models.poisson import laplace, unit_load

from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.random_domain import RandomDomain
from romflow.fom.gallery.square_forms import SquareForms
from romflow.fom.gallery.square_maps import gevrey, pulled_back
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

SPACE = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0))])
FOUR = ParameterSpace([Parameter("y", Uniform(-1.0, 1.0), size=4)])


def below_a_wave(cells: int, c: float, y: float) -> float:
    """Largest error where u = x (1 - x) y (1 + c sin(pi x) - y) below the top 1 + c sin(pi x)."""
    h, h1, h2 = (f"(1 + {c} * sin(pi * x))", f"({c} * pi * cos(pi * x))", f"(-{c} * pi**2 * sin(pi * x))")
    second = f"(-2 * {h} + 2 * (1 - 2 * x) * {h1} + x * (1 - x) * {h2})"
    source = f"-{second} * y - 2 * y**2 + 2 * x * (1 - x)"
    model = RandomDomain(SPACE, cells=cells, sides=["top"], amplitude=0.3, source=source)
    x, t = model.placed([y])[model.mesh.dofs].T
    exact = x * (1 - x) * t * (1 + c * np.sin(np.pi * x) - t)
    return float(np.abs(model.solve([y]).state - exact).max())


def test_solution_below_a_wave_converges_with_order_two(must_fail):
    y = 0.8
    c = 0.3 * float(gevrey(np.array([y]), 2.0)[0])
    errors = np.array([below_a_wave(cells, c, y) for cells in (8, 16, 32)])

    def check(found):
        assert np.abs(np.log2(found[:-1] / found[1:]) - 2.0).max() < 0.15

    check(errors)
    must_fail(check, errors[::-1], errors + 1e-3, np.array([below_a_wave(n, c + 0.02, y) for n in (8, 16, 32)]))


def test_pull_back_of_an_affine_map_is_the_solution_on_the_mapped_mesh(must_fail):
    B = np.array([[1.3, 0.4], [-0.2, 0.8]])
    forms = SquareForms((7, 9))
    J = np.broadcast_to(B[:, :, None, None], (2, 2, forms.P, 1))
    K, determinant = pulled_back(J)
    found = forms.solve(forms.stiffness @ K, forms.load @ determinant)[:, 0]
    mesh = skfem.MeshQuad(np.ascontiguousarray((forms.nodes @ B.T).T), np.ascontiguousarray(forms.corners.T))
    basis = skfem.Basis(mesh, skfem.ElementQuad1(), intorder=3)
    A, f = skfem.asm(laplace, basis), skfem.asm(unit_load, basis)
    known = skfem.solve(*skfem.condense(A, f, D=mesh.boundary_nodes()))[forms.nodal]

    def check(state):
        assert np.abs(state - known).max() < 1e-13

    check(found)
    must_fail(check, found + 1e-12, found - 1e-12, 1.001 * found)


def test_entries_are_those_of_the_finite_element_library():
    rng = np.random.default_rng(0)
    for cells in ((2, 2), (3, 2), (2, 5), (5, 4)):
        forms = SquareForms(cells)
        K = rng.random((3 * forms.P, 1))
        mesh = skfem.MeshQuad(np.ascontiguousarray(forms.nodes.T), np.ascontiguousarray(forms.corners.T))
        basis = skfem.Basis(mesh, skfem.ElementQuad1(), quadrature=(_local(), np.full(4, 0.25)))
        k11, k12, k22 = K.reshape(3, -1, 4)

        @skfem.BilinearForm
        def form(u, v, w, k11=k11, k12=k12, k22=k22):
            (ux, uy), (vx, vy) = u.grad, v.grad
            return k11 * ux * vx + k12 * (ux * vy + uy * vx) + k22 * uy * vy

        A = form.assemble(basis).tocsr()[forms.nodal][:, forms.nodal].toarray()
        entries = forms.stiffness @ K
        assert np.abs(forms.full(entries[:, 0]).toarray() - A).max() < 1e-13
        u = rng.random((forms.n, 1))
        assert np.abs(forms.product(entries, u)[:, 0] - A @ u[:, 0]).max() < 1e-13


def _local() -> np.ndarray:
    g = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)
    return np.array([[s for _ in g for s in g], [t for t in g for _ in g]])


def test_steady_and_moving_states_are_those_of_the_mapped_mesh_as_it_is_refined():
    mu, gaps = np.array([0.9, -0.8, 0.7, 0.6]), []
    for cells in (8, 16, 32):
        model = RandomDomain(FOUR, cells=cells, outputs=["integral"])
        mesh = skfem.MeshQuad(np.ascontiguousarray(model.placed(mu).T), np.ascontiguousarray(model.forms.corners.T))
        basis = skfem.Basis(mesh, skfem.ElementQuad1(), intorder=4)
        A, f = skfem.asm(laplace, basis), skfem.asm(unit_load, basis)
        M = skfem.BilinearForm(lambda u, v, _: u * v).assemble(basis)
        u = np.zeros(len(f))
        for _ in range(4):
            u = skfem.solve(*skfem.condense(M + 0.01 * A, M @ u + 0.01 * f, D=mesh.boundary_nodes()))
        steady = skfem.solve(*skfem.condense(A, f, D=mesh.boundary_nodes()))
        moving = model.evolving(TimeGrid(0.04, 4)).solve(mu).outputs[0]
        gaps.append([model.solve(mu).outputs[0] - f @ steady, moving - f @ u])
    orders = np.log2(np.abs(np.array(gaps)[:-1] / np.array(gaps)[1:]))
    assert (orders > 1.7).all()
    assert gaps[-1] == pytest.approx([0.0, 0.0], abs=2e-5)
