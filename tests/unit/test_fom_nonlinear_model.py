"""The stationary nonlinear model and its gallery: Jacobians, continuation, records of failure, options."""

import json

import meshio
import numpy as np
import pytest
import scipy.sparse as sp
import skfem

from romflow.core.errors import ConfigError, InputError, NotSupported, ShapeError, SolveFailed
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.gallery.radiation import Radiation
from romflow.fom.gallery.reaction_diffusion import ReactionDiffusion
from romflow.fom.nonlinear.model import NonlinearModel
from romflow.fom.nonlinear.point_term import PointTerm
from romflow.parameters.distributions import Uniform
from romflow.parameters.point_function import PointFunction
from romflow.parameters.space import Parameter, ParameterSpace

B = ParameterSpace([Parameter("b", Uniform(0.5, 60.0))])
HEAT = ParameterSpace([Parameter("q", Uniform(1e3, 1e5)), Parameter("eps", Uniform(0.2, 0.9))])
SOLVER = {"method": "auto", "backend": "auto", "preconditioner": "auto", "tolerance": 1e-10, "seed": 0,
          "strategy": "auto", "guess_size": 5, "max_iterations": 500}


def radiation(**options):
    return Radiation(HEAT, conductivity="20 * (1 + 0.0005 * u)", emissivity="eps", source="q",
                     **{"cells": [3, 2, 4], "lengths": [1.0, 0.5, 0.8]} | options)


MODELS = {
    "bratu": (lambda: ReactionDiffusion(B, "-b * exp(u)", source=0.0, cells=[6, 5]), [3.0], 1.0),
    "cubic": (lambda: ReactionDiffusion(B, "u**3 - b * u * (x + y)", element="P1", cells=5), [5.0], 1.0),
    "solid": (lambda: ReactionDiffusion(B, "b * u**3 + z", diffusion="0.5 + b", cells=[3, 3, 3]), [2.0], 1.0),
    "tetrahedra": (lambda: ReactionDiffusion(B, "exp(u)", cells=[3, 3, 3], element="P1"), [2.0], 1.0),
    "radiation": (radiation, [2e4, 0.5], 100.0),
    "rays": (lambda: Radiation(HEAT, 15.0, "eps", 300.0, "q", ["z = max", "x = 0"], cells=3), [2e4, 0.5], 100.0),
}


@pytest.mark.parametrize("name", MODELS)
def test_jacobian_equals_differences(name, must_fail):
    make, mu, size = MODELS[name]
    model, mu = make(), np.array(mu)
    rng = np.random.default_rng(0)
    u, d, h = size * rng.random(model.n), rng.standard_normal(model.n), 1e-5 * size
    exact = (model.residual(u + h * d, mu) - model.residual(u - h * d, mu)) / (2.0 * h)

    def check(found):
        assert np.linalg.norm(found - exact) < 1e-8 * np.linalg.norm(exact)

    J = model.jacobian(u, mu)
    check(J @ d)
    must_fail(check, J @ d * (1.0 + 1e-7), J @ d * (1.0 - 1e-7))
    if model.symmetric:
        assert abs(J - J.T).max() < 1e-13 * abs(J).max()
    answer = model.solve(mu)
    assert answer.info["relative_residual"] <= 1e-10 and answer.info["shares"] == [1.0]
    assert np.linalg.norm(model.residual(answer.state, mu)) <= 1e-10 * np.linalg.norm(model.residual(0.0 * u, mu))


def test_equal_parameters_give_equal_bits():
    model = radiation()
    first = model.solve(np.array([5e4, 0.3])).state
    model.solve(np.array([1e4, 0.9]))
    assert np.array_equal(model.solve(np.array([5e4, 0.3])).state, first)


def test_solutions_of_bratu_end_at_the_known_limit():
    """-lap u = b exp(u) on the unit square has solutions up to b = 6.808 (Bolley et al.; on this mesh close to it)."""
    model = ReactionDiffusion(B, "-b * exp(u)", source=0.0, cells=24)
    assert 1.2 < model.solve(np.array([6.75])).state.max() < 1.39
    with pytest.raises(SolveFailed, match="no solution was found") as error:
        model.solve(np.array([7.0]))
    report = error.value.report
    json.dumps(report, allow_nan=False)
    assert report["mu"] == [7.0] and 0.5 < report["share"] < 1.0 and report["all_iterations"] > report["iterations"]


def test_load_is_raised_in_shares_where_newton_fails_from_zero():
    """Six iterations are too few for the whole load; less of it at a time needs no more."""
    model = ReactionDiffusion(B, "exp(b * u) - 1", source=1e5, cells=8, monotone=True)
    expected = model.solve(np.array([10.0]))
    assert expected.info["shares"] == [1.0] and expected.info["newton"]["iterations"] > 6
    model.max_iterations = 6
    answer = model.solve(np.array([10.0]))
    assert len(answer.info["shares"]) > 1 and answer.info["shares"][-1] == 1.0
    assert np.abs(answer.state - expected.state).max() < 1e-9
    model.max_iterations = 0
    with pytest.raises(SolveFailed, match="no convergence in 0"):
        model.solve(np.array([10.0]))


def test_monotone_claims_are_tried():
    assert ReactionDiffusion(B, "exp(b * u)", cells=4, monotone=True).monotone
    with pytest.raises(ConfigError, match="falls at u ="):
        ReactionDiffusion(B, "u**3 - b * u", cells=4, monotone=True)
    assert not radiation().monotone
    rays = MODELS["rays"][0]()
    assert rays.monotone and rays.stability == {"kind": "expression", "expression": "15.0"}


def test_solver_options_give_the_same_solution():
    model, mu = MODELS["cubic"][0](), np.array([5.0])
    expected = model.solve(mu).state
    model.use_solver(SOLVER)
    assert np.abs(model.solve(mu).state - expected).max() < 1e-8 * np.abs(expected).max()
    with pytest.raises(ConfigError, match="sweep"):
        model.use_solver(SOLVER | {"method": "sweep"})


def test_models_may_move_in_time_towards_their_steady_state():
    model = ReactionDiffusion(B, "exp(b * u) - 1", source=10.0, cells=6, monotone=True)
    moving = model.evolving(TimeGrid(5.0, 20))
    assert np.abs(moving.solve(np.array([1.0])).state - model.solve(np.array([1.0])).state).max() < 1e-9
    hot = radiation(cells=2).evolving(TimeGrid(1.0, 2, load="t"))
    assert hot.solve(np.array([1e4, 0.5])).state.max() > 0.0
    one = sp.eye_array(1)
    still = NonlinearModel(B, None, PointTerm(one, one, PointFunction(["u"], ["u"], [], ["b"])), None, one, spec={})
    with pytest.raises(NotSupported, match="mass"):
        still.evolving(TimeGrid(1.0, 1))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: ReactionDiffusion(B, "u +", cells=4), "arithmetic"),
    (lambda: ReactionDiffusion(B, "c * u", cells=4), "'c'"),
    (lambda: ReactionDiffusion(B, "u", diffusion="b - 1", cells=4), "diffusion"),
    (lambda: ReactionDiffusion(B, "u", source="log(b - 1)", cells=4), "source"),
    (lambda: ReactionDiffusion(B, "u", cells=4, fixed=["top"]), "'top'"),
    (lambda: ReactionDiffusion(B, "u", cells=4, fixed=[]), "no boundary"),
    (lambda: ReactionDiffusion(B, "u", cells=4, lengths=[1.0, -1.0]), "lengths"),
    (lambda: Radiation(HEAT, conductivity="1 - q", cells=2), "conductivity at u = 0"),
    (lambda: Radiation(HEAT, environment=0.0, cells=2), "environment"),
    (lambda: Radiation(HEAT, emissivity="eps - 1", cells=2), "emissivity"),
    (lambda: Radiation(HEAT, radiating=["lid"], cells=2), "'lid'"),
    (lambda: Radiation(HEAT, radiating=[], cells=2), "radiating"),
])
def test_wrong_options_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_wrong_shapes_are_refused():
    one = sp.eye_array(2)
    term = PointTerm(one, one, PointFunction(["u"], ["u"], [], ["b"]))
    with pytest.raises(ShapeError, match="mass"):
        NonlinearModel(B, None, term, None, one, spec={}, mass=sp.eye_array(3))
    with pytest.raises(InputError, match="parameters"):
        NonlinearModel(HEAT, None, term, None, one, spec={})
    with pytest.raises(SolveFailed, match="state zero"):
        pole = PointTerm(one, one, PointFunction(["1 / u"], ["u"], [], ["b"]))
        NonlinearModel(B, None, pole, None, one, spec={}).solve(np.array([1.0]))


def test_domains_may_be_mesh_files(tmp_path):
    box = skfem.MeshTet.init_tensor(*(np.linspace(0.0, 1.0, 4),) * 3)
    meshio.write(tmp_path / "box.msh", meshio.Mesh(box.p.T, [("tetra", box.t.T)]), file_format="gmsh22", binary=False)
    mu = np.array([2e4, 0.5])
    options = {"conductivity": "20 * (1 + 0.0005 * u)", "emissivity": "eps", "source": "q"}
    read = Radiation(HEAT, **options, mesh="box.msh", base=tmp_path)
    made = Radiation(HEAT, **options, cells=3, element="P1")
    assert read.n == made.n and read.files == (tmp_path / "box.msh",)
    assert np.abs(np.sort(read.solve(mu).state) - np.sort(made.solve(mu).state)).max() < 1e-8
    flat = ReactionDiffusion(B, "exp(u)", mesh="box.msh", base=tmp_path, fixed=["z = 0", "x = max"])
    assert flat.mesh.points.shape[1] == 3 and "mesh" in flat.spec
    with pytest.raises(ConfigError, match="'lid'"):
        Radiation(HEAT, **options, mesh="box.msh", base=tmp_path, radiating=["lid"])
