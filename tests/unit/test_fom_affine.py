"""Affine operators, vectors, outputs and the affine model."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError, SolveFailed
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.protocol import FullOrderModel, SupportsAffine
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace

COLUMNS = ("a", "b")
A0 = sp.csr_array(np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
A1 = sp.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 3.0], [0.0, 3.0, 4.0]]))


def space() -> ParameterSpace:
    return ParameterSpace([Parameter("a", Uniform(-9.0, 9.0)), Parameter("b", Uniform(-9.0, 9.0))])


def model(matrices, rhs=(1.0, 1.0, 1.0), X=None, **options) -> AffineModel:
    n = matrices[0].shape[0]
    theta = Theta(["a", "b"][: len(matrices)], COLUMNS)
    vector = AffineVector(Theta(["1"], COLUMNS), np.array(rhs)[:, None])
    return AffineModel(space(), AffineOperator(theta, matrices), vector, sp.eye_array(n) if X is None else X,
                       spec={"kind": "test"}, **options)


def test_assembled_matrix_is_the_sum_of_the_terms_and_keeps_entries_that_cancel():
    operator = AffineOperator(Theta(["a", "b"], COLUMNS), [A0, A1])
    A = operator.assemble(np.array([1.0, 1.0]))
    assert np.array_equal(A.toarray(), (A0 + A1).toarray())
    assert A.format == "csc" and A.nnz == 7 and A[0, 1] == 0.0


def test_assembled_matrices_share_one_pattern_that_cannot_be_changed():
    operator = AffineOperator(Theta(["a", "b"], COLUMNS), [A0, A1])
    first, second = operator.assemble(np.array([1.0, 0.0])), operator.assemble(np.array([0.0, 2.0]))
    assert first.indices is second.indices or np.shares_memory(first.indices, second.indices)
    assert np.array_equal(first.indptr, second.indptr) and first.has_canonical_format
    with pytest.raises(ValueError, match="read-only"):
        first.indices[0] = 1


def test_apply_and_project_equal_the_dense_products():
    operator = AffineOperator(Theta(["a", "b"], COLUMNS), [A0, A1])
    rng = np.random.default_rng(0)
    V, W = rng.standard_normal((3, 2)), rng.standard_normal((3, 1))
    dense = np.stack([A0.toarray(), A1.toarray()])
    assert np.allclose(operator.apply(V), dense @ V, atol=1e-15)
    assert np.allclose(operator.project(V), V.T @ dense @ V, atol=1e-14)
    assert np.allclose(operator.project(V, W), W.T @ dense @ V, atol=1e-14)
    assert operator.apply(V).shape == (2, 3, 2) and operator.project(V, W).shape == (2, 1, 2)


def test_restriction_keeps_the_rows_in_the_order_asked_for():
    operator = AffineOperator(Theta(["a", "b"], COLUMNS), [A0, A1]).restrict(np.array([2, 0]))
    assert operator.shape == (2, 3)
    assert np.array_equal(operator.assemble(np.array([2.0, 1.0])).toarray(), (2 * A0 + A1).toarray()[[2, 0]])


def test_symmetry_is_exact():
    assert AffineOperator(Theta(["a", "b"], COLUMNS), [A0, A1]).symmetric
    nearly = A1.copy()
    nearly[0, 1] *= 1.0 + 1e-15
    assert not AffineOperator(Theta(["a", "b"], COLUMNS), [A0, nearly]).symmetric
    assert not AffineOperator(Theta(["a"], COLUMNS), [A0[:2]]).symmetric


def test_duplicates_of_coo_terms_are_summed_and_the_caller_keeps_his_matrix():
    given = sp.coo_array(([1.0, 2.0], ([0, 0], [0, 0])), shape=(1, 1))
    operator = AffineOperator(Theta(["a"], COLUMNS), [given])
    assert operator.assemble(np.array([2.0, 0.0])).toarray() == [[6.0]]
    assert given.nnz == 2
    csr = sp.csr_array(np.array([[5.0]]))
    AffineOperator(Theta(["a"], COLUMNS), [csr]).matrices[0].data[:] = 0.0
    assert csr[0, 0] == 5.0


@pytest.mark.parametrize(
    ("matrices", "error", "words"),
    [
        ([A0], ShapeError, "1 matrices and 2 theta"),
        ([A0, A1[:2]], ShapeError, "term 1 has shape"),
        ([A0, A1 * np.nan], InputError, "not finite"),
        ([A0, A1 * 1j], InputError, "real numbers"),
    ],
)
def test_wrong_operator_terms_are_refused(matrices, error, words):
    with pytest.raises(error, match=words):
        AffineOperator(Theta(["a", "b"], COLUMNS), matrices)


def test_vectors_and_outputs_are_sums_of_their_terms():
    mu = np.array([[2.0, 3.0], [4.0, 5.0]])
    F = np.arange(6.0).reshape(3, 2)
    vector = AffineVector(Theta(["a", "b"], COLUMNS), F)
    assert np.array_equal(vector.assemble(mu[0]), 2 * F[:, 0] + 3 * F[:, 1])
    assert np.array_equal(vector.project(np.eye(3)[:, :2]), F.T[:, :2])
    L = np.random.default_rng(1).standard_normal((2, 4, 3))
    outputs = AffineOutputs(["p", "q", "r", "s"], Theta(["a", "a * b"], COLUMNS), L)
    U = np.random.default_rng(2).standard_normal((3, 2))
    expected = np.stack([(2 * L[0] + 6 * L[1]) @ U[:, 0], (4 * L[0] + 20 * L[1]) @ U[:, 1]], axis=1)
    assert np.allclose(outputs.evaluate(U, mu), expected, rtol=1e-14)
    assert np.array_equal(outputs.project(U), L @ U)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: AffineVector(Theta(["a"], COLUMNS), np.zeros(3)), ShapeError),
        (lambda: AffineVector(Theta(["a"], COLUMNS), np.zeros((3, 2))), ShapeError),
        (lambda: AffineVector(Theta(["a"], COLUMNS), np.full((3, 1), np.inf)), InputError),
        (lambda: AffineOutputs(["p", "p"], Theta(["a"], COLUMNS), np.zeros((1, 2, 3))), ConfigError),
        (lambda: AffineOutputs(["p"], Theta(["a"], COLUMNS), np.zeros((1, 2, 3))), ShapeError),
        (lambda: AffineOutputs(["p"], Theta(["a"], COLUMNS), np.full((1, 1, 3), np.nan)), InputError),
    ],
)
def test_wrong_vectors_and_outputs_are_refused(make, error):
    with pytest.raises(error):
        make()


def test_assembling_needs_one_parameter():
    operator = AffineOperator(Theta(["a"], COLUMNS), [A0])
    for wrong in (np.zeros(3), np.zeros((2, 2))):
        with pytest.raises(ShapeError, match="one parameter"):
            operator.assemble(wrong)
    with pytest.raises(ShapeError, match=r"\(3, j\)"):
        operator.apply(np.zeros(3))


def test_model_solves_and_evaluates_outputs():
    fom = model([sp.diags_array([1.0, 2.0, 4.0])],
                outputs=AffineOutputs(["sum"], Theta(["b"], COLUMNS), np.ones((1, 1, 3))))
    snapshot = fom.solve(np.array([2.0, 3.0]))
    assert np.allclose(snapshot.state, [0.5, 0.25, 0.125], rtol=1e-15)
    assert np.allclose(snapshot.outputs, [3 * 0.875], rtol=1e-15)
    assert snapshot.info["relative_residual"] < 1e-14
    assert isinstance(fom, FullOrderModel) and isinstance(fom, SupportsAffine)
    assert np.array_equal(fom.solve([[2.0, 3.0]]).state, snapshot.state)


def test_singular_matrix_is_a_failed_solve_with_a_report():
    chain = sp.csr_array(np.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]))
    with pytest.raises(SolveFailed, match="singular") as caught:
        model([chain]).solve(np.array([1.0, 1.0]))
    assert caught.value.report["mu"] == [1.0, 1.0]


def test_residual_above_the_tolerance_is_a_failed_solve():
    hilbert = sp.csr_array(1.0 / (np.arange(14)[:, None] + np.arange(14) + 1.0))
    rhs = np.random.default_rng(0).standard_normal(14)
    with pytest.raises(SolveFailed, match="relative residual is") as caught:
        model([hilbert], rhs).solve(np.array([1.0, 1.0]))
    assert caught.value.report["relative_residual"] > 1e-9
    assert model([hilbert], rhs, residual_tolerance=1e3).solve(np.array([1.0, 1.0])).info["relative_residual"] > 1e-9


def test_symmetric_indefinite_matrices_are_solved_with_pivots():
    saddle = sp.csr_array(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.0], [2.0, 1.0, 0.0]]))
    assert np.allclose(saddle @ model([saddle]).solve(np.array([1.0, 1.0])).state, 1.0, atol=1e-14)
    rng = np.random.default_rng(0)
    B = sp.random_array((30, 30), density=0.2, rng=rng, data_sampler=rng.standard_normal) + 2.0 * sp.eye_array(30)
    tiny = 1e-18 * sp.eye_array(30)
    A = sp.csr_array(sp.block_array([[tiny, B], [B.T, tiny]]))
    fom = model([A], np.ones(60))
    assert fom.symmetric
    assert np.allclose(A @ fom.solve(np.array([1.0, 1.0])).state, 1.0, atol=1e-12)


def test_zero_right_hand_side_gives_the_zero_state():
    snapshot = model([sp.eye_array(3)], rhs=np.zeros(3)).solve(np.array([1.0, 0.0]))
    assert np.array_equal(snapshot.state, np.zeros(3)) and snapshot.info["relative_residual"] == 0.0


def test_solutions_do_not_depend_on_what_was_solved_before():
    rng = np.random.default_rng(3)
    S = sp.random_array((40, 40), density=0.1, rng=rng)
    matrices = [sp.csr_array(S + S.T), sp.csr_array(sp.eye_array(40) * 10.0)]
    fresh = model(matrices, np.ones(40)).solve(np.array([1.0, 2.0])).state
    used = model(matrices, np.ones(40))
    used.solve(np.array([0.0, 1.0]))
    used.solve(np.array([3.0, -2.0]))
    assert np.array_equal(used.solve(np.array([1.0, 2.0])).state, fresh)


def test_threads_share_a_model():
    rng = np.random.default_rng(3)
    S = sp.random_array((60, 60), density=0.1, rng=rng)
    fom = model([sp.csr_array(S), sp.csr_array(sp.eye_array(60) * 9.0)], np.ones(60))
    mu = rng.uniform(0.5, 1.5, (12, 2))
    expected = [fom.solve(row).state for row in mu]
    found = [None] * len(mu)

    def solve(start: int) -> None:
        for index in range(start, len(mu), 3):
            found[index] = fom.solve(mu[index]).state

    threads = [threading.Thread(target=solve, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (sp.eye_array(2), "shape"),
        (sp.csr_array(np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])), "not symmetric"),
        (sp.eye_array(3) * np.nan, "finite"),
        (sp.eye_array(3) * 1j, "real"),
    ],
)
def test_wrong_inner_products_are_refused(X, words):
    with pytest.raises(InputError, match=words):
        model([A0], X=X)


def test_rounding_asymmetry_of_the_inner_product_is_removed():
    X = sp.csr_array(np.array([[1.0, 0.1, 0.0], [0.1 * (1 + 1e-15), 1.0, 0.0], [0.0, 0.0, 1.0]]))
    kept = model([A0], X=X).inner_product
    assert (kept != kept.T).nnz == 0 and (X != X.T).nnz == 2


def test_parts_of_other_sizes_are_refused():
    with pytest.raises(ShapeError, match="right-hand side"):
        model([A0], rhs=(1.0, 1.0))
    with pytest.raises(ShapeError, match="output"):
        model([A0], outputs=AffineOutputs(["p"], Theta(["1"], COLUMNS), np.ones((1, 1, 2))))
    with pytest.raises(ShapeError, match="operator"):
        model([A0[:2]], rhs=(1.0, 1.0))


def test_parameters_outside_the_space_are_refused():
    fom = model([sp.eye_array(3)])
    for wrong in ([99.0, 0.0], [np.nan, 0.0]):
        with pytest.raises(ParameterError):
            fom.solve(wrong)
    with pytest.raises(ShapeError):
        fom.solve([[1.0, 1.0], [2.0, 2.0]])
