"""Reduced models of nonaffine models: the interpolation error is in the estimate, in files and in evaluators."""

import importlib.util

import numpy as np
import pytest

import romflow
from romflow.core.errors import ConfigError
from romflow.export.npz import Npz
from romflow.fom.gallery.nonaffine import Nonaffine
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_galerkin import PodGalerkin
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.reduction.stability import stability_bound
from tests.problems import MemoryStore, advection

SPACE = ParameterSpace([Parameter("a", Uniform(0.2, 0.8)), Parameter("s", Uniform(0.5, 3.0))])
INCLUSION = "1 + s * exp(-10 * ((x - a)**2 + (y - 0.5)**2))"
FULL = {"diffusion": "1 + 0.5*sin(s*x*y)", "velocity": ["s*(y - a)", "s*(a - x)*x"], "reaction": "-a**x",
        "source": "exp(-5*((x - a)**2 + (y - 0.5)**2))"}


def reduced(size: int = 12, reductor=None, **options):
    fom = Nonaffine(SPACE, **{"cells": 8} | options)
    mu = SPACE.sample(size, np.random.default_rng(0))
    return fom, (reductor or ReducedBasisReductor()).reduce(fom, MemoryStore(fom), mu)


def measured(fom, rom, count: int = 20):
    mu = SPACE.sample(count, np.random.default_rng(7))
    U = np.stack([fom.solve(row).state for row in mu], axis=1)
    answer, product = rom.solve(mu), InnerProduct(fom.inner_product)
    gaps = np.abs(fom.outputs.evaluate(U, mu) - answer.output)
    return answer, product.norm(U - rom.lift(answer.coefficients)), product.norm(U), gaps


@pytest.mark.parametrize("terms", [3, 6, 40])
@pytest.mark.parametrize("interpolate", ["coefficients", "matrix"])
def test_the_bound_holds_with_few_and_with_many_terms(terms, interpolate, must_fail):
    fom, rom = reduced(diffusion=INCLUSION, max_terms=terms, interpolate=interpolate, bound="points")
    answer, error, norm, gaps = measured(fom, rom)
    assert answer.kind == "bound" and rom.error_kind == "bound"

    def check(estimate):
        assert np.all(estimate >= error)

    check(answer.error)
    must_fail(check, 0.02 * answer.error)
    assert np.all(answer.output_error >= gaps - 1e-14)
    assert np.median(answer.error / error) < 30
    if terms == 3:
        assert (answer.error / norm).max() > 0.1


def test_without_the_interpolation_error_few_terms_would_look_exact(must_fail):
    """The companion of the bound: the residual of the interpolated equation alone is no bound."""
    fom, rom = reduced(size=30, diffusion=INCLUSION, max_terms=4, bound="points")
    answer, error, _, _ = measured(fom, rom)
    theta_a, theta_f = rom.operator_theta, rom.rhs_theta
    mu = SPACE.sample(20, np.random.default_rng(7))
    alone = rom.residual.norm(theta_a(mu), theta_f(mu), answer.coefficients) / rom.stability(mu)

    def check(estimate):
        assert np.all(estimate >= error)

    check(answer.error)
    must_fail(check, alone)


@pytest.mark.parametrize("terms", [3, 12])
def test_the_indicator_is_near_the_bound_at_a_cost_without_n(terms):
    options = {"diffusion": INCLUSION, "max_terms": terms}
    bounds = [reduced(bound=bound, **options)[1] for bound in ("points", "next-points")]
    mu = SPACE.sample(50, np.random.default_rng(1))
    ratio = bounds[1].solve(mu).error / bounds[0].solve(mu).error
    assert bounds[1].error_kind == "indicator" and np.all(ratio <= 1.0 + 1e-9) and np.median(ratio) > 0.5
    assert len(bounds[1].interpolation.operator[0].sample.points) == 10
    assert len(bounds[1].stability.diffusion.points) <= 128


@pytest.mark.parametrize("stability", ["pointwise", "scm", "inf-sup", "0.1"])
def test_bounds_hold_for_all_coefficients_and_each_stability(stability, must_fail):
    fom, rom = reduced(stability=stability, bound="points", cells=6, tolerance=1e-3, **FULL)
    answer, error, _, _ = measured(fom, rom, 12)
    assert np.all(answer.error >= error) and answer.kind == "bound" and np.isfinite(answer.error).all()
    assert not np.all(0.02 * answer.error >= error)


def test_pod_truncation_and_files_keep_the_interpolation(tmp_path):
    _, rom = reduced(reductor=PodGalerkin(tolerance=1e-6), bound="points", cells=6, **FULL)
    mu = SPACE.sample(10, np.random.default_rng(3))
    again = romflow.load(rom.save(tmp_path / "model.h5"))
    assert np.array_equal(again.solve(mu).error, rom.solve(mu).error)
    small = rom.truncate(3).solve(mu)
    assert np.all(small.error >= rom.interpolation.residual(mu, small.norm) / rom.stability(mu))


@pytest.mark.parametrize("options", [{}, {"bound": "points"}, {"stability": "scm"}, {"interpolate": "matrix"}])
def test_evaluators_answer_alike(options, tmp_path):
    _, rom = reduced(6, cells=6, max_terms=12, tolerance=1e-3, **FULL | options)
    mu = SPACE.sample(30, np.random.default_rng(3))
    file = Npz(fields=False).write(rom, tmp_path / "m.npz")[1]
    spec = importlib.util.spec_from_file_location("nonaffine_evaluator", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    outputs, error = module.evaluate(mu)
    answer = rom.solve(mu)
    assert np.abs(outputs / answer.output - 1.0).max() < 1e-10
    assert np.abs(error / answer.error - 1.0).max() < 1e-8 and module.ERROR_KIND == rom.error_kind


def test_reduced_models_of_the_truth_do_not_need_its_mesh_online():
    """The online cost of the default does not grow with the mesh: the same arrays, whatever the cells."""
    sizes = []
    for cells in (6, 12):
        _, rom = reduced(5, diffusion=INCLUSION, max_terms=8, cells=cells)
        arrays = rom.interpolation.to_arrays()[0] | rom.stability.to_arrays()[0]
        sizes.append(sum(values.size for name, values in arrays.items() if "diffusion" not in name))
    assert sizes[0] == sizes[1]


def test_pointwise_needs_a_model_that_knows_its_coefficients():
    with pytest.raises(ConfigError, match="pointwise"):
        stability_bound(advection(stability={"kind": "pointwise"}))
