"""Coordinated sampling: unbiased, better than CountSketch on sparse operands, small and exact where it may be."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.sketching.coordinated import RowSample, coordinated_sketch, estimate_product
from romflow.linalg.sketching.embeddings import embedding

METHODS = ["priority", "threshold"]


def sparse_rows(n, d, nonzeros, seed):
    rng = np.random.default_rng(seed)
    columns = np.argsort(rng.random((n, d)), axis=1)[:, :nonzeros]
    values = rng.standard_normal((n, nonzeros)) * rng.lognormal(0.0, 1.0, (n, 1))
    return sp.csr_array((values.ravel(), columns.ravel(), np.arange(0, n * nonzeros + 1, nonzeros)), shape=(n, d))


A, B = sparse_rows(400, 12, 3, 0), sparse_rows(400, 9, 3, 1)
EXACT = (A.T @ B).toarray()
SCALE = sp.linalg.norm(A) * sp.linalg.norm(B)


def estimates(method, seeds, rows=80):
    return np.stack([estimate_product(coordinated_sketch(A, rows, seed, method),
                                      coordinated_sketch(B, rows, seed, method)).toarray() for seed in range(seeds)])


@pytest.mark.parametrize("method", METHODS)
def test_estimate_is_unbiased_with_an_error_below_its_bound(method, must_fail):
    found = estimates(method, 200)
    deviation = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    def check(values):
        assert np.abs((values.mean(axis=0) - EXACT) / deviation).max() < 4.5
        squared = np.mean(np.sum((values - EXACT) ** 2, axis=(1, 2)))
        assert squared <= 2.0 / 79 * SCALE**2
    check(found)
    must_fail(check, 1.5 * found, 0.5 * found)


@pytest.mark.parametrize("method", METHODS)
def test_error_is_at_most_half_of_that_of_countsketch_at_equal_storage(method):
    left, right = sparse_rows(8000, 100, 4, 2), sparse_rows(8000, 100, 4, 3)
    exact = (left.T @ right).toarray()
    ours, theirs = [], []
    for seed in range(3):
        a, b = (coordinated_sketch(M, 400, seed, method) for M in (left, right))
        theta = embedding("countsketch", max(a.nbytes, b.nbytes) // (8 * 100), 8000, seed)
        ours.append(np.linalg.norm(estimate_product(a, b).toarray() - exact))
        theirs.append(np.linalg.norm(theta.apply(left.toarray()).T @ theta.apply(right.toarray()) - exact))
    assert np.mean(ours) < 0.5 * np.mean(theirs)


def test_samples_keep_the_rows_asked_for_and_the_heavy_ones():
    assert coordinated_sketch(A, 80, 3).indices.size == 80
    sizes = [coordinated_sketch(A, 80, seed, "threshold").indices.size for seed in range(100)]
    assert abs(np.mean(sizes) - 80) < 4 * np.sqrt(80 / 100)
    heavy = np.ones((100, 2))
    heavy[7] = 1e6
    for method in METHODS:
        sample = coordinated_sketch(heavy, 10, 0, method)
        assert 7 in sample.indices and sample.probability[sample.indices == 7] == 1.0
        assert (np.diff(sample.indices) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_product_is_exact_where_all_rows_are_kept(method):
    padded = sp.csr_array(sp.vstack([A, sp.csr_array((5, 12))]))
    other = sp.csr_array(sp.vstack([B, sp.csr_array(np.ones((5, 9)))]))
    found = estimate_product(coordinated_sketch(padded, 400, 0, method), coordinated_sketch(other, 405, 0, method))
    assert np.allclose(found.toarray(), EXACT)


def test_samples_travel_as_arrays(tmp_path):
    sample, other = coordinated_sketch(A, 50, 5), coordinated_sketch(B, 50, 5)
    np.savez(tmp_path / "sample.npz", **sample.to_arrays())
    with np.load(tmp_path / "sample.npz", allow_pickle=False) as arrays:
        again = RowSample.from_arrays(arrays)
        damaged = {name: arrays[name] for name in arrays} | {"columns": arrays["columns"] + 100}
    assert (again.n, again.seed, again.method) == (400, 5, "priority")
    assert np.array_equal(estimate_product(again, other).toarray(), estimate_product(sample, other).toarray())
    with pytest.raises(InputError, match="do not fit"):
        RowSample.from_arrays(damaged)
    with pytest.raises(InputError, match="lacks the arrays indptr"):
        RowSample.from_arrays({name: value for name, value in sample.to_arrays().items() if name != "indptr"})


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="left sample has the seed 1, the right one 2"):
        estimate_product(coordinated_sketch(A, 50, 1), coordinated_sketch(B, 50, 2))
    with pytest.raises(InputError, match="number of rows 400"):
        estimate_product(coordinated_sketch(A, 50, 1), coordinated_sketch(B[:-1], 50, 1))
    with pytest.raises(InputError, match="Did you mean 'priority'"):
        coordinated_sketch(A, 50, 1, "priorty")
    for rows, seed in ((0, 0), (2.0, 0), (2, -1)):
        with pytest.raises(InputError, match="whole number"):
            coordinated_sketch(A, rows, seed)
    with pytest.raises(InputError, match="not finite"):
        coordinated_sketch(np.array([[1.0], [np.nan]]), 1, 0)
    with pytest.raises(ShapeError, match="shape \\(3,\\)"):
        coordinated_sketch(np.ones(3), 1, 0)
