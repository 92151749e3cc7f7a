"""Empirical interpolation: stability against round-off, published decay, sampling, sparse matrices, bad input."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.source import StoreSource
from romflow.linalg.interpolation.deim import SampledProjection, deim_points, oversampled_points, qdeim_points
from romflow.linalg.interpolation.eim import empirical_interpolation
from romflow.linalg.interpolation.matrices import matrix_interpolation, pattern_values
from romflow.linalg.interpolation.rows import ArrayRows, SourceRows

# 1 / |x - mu| on (0, 1)^2 with mu in (-1, -.01)^2, 1600 parameters: Grepl, Maday, Nguyen and Patera (ESAIM M2AN 41,
# 2007, section 2; the family of Barrault, Maday, Nguyen and Patera 2004): terms, largest best-approximation error in
# the space of the chosen functions, Lebesgue constant. Interpolation loses at most the factor 1 + Lambda on it.
PUBLISHED = {8: (8.30e-2, 1.76), 16: (4.20e-3, 2.63), 24: (2.68e-4, 4.42), 32: (5.64e-5, 5.15), 40: (3.66e-6, 4.98),
             48: (6.08e-7, 7.43)}


def exponentials(n=800):
    return np.exp(-np.outer(np.linspace(0.0, 1.0, n), np.linspace(0.0, 10.0, n)))


def interpolated_anew(F, steps):
    """The greedy that interpolates the given family in each step: the upper triangle of its B, and its functions."""
    R, basis, points, functions = F, np.zeros((F.shape[0], 0)), [], []
    for _ in range(steps):
        i, j = np.unravel_index(int(np.argmax(np.abs(R))), R.shape)
        basis = np.column_stack([basis, R[:, j] / R[i, j]])
        points.append(i)
        functions.append(j)
        R = F - basis @ np.linalg.solve(basis[points], F[points])
    return np.abs(np.triu(basis[points], 1)).max(), len(set(functions))


@pytest.fixture(scope="module")
def inverse_distances():
    x, mu = np.linspace(0.0, 1.0, 41), np.linspace(-1.0, -0.01, 40)
    X, M = np.stack(np.meshgrid(x, x)).reshape(2, -1), np.stack(np.meshgrid(mu, mu)).reshape(2, -1)
    return empirical_interpolation(1.0 / np.hypot(X[0][:, None] - M[0], X[1][:, None] - M[1]), max_terms=48)


def test_the_product_form_stays_triangular_far_into_the_noise_where_the_other_form_does_not(must_fail):
    F = exponentials()
    found = empirical_interpolation(F, max_terms=60, rounding=0.0)

    def stable(upper, distinct):
        assert upper < 1e-14
        assert distinct == 60

    stable(np.abs(np.triu(found.B, 1)).max(), np.unique(found.functions).size)
    assert np.unique(found.points).size == 60
    upper, distinct = interpolated_anew(F, 60)
    assert upper > 0.1
    must_fail(lambda wrong: stable(*wrong), (upper, 60), (0.0, distinct))


def test_the_greedy_ends_at_rounding_and_says_so():
    found = empirical_interpolation(exponentials())
    assert found.stopped == "rounding"
    assert 12 < found.size < 25
    assert found.errors[-1] <= 4 * np.finfo(float).eps < found.errors[-2]
    assert f"{found.size} terms" in found.reason
    assert "double precision" in found.reason


@pytest.mark.parametrize("terms", PUBLISHED)
def test_decay_of_the_inverse_distance_is_the_published_one(inverse_distances, terms, must_fail):
    best, lebesgue = PUBLISHED[terms]
    small = inverse_distances.truncate(terms)

    def as_published(error):
        assert 0.5 * best < error < (1.0 + lebesgue) * best

    as_published(small.errors[-1])
    must_fail(as_published, 10.0 * small.errors[-1], 0.1 * small.errors[-1])
    assert small.lebesgue_constant == pytest.approx(lebesgue, rel=0.2)


def test_weights_choose_where_they_are_large_and_carry_points_of_weight_zero():
    x = np.linspace(0.0, 1.0, 101)
    F = np.exp(-np.outer(x, np.linspace(0.0, 10.0, 50)))
    weights = np.where(x < 0.5, 1.0, 0.0)
    found = empirical_interpolation(F, 1e-8, weights=weights)
    assert (x[found.points] < 0.5).all()
    remainder = np.abs(F - found.interpolate(F[found.points])).max(axis=1)
    assert remainder[x < 0.5].max() <= 1e-8 * 1.001
    assert remainder[x >= 0.5].max() > 1e-7


def test_more_terms_than_the_rank_are_refused_or_fewer_are_given_with_the_reason():
    rng = np.random.default_rng(0)
    F = rng.standard_normal((50, 4)) @ rng.standard_normal((4, 30))
    found = empirical_interpolation(F, max_terms=10)
    assert (found.size, found.stopped) == (4, "rounding")
    with pytest.raises(InputError, match=r"max_terms = 10 .* numerical rank 4 .* at most 4"):
        empirical_interpolation(F, max_terms=10, strict=True)
    assert empirical_interpolation(F, max_terms=4, strict=True).size == 4
    assert empirical_interpolation(np.zeros((3, 2))).size == 0
    assert empirical_interpolation(np.zeros((3, 2))).lebesgue_constant == 0.0


def test_a_store_is_read_by_rows(tmp_path):
    class Store:
        def __init__(self):
            self.read = 0

        def matrix(self, mu, rows=slice(None)):
            block = np.exp(-np.outer(np.linspace(0.0, 1.0, 500), mu))[rows]
            self.read = max(self.read, block.size)
            return block

    store, mu = Store(), np.linspace(0.0, 5.0, 40)[:, None]
    found = empirical_interpolation(SourceRows(StoreSource(store, mu), memory=8 * 40 * 60), 1e-6, folder=tmp_path)
    whole = empirical_interpolation(store.matrix(mu), 1e-6)
    assert np.array_equal(found.basis, whole.basis)
    assert not list(tmp_path.iterdir())


def test_a_block_that_fails_leaves_no_work_file(tmp_path):
    class Broken:
        shape = (10, 2)

        def blocks(self):
            yield slice(0, 5), np.ones((5, 2))
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        empirical_interpolation(Broken(), folder=tmp_path)
    assert not list(tmp_path.iterdir())


class Blocks:
    shape = (4, 2)

    def __init__(self, *blocks):
        self._blocks = blocks

    def blocks(self):
        yield from self._blocks


@pytest.mark.parametrize(("family", "options", "message"), [
    (np.ones(3), {}, r"shape \(3,\)"),
    (np.ones((0, 3)), {}, "n and k from 1"),
    (np.array([[1.0, 2.0], [np.nan, 3.0]]), {}, "value nan at point 1 of function 0"),
    (np.array([[1.0, np.inf]]), {}, "value inf at point 0 of function 1"),
    (np.eye(2), {"tolerance": -1.0}, "tolerance = -1"),
    (np.eye(2), {"tolerance": np.nan}, "tolerance = nan"),
    (np.eye(2), {"max_terms": 0}, "max_terms = 0"),
    (np.eye(2), {"weights": np.array([1.0, -1.0])}, "weights"),
    (np.eye(2), {"weights": np.ones(3)}, r"weights of the points have shape \(3,\)"),
    (np.eye(2), {"first": 2}, "first of 2"),
    (np.array([[0.0, 1.0]]), {"first": 0}, "vanishes"),
    (Blocks((slice(0, 3), np.ones((3, 2)))), {}, "end at row 3 of 4"),
    (Blocks((slice(0, 3), np.ones((3, 2))), (slice(2, 4), np.ones((2, 2)))), {}, "without gaps"),
    (Blocks((slice(0, 4), np.ones((4, 3)))), {}, r"shape \(4, 3\)"),
])
def test_bad_families_and_options_are_named(family, options, message):
    with pytest.raises((InputError, ShapeError), match=message):
        empirical_interpolation(family, **options)


def test_bad_values_and_sizes_of_an_interpolation_are_named():
    found = empirical_interpolation(np.eye(3))
    with pytest.raises(ShapeError, match=r"rule is \(3, b\)"):
        found.coefficients(np.ones((2, 1)))
    with pytest.raises(InputError, match="3 terms and was to keep 4"):
        found.truncate(4)
    assert [(rows, block.shape) for rows, block in ArrayRows(np.eye(3)).blocks()] == [(slice(0, 3), (3, 3))]


# -- sampled projections ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def peaks():
    x = np.linspace(0.0, 1.0, 3000)[:, None]
    return np.linalg.svd(1.0 / ((x + np.geomspace(1e-3, 1.0, 200)) ** 2 + 1e-3), full_matrices=False)[0][:, :15]


def test_deim_points_are_those_of_the_recursion(peaks):
    points = [int(np.argmax(np.abs(peaks[:, 0])))]
    for m in range(1, peaks.shape[1]):
        c = np.linalg.solve(peaks[points, :m], peaks[points, m])
        points.append(int(np.argmax(np.abs(peaks[:, m] - peaks[:, :m] @ c))))
    assert deim_points(peaks).tolist() == points


def test_qdeim_is_within_its_bound_and_does_not_depend_on_the_basis(peaks):
    n, m = peaks.shape
    rotated = peaks @ np.linalg.qr(np.random.default_rng(1).standard_normal((m, m)))[0]
    assert qdeim_points(peaks).tolist() == qdeim_points(rotated).tolist()
    assert deim_points(peaks).tolist() != deim_points(rotated).tolist()
    bound = np.sqrt(n - m + 1) * np.sqrt(4.0**m + 6 * m - 1) / 3
    assert SampledProjection(peaks, qdeim_points(peaks)).stability <= bound


def test_each_further_point_helps_and_more_than_points_at_random(peaks, must_fail):
    points = oversampled_points(peaks, 30)
    stability = [SampledProjection(peaks, points[:count]).stability for count in range(15, 31)]
    rng = np.random.default_rng(2)
    random = [SampledProjection(peaks, np.append(points[:15], rng.choice(3000, 15))).stability for _ in range(5)]

    def better(value):
        assert value < 0.9 * min(random)

    assert (np.diff(stability) <= 1e-9).all()
    better(stability[-1])
    must_fail(better, stability[0])


@pytest.mark.parametrize(("call", "message"), [
    (lambda: deim_points(np.ones((2, 3))), "1 <= m <= n"),
    (lambda: deim_points(np.full((3, 1), np.nan)), "not finite"),
    (lambda: deim_points(np.ones((3, 2))), "numerical rank 1"),
    (lambda: qdeim_points(np.ones((3, 2))), "numerical rank 1"),
    (lambda: oversampled_points(np.eye(4)[:, :2], 1), "2 to 4"),
    (lambda: oversampled_points(np.eye(4)[:, :2], 5), "2 to 4"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0])), "2 or more"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0.0, 1.0])), "whole numbers"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0, 0])), "repeat"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0, 4])), "outside 0 to 3"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0, 2])), "do not tell the 2 vectors apart"),
    (lambda: SampledProjection(np.eye(4)[:, :2], np.array([0, 1])).coefficients(np.ones((3, 1))), r"\(2, b\)"),
])
def test_bad_bases_and_points_are_named(call, message):
    with pytest.raises((InputError, ShapeError), match=message):
        call()


def test_all_points_of_an_orthonormal_basis_are_the_projection():
    U = np.linalg.qr(np.random.default_rng(3).standard_normal((12, 4)))[0]
    everything = SampledProjection(U, oversampled_points(U, 12))
    assert everything.stability == pytest.approx(1.0)
    assert np.allclose(everything.pseudo_inverse, U[everything.points].T)
    assert oversampled_points(np.ones((5, 1)), 3).size == 3


# -- sparse matrices --------------------------------------------------------------------------------------------------

def diffusion(mu, n=60):
    """The stiffness matrix of -(a u')' with a = 1 / (1 + mu x), n intervals."""
    a = 1.0 / (1.0 + mu * (np.arange(n) + 0.5) / n) * n
    return sp.csr_array(sp.diags_array([-a[1:-1], a[:-1] + a[1:], -a[1:-1]], offsets=[-1, 0, 1]))


def test_nonaffine_matrices_are_interpolated_from_a_few_of_their_entries(must_fail):
    training = [diffusion(mu) for mu in np.linspace(0.0, 20.0, 60)]
    found = matrix_interpolation(*pattern_values(training), 1e-10)
    assert found.size < 15
    new = diffusion(7.654)
    values = new[found.entries[:, 0], found.entries[:, 1]]

    def close(entries):
        assert np.abs(found.assemble(entries) - new).max() < 1e-7

    close(values)
    must_fail(close, 1.001 * values)
    assert np.abs(sum(v * L for v, L in zip(values, found.terms, strict=True)) - new).max() < 1e-7
    for r, term in enumerate(found.terms):
        assert np.allclose(term[found.entries[:, 0], found.entries[:, 1]], np.eye(found.size)[r], atol=1e-12)
    states = np.linalg.norm(np.linalg.solve(found.assemble(values).toarray(), np.ones(59))
                            - np.linalg.solve(new.toarray(), np.ones(59)))
    assert states < 1e-6


def test_patterns_are_united_without_loss_and_bad_matrices_are_named():
    pattern, values = pattern_values([sp.csr_array(np.array([[1.0, 0.0], [2.0, 0.0]])),
                                      sp.csr_array(np.array([[-1.0, 5.0], [0.0, 0.0]]))])
    assert pattern.nnz == 3
    assert values.tolist() == [[1.0, -1.0], [0.0, 5.0], [2.0, 0.0]]
    with pytest.raises(ShapeError, match="one shape"):
        pattern_values([sp.csr_array(np.eye(2)), sp.csr_array(np.eye(3))])
    with pytest.raises(ShapeError, match="one value an entry"):
        matrix_interpolation(pattern, values[:2])
    with pytest.raises(InputError, match="no entries"):
        matrix_interpolation(*pattern_values([sp.csr_array((2, 2))]))
    with pytest.raises(ShapeError, match="A at each of its entries"):
        matrix_interpolation(pattern, values).assemble(np.ones(5))
