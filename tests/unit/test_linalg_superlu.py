"""Direct solves: residuals, re-use of the ordering, inertia, whitening."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError, SolveFailed
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.solvers.superlu import SuperLU, nested_dissection


def laplacian(m: int) -> sp.csc_array:
    T = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    identity = sp.eye_array(m)
    return sp.csc_array(sp.kron(T, identity) + sp.kron(identity, T))


def convection(m: int) -> sp.csc_array:
    D = sp.diags_array([-np.ones(m - 1), np.ones(m - 1)], offsets=[-1, 1])
    return sp.csc_array(laplacian(m) + 0.9 * sp.kron(D, sp.eye_array(m)))


@pytest.mark.parametrize(("A", "symmetric"), [(laplacian(15), True), (convection(15), False)])
def test_solution_has_a_residual_of_rounding_size(A, symmetric):
    B = np.random.default_rng(0).standard_normal((A.shape[0], 3))
    X = SuperLU(symmetric).setup(A).solve(B)
    assert np.abs(A @ X - B).max() < 1e-12
    assert np.abs(A @ (X * (1 + 1e-9)) - B).max() > 1e-12


def test_vector_and_column_right_hand_sides_agree():
    A, b = laplacian(6), np.arange(36.0)
    factor = SuperLU(True).setup(A)
    assert np.array_equal(factor.solve(b), factor.solve(b[:, None])[:, 0])


def test_update_reuses_the_ordering_and_gives_what_a_new_setup_gives():
    A = laplacian(10)
    solver = SuperLU(True)
    solver.setup(A)
    order = solver._order
    changed = sp.csc_array((A.data * 3.0, A.indices, A.indptr), shape=A.shape)
    b = np.ones(100)
    updated = solver.update(changed).solve(b)
    assert solver._order is order
    assert np.array_equal(updated, SuperLU(True).setup(changed).solve(b))


def test_update_with_another_pattern_sets_up_again():
    solver = SuperLU(True)
    solver.setup(laplacian(5))
    A = sp.csc_array(sp.eye_array(25) * 2.0)
    assert np.allclose(solver.update(A).solve(np.ones(25)), 0.5)


def test_nested_dissection_is_a_permutation_also_without_edges():
    assert sorted(nested_dissection(laplacian(7))) == list(range(49))
    assert sorted(nested_dissection(sp.csc_array(sp.eye_array(4)))) == list(range(4))


def test_negative_pivots_count_the_negative_eigenvalues():
    A = sp.csc_array(laplacian(6) - 3.1 * sp.eye_array(36))
    expected = int(np.sum(np.linalg.eigvalsh(A.toarray()) < 0))
    assert expected > 0
    assert SuperLU(True).setup(A).negative_pivots == expected


def test_singular_matrix_is_refused_with_a_remedy():
    with pytest.raises(SolveFailed, match="singular"):
        SuperLU(True).setup(sp.csc_array(np.zeros((3, 3)) + np.diag([1.0, 0.0, 1.0]))).solve(np.ones(3))


def test_non_square_and_nan_are_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        SuperLU(True).setup(sp.csc_array(np.ones((2, 3))))
    with pytest.raises(InputError, match="not finite"):
        SuperLU(True).setup(sp.csc_array(np.array([[np.nan]])))


def test_whitened_functionals_have_the_dual_inner_product():
    X = laplacian(12)
    F = np.random.default_rng(1).standard_normal((144, 4))
    Y = InnerProduct(X).whiten(F)
    exact = F.T @ np.linalg.solve(X.toarray(), F)
    assert np.abs(Y.T @ Y - exact).max() < 1e-11 * np.abs(exact).max()


def test_dual_norm_is_the_supremum():
    X = laplacian(8)
    product = InnerProduct(X)
    f = np.random.default_rng(2).standard_normal((64, 1))
    v = product.riesz(f)
    assert product.dual_norm(f)[0] == pytest.approx((f.T @ v).item() / product.norm(v)[0], rel=1e-12)


def test_indefinite_inner_product_is_refused():
    with pytest.raises(InputError, match="positive definite"):
        InnerProduct(sp.diags_array([1.0, -1.0])).dual_norm(np.ones((2, 1)))
    with pytest.raises(InputError, match="not symmetric"):
        InnerProduct(sp.csr_array(np.array([[1.0, 1.0], [0.0, 1.0]])))


@pytest.mark.parametrize("panel", [1, 4, 8])
def test_panels_change_nothing_but_rounding(panel):
    A, b = laplacian(20), np.random.default_rng(4).standard_normal(400)
    exact = np.linalg.solve(A.toarray(), b)
    x = SuperLU(True, panel=panel).setup(A).solve(b)
    assert np.abs(x - exact).max() < 1e-12 * np.abs(exact).max() * 100
    assert np.array_equal(SuperLU(True).setup(A).solve(b), SuperLU(True, panel=1).setup(A).solve(b))
