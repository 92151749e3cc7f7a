"""Laws of affine models and of what external programs may answer."""

from io import BytesIO

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.external import read_vector
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace

COLUMNS = ("a", "b", "c")
NUMBERS = st.floats(-1e3, 1e3)
BLOCK = ThermalBlock(ParameterSpace([Parameter("d", Uniform(1e-3, 1e3), size=4)]), [2, 2], 6)


@st.composite
def terms(draw, square=False):
    """Three sparse terms of one shape; small whole numbers, so that entries cancel often."""
    n = draw(st.integers(1, 6))
    m = n if square else draw(st.integers(1, 6))
    dense = [draw(hnp.arrays(float, (n, m), elements=st.integers(-1, 1).map(float))) for _ in COLUMNS]
    return [sp.coo_array(matrix) for matrix in dense], np.stack(dense)


def operator(matrices) -> AffineOperator:
    return AffineOperator(Theta(["a", "b", "c"], COLUMNS), matrices)


@given(terms(), hnp.arrays(float, 3, elements=st.integers(-2, 2).map(float)), hnp.arrays(float, 3, elements=NUMBERS))
def test_assembly_is_the_linear_combination_on_one_pattern(pair, mu, other):
    matrices, dense = pair
    A = operator(matrices)
    assembled = A.assemble(mu)
    assert np.array_equal(assembled.toarray(), np.einsum("q,qnm->nm", mu, dense))
    again = A.assemble(other)
    assert np.array_equal(again.indices, assembled.indices) and np.array_equal(again.indptr, assembled.indptr)
    assert assembled.nnz == np.count_nonzero(np.abs(dense).sum(axis=0))


@given(terms(), st.integers(0, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_apply_project_and_restrict_agree_with_dense_products(pair, r, s, seed):
    matrices, dense = pair
    rng = np.random.default_rng(seed)
    V, W = rng.standard_normal((dense.shape[2], r)), rng.standard_normal((dense.shape[1], s))
    A = operator(matrices)
    assert np.allclose(A.apply(V), dense @ V, atol=1e-12)
    assert np.allclose(A.project(V, W), W.T @ dense @ V, atol=1e-12)
    rows = rng.permutation(dense.shape[1])[: max(1, dense.shape[1] // 2)]
    assert np.array_equal(np.stack([M.toarray() for M in A.restrict(rows).matrices]), dense[:, rows])


@given(terms(square=True))
def test_symmetry_is_that_of_every_term(pair):
    matrices, dense = pair
    assert operator(matrices).symmetric == np.array_equal(dense, dense.transpose(0, 2, 1))
    assert operator([sp.csr_array(M + M.T) for M in matrices]).symmetric


@given(hnp.arrays(float, (2, 3, 4), elements=NUMBERS), hnp.arrays(float, (4, 5), elements=NUMBERS),
       hnp.arrays(float, (5, 3), elements=NUMBERS))
def test_outputs_of_a_batch_are_those_of_its_columns(functionals, U, mu):
    outputs = AffineOutputs(["x", "y", "z"], Theta(["a", "b - c"], COLUMNS), functionals)
    together = outputs.evaluate(U, mu)
    alone = np.hstack([outputs.evaluate(U[:, [i]], mu[[i]]) for i in range(5)])
    assert np.allclose(together, alone, rtol=1e-12, atol=1e-6)
    assert np.allclose(outputs.evaluate(2.0 * U, mu), 2.0 * together, rtol=1e-12, atol=1e-6)


@settings(max_examples=40)
@given(st.integers(2, 30), st.booleans(), st.integers(0, 2**32 - 1))
def test_accepted_solutions_have_a_small_residual(n, symmetric, seed):
    rng = np.random.default_rng(seed)
    S = sp.random_array((n, n), density=0.3, rng=rng, data_sampler=rng.standard_normal)
    S = sp.csr_array(S + S.T) if symmetric else sp.csr_array(S)
    F = rng.standard_normal((n, 2))
    space = ParameterSpace([Parameter(name, Uniform(0.1, 1.0)) for name in COLUMNS])
    fom = AffineModel(space, operator([S, sp.eye_array(n) * 3.0 * n, S]), AffineVector(Theta(["a", "b"], COLUMNS), F),
                      sp.eye_array(n), spec={})
    mu = space.sample(1, rng)[0]
    u = fom.solve(mu).state
    residual = F @ mu[:2] - fom.operator.assemble(mu) @ u
    assert np.linalg.norm(residual) <= 1e-9 * np.linalg.norm(F @ mu[:2])


@settings(max_examples=30)
@given(hnp.arrays(float, 4, elements=st.floats(0.1, 10.0)), st.floats(0.1, 10.0))
def test_conducting_better_makes_colder(mu, factor):
    """u scales with 1 / conductivity, and the output, a compliance, falls when any conductivity rises."""
    snapshot, scaled = BLOCK.solve(mu), BLOCK.solve(factor * mu)
    assert np.allclose(scaled.state * factor, snapshot.state, rtol=1e-9)
    for q in range(4):
        raised = mu.copy()
        raised[q] *= 1.5
        assert BLOCK.solve(raised).outputs[0] < snapshot.outputs[0]


@settings(max_examples=30)
@given(hnp.arrays(float, 4, elements=st.floats(0.1, 10.0)))
def test_mirrored_blocks_give_the_mirrored_solution(mu):
    field = BLOCK.mesh.nodal(BLOCK.solve(mu).state)[:, 0, 0].reshape(7, 7)
    mirrored = BLOCK.mesh.nodal(BLOCK.solve(mu[[1, 0, 3, 2]]).state)[:, 0, 0].reshape(7, 7)
    swapped = BLOCK.mesh.nodal(BLOCK.solve(mu[[2, 3, 0, 1]]).state)[:, 0, 0].reshape(7, 7)
    scale = np.abs(field).max()
    flips = {axis: np.flip(field, axis) for axis in (0, 1)}
    along_x = 0 if BLOCK.mesh.points[0, 0] != BLOCK.mesh.points[7, 0] else 1
    assert np.abs(mirrored - flips[along_x]).max() < 1e-10 * scale
    assert np.abs(swapped - flips[1 - along_x]).max() < 1e-10 * scale


@given(hnp.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.uint8, ">f8"]), st.integers(1, 50)),
       st.booleans())
def test_written_vectors_are_read_back(values, column):
    if not np.isfinite(values).all():
        return
    stream = BytesIO()
    np.save(stream, values[:, None] if column else values)
    stream.seek(0)
    assert np.array_equal(read_vector(stream, len(values)), values.astype(float))


@settings(max_examples=300)
@given(st.binary(max_size=40), st.integers(0, 200), st.integers(0, 8))
def test_damaged_vectors_raise_only_what_the_reader_expects(noise, position, removed):
    stream = BytesIO()
    np.save(stream, np.arange(8.0))
    data = stream.getvalue()
    damaged = data[:position] + noise + data[position + removed + len(noise):]
    try:
        values = read_vector(BytesIO(damaged), 8)
    except (ValueError, OverflowError, MemoryError):
        return
    assert values.shape == (8,) and np.isfinite(values).all()
