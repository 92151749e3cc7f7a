"""Affine models that solve by the solver policy or as one sweep."""

import numpy as np
import pytest

from romflow.core.errors import ConfigError, SolveFailed
from romflow.core.schema import SolverConfig
from romflow.fom.affine_solves import relative_residual
from romflow.fom.build import build_model, model_identity
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import LogUniform, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from tests.problems import advection

BLOCKS = ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)])
LAYERS = ParameterSpace([Parameter("modulus", LogUniform(1.0, 1e3), size=3)])
MU = BLOCKS.sample(6, np.random.default_rng(3))


def wishes(**keys):
    return SolverConfig.model_validate(keys).wishes()


def block(cells=18):
    return ThermalBlock(BLOCKS, blocks=[2, 2], cells=cells)


def residual(model, mu, u):
    return relative_residual(model.operator.assemble(mu), model.rhs.assemble(mu), u)


WAYS = [{"method": "sweep", "tolerance": 1e-8}, {"method": "sweep", "strategy": "learned", "tolerance": 1e-8},
        *[{"method": "sweep", "strategy": name, "tolerance": 1e-8}
          for name in ("direct", "multigrid", "condensed", "deflated", "directions", "interpolated")],
        *[{"method": name, "tolerance": 1e-8} for name in ("direct", "auto", "cg", "minres", "gmres", "sketched-gmres",
                                                           "nystrom-cg")],
        {"method": "direct", "backend": "superlu", "tolerance": 1e-8}]


@pytest.mark.parametrize("keys", WAYS, ids=lambda keys: "-".join(map(str, keys.values())))
def test_every_way_keeps_its_tolerance_and_agrees_with_the_default(keys):
    model, plain = block(), block()
    model.use_solver(wishes(**keys))
    for mu in MU:
        snapshot, truth = model.solve(mu), plain.solve(mu)
        assert residual(model, mu, snapshot.state) <= 1e-8
        assert np.allclose(snapshot.state, truth.state, atol=1e-5 * np.abs(truth.state).max())
        assert np.allclose(snapshot.outputs, truth.outputs, rtol=1e-5)
        if keys.get("backend") != "superlu":
            assert snapshot.info["solver"]["method"] and snapshot.info["solver"]["iterations"] >= 0


def test_the_residual_check_sees_a_wrong_state():
    model = block()
    u = model.solve(MU[0]).state
    assert residual(model, MU[0], u) < 1e-12
    assert residual(model, MU[0], 1.0001 * u) > 1e-5


def test_elasticity_hands_its_rigid_body_modes_to_multigrid():
    model = LinearElasticity(LAYERS, cells=[16, 4, 4])
    A = model.operator.matrices[0] + model.operator.matrices[1] + model.operator.matrices[2]
    inner = np.abs(A @ model.near_nullspace).max(axis=1) > 1e-9
    # Only dofs beside the clamped face feel a rigid motion.
    assert model.near_nullspace.shape == (model.n, 6) and 0 < inner.sum() < model.n // 8
    model.use_solver(wishes(method="sweep", strategy="multigrid", tolerance=1e-8))
    found = [model.solve(mu).info["solver"] for mu in LAYERS.sample(4, np.random.default_rng(0))]
    assert all(facts["with"] == "multigrid" and facts["iterations"] < 40 for facts in found)


def test_a_family_that_is_not_symmetric_is_solved_directly():
    model = advection()
    model.use_solver(wishes(method="sweep", tolerance=1e-9))
    for mu in model.parameters.sample(3, np.random.default_rng(1)):
        assert model.solve(mu).info["solver"]["with"] in ("direct", "guess")


def test_cg_on_a_family_that_is_not_symmetric_is_a_failed_solve_with_a_remedy():
    model = advection()
    model.use_solver(wishes(method="cg", tolerance=1e-9))
    with pytest.raises(Exception, match="symmetric") as caught:
        model.solve(model.parameters.centre())
    assert "direct" in str(caught.value) or "gmres" in str(caught.value)


def test_too_few_iterations_are_a_failed_solve_that_says_so():
    model = block(40)
    model.use_solver(wishes(method="cg", preconditioner="none", max_iterations=3, tolerance=1e-9))
    with pytest.raises(SolveFailed, match="3 iterations|max_iterations"):
        model.solve(MU[0])


def request(**solver):
    wish = {"kind": "thermal-block", "options": {"blocks": [2, 2], "cells": 6}, "parameters": BLOCKS.to_spec(),
            "base": "."}
    return {**wish, "solver": wishes(**solver)} if solver else wish


def test_a_tolerance_is_part_of_the_identity_of_snapshots():
    def identity(**solver):
        wish = request(**solver)
        return model_identity(wish, build_model(wish))

    assert identity() == identity(method="direct", backend="superlu")
    loose, tight = identity(method="sweep", tolerance=1e-4), identity(method="sweep", tolerance=1e-8)
    assert loose != tight != identity()
    assert loose == identity(method="cg", tolerance=1e-4)


def test_a_model_that_solves_by_itself_refuses_the_section(tmp_path):
    wish = {"kind": "external", "options": {"command": ["true"]}, "parameters": BLOCKS.to_spec(), "base": str(tmp_path),
            "solver": wishes(method="sweep")}
    with pytest.raises(ConfigError, match=r"remove \[solver\]"):
        build_model(wish)


def test_what_a_sweep_has_learnt_goes_on_in_another_model():
    first, second = block(), block()
    for model in (first, second):
        model.use_solver(wishes(method="sweep", strategy="learned", tolerance=1e-8))
    assert first.solver_state() is None and block().solver_state() is None
    for mu in MU:
        first.solve(mu)
    second.restore_solver(first.solver_state())
    assert second.solver_state() == first.solver_state()
    second.solve(MU[0])
    second.restore_solver(first.solver_state())
    assert second.solver_state() != first.solver_state()
