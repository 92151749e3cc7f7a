"""Nonaffine models: what is solved, what its terms interpolate, and by how much they fail."""

import json

import meshio
import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.nonaffine import Nonaffine
from romflow.fom.nonaffine.expansion import Expansion, Wish, expansion, training_parameters
from romflow.fom.nonaffine.forms import QuadratureForms
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Normal, Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolatedField
from romflow.parameters.fields import FieldSample, ParametricField
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing.constants import stability_constant

SPACE = ParameterSpace([Parameter("a", Uniform(0.2, 0.8)), Parameter("s", Uniform(0.5, 3.0))])
INCLUSION = "1 + s * exp(-10 * ((x - a)**2 + (y - 0.5)**2))"
FULL = {"diffusion": "1 + 0.5*sin(s*x*y)", "velocity": ["s*(y - a)", "s*sin(a*x)"], "reaction": "-a**x",
        "source": "exp(-5*((x - a)**2 + (y - 0.5)**2))"}


def gap(model: Nonaffine, mu: np.ndarray) -> float:
    """||A - A_I||_{X -> X'}, the spectral norm of the whitened difference."""
    E = (model.truth.operator.assemble(mu) - model.operator.assemble(mu)).toarray()
    product = InnerProduct(model.inner_product)
    return float(np.linalg.norm(product.whiten(product.whiten(E).T.copy()), 2))


def test_the_terms_interpolate_the_true_matrix_within_the_tolerance(must_fail):
    model = Nonaffine(SPACE, INCLUSION, cells=8, tolerance=1e-7)
    mu = SPACE.sample(5, np.random.default_rng(2))

    def check(operator):
        assert max(abs(model.truth.operator.assemble(row) - operator.assemble(row)).max() for row in mu) < 1e-5

    check(model.operator)
    few = Nonaffine(SPACE, INCLUSION, cells=8, max_terms=5)
    must_fail(check, few.operator)
    assert few.operator.Q == 5 and model.symmetric and model.operator.symmetric


@pytest.mark.parametrize("interpolate", ["coefficients", "matrix"])
def test_the_interpolation_error_bounds_the_change_of_operator_and_right_hand_side(interpolate, must_fail):
    model = Nonaffine(SPACE, cells=6, max_terms=4, bound="points", interpolate=interpolate, **FULL)
    mu = SPACE.sample(6, np.random.default_rng(3))
    true = np.array([gap(model, row) for row in mu])
    product = InnerProduct(model.inner_product)
    loads = np.array([product.dual_norm((model.truth.rhs.assemble(row) - model.rhs.assemble(row))[:, None])[0]
                      for row in mu])
    assert true.min() > 1e-6 and loads.min() > 1e-8

    def check(factor):
        assert np.all(factor * model.interpolation.of_operator(mu) >= true)
        assert np.all(factor * model.interpolation.of_rhs(mu) >= loads)

    check(1.0)
    must_fail(check, 0.02)
    assert model.interpolation.exact


def test_matrix_interpolation_needs_fewer_terms_where_coefficients_vary_together():
    options = FULL | {"reaction": "1.5 + 0.5*sin(s*x*y)"}
    terms = [Nonaffine(SPACE, cells=6, interpolate=name, **options).operator.Q for name in ("coefficients", "matrix")]
    assert terms[1] < terms[0]


def test_matrix_interpolation_stays_accurate_down_to_rounding():
    model = Nonaffine(SPACE, INCLUSION, reaction="sin(a*x*y)", cells=6, interpolate="matrix", tolerance=0.0)
    assert max(about["unseen_error"] for about in model.interpolation_facts().values()) < 1e-9


@pytest.mark.parametrize("element", ["P1", "Q1"])
def test_matrix_interpolation_of_a_box_takes_values_where_entries_are_too_long(element):
    box = {"cells": [3, 3, 3], "element": element, "reaction": "1 + sin(a*x*y)", "velocity": ["s*sin(a*y)", "0", "a"]}
    long = "1 + s * exp(-10 * ((x - a)**2 + (y - 0.5)**2 + (z - 0.5)**2)) + 0.1 * sin(3*x*a) * cos(y*s)"
    model = Nonaffine(SPACE, long, interpolate="matrix", **box)
    mu = SPACE.sample(3, np.random.default_rng(3))
    assert max(abs(model.truth.operator.assemble(row) - model.operator.assemble(row)).max() for row in mu) < 1e-5
    assert max(map(len, model.operator.theta.expressions)) < 400
    assert model.operator.Q < Nonaffine(SPACE, long, **box).operator.Q


def test_coefficients_that_separate_are_exact_and_interpolated_nowhere():
    model = Nonaffine(SPACE, "a", source="exp(x*y)", reaction=2.0, velocity=["sin(a)", "cos(a)"], cells=5)
    assert model.interpolation is None and model.rhs.Q == 1
    assert model.operator.theta.expressions == ("a", "sin(a)", "cos(a)", "1")
    mu = np.array([0.3, 1.0])
    assert abs(model.truth.operator.assemble(mu) - model.operator.assemble(mu)).max() < 1e-14
    assert np.abs(model.truth.rhs.assemble(mu) - model.rhs.assemble(mu)).max() < 1e-16


def test_pointwise_coercivity_is_below_the_constant_of_the_truth_and_near_it(must_fail):
    mu = SPACE.sample(5, np.random.default_rng(4))
    turning = Nonaffine(SPACE, cells=8, bound="points", **FULL | {"velocity": ["s*(y - a)", "s*(a - x)"]})
    for model, least in ((turning, 0.85), (Nonaffine(SPACE, cells=8, bound="points", **FULL), 0.7)):
        true = np.array([stability_constant(model.truth.operator.assemble(row), model.inner_product, "coercivity")
                         for row in mu])
        share = model.pointwise()(mu) / true
        assert share.min() > least

        def check(share):
            assert share.max() <= 1.0

        check(share)
        must_fail(check, share + 0.5)


def test_functions_give_the_same_model_as_texts():
    written = Nonaffine(SPACE, INCLUSION, cells=6)
    function = Nonaffine(SPACE, lambda x, y, a, s: 1 + s * np.exp(-10 * ((x - a) ** 2 + (y - 0.5) ** 2)), cells=6)
    mu = SPACE.centre()
    assert np.abs(written.solve(mu).state - function.solve(mu).state).max() < 1e-15
    assert json.loads(json.dumps(function.spec)) == function.spec
    with pytest.raises(InputError, match="cannot be followed"):
        Nonaffine(SPACE, lambda x, y, a, s: 1.0 if x < a else 2.0, cells=6)


def test_the_spec_names_the_truth_and_not_its_interpolation():
    one, other = (Nonaffine(SPACE, INCLUSION, cells=6, tolerance=tolerance) for tolerance in (1e-3, 1e-6))
    assert one.spec == other.spec != Nonaffine(SPACE, INCLUSION, cells=7).spec
    assert one.solve(SPACE.centre()).info["relative_residual"] < 1e-12


def test_outputs_are_integrals_with_weights():
    model = Nonaffine(SPACE, INCLUSION, cells=6, outputs={"average": 1, "right": "max(0, sign(x - 0.5))"})
    assert model.outputs.names == ("average", "right")
    average, right = model.solve(SPACE.ppf(np.full((1, 2), 0.5))[0]).outputs
    assert right == pytest.approx(0.5 * average, rel=1e-6)


def test_training_parameters_are_the_same_each_time_and_hold_the_corners():
    found = training_parameters(SPACE, 40)
    assert found.shape == (40, 2) and np.array_equal(found, training_parameters(SPACE, 40))
    assert {tuple(row) for row in found[:4]} == {(a, s) for a in (0.2, 0.8) for s in (0.5, 3.0)}
    wide = ParameterSpace([Parameter("a", Normal(0.0, 1.0), size=40)])
    assert training_parameters(wide, 20).shape == (20, 40)


def test_an_expansion_is_exact_at_its_points_and_watches_others():
    field = ParametricField(["exp(-a*x)"], 1, ["a"])
    points, mu = np.linspace(0.0, 1.0, 60)[:, None], np.linspace(1.0, 9.0, 30)[:, None]
    found = expansion(field, points, mu, Wish(tolerance=1e-4))
    places = np.array([np.flatnonzero(found.functions[:, m] == 1.0)[0] for m in range(len(found.texts))])
    assert np.abs(found.functions[places] - np.eye(len(places))).max() < 1e-12
    watched = np.searchsorted(points[:, 0], found.watched.points[:, 0])
    assert len(watched) == 10 and not set(places) & set(watched)


def test_a_coefficient_that_vanishes_at_every_parameter_is_zero():
    model = Nonaffine(SPACE, INCLUSION, source="0 * sin(a * x)", cells=4)
    assert not model.rhs.assemble(SPACE.centre()).any() and "source" not in model.interpolation_facts()


MOVING = ParameterSpace([Parameter("a", Uniform(0.1, 0.9)), Parameter("b", Uniform(0.1, 0.9))])


@pytest.mark.parametrize(("options", "median"), [({"max_terms": 20}, 0.8), ({"max_terms": 20, "training": 4}, 0.8)])
def test_the_watched_points_see_peaks_between_those_of_the_training(options, median, must_fail):
    """A moving peak that few terms cannot follow leaves its error where the parameter is, not at a few fixed points."""
    peak = "1 + exp(-60*((x - a)**2 + (y - b)**2))"
    few, all_points = (Nonaffine(MOVING, peak, cells=16, bound=bound, **options) for bound in ("next-points", "points"))
    mu = MOVING.sample(100, np.random.default_rng(3))
    true = all_points.interpolation.of_operator(mu)

    def check(seen):
        assert np.median(seen / true) > median and np.quantile(seen / true, 0.05) > 0.3 and np.all(seen <= true)

    check(few.interpolation.of_operator(mu))
    watched = few.expansions["diffusion"]
    ten = watched_alone(watched, few.parameters.columns)
    must_fail(check, ten(mu))
    assert few.interpolation_facts()["diffusion"]["unseen_error"] > 0.05


def watched_alone(found: Expansion, columns: tuple[str, ...]):
    """The error at ten of the watched points only."""
    sample = FieldSample(found.watched.field, found.watched.points[:10], found.watched.components[:10])
    return InterpolatedField(sample, Theta(found.texts, columns), found.cardinal[:10], 1.0).remainder


def test_facts_say_how_the_interpolation_went():
    found = Nonaffine(SPACE, INCLUSION, cells=6, source="exp(-a*x)", max_terms=5, reaction="s").interpolation_facts()
    assert set(found) == {"diffusion", "source"}
    assert found["diffusion"]["stopped"] == "max_terms" and found["diffusion"]["terms"] == 5
    assert found["source"]["stopped"] == "tolerance" and found["source"]["training_error"] < 1e-6
    assert found["diffusion"]["lebesgue_constant"] >= 1.0
    json.dumps(found)


def test_forms_of_one_hexahedron_integrate_exactly():
    model = Nonaffine(SPACE, reaction="1", cells=[2, 2, 2], element="Q1", lengths=[2.0, 2.0, 2.0])
    forms: QuadratureForms = model.forms
    assert forms.n == 1 and forms.weights.sum() == pytest.approx(8.0)
    assert (forms.maps["diffusion"] @ np.ones(forms.P)).item() == pytest.approx(8 / 3)
    assert forms.mass().toarray().item() == pytest.approx(8 / 27)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusion": "1 + w"}, "no parameter is called 'w'"),
        ({"velocity": ["1"]}, "the velocity has 1 components"),
        ({"velocity": "x"}, "list of 2 texts"),
        ({"reaction": True}, "reaction = true"),
        ({"bound": "point"}, "Did you mean 'points'"),
        ({"interpolate": "matrices"}, "interpolate = 'matrices'"),
        ({"max_terms": 0}, "max_terms = 0"),
        ({"tolerance": "x"}, "tolerance = 'x'"),
        ({"outputs": "average"}, "outputs = 'average'"),
        ({"tolerance": 1.5}, "tolerance = 1.5"),
        ({"outputs": {"end": "a*x"}}, "names a parameter"),
        ({"fixed": []}, "names no boundary"),
        ({"fixed": ["x = 0.3"], "cells": 4}, "no boundary"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Nonaffine(SPACE, **{"cells": 6} | options)


def test_bad_coefficients_are_named_with_place_and_parameter():
    with pytest.raises(InputError, match=r"is -[0-9.e-]+ somewhere for mu"):
        _ = Nonaffine(SPACE, "x - a", cells=4).operator
    with pytest.raises(ParameterError, match="at the point"):
        Nonaffine(SPACE, "1 + sqrt(x - a)", cells=4).solve(SPACE.centre())
    with pytest.raises(ConfigError, match="name of a coordinate"):
        Nonaffine(ParameterSpace([Parameter("x", Uniform(0.0, 1.0))]), cells=4)
    with pytest.raises(ConfigError, match="sweep"):
        Nonaffine(SPACE, INCLUSION, cells=4).use_solver({"method": "sweep", "backend": "superlu"})


def test_a_sample_of_a_vector_field_takes_each_component_where_it_is_asked_for():
    field = ParametricField(["a*x", "a"], 1, ["a"])
    sample = FieldSample(field, np.array([[2.0], [5.0], [3.0]]), np.array([0, 1, 0]))
    assert sample.values(np.array([[3.0], [1.0]])).tolist() == [[6.0, 2.0], [3.0, 1.0], [9.0, 3.0]]
    assert sample.texts() == ["a * 2.0", "a", "a * 3.0"]


def test_gradients_are_those_of_the_interpolated_terms_and_trajectories_reach_the_solution_at_rest():
    model = Nonaffine(SPACE, INCLUSION, cells=6, tolerance=1e-9)
    mu, h = SPACE.ppf(np.full((1, 2), 0.5))[0], 1e-4
    ends = [[model.solve(mu + sign * step).outputs for step in h * np.eye(2)] for sign in (1.0, -1.0)]
    differences = (np.array(ends[0]) - np.array(ends[1])).T / (2 * h)
    assert np.abs(model.sensitivity(mu) - differences).max() < 1e-6 * np.abs(differences).max() + 1e-8
    moving = model.evolving(TimeGrid(5.0, 20))
    assert moving.spec != model.spec
    assert np.abs(moving.solve(mu).state - model.solve(mu).state).max() < 1e-6


def test_a_mesh_from_a_file_is_the_same_model(tmp_path):
    own = Nonaffine(SPACE, INCLUSION, cells=6, fixed=["x = 0", "y = max"])
    points = np.pad(own.mesh.points, ((0, 0), (0, 1)))
    meshio.write(tmp_path / "plate.vtu", meshio.Mesh(points, [("triangle", own.mesh.cells)]))
    read = Nonaffine(SPACE, INCLUSION, mesh="plate.vtu", fixed=["x = 0", "y = max"], base=tmp_path)
    mu = SPACE.centre()
    assert np.abs(own.solve(mu).state - read.solve(mu).state).max() < 1e-13
    assert read.files == (tmp_path / "plate.vtu",)


@pytest.mark.parametrize(("options", "said"), [
    ({"stability": "pointwis"}, "Did you mean 'pointwise'"),
    ({"stability": "foo(k)"}, "stability = 'foo(k)' is no formula"),
    ({"diffusion": "1 + foo(x)"}, "diffusion = '1 + foo(x)'"),
    ({"source": "z + 1"}, "source = 'z + 1'"),
])
def test_wrong_texts_are_named_by_their_option(options, said):
    with pytest.raises(ConfigError) as found:
        Nonaffine(SPACE, **({"diffusion": "1"} | options), cells=4)
    assert said in str(found.value)
