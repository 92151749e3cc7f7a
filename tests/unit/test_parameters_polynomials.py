"""Orthonormal polynomials of distributions, draws from their squares, and the designs made of these."""

import itertools

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import ConfigError, InputError
from romflow.parameters.distributions import Beta, LogNormal, LogUniform, Normal, TruncatedNormal, Uniform
from romflow.parameters.empirical import Table
from romflow.parameters.polynomials.basis import marginals_of, polynomial_basis
from romflow.parameters.polynomials.designs import conditioned, gram, optimal_germs
from romflow.parameters.polynomials.marginals import marginal
from romflow.parameters.polynomials.multi_indices import multi_indices
from romflow.parameters.polynomials.square_draws import SquareDraws
from romflow.parameters.sampling.lattice import Lattice
from romflow.parameters.sampling.optimal_design import OptimalDesign
from romflow.parameters.sampling.sparse_grid import SparseGrid
from romflow.parameters.space import Parameter, ParameterSpace

KINDS = [Uniform(2.0, 4.0), LogUniform(0.1, 10.0), Normal(3.0, 2.0), LogNormal(1.0, 0.5), Beta(0.3, 2.0, 1.0, 5.0),
         Beta(1.0, 1.0), Beta(0.5, 0.5), TruncatedNormal(0.0, 1.0, -1.0, 9.0), TruncatedNormal(0.0, 1.0, 0.0, 5049.0),
         Table([1.0, 4.0, 2.0, 7.0])]
LINE = ParameterSpace([Parameter("x", Uniform(-1.0, 1.0))])
MIXED = ParameterSpace([Parameter("a", Uniform(1.0, 2.0)), Parameter("b", Normal(0.0, 1.0)),
                        Parameter("c", Beta(0.5, 3.0))])


def close_to_identity(G, tolerance=1e-11):
    assert np.abs(G - np.eye(len(G))).max() < tolerance


@pytest.mark.parametrize("distribution", KINDS, ids=lambda d: d.kind)
def test_polynomials_are_orthonormal(distribution, must_fail):
    part = marginal(distribution, 8)
    cells = part.cells()
    phi = part.recurrence.values(cells.nodes)
    G = np.einsum("cgi,cgj,cg->ij", phi, phi, cells.weights)
    close_to_identity(G)
    must_fail(close_to_identity, G * (1 + 1e-10), G * (1 - 1e-10))
    x = part.values(cells.nodes)
    mean = np.sum(x * cells.weights)
    assert mean == pytest.approx(distribution.expectation, rel=1e-9)
    back = (np.log(x) if part.logarithm else x) - part.shift
    assert np.allclose(back / part.scale, cells.nodes, atol=1e-9)


def test_a_distribution_of_few_values_has_few_polynomials():
    part = marginal(Table([1.0, 2.0, 5.0], weights=[1.0, 2.0, 1.0], discrete=True), 6)
    assert part.recurrence.degree == 2
    assert marginal(Uniform(3.0, 3.0), 6).recurrence.degree == 0
    space = ParameterSpace([Parameter("a", Uniform(3.0, 3.0)), Parameter("b", Uniform(0.0, 1.0))])
    assert polynomial_basis(space, 3).degrees.tolist() == [[0, 0], [0, 1], [0, 2], [0, 3]]


def test_multi_indices():
    assert len(multi_indices(9, 3)) == 220
    assert multi_indices(2, 2, "hyperbolic").tolist() == [[0, 0], [1, 0], [0, 1], [2, 0], [0, 2]]
    grid = np.array(list(itertools.product(range(8), repeat=3)))
    for kind, kept in (("total", grid.sum(axis=1) <= 7), ("hyperbolic", np.prod(grid + 1, axis=1) <= 8)):
        assert sorted(multi_indices(3, 7, kind).tolist()) == sorted(grid[kept].tolist())
    assert multi_indices(2, 2, limits=[0, 1]).tolist() == [[0, 0], [0, 1]]


def test_squares_of_polynomials_are_drawn_exactly():
    basis = polynomial_basis(MIXED, 2)
    c = np.random.default_rng(0).normal(size=basis.size)
    c /= np.linalg.norm(c)
    draws = SquareDraws(basis.degrees, marginals_of(MIXED, 2)).draw(np.tile(c, (4000, 1)), np.random.default_rng(1))
    parts = marginals_of(MIXED, 8)
    for j in range(3):
        cells = parts[j].cells()
        phi = parts[j].recurrence.values(cells.nodes)[..., :3]
        density = sum((np.where((np.delete(basis.degrees, j, axis=1) == tail).all(axis=1), c, 0.0)
                       @ phi[..., basis.degrees[:, j]].reshape(-1, basis.size).T) ** 2
                      for tail in np.unique(np.delete(basis.degrees, j, axis=1), axis=0))
        order = np.argsort(cells.nodes.ravel())
        sums = np.cumsum((density * cells.weights.ravel())[order])
        assert sums[-1] == pytest.approx(1.0, abs=1e-10)
        own = np.interp(draws[:, j], cells.nodes.ravel()[order], sums)
        assert stats.kstest(own, "uniform").pvalue > 1e-3


def test_determinantal_points_repel_each_other(must_fail):
    m, count = 6, 3000
    basis, parts = polynomial_basis(LINE, m - 1), marginals_of(LINE, m - 1)
    exact = m**2 / (4.0 * m**2 - 1.0)

    def check(sums):
        # Var sum_i x_i = b_m^2 for a projection determinantal process.
        assert np.var(sums) == pytest.approx(exact, rel=0.1)

    sums, free = (optimal_germs(basis, parts, m, np.random.default_rng(0), kind, count)[..., 0].sum(axis=1)
                  for kind in ("projection-dpp", "iid"))
    check(sums)
    must_fail(check, free, 0.5 * sums)


@pytest.mark.parametrize("kind", ["projection-dpp", "volume", "iid"])
def test_the_gram_matrix_has_the_identity_as_its_mean(kind):
    basis, parts = polynomial_basis(MIXED, 2), marginals_of(MIXED, 2)
    germs = optimal_germs(basis, parts, 25, np.random.default_rng(3), kind, 300)
    assert germs.shape == (300, 25, 3)
    mean = np.mean([gram(basis, x) for x in germs], axis=0)
    if kind == "volume":
        assert abs(np.trace(mean) / basis.size - 1.0) < 0.01
    else:
        close_to_identity(mean, 0.1)


def test_conditioned_designs_are_stable_and_say_when_there_are_none():
    basis, parts = polynomial_basis(LINE, 5), marginals_of(LINE, 5)
    germs = conditioned(basis, parts, 24, np.random.default_rng(0), "iid")
    assert np.linalg.eigvalsh(gram(basis, germs))[0] >= 0.5
    with pytest.raises(ConfigError, match="none of 100 designs of 10 points for 10 polynomials"):
        OptimalDesign(LINE, degree=9, size=10, design="iid", conditioned=True).ask()


def test_optimal_designs_stay_in_the_support():
    space = ParameterSpace([Parameter(f"k{i}", kind) for i, kind in enumerate(KINDS)])
    design = OptimalDesign(space, 4, degree=1)
    assert space.contains(design.ask()).all()
    assert design.solves == 3 * (len(KINDS) + 1)
    few = ParameterSpace([Parameter("d", Table([1.0, 2.0, 5.0], discrete=True)), Parameter("c", Uniform(3.0, 3.0))])
    mu = OptimalDesign(few, 4, degree=4, size=12).ask()
    assert set(mu[:, 0]) == {1.0, 2.0, 5.0}
    assert set(mu[:, 1]) == {3.0}


@pytest.mark.parametrize(("make", "words"), [
    (lambda: OptimalDesign(LINE, degree=3, size=3), "below the 4 polynomials"),
    (lambda: OptimalDesign(LINE, degree=-1), "degree = -1"),
    (lambda: OptimalDesign(LINE, degree=3, design="dpp"), "no optimal|no design is called 'dpp'"),
    (lambda: OptimalDesign(LINE, degree=3, index_set="totl"), "Did you mean 'total'"),
    (lambda: OptimalDesign(LINE, degree=3, conditioned=1), "neither true nor false"),
    (lambda: OptimalDesign(LINE, degree=30000), "from 0 to 500"),
    (lambda: OptimalDesign(MIXED, degree=60), "more than 20000"),
    (lambda: OptimalDesign(MIXED, degree=25), "at most 2000 polynomials"),
    (lambda: Lattice(LINE, size=0), "size = 0"),
    (lambda: Lattice(LINE, size=2**26), "lower it"),
    (lambda: Lattice(LINE, size=5, decay=-1), "decay = -1"),
    (lambda: Lattice(LINE, size=5, decay=float("nan")), "decay = nan"),
    (lambda: SparseGrid(LINE, level=-1), "level = -1"),
    (lambda: SparseGrid(LINE, level=1, rule="gaus"), "Did you mean 'gauss'"),
    (lambda: SparseGrid(LINE, level=1, anisotropy=[2.0]), "smallest of which is 1"),
])
def test_wrong_samplers_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def asked(n, design):
    return optimal_germs(polynomial_basis(LINE, 3), marginals_of(LINE, 3), n, np.random.default_rng(0), design)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: multi_indices(0, 2), "p = 0"), (lambda: multi_indices(2, 2.0), "degree = 2"),
    (lambda: multi_indices(2, 2, "all"), "no set of multi-indices"),
    (lambda: marginal(Uniform(0.0, 1.0), 3).recurrence.gauss(4), "1 to 3 nodes"),
    (lambda: asked(3, "iid"), "at least 4"), (lambda: asked(5, "idd"), "Did you mean 'iid'"),
])
def test_wrong_input_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
