"""Reduced basis and POD-Galerkin on affine models: bounds hold, truncation is nested, files round-trip."""

import numpy as np
import pytest
import scipy.linalg as sl

import romflow
from romflow.core.errors import InputError, NotSupported, ParameterError, ShapeError
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.stability import stability_bound
from tests.problems import MemoryStore, advection, reaction_diffusion

STABILITIES = [{"kind": "scm"}, {"kind": "inf-sup"}]


def constants(fom, mu):
    """True coercivity and inf-sup constants at one mu."""
    A, X = fom.operator.assemble(mu).toarray(), fom.inner_product.toarray()
    alpha = sl.eigh(0.5 * (A + A.T), X, eigvals_only=True)[0]
    beta2 = sl.eigh(A.T @ np.linalg.solve(X, A), X, eigvals_only=True)[0]
    return alpha, np.sqrt(max(beta2, 0.0))


def exact(fom, rom, mu):
    U = np.stack([fom.solve(row).state for row in mu], axis=1)
    answer = rom.solve(mu)
    error = InnerProduct(fom.inner_product).norm(U - rom.lift(answer.coefficients))
    return answer, error, np.abs(fom.outputs.evaluate(U, mu) - answer.output)


@pytest.mark.parametrize("stability", STABILITIES)
@pytest.mark.parametrize("projection", ["galerkin", "least-squares"])
def test_bound_holds_for_state_and_outputs_of_a_non_symmetric_model(stability, projection):
    fom = advection(stability=stability)
    rng = np.random.default_rng(0)
    rom = ReducedBasisReductor(projection=projection).reduce(fom, MemoryStore(fom), fom.parameters.sample(6, rng))
    mu = fom.parameters.sample(100, rng)
    answer, error, gaps = exact(fom, rom, mu)
    assert answer.kind == "bound"
    assert np.all(answer.error >= error)
    assert np.all(answer.output_error >= gaps - 1e-13)
    assert np.median(answer.error / error) < 30
    assert not np.all(0.01 * answer.error >= error)


@pytest.mark.parametrize("stability", STABILITIES)
def test_successive_constraints_stay_below_the_constant_and_close_to_it(stability):
    fom = advection(n=40, stability=stability)
    bound = stability_bound(fom)
    mu = fom.parameters.sample(300, np.random.default_rng(5))
    true = np.array([constants(fom, row)[0 if stability["kind"] == "scm" else 1] for row in mu])
    lower = bound(mu)
    assert np.all(lower <= true)
    assert np.mean(lower > 0) > 0.99
    assert np.median(lower / true) > 0.7


def test_least_squares_minimises_the_residual():
    fom = advection(stability={"kind": "inf-sup"})
    mu = fom.parameters.sample(5, np.random.default_rng(1))
    roms = {kind: ReducedBasisReductor(projection=kind).reduce(fom, MemoryStore(fom), mu)
            for kind in ("galerkin", "least-squares")}
    test = fom.parameters.sample(50, np.random.default_rng(2))
    assert np.all(roms["least-squares"].solve(test).error <= roms["galerkin"].solve(test).error * (1 + 1e-10))


@pytest.mark.parametrize("make", [reaction_diffusion, lambda: advection(stability={"kind": "scm"})])
def test_extending_gives_what_building_at_once_gives(make):
    fom = make()
    store, mu = MemoryStore(fom), fom.parameters.sample(6, np.random.default_rng(3))
    grown = ReducedBasisReductor()
    for k in range(7):
        rom = grown.reduce(fom, store, mu[:k])
    fresh = ReducedBasisReductor().reduce(fom, store, mu)
    for name, value in fresh.to_arrays()[1].items():
        assert np.array_equal(value, rom.to_arrays()[1][name]), name


@pytest.mark.parametrize("estimator", ["orthonormal", "gram", "eim"])
def test_truncation_equals_a_model_built_small(estimator):
    fom = reaction_diffusion()
    store, mu = MemoryStore(fom), np.array([[1.0], [10.0], [4.0], [2.0]])
    small = ReducedBasisReductor(estimator=estimator).reduce(fom, store, mu[:2])
    cut = ReducedBasisReductor(estimator=estimator).reduce(fom, store, mu).truncate(2)
    test = np.linspace(1, 10, 40)[:, None]
    a, b = small.solve(test), cut.solve(test)
    assert np.allclose(a.output, b.output, rtol=1e-12)
    assert np.allclose(a.error, b.error, rtol=1e-6)
    assert cut.size == 2
    with pytest.raises(InputError, match="cannot be truncated to 9"):
        cut.truncate(9)


def test_snapshots_are_reproduced_and_repeated_ones_left_out():
    fom = reaction_diffusion()
    mu = np.array([[1.0], [4.0], [4.0], [9.0]])
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), mu)
    assert rom.size == 3
    _, error, _ = exact(fom, rom, mu)
    assert np.all(error < 1e-13)


@pytest.mark.parametrize("estimator", ["orthonormal", "gram", "eim"])
@pytest.mark.parametrize("make", [reaction_diffusion, lambda: advection(stability={"kind": "scm"}),
                                  lambda: advection(stability={"kind": "inf-sup"}), advection])
def test_saved_model_answers_the_same_to_the_bit(tmp_path, make, estimator):
    fom = make()
    mu = fom.parameters.sample(3, np.random.default_rng(4))
    rom = ReducedBasisReductor(estimator=estimator).reduce(fom, MemoryStore(fom), mu)
    loaded = romflow.load(rom.save(tmp_path / "model.h5"))
    test = fom.parameters.sample(20, np.random.default_rng(6))
    a, b = rom.solve(test), loaded.solve(test)
    for name in ("output", "error", "coefficients", "norm", "output_error"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.kind == b.kind == rom.error_kind


def test_without_a_stability_bound_it_is_an_indicator():
    fom = advection(stability=None)
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), fom.parameters.sample(3, np.random.default_rng(0)))
    assert rom.error_kind == "indicator"
    assert rom.solve(fom.parameters.centre()).kind == "indicator"


def test_compliant_output_has_the_quadratic_bound():
    fom = reaction_diffusion()
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), np.array([[1.0], [10.0]]))
    mu = np.linspace(1, 10, 50)[:, None]
    answer, _, gaps = exact(fom, rom, mu)
    assert rom.compliance[0] == pytest.approx(1.0)
    assert rom.compliance[1] == 0.0
    assert np.all(answer.output_error >= gaps - 1e-13)
    assert np.max(answer.output_error[0]) < 1e-2 * np.max(answer.output_error[1])


def test_size_zero_model_bounds_the_solution_itself():
    fom = reaction_diffusion()
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), np.empty((0, 1)))
    answer, error, _ = exact(fom, rom, np.array([[2.0], [5.0]]))
    assert rom.size == 0
    assert np.all(answer.error >= error)
    assert np.all(answer.relative_error == np.inf)


def test_pod_galerkin_keeps_its_tolerance_also_below_the_gram_limit():
    fom = reaction_diffusion()
    store, mu = MemoryStore(fom), np.linspace(1, 10, 40)[:, None]
    sizes = []
    for tolerance in (1e-2, 1e-5, 1e-10):
        rom = PodGalerkin(tolerance=tolerance).reduce(fom, store, mu)
        S, product = store.matrix(mu), InnerProduct(fom.inner_product)
        V = rom.basis
        left = product.norm(S - V @ product.gram(V, S))
        assert np.linalg.norm(left) <= tolerance * np.linalg.norm(product.norm(S)) * (1 + 1e-6)
        sizes.append(rom.size)
    assert sizes == sorted(set(sizes))


def test_input_is_checked_once_at_the_boundary():
    fom = reaction_diffusion()
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), np.array([[1.0]]))
    with pytest.raises(ParameterError, match=r"mu\[1, 0\] \(mu\) = 99 is outside \[1, 10\]"):
        rom.solve([[2.0], [99.0]])
    with pytest.raises(ParameterError):
        rom.solve([[np.nan]])
    with pytest.raises(ShapeError):
        rom.solve([[1.0, 2.0]])
    with pytest.raises(ShapeError):
        rom.lift(np.zeros((2, 1)))


def test_min_theta_refuses_what_it_does_not_cover():
    with pytest.raises(InputError, match="positive coefficients"):
        stability_bound(advection(stability={"kind": "min-theta", "reference": [1.0, 0.0, -0.2]}))
    bound = stability_bound(reaction_like_min_theta())
    assert np.allclose(bound(np.array([[1.0], [10.0]])), [1.0, 1.0], atol=0.1)


def reaction_like_min_theta():
    fom = reaction_diffusion(40)
    fom.stability = {"kind": "min-theta", "reference": {"mu": 1.0}}
    return fom


def test_black_boxes_are_sent_to_regression():
    class Box:
        parameters, n = reaction_diffusion(10).parameters, 3

    with pytest.raises(NotSupported, match="Box has no operators. Use method = \"pod-regression\""):
        ReducedBasisReductor().reduce(Box(), None, np.empty((0, 1)))
