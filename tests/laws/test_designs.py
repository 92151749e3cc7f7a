"""Laws of lattices, sparse grids and polynomials, for any sizes and distributions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from romflow.parameters.distributions import Beta, Normal, Uniform
from romflow.parameters.lattice_rule import embedded, lattice, next_size, points, product_weights, worst_case_error
from romflow.parameters.polynomials.basis import marginals_of, polynomial_basis
from romflow.parameters.polynomials.designs import optimal_germs
from romflow.parameters.polynomials.marginals import marginal
from romflow.parameters.smolyak import node_count, sparse_grid
from romflow.parameters.space import Parameter, ParameterSpace

FEW = settings(max_examples=25)
SIZES = st.integers(1, 600).map(next_size)


@FEW
@given(n=SIZES, p=st.integers(1, 8), decay=st.floats(0.0, 4.0), seed=st.integers(0, 99))
def test_each_column_of_a_shifted_lattice_is_equidistant(n, p, decay, seed):
    z = lattice(n, p, product_weights(p, decay))
    unit = points(z, n, shift=np.random.default_rng(seed).random(p))
    assert unit.shape == (n, p)
    assert ((unit >= 0.0) & (unit < 1.0)).all()
    gaps = np.diff(np.sort(unit, axis=0), axis=0)
    assert np.allclose(gaps, 1.0 / n, atol=1e-12)


@FEW
@given(n=SIZES, p=st.integers(2, 6), decay=st.floats(0.0, 3.0))
def test_a_lattice_is_better_than_the_mean_of_all_its_kind(n, p, decay):
    gamma = product_weights(p, decay)
    error = worst_case_error(lattice(n, p, gamma), n, gamma)
    worst = worst_case_error(np.ones(p, dtype=int), n, gamma)
    # Monte Carlo: (prod (1 + gamma / 6) - 1) / n.
    assert error**2 <= (np.prod(1.0 + gamma / 6.0) - 1.0) / n + 1e-15
    assert error <= worst * (1.0 + 1e-12)


@FEW
@given(m=st.integers(0, 9), p=st.integers(1, 5), level=st.integers(0, 9))
def test_the_first_points_of_a_nested_lattice_are_a_lattice(m, p, level):
    n, few = 2**m, 2 ** min(level, m)
    z = embedded(n, p)
    first = {tuple(row) for row in points(z, n, 0, few, nested=True)}
    assert first == {tuple(row) for row in points(z % few, few)}


@FEW
@given(p=st.integers(1, 5), level=st.integers(0, 4), stretch=st.floats(1.0, 3.0))
def test_weights_of_a_sparse_grid_sum_to_one(p, level, stretch):
    a = np.linspace(1.0, stretch, p)
    nodes, weights = sparse_grid(p, level, anisotropy=a)
    assert len(nodes) == node_count(p, level, a)
    assert abs(weights.sum() - 1.0) < 1e-11
    assert np.allclose(weights @ nodes, 0.5)


@FEW
@given(a=st.floats(0.2, 30.0), b=st.floats(0.2, 30.0), degree=st.integers(1, 12))
def test_polynomials_of_any_beta_distribution_are_orthonormal(a, b, degree):
    recurrence = marginal(Beta(a, b), degree + 2).recurrence
    nodes, weights = recurrence.gauss(degree + 1)
    phi = recurrence.values(nodes)[:, :degree + 1]
    assert np.allclose(phi.T @ (phi * weights[:, None]), np.eye(degree + 1), atol=1e-9)


@settings(max_examples=6)
@given(p=st.integers(1, 3), degree=st.integers(0, 4), seed=st.integers(0, 99))
def test_determinantal_points_determine_the_polynomials(p, degree, seed):
    space = ParameterSpace([Parameter("u", Uniform(-1.0, 1.0), p), Parameter("n", Normal(0.0, 1.0))])
    basis = polynomial_basis(space, degree)
    germs = optimal_germs(basis, marginals_of(space, degree), basis.size, np.random.default_rng(seed))[0]
    assert np.linalg.cond(basis.of_germs(germs)) < 1e8
