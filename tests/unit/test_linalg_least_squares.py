"""Sketched least squares: accuracy of a QR factorisation, all forms of input, rank, bounds, sketch sizes."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.sketching.embeddings import embedding
from romflow.linalg.sketching.row_blocks import RowBlocks
from romflow.linalg.sketching.sketched_least_squares import ridgeless_sketch_size, sketched_lstsq, sketched_regression

N, K = 20_000, 20


def ill_conditioned(condition, n=N, k=K, noise=1e-3, seed=0):
    """A with these singular values in random directions, x, b = A x + noise orthogonal to the range."""
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((n, k + 1)))[0]
    W = np.linalg.qr(rng.standard_normal((k, k)))[0]
    A = (U[:, :k] * np.logspace(0.0, -np.log10(condition), k)) @ W.T
    x = rng.standard_normal(k)
    return A, x, A @ x + noise * U[:, k]


def error(found, x):
    return np.linalg.norm(found - x) / np.linalg.norm(x)


@pytest.mark.parametrize("method", ["normal", "lsqr"])
@pytest.mark.parametrize("condition,noise,limit", [(1e4, 1e-3, 1e-12), (1e4, 0.0, 1e-12), (1e8, 1e-8, 1e-7)])
def test_answer_has_the_accuracy_of_a_factorisation(method, condition, noise, limit, must_fail):
    A, x, b = ill_conditioned(condition, noise=noise)
    found, report = sketched_lstsq(A, b, method=method, seed=3)
    def check(answer):
        assert error(answer, x) < limit
    check(found)
    by_normal_equations = np.linalg.solve(A.T @ A, A.T @ b)
    theta = embedding("countsketch", 400, N, 3)
    by_sketch = np.linalg.lstsq(theta.apply(A), theta.apply(b), rcond=None)[0]
    must_fail(check, by_normal_equations, *([by_sketch] if noise else []))
    assert 0.3 * condition < report.condition < 3.0 * condition
    assert report.residual_norm == pytest.approx(noise, rel=1e-6, abs=1e-12)
    assert report.rank == K and report.kind == "countsketch"
    if method == "normal":
        assert report.passes <= 4 and 1.0 < report.preconditioned_condition < 3.0
    else:
        assert report.iterations > 5


@pytest.mark.parametrize("form", ["fortran", "memmap", "sparse", "list", "callable", "short blocks", "float32"])
def test_all_forms_of_a_tall_matrix_give_the_same_answer(form, tmp_path):
    A, x, b = ill_conditioned(1e3)
    options = {}
    if form == "fortran":
        given = np.asfortranarray(A)
    elif form == "memmap":
        given = np.lib.format.open_memmap(tmp_path / "A.npy", "w+", shape=A.shape)
        given[:] = A
    elif form == "sparse":
        given = sp.csc_array(A)
    elif form == "list":
        given = np.split(A, [1, 5000, 9999])
    elif form == "callable":
        given, options = (lambda rows: A[rows]), {"shape": A.shape}
    elif form == "short blocks":
        given, options = A, {"block": 777}
    else:
        given, A = A.astype(np.float32), A.astype(np.float32).astype(float)
        x = np.linalg.lstsq(A, b, rcond=None)[0]
    assert error(sketched_lstsq(given, b, **options)[0], x) < 1e-12


def test_several_right_hand_sides_are_solved_at_once():
    A, x, b = ill_conditioned(1e5)
    B = np.column_stack([b, np.zeros(N), 3.0 * b, np.ones(N)])
    exact = np.linalg.lstsq(A, B, rcond=None)[0]
    for method in ("normal", "lsqr"):
        X, report = sketched_lstsq(A, B, method=method)
        assert X.shape == (K, 4) and report.residual_norm.shape == (4,)
        assert not X[:, 1].any() and error(X[:, 0], x) < 1e-10
        assert error(X, exact) < 1e-8
    again = sketched_lstsq(A, B)[0]
    assert np.array_equal(again, sketched_lstsq(A, B)[0])


def test_matrix_no_taller_than_its_sketch_is_factorised_itself():
    A, x, b = ill_conditioned(1e4, n=200)
    found, report = sketched_lstsq(A, b)
    assert report.kind == "none" and error(found, x) < 1e-11
    square = sketched_lstsq(np.diag([1.0, 2.0]), np.array([1.0, 4.0]))[0]
    assert np.allclose(square, [1.0, 2.0])


def test_heavy_rows_that_collide_are_sketched_again():
    A = np.zeros((N, 100))
    A[::200] = np.eye(100)
    b = A @ np.arange(100.0)
    found, report = sketched_lstsq(A, b, seed=1)
    assert report.kind == "sparse-sign" and "lost rank" in report.why
    assert np.abs(found - np.arange(100.0)).max() < 1e-11


def test_poor_preconditioner_is_mended_by_what_its_pass_has_seen():
    A = 1e-7 * np.random.default_rng(0).standard_normal((N, 100))
    A[::200] += np.eye(100)
    found, report = sketched_lstsq(A, A @ np.ones(100), seed=1)
    assert np.abs(found - 1.0).max() < 1e-9
    assert report.passes >= 4 and report.preconditioned_condition < 1e3


def dependent():
    A = np.random.default_rng(0).standard_normal((N, 6))
    A[:, 2] = 0.0
    A[:, 5] = A[:, 1]
    return A


def test_rank_deficient_matrix_is_refused_with_the_names_of_its_columns():
    with pytest.raises(InputError, match=r"columns 2 are zero and columns [15] depend on the others"):
        sketched_lstsq(dependent(), np.ones(N))
    with pytest.raises(InputError, match="columns 0, 1, 2 are zero"):
        sketched_lstsq(np.zeros((N, 3)), np.ones(N))


@pytest.mark.parametrize("method", ["normal", "lsqr"])
def test_rank_deficient_matrix_gives_the_answer_of_least_norm_where_asked(method, must_fail):
    A, b = dependent(), np.random.default_rng(1).standard_normal(N)
    exact = np.linalg.lstsq(A, b, rcond=None)[0]
    found, report = sketched_lstsq(A, b, method=method, deficient="minimum-norm")
    def check(answer):
        assert error(answer, exact) < 1e-10
    check(found)
    must_fail(check, found + 1e-3 * np.array([0.0, 1.0, 0.0, 0.0, 0.0, -1.0]))
    assert report.rank == 4 and "least norm" in report.why
    assert not sketched_lstsq(np.zeros((N, 3)), b, method=method, deficient="minimum-norm")[0].any()


def test_columns_of_very_different_scale_are_no_loss_of_rank():
    scale = np.logspace(0, -30, 7)
    A = np.random.default_rng(0).standard_normal((N, 7))
    x, report = sketched_lstsq(A * scale, A @ np.ones(7))
    assert np.abs(x * scale - 1.0).max() < 1e-12 and report.rank == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("n", [100, N])
def test_values_that_are_not_finite_are_refused(bad, n):
    A, b = np.random.default_rng(0).standard_normal((n, K)), np.ones(n)
    for where in ("matrix", "side"):
        C, d = A.copy(), b.copy()
        (C if where == "matrix" else d)[50] = bad
        with pytest.raises(InputError, match="not finite"):
            sketched_lstsq(C, d)
    with pytest.raises(InputError, match="not finite"):
        sketched_regression(np.where(A == A[50, 0], bad, A), b, 50)


def test_wrong_input_is_refused():
    A, b = np.random.default_rng(0).standard_normal((500, 4)), np.ones(500)
    with pytest.raises(ShapeError, match=r"\(500, 4\) came with right-hand sides of shape \(499,\)"):
        sketched_lstsq(A, b[1:])
    with pytest.raises(ShapeError, match="n >= k"):
        sketched_lstsq(A.T, np.ones(4))
    with pytest.raises(ShapeError, match=r"shape \(500,\)"):
        sketched_lstsq(A[:, 0], b)
    for wrong, known in (({"method": "lsqrt"}, "lsqr"), ({"kind": "counts"}, "countsketch"),
                         ({"deficient": "min-norm"}, "minimum-norm")):
        with pytest.raises(InputError, match=f"Did you mean '{known}'"):
            sketched_lstsq(A, b, **wrong)
    with pytest.raises(InputError, match="rows >= 4"):
        sketched_lstsq(A, b, rows=3)
    with pytest.raises(InputError, match="give shape"):
        sketched_lstsq(lambda rows: A[rows], b)
    with pytest.raises(ShapeError, match="rows 0 to 500 of the matrix came with shape"):
        sketched_lstsq(lambda rows: A[rows, :3], b, shape=(500, 4))
    with pytest.raises(ShapeError, match="widths"):
        RowBlocks([A, A[:, :2]])
    with pytest.raises(InputError, match="at least 1"):
        RowBlocks(A, block=0)


def test_sketch_that_is_no_preconditioner_is_an_error_with_a_remedy(monkeypatch):
    from romflow.linalg.sketching import sketched_least_squares as module

    A, _, b = ill_conditioned(1e4)
    monkeypatch.setattr(module, "_gram", lambda *given: (np.diag([0.0] + [1.0] * (K - 1)), np.zeros((K, 1))))
    with pytest.raises(SolveFailed, match="take more rows") as caught:
        sketched_lstsq(A, b)
    assert caught.value.report["rows"] == 20 * K


def noisy(n=2048, k=20, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, k)) * np.logspace(0, -2, k)
    b = A @ rng.standard_normal(k) + rng.standard_normal(n)
    return A, b, np.linalg.lstsq(A, b, rcond=None)[0]


@pytest.mark.parametrize("kind", ["srht", "gaussian"])
def test_bound_holds_for_every_coefficient_and_is_a_few_times_the_spread(kind, must_fail):
    A, b, exact = noisy()
    found = [sketched_regression(A, b, 200, kind=kind, delta=0.1, seed=seed) for seed in range(25)]
    errors = np.abs([one.x - exact for one in found])
    bounds = np.array([one.bound for one in found])
    def check(values):
        assert np.count_nonzero((errors > values).any(axis=1)) <= 8
    check(bounds)
    must_fail(check, 0.3 * bounds)
    spread = np.sqrt(np.mean(errors**2, axis=0))
    assert (bounds.mean(axis=0) < 7.0 * spread).all()
    best = np.linalg.norm(b - A @ exact)
    assert all(best <= one.residual_norm < 1.2 * best for one in found)


def test_countsketch_breaks_the_bound_that_srht_keeps_on_a_heavy_row():
    n, k, rows = 4096, 40, 400
    rng = np.random.default_rng(0)
    A, b = np.zeros((n, k)), np.zeros(n)
    A[np.arange(k) * 7] = np.eye(k)
    b[3000:3040] = 1.0
    A += 1e-9 * rng.standard_normal((n, k))
    exact = np.linalg.lstsq(A, b, rcond=None)[0]
    size, broken = np.linalg.norm(b), {"srht": 0, "countsketch": 0}
    for seed in range(20):
        for kind in broken:
            theta = embedding(kind, rows, n, seed)
            x = np.linalg.lstsq(theta.apply(A), theta.apply(b), rcond=None)[0]
            bound = size * np.sqrt(2.0 * np.log(2.0 * k / 0.1) / rows)
            broken[kind] += bool(np.abs(x - exact).max() > 0.85 * bound)
    assert broken["countsketch"] >= 8 and broken["srht"] <= 2 * broken["countsketch"] // 4


def test_regression_refuses_what_it_cannot_bound():
    A, b, _ = noisy()
    for kind in ("countsketch", "sparse-sign"):
        with pytest.raises(InputError, match="bounds no single coefficient"):
            sketched_regression(A, b, 400, kind=kind)
    with pytest.raises(InputError, match="at least 40"):
        sketched_regression(A, b, 30)
    with pytest.raises(InputError, match="0 < delta < 1"):
        sketched_regression(A, b, 400, delta=1.0)
    with pytest.raises(ShapeError, match=r"the rule is \(2048,\)"):
        sketched_regression(A, b[:, None], 400)
    with pytest.raises(InputError, match="rank-deficient"):
        sketched_regression(np.hstack([A, A[:, :1]]), b, 400)


def isotropic(n, k, noise, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, k))
    return A, A @ (rng.standard_normal(k) / np.sqrt(k)) + noise * rng.standard_normal(n)


def test_ridgeless_size_is_the_known_best_and_avoids_the_peak(must_fail):
    k = 200
    A, b = isotropic(275, k, 0.25)
    table = ridgeless_sketch_size(A, b, [50, 100, 150, 185, 200, 220], seed=1, repeats=2)
    def check(size):
        assert size == k * (1 - 0.25)
    check(table.size)
    must_fail(check, int(table.sizes[np.argmax(table.risk)]))
    assert table.sizes[np.argmax(table.risk)] == table.peak == k
    share = np.array([0.25, 0.5, 0.75])
    theory = (1 - share) + 0.0625 * share / (1 - share) + 0.0625
    assert np.allclose(table.risk[:3], theory, rtol=0.25)
    assert table.risk.min() < table.null_risk


def test_ridgeless_size_keeps_all_rows_where_they_are_many():
    A, b = isotropic(800, 40, 0.3)
    table = ridgeless_sketch_size(A, b, seed=2, repeats=2)
    assert table.size == table.sizes[-1] == 640 and table.sizes[0] < 40
    again = ridgeless_sketch_size(A, b, seed=2, repeats=2)
    assert np.array_equal(again.risk, table.risk)
    hopeless = ridgeless_sketch_size(*isotropic(60, 50, 20.0), [5, 20, 48])
    assert hopeless.risk.min() > hopeless.null_risk and hopeless.size == 5


def test_ridgeless_size_refuses_wrong_input():
    A, b = isotropic(50, 10, 0.1)
    for sizes in ([0, 5], [5, 41], [], [2.5]):
        with pytest.raises(InputError, match="from 1 to 40"):
            ridgeless_sketch_size(A, b, sizes)
    with pytest.raises(InputError, match="2 <= folds"):
        ridgeless_sketch_size(A, b, folds=1)
    with pytest.raises(ShapeError, match="not finite"):
        ridgeless_sketch_size(np.where(A > 1, np.nan, A), b)
    with pytest.raises(ShapeError, match="observations"):
        ridgeless_sketch_size(A, b[1:])
