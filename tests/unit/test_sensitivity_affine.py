"""Derivatives of outputs: full-order and reduced affine models against central differences."""

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.core.errors import NotSupported, ParameterError, ShapeError, SolveFailed
from romflow.fom.affine import AffineModel, AffineOperator, AffineOutputs, AffineVector
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.rom.sensitivity import implicit_derivative
from tests.problems import MemoryStore, advection


def central(outputs, mu, step):
    """(o, p, ...) by differences of fourth order, so that their own error stays below 1e-8."""
    columns = []
    for j in range(mu.shape[-1]):
        move = np.zeros(mu.shape[-1])
        move[j] = step
        near, far = outputs(mu + move) - outputs(mu - move), outputs(mu + 2 * move) - outputs(mu - 2 * move)
        columns.append((8 * near - far) / (12 * step))
    return np.stack(columns, axis=1)


def check_equal(found, expected):
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.fixture(scope="module")
def block():
    space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), size=4)])
    return ThermalBlock(space, blocks=[2, 2], cells=20)


def reduced(fom, size, **options):
    mu = fom.parameters.sample(size, np.random.default_rng(0))
    return ReducedBasisReductor(**options).reduce(fom, MemoryStore(fom), mu)


def test_thermal_block_equals_central_differences(block, must_fail):
    mu = np.array([0.2, 0.9, 0.4, 0.7])
    expected = central(lambda row: block.solve(row).outputs, mu, 1e-3)
    found = block.sensitivity(mu)
    assert found.shape == (1, 4)

    def check(value):
        check_equal(value, expected)

    check(found)
    margin = 1e-5 * np.abs(expected).max()
    must_fail(check, found + margin, found - margin, -found)


@pytest.mark.parametrize("outputs", [1, 2, 5])
def test_direct_and_adjoint_way_agree_on_a_non_symmetric_model(outputs, must_fail):
    fom = advection()
    rng = np.random.default_rng(3)
    fom.outputs = AffineOutputs([f"s{i}" for i in range(outputs)], Theta(["1", "e"], fom.parameters.columns),
                                rng.standard_normal((2, outputs, fom.n)))
    mu = np.array([0.5, 1.2, 2.0])
    expected = central(lambda row: fom.solve(row).outputs, mu, 1e-3)
    check_equal(fom.sensitivity(mu), expected)
    must_fail(lambda value: check_equal(value, expected), fom.sensitivity(mu + 1e-2))


def test_reduced_thermal_block_equals_central_differences_for_a_whole_batch(block, must_fail):
    rom = reduced(block, 12)
    mu = 0.12 + 0.9 * (block.parameters.sample(200, np.random.default_rng(1)) - 0.1)
    expected = central(lambda rows: rom.solve(rows).output, mu, 1e-3)
    found = rom.sensitivity(mu)
    assert found.shape == (1, 4, 200)
    check_equal(found, expected)
    must_fail(lambda value: check_equal(value, expected), found * (1 + 1e-5), found[:, ::-1])
    one = np.concatenate([rom.sensitivity(row) for row in mu[:5, None]], axis=2)
    assert np.allclose(one, found[:, :, :5], rtol=1e-12)


@pytest.mark.parametrize("projection", ["galerkin", "least-squares"])
@pytest.mark.parametrize("outputs", [2, 5])
def test_reduced_non_symmetric_model_equals_central_differences(projection, outputs):
    fom = advection()
    rng = np.random.default_rng(4)
    fom.outputs = AffineOutputs([f"s{i}" for i in range(outputs)], Theta(["1", "e"], fom.parameters.columns),
                                rng.standard_normal((2, outputs, fom.n)))
    rom = reduced(fom, 5, projection=projection)
    mu = 0.9 * fom.parameters.sample(40, rng) + [0.05, 0.0, 0.1]
    expected = central(lambda rows: rom.solve(rows).output, mu, 1e-3)
    check_equal(rom.sensitivity(mu), expected)


def test_reduced_derivatives_come_close_to_those_of_the_full_order_model(block):
    mu = block.parameters.sample(3, np.random.default_rng(5))
    gaps = []
    for size in (4, 16):
        rom = reduced(block, size)
        truth = np.stack([block.sensitivity(row) for row in mu], axis=2)
        gaps.append(np.abs(rom.sensitivity(mu) - truth).max() / np.abs(truth).max())
    assert gaps[1] <= 1e-4 < gaps[0]


def test_chunks_do_not_change_the_answer(block, monkeypatch):
    rom = reduced(block, 6)
    mu = block.parameters.sample(50, np.random.default_rng(6))
    whole = rom.sensitivity(mu)
    monkeypatch.setattr("romflow.rom.sensitivity._CHUNK", 300)
    assert np.allclose(rom.sensitivity(mu), whole, rtol=1e-13)


def test_empty_basis_has_no_derivative(block):
    rom = reduced(block, 3).truncate(0)
    assert np.array_equal(rom.sensitivity(np.full((2, 4), 0.5)), np.zeros((1, 4, 2)))


def test_wrong_input_is_refused(block):
    with pytest.raises(ShapeError, match="one parameter"):
        block.sensitivity(np.full((2, 4), 0.5))
    with pytest.raises(ParameterError):
        block.sensitivity(np.full(4, 7.0))
    with pytest.raises(ParameterError):
        reduced(block, 3).sensitivity(np.full((1, 4), 7.0))


def test_a_model_without_outputs_says_so():
    space = ParameterSpace([Parameter("a", Uniform(1.0, 2.0))])
    X = sp.eye_array(3)
    fom = AffineModel(space, AffineOperator(Theta(["a"], ["a"]), [X]), AffineVector(Theta(["1"], ["a"]),
                      np.ones((3, 1))), X, spec={"kind": "bare"})
    with pytest.raises(NotSupported, match="no outputs"):
        fom.sensitivity(np.array([1.5]))


def test_singular_systems_say_so():
    with pytest.raises(SolveFailed, match="singular"):
        implicit_derivative(np.zeros((1, 2, 2)), np.ones((1, 1, 2)), np.ones((1, 2, 1)))
    space = ParameterSpace([Parameter("a", Uniform(-1.0, 1.0))])
    terms = [sp.csr_array(np.array([[0.0, 1.0], [0.0, 0.0]])), sp.eye_array(2)]
    fom = AffineModel(space, AffineOperator(Theta(["1", "a"], ["a"]), terms), AffineVector(Theta(["1"], ["a"]),
                      np.ones((2, 1))), sp.eye_array(2), AffineOutputs(["s"], Theta(["1"], ["a"]), np.ones((1, 1, 2))),
                      spec={"kind": "singular"})
    with pytest.raises(SolveFailed, match="singular"):
        fom.sensitivity(np.array([0.0]))
