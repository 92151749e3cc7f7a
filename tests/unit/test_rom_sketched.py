"""The sketched residual estimator: within its promise of the exact norm, the same floor, never a bound."""

import numpy as np
import pytest

import romflow
from romflow.core.errors import InputError, NotCertified, NotSupported
from romflow.export.npz import Npz
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.projection import AffineProjection
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.residual_columns import Sketch, SketchedColumns
from romflow.rom.sketched_residual import residual_epsilon, residual_rows
from tests.problems import MemoryStore, advection, reaction_diffusion

pytestmark = pytest.mark.usefixtures("without_report")

SNAPSHOTS = np.array([[1.0], [10.0], [4.0], [2.0], [7.0]])
KINDS = ["sparse-sign", "gaussian", "srht"]


def built(estimator, fom=None, mu=SNAPSHOTS, **options):
    fom = reaction_diffusion() if fom is None else fom
    options = {"tolerance": 0.0, "seed": 3} | options
    return ReducedBasisReductor(estimator=estimator, **options).reduce(fom, MemoryStore(fom), mu)


@pytest.fixture(scope="module")
def pair():
    return built("orthonormal"), built("sketched", sketch_rows=150)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_estimate_is_near_the_exact_norm_down_to_its_floor(pair, size):
    exact, sketched = (rom.truncate(size) for rom in pair)
    mu = np.linspace(1.05, 9.95, 300)[:, None]
    ratio = sketched.solve(mu).error / exact.solve(mu).error
    assert np.all(np.abs(ratio - 1.0) < 2 * residual_epsilon(150))
    assert np.any(np.abs(ratio - 1.0) > 1e-4), "the companion that must fail: the exact norm is not the sketch"


def test_floor_is_that_of_the_orthonormal_basis_and_not_of_the_gram_matrix(pair):
    exact, sketched = pair
    scale = InnerProduct(reaction_diffusion().inner_product).dual_norm(reaction_diffusion().rhs.vectors)[0]
    mu = np.linspace(1.0, 10.0, 200)[:, None]
    floors = {rom.residual.name: rom.solve(mu).error.max() / scale for rom in (exact, sketched)}
    assert floors["sketched"] < 2e-11
    assert floors["sketched"] == pytest.approx(floors["orthonormal"], rel=0.5)
    assert exact.with_estimator("gram").solve(mu).error.max() / scale > 100 * floors["sketched"]


@pytest.mark.parametrize("kind", KINDS)
def test_stated_probability_holds_over_seeds(kind):
    """Of 100 draws of Theta at most delta = 5 % (three standard deviations above: 11.6 %) leave 1 +- epsilon."""
    fom, product = reaction_diffusion(), InnerProduct(reaction_diffusion().inner_product)
    exact = built("orthonormal", mu=SNAPSHOTS[:2])
    mu = np.array([[3.3]])
    truth = exact.solve(mu).error[0]
    outside, ratios = 0, []
    for seed in range(100):
        sketch = Sketch.chosen(kind, rows=60, delta=0.05, seed=seed)
        columns = SketchedColumns(fom, product, sketch)
        columns.extend(fom.operator.apply(exact.basis))
        x = exact.solve(mu).coefficients
        value = columns.residual().norm(exact.operator_theta(mu), exact.rhs_theta(mu), x)[0]
        ratios.append(value / truth)
        outside += abs(value / truth - 1.0) > sketch.epsilon
    assert outside / 100 <= 0.116
    assert np.std(ratios) > 0.5 / np.sqrt(2 * 60), "the companion: seeds do differ"


def test_rows_and_epsilon_are_inverse_to_each_other():
    for epsilon, delta in ((0.1, 5e-3), (0.3, 1e-6), (0.05, 0.5)):
        rows = residual_rows(epsilon, delta)
        assert residual_epsilon(rows, delta) <= epsilon < residual_epsilon(rows - 1, delta)
    assert residual_epsilon(1600) == pytest.approx(residual_epsilon(400) / 2, rel=0.02)


def test_kind_is_an_indicator_with_its_promise_and_certified_is_refused(tmp_path):
    rom = built("sketched")
    assert rom.error_kind == "indicator"
    assert built("orthonormal").error_kind == "bound", "the companion: the model itself has a stability bound"
    about = rom.metadata["sketch"]
    assert about == {"sketch": "sparse-sign", "rows": residual_rows(0.1, 5e-3), "seed": 3, "delta": 5e-3,
                     "epsilon": pytest.approx(0.1, rel=0.01)}
    content = {"study": {"name": "b"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 8},
               "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "cluster": {"kind": "serial"},
               "sampling": {"method": "greedy", "pool": 20},
               "reduction": {"estimator": "sketched", "certified": True, "max_size": 3}}
    with pytest.raises(NotCertified, match="certified = true"):
        romflow.Study.from_dict(content).run(tmp_path / "a")
    content["reduction"]["certified"] = False
    result = romflow.Study.from_dict(content).run(tmp_path / "b")
    assert result.summary["validation"]["error_kind"] == "indicator"
    assert romflow.load(tmp_path / "b" / "model.h5").residual.seed == 0


def test_file_and_exported_evaluator_give_the_same_numbers(tmp_path):
    rom = built("sketched", advection(stability={"kind": "scm"}), advection().parameters.sample(
        6, np.random.default_rng(0)), sketch_rows=90)
    mu = rom.parameters.sample(50, np.random.default_rng(1))
    again = romflow.load(rom.save(tmp_path / "model.h5"))
    assert np.array_equal(again.solve(mu).error, rom.solve(mu).error)
    assert again.residual.about == rom.residual.about
    assert np.array_equal(again.truncate(3).solve(mu).error, rom.truncate(3).solve(mu).error)
    _, source = Npz().write(rom, tmp_path / "model.npz")
    space = {"__file__": str(source), "__name__": "evaluator"}
    exec(compile(source.read_text(), str(source), "exec"), space)  # noqa: S102
    outputs, error = space["evaluate"](mu)
    finite = np.isfinite(rom.solve(mu).error)
    np.testing.assert_allclose(outputs, rom.solve(mu).output, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(error[finite], rom.solve(mu).error[finite], rtol=1e-6, atol=1e-12)
    assert "indicator is no bound" in source.read_text()


def test_other_estimators_cannot_be_had_from_a_sketch():
    rom = built("sketched")
    assert rom.with_estimator("sketched") is rom
    for name in ("orthonormal", "gram", "eim"):
        with pytest.raises(NotSupported, match="build it again"):
            rom.with_estimator(name)
    with pytest.raises(NotSupported, match="build it again"):
        built("orthonormal").with_estimator("sketched")


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"sketch": "sparse"}, NotSupported, "sparse-sign"), ({"epsilon": 0.0}, InputError, "epsilon = 0.0"),
    ({"delta": 1.5}, InputError, "delta = 1.5"), ({"sketch_rows": -1}, InputError, "sketch_rows = -1"),
    ({"epsilon": 1e-5}, InputError, "orthonormal"), ({"sketch_rows": 2.5}, InputError, "sketch_rows = 2.5")])
def test_wrong_options_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        ReducedBasisReductor(estimator="sketched", **options)


def test_columns_do_not_depend_on_how_the_basis_came():
    fom, product = advection(), InnerProduct(advection().inner_product)
    V = np.linalg.qr(np.random.default_rng(0).standard_normal((fom.n, 5)))[0]
    models = []
    for parts in ([V], np.split(V, [1, 3], axis=1)):
        projected = AffineProjection(fom, product, None, "auto", SketchedColumns(fom, product, Sketch.chosen(rows=40)))
        for part in parts:
            projected.extend(part)
        models.append(projected.model())
    np.testing.assert_allclose(models[0].factor, models[1].factor, atol=1e-11)
    assert models[0].factor.shape == (17, 2 + 5 * 3), "a tall sketch is kept as its triangular factor"
