"""Interpolated inverses: weights, residuals, and what they save as preconditioners."""

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import cg, gmres, splu

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.functions.interpolated_inverse import InterpolatedInverse, greedy_inverse
from romflow.linalg.functions.matrix_functions import PowerInterpolation

N = 60
H = sp.diags_array([-np.ones(N - 1), 2.0 * np.ones(N), -np.ones(N - 1)], offsets=[-1, 0, 1], format="csr") * (0.989 / 4)
TERMS = [sp.eye_array(N, format="csr"), H]
TEST = np.stack([np.ones(40), np.random.default_rng(1).uniform(0.0, 9.0, 40)], axis=1)


def assemble(theta, terms=TERMS):
    return sp.csc_array(sum(value * A for value, A in zip(theta, terms, strict=True)))


def factorise(A):
    return splu(sp.csc_array(A))


def chosen(order):
    training = np.stack([np.ones(300), np.linspace(0.0, 9.0, 300)], axis=1)
    return PowerInterpolation.build(training, order)


def combination(thetas, terms=TERMS, **options):
    return InterpolatedInverse(terms, [factorise(assemble(theta, terms)) for theta in thetas], thetas, **options)


def inverse_errors(P, thetas, inverses, **options):
    errors = []
    for theta in thetas:
        exact = np.linalg.inv(assemble(theta).toarray())
        difference = exact - np.tensordot(P.weights(theta, **options), inverses, 1)
        errors.append(np.linalg.norm(difference, 2) / np.linalg.norm(exact, 2))
    return np.array(errors)


@pytest.mark.parametrize("rows", [16, None])
@pytest.mark.parametrize(("order", "bound"), [(5, 1e-3), (10, 1e-6), (20, 1e-10)])
def test_weights_beat_powers_by_two_orders_or_more_below_the_floor_of_gram_matrices(order, bound, rows):
    powers = chosen(order)
    inverses = np.linalg.inv(np.stack([assemble(theta).toarray() for theta in powers.points]))
    P = combination(powers.points, rows=rows)
    error = inverse_errors(P, TEST, inverses)
    exact = np.linalg.inv(np.stack([assemble(theta).toarray() for theta in TEST]))
    by_powers = np.linalg.norm(powers.inverse(TEST, inverses) - exact, 2, axis=(1, 2))
    assert error.max() < bound
    assert error.max() < 0.05 * by_powers.max()


def test_residual_estimates_the_true_one_within_a_fifth(must_fail):
    P = combination(chosen(5).points)

    def close(theta, shift):
        PA = np.column_stack([P.preconditioner(theta) @ column for column in assemble(theta + shift).toarray().T])
        true = np.linalg.norm(np.eye(N) - PA) / np.sqrt(N)
        assert abs(P.residual(theta) / true - 1.0) < 0.2

    for theta in TEST[:10]:
        close(theta, np.zeros(2))
    must_fail(lambda shift: close(TEST[0], shift), np.array([0.0, 0.1]), np.array([1e-2, 0.0]))


def test_chosen_points_are_reproduced():
    thetas = chosen(5).points
    P = combination(thetas)
    for i, theta in enumerate(thetas):
        assert np.abs(P.weights(theta) - np.eye(len(thetas))[i]).max() < 1e-9
        assert np.abs(P.weights(theta, nonnegative=True) - np.eye(len(thetas))[i]).max() < 1e-9
        assert P.residual(theta) < 1e-10
        v = np.arange(N, dtype=float)
        assert np.allclose(P.preconditioner(theta)(assemble(theta) @ v), v)


def test_nonnegative_weights_give_a_positive_definite_operator_where_free_ones_need_not():
    rng = np.random.default_rng(0)
    terms = [sp.csr_array(sp.diags_array(entries)) for entries in 10.0 ** rng.uniform(-3.0, 0.0, (4, 30))]
    thetas, far = 10.0 ** rng.uniform(-3.0, 0.0, (2, 4)), 10.0 ** rng.uniform(-3.0, 0.0, 4)
    P = combination(thetas, terms)
    lowest = {}
    for nonnegative in (True, False):
        operator = P.preconditioner(far, nonnegative=nonnegative) @ np.eye(30)
        assert np.abs(operator - operator.T).max() < 1e-10 * np.abs(operator).max()
        lowest[nonnegative] = np.linalg.eigvalsh(operator).min()
    assert (P.weights(far, nonnegative=True) >= 0.0).all()
    assert lowest[True] > 0.0 > lowest[False]


def test_fewer_terms_are_used_where_asked_and_more_terms_are_never_worse():
    P = combination(chosen(10).points)
    for theta in TEST[:5]:
        for nonnegative in (False, True):
            weights = [P.weights(theta, terms=t, nonnegative=nonnegative) for t in (1, 2, 4, 11)]
            assert all(np.count_nonzero(w) <= t for w, t in zip(weights, (1, 2, 4, 11), strict=True))
            residuals = [P.residual(theta, terms=t, nonnegative=nonnegative) for t in (1, 2, 4, 11)]
            assert all(b <= a * 1.1 for a, b in zip(residuals, residuals[1:], strict=False))


def test_added_factors_give_the_same_as_all_at_once_and_seeds_repeat():
    thetas = chosen(5).points
    grown, whole = combination(thetas[:2]), combination(thetas)
    for theta in thetas[2:]:
        grown.add(theta, factorise(assemble(theta)))
    theta = TEST[3]
    assert np.array_equal(grown.weights(theta), whole.weights(theta))
    assert not np.array_equal(combination(thetas, seed=1).weights(theta), whole.weights(theta))


@pytest.mark.parametrize("rows", [16, None])
def test_matrices_that_are_not_symmetric_are_served(rows, must_fail):
    skew = sp.diags_array([-np.ones(N - 1), np.ones(N - 1)], offsets=[-1, 1], format="csr")
    terms = [*TERMS, 0.2 * skew]
    thetas = np.column_stack([np.ones(12), np.random.default_rng(2).uniform(0.5, 2.0, (12, 2))])
    theta = np.array([1.0, 1.1, 1.3])

    def small(**options):
        P = combination(thetas, terms, rows=rows, **options)
        product_ = P.preconditioner(theta) @ assemble(theta, terms).toarray()
        assert np.linalg.norm(np.eye(N) - product_) / np.sqrt(N) < 1e-5

    assert not combination(thetas, terms, rows=rows).symmetric
    small()
    if rows is not None:
        must_fail(lambda symmetric: small(symmetric=symmetric), True)


def test_greedy_points_lower_the_largest_residual_and_stop_at_the_tolerance():
    candidates = np.stack([np.ones(40), np.linspace(0.0, 9.0, 40)], axis=1)
    largest = [max(P.residual(theta) for theta in candidates)
               for P in (greedy_inverse(TERMS, factorise, candidates, d) for d in (1, 2, 4, 6))]
    assert all(b < a for a, b in zip(largest, largest[1:], strict=False))
    P = greedy_inverse(TERMS, factorise, candidates, 20, 1e-3)
    assert P.size < 20
    assert max(P.residual(theta) for theta in candidates) <= 1e-3


def block(cells):
    """Conductivities of four quarters of the square, five-point differences with arithmetic means on interfaces."""
    n = cells - 1
    terms = []
    for north, east in product((False, True), repeat=2):
        inside = [np.where((np.arange(cells) >= cells // 2) == side, 1.0, 0.0) for side in (north, east)]
        D = sp.diags_array([np.ones(n), -np.ones(n)], offsets=[0, -1], shape=(cells, n)).tocsr()
        nodal = [sp.diags_array(0.5 * (part[1:] + part[:-1])) for part in inside]
        stiff = [D.T @ sp.diags_array(part) @ D for part in inside]
        terms.append(sp.csr_array(sp.kron(stiff[0], nodal[1]) + sp.kron(nodal[0], stiff[1])))
    return terms


def iterations(solver, A, f, M=None):
    count = []
    extra = {"callback_type": "pr_norm", "restart": 200} if solver is gmres else {}
    x, info = solver(A, f, rtol=1e-8, atol=0.0, M=M, maxiter=2000, callback=count.append, **extra)
    assert info == 0
    assert np.linalg.norm(f - A @ x) < 1e-6 * np.linalg.norm(f)
    return len(count)


def test_iterations_fall_to_a_fifth_on_a_thermal_block():
    terms, rng = block(30), np.random.default_rng(5)
    P = greedy_inverse(terms, factorise, rng.uniform(0.1, 1.0, (60, 4)), 10)
    f = np.ones(29**2)
    ratios = {"free": [], "nonnegative": [], "three": [], "gmres": []}
    for theta in rng.uniform(0.1, 1.0, (3, 4)):
        A = assemble(theta, terms)
        jacobi = iterations(cg, A, f, sp.diags_array(1.0 / A.diagonal()))
        ratios["free"].append(iterations(cg, A, f, P.preconditioner(theta)) / jacobi)
        ratios["nonnegative"].append(iterations(cg, A, f, P.preconditioner(theta, nonnegative=True)) / jacobi)
        ratios["three"].append(iterations(cg, A, f, P.preconditioner(theta, terms=3)) / jacobi)
        ratios["gmres"].append(iterations(gmres, A, f, P.preconditioner(theta)) / iterations(gmres, A, f))
    assert {name: max(values) < 0.2 for name, values in ratios.items()} == dict.fromkeys(ratios, True)


class Broken:
    def solve(self, B):
        return np.full(B.shape, np.nan)


@pytest.mark.parametrize(("action", "error", "match"), [
    (lambda P: P.weights(np.ones(3)), ShapeError, "one for each matrix"),
    (lambda P: P.weights(np.array([1.0, np.inf])), InputError, "finite"),
    (lambda P: P.weights(np.ones(2), terms=0), InputError, "terms is 0"),
    (lambda P: P.add(np.ones(2), Broken()), SolveFailed, "singular"),
    (lambda P: combination(chosen(5).points, columns=2, rows=8), InputError, "16 samples"),
    (lambda P: combination(chosen(5).points, columns=0), InputError, "columns is 0"),
    (lambda P: InterpolatedInverse([], [], np.empty((0, 2))), ShapeError, "at least one matrix"),
    (lambda P: InterpolatedInverse(TERMS, [Broken()], np.empty((0, 2))), ShapeError, "one theta for each factor"),
    (lambda P: InterpolatedInverse(TERMS, [], np.empty((0, 2))).weights(np.ones(2)), InputError, "no factor yet"),
    (lambda P: InterpolatedInverse([H, H[:5, :5]], [], np.empty((0, 2))), ShapeError, "term 1"),
    (lambda P: InterpolatedInverse([H * np.nan], [], np.empty((0, 1))), InputError, "not finite"),
    (lambda P: greedy_inverse(TERMS, factorise, np.empty((0, 2)), 3), InputError, "candidates"),
])
def test_bad_input_is_named(action, error, match):
    P = combination(chosen(2).points)
    with pytest.raises(error, match=match):
        action(P)


def test_samples_that_would_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr("romflow.linalg.functions.interpolated_inverse._MEMORY", 1000)
    with pytest.raises(InputError, match="give `rows`"):
        combination(chosen(2).points, rows=None)
