"""Static condensation and affine multigrid: what does not depend on theta is done once."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import NotSupported, SolveFailed
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.linalg.sweep.block_cholesky import BlockCholesky
from romflow.linalg.sweep.condensation import AffineCondensation, interface_of
from romflow.linalg.sweep.iterations import conjugate_gradient
from romflow.linalg.sweep.multigrid import AffineMultigrid
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from tests.sweep_families import assembled, bars, block, contrasts, exact, lattice

RNG = np.random.default_rng(11)
BLOCK = block(24)
LINE = sp.csr_array(sp.diags_array([-np.ones(9), [1.0, *[2.0] * 8, 1.0], -np.ones(9)], offsets=[-1, 0, 1]))


def elasticity(cells=(9, 3, 3), layers=3):
    space = ParameterSpace([Parameter("modulus", Uniform(1.0, 10.0), size=layers)])
    return LinearElasticity(space, cells=list(cells))


def with_vectors(family, Qf):
    return family[0], RNG.standard_normal((family[0][0].shape[0], Qf))


FAMILIES = {
    "block": lambda: BLOCK, "several vectors": lambda: with_vectors(BLOCK, 3), "bars": lambda: bars(5),
    "one side held": lambda: block(12, "left"),
    "one term": lambda: ([assembled(BLOCK[0], np.ones(9)).tocsr()], BLOCK[1]),
    "all shared": lambda: ([assembled(BLOCK[0], t).tocsr() for t in RNG.uniform(0.5, 1.0, (2, 9))], BLOCK[1]),
    "a term without rows": lambda: ([*BLOCK[0], sp.csr_array(BLOCK[0][0].shape)], BLOCK[1]),
    "elasticity": lambda: ([sp.csr_array(t) for t in elasticity().operator.matrices], elasticity().rhs.vectors),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_condensation_equals_a_direct_solve(name, must_fail):
    terms, F = FAMILIES[name]()
    condensed = AffineCondensation(terms, F)
    for _ in range(2):
        theta, phi = contrasts(RNG, terms, 1e4), RNG.standard_normal(F.shape[1])
        expected = exact(terms, theta, F @ phi)

        def check(u, expected=expected):
            assert np.linalg.norm(u - expected) <= 1e-9 * np.linalg.norm(expected)

        check(condensed.solve(theta, phi))
    must_fail(check, condensed.solve(theta * (1.0 + 1e-7), phi), condensed.solve(theta, phi * (1.0 + 1e-7)))


def test_interface_is_what_lies_on_more_than_one_term():
    marked = interface_of(BLOCK[0]).reshape(23, 23)
    lines = np.isin(np.arange(1, 24), [8, 16])
    assert np.array_equal(marked, lines[:, None] | lines[None, :])
    assert not interface_of(BLOCK[0][:1]).any()


def test_a_term_that_touches_no_boundary_floats_and_is_eliminated_all_the_same():
    terms, F = BLOCK
    middle = terms[4].toarray()
    rows = middle.any(axis=1)
    assert np.abs(middle.sum(axis=1)).max() < 1e-12 and np.linalg.matrix_rank(middle) == rows.sum() - 1
    theta = np.ones(9)
    theta[4] = 1e3
    u = AffineCondensation(terms, F).solve(theta, np.ones(1))
    assert np.allclose(u, exact(terms, theta, F[:, 0]), rtol=1e-9, atol=0.0)


def test_condensation_says_what_it_cannot_do(monkeypatch):
    terms, F = BLOCK
    with pytest.raises(NotSupported, match="dof 0 is touched by no term"):
        AffineCondensation(terms[4:5], F)
    monkeypatch.setattr("romflow.linalg.sweep.condensation.MOST_INTERFACE", 10)
    with pytest.raises(NotSupported, match="at most 10"):
        AffineCondensation(terms, F)


@pytest.mark.parametrize("theta", [np.zeros(9), -np.ones(9), np.r_[np.ones(8), -1e-3]])
def test_condensation_refuses_coefficients_that_are_not_positive(theta):
    with pytest.raises(SolveFailed, match="positive coefficients"):
        AffineCondensation(*BLOCK).solve(theta, np.ones(1))


def test_singular_and_indefinite_insides_are_refused_rather_than_answered():
    apart = [sp.csr_array(sp.block_diag(pair)) for pair in ([sp.eye_array(10), 0.0 * LINE], [0.0 * LINE, LINE])]
    for term in apart:
        term.eliminate_zeros()
    with pytest.raises(SolveFailed, match="inside of a term is singular"):
        AffineCondensation(apart, np.ones((20, 1)))
    saddle = sp.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    other = sp.csr_array(np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 0.5], [0.0, 0.5, 1.0]]))
    with pytest.raises(SolveFailed, match="needs pivots off its diagonal|singular"):
        AffineCondensation([saddle, other], np.ones((3, 1)))


def test_an_interface_matrix_that_is_not_definite_is_refused():
    n = BLOCK[1].shape[0]
    beside = 3.0 * np.ones(n - 1)
    coupling = sp.csr_array(sp.diags_array([beside, np.ones(n), beside], offsets=[-1, 0, 1]))
    with pytest.raises(SolveFailed, match="interface matrix is not positive definite"):
        AffineCondensation([*BLOCK[0], 9.0 * coupling], BLOCK[1]).solve(np.ones(10), np.ones(1))


def test_a_family_that_is_neumann_all_round_has_no_answer_that_keeps_a_residual():
    terms, _ = lattice((6, 6), lambda x: (x[0] > 0.5).astype(int), "none")
    A, b = assembled(terms, np.ones(2)), np.ones(49)
    try:
        u = AffineCondensation(terms, b[:, None]).solve(np.ones(2), np.ones(1))
    except SolveFailed:
        return
    assert not np.linalg.norm(b - A @ u) <= 1e-3 * np.linalg.norm(b)


def test_block_cholesky_without_unknowns_and_with_one_segment():
    assert BlockCholesky(np.zeros(1, dtype=int), []).solve([], np.zeros(0)).shape == (0,)
    S = np.array([[4.0, 1.0], [1.0, 3.0]])
    x = BlockCholesky(np.array([0, 2]), [np.arange(2)]).solve([S], np.array([1.0, 2.0]))
    assert np.allclose(S @ x, [1.0, 2.0], rtol=1e-14)
    with pytest.raises(SolveFailed, match="not positive definite"):
        BlockCholesky(np.array([0, 2]), [np.arange(2)]).solve([-S], np.ones(2))


# -- multigrid ------------------------------------------------------------------------------------------------------


def iterations(terms, F, cycle, theta):
    A = sp.csr_array(assembled(terms, theta))
    u, count = conjugate_gradient(A, F[:, 0], cycle, np.zeros(F.shape[0]), 1e-8, 200)
    assert np.linalg.norm(F[:, 0] - A @ u) <= 1e-8 * np.linalg.norm(F)
    return count


def test_coarse_operators_are_the_projected_sum(must_fail):
    terms, F = block(36)
    grid = AffineMultigrid(terms, np.ones(9))
    theta = contrasts(RNG, terms, 1e3)
    fine = assembled(terms, theta).toarray()
    assert len(grid._transfers) >= 1
    for pattern, (P, _) in zip(grid._patterns[1:], grid._transfers, strict=True):
        fine = P.astype(float).T @ (fine @ P.astype(float).toarray())

        def check(found, fine=fine):
            assert np.abs(found - fine).max() <= 1e-6 * np.abs(fine).max()

        check(pattern.transposed(theta).toarray())
        must_fail(check, pattern.transposed(theta * (1 + 1e-4)).toarray())


@pytest.mark.parametrize("family", [block(36), bars(9)])
def test_a_cycle_is_symmetric_positive_definite(family, must_fail):
    terms, _ = family
    cycle = AffineMultigrid(terms, np.ones(len(terms))).at(contrasts(RNG, terms, 1e4))
    r, s = RNG.standard_normal((2, terms[0].shape[0]))

    def check(apply):
        left, right = r @ apply(s), s @ apply(r)
        assert abs(left - right) <= 1e-5 * np.sqrt(abs(r @ apply(r)) * abs(s @ apply(s)))
        assert r @ apply(r) > 0.0 and s @ apply(s) > 0.0

    check(cycle)
    must_fail(check, lambda r: -cycle(r), lambda r: cycle(r) + 0.1 * np.linalg.norm(cycle(r)) * np.sign(np.roll(r, 1)))
    assert np.array_equal(cycle(np.zeros(r.size)), np.zeros(r.size))
    assert np.allclose(cycle(1e-60 * r), 1e-60 * cycle(r), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("family, strongest", [(block(36), np.tile([1.0, 1e4], 5)[:9]),
                                               (bars(10), np.array([1.0, 1e4, 1e4, 1e4, 1e4]))])
def test_kept_prolongations_are_as_good_as_new_ones_over_the_contrasts(family, strongest, must_fail):
    terms, F = family
    grid, kept, anew = AffineMultigrid(terms, strongest), [], []
    for largest in (1.0, 1e1, 1e2, 1e3, 1e4):
        theta = contrasts(np.random.default_rng(2), terms, largest)
        kept.append(iterations(terms, F, grid.at(theta), theta))
        anew.append(iterations(terms, F, AffineMultigrid(terms, theta).at(theta), theta))

    def check(counts):
        assert max(counts) <= 1.3 * max(anew) and max(counts) <= 20

    check(kept)
    # A whole cycle kept, instead of its prolongations alone, is another matter.
    far = contrasts(np.random.default_rng(2), terms, 1e4)
    try:
        lost = iterations(terms, F, grid.at(strongest), far)
    except SolveFailed:
        lost = 200
    must_fail(check, [*kept, lost])


def test_rigid_body_modes_keep_elasticity_fast():
    model = elasticity((16, 4, 4))
    terms, F = [sp.csr_array(t) for t in model.operator.matrices], model.rhs.vectors
    strongest = np.array([1.0, 1e3, 1.0])
    counts, thetas = {}, (np.ones(3), np.array([9.0, 400.0, 2.0]))
    for name, modes in (("modes", model.near_nullspace), ("none", None)):
        grid = AffineMultigrid(terms, strongest, modes)
        counts[name] = [iterations(terms, F, grid.at(theta), theta) for theta in thetas]
    assert max(counts["modes"]) <= 40
    assert sum(counts["modes"]) < 0.8 * sum(counts["none"])


def test_a_matrix_that_is_not_definite_is_refused_on_the_coarsest_level():
    grid = AffineMultigrid(BLOCK[0], np.ones(9))
    for theta in (-np.ones(9), np.zeros(9)):
        with pytest.raises(SolveFailed, match="not positive definite"):
            grid.at(theta)
