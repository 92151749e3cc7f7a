"""Scaling on paper: counts, overlap and fill against real meshes and factors; how it scales; the command."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import splu
from typer.testing import CliRunner

from romflow.core.errors import ConfigError, InputError
from romflow.dd.communicator import Single
from romflow.dd.decomposition import decompose
from romflow.dd.layout import Layout
from romflow.dd.prediction import (
    LocalRates,
    MeshSize,
    SplitPlan,
    box_piece,
    factor_entries,
    factor_operations,
    predict,
)
from romflow.dd.schwarz import weighted_subdomains
from romflow.fom.cells import CellProblem
from romflow.fom.distributed.counting import mesh_size
from romflow.fom.gallery.advection_diffusion import AdvectionDiffusion
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.linalg.solvers.superlu import nested_dissection
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.study import Study

RATES = LocalRates(1e9, 5e8, 5e8, 5e7, 1e7, 1e6, 1e9, 5e8, 1e5, 1e-6, 1e9, 2e8, 10.0)


def space(*names: str, size: int = 1) -> ParameterSpace:
    return ParameterSpace([Parameter(name, Uniform(0.5, 1.0), size=size) for name in names])


PROBLEMS: dict[str, Callable[[], CellProblem]] = {
    "block Q1": lambda: ThermalBlock.cell_problem(space("k", size=4), [2, 2], [12, 8]),
    "block P1": lambda: ThermalBlock.cell_problem(space("k", size=4), [2, 2], [12, 8], "P1"),
    "block in space": lambda: ThermalBlock.cell_problem(space("k", size=8), [2, 2, 2], [6, 4, 8], "P1"),
    "wind": lambda: AdvectionDiffusion.cell_problem(space("diffusion", "angle"), 9),
    "beam": lambda: LinearElasticity.cell_problem(space("E", size=2), cells=[8, 4, 2]),
    "tetrahedra": lambda: LinearElasticity.cell_problem(space("E", size=2), cells=[8, 4, 2], element="tet"),
    "plane strain": lambda: LinearElasticity.cell_problem(space("E", size=2), cells=[8, 4]),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_grids_are_counted_without_a_mesh(name: str, must_fail: Callable[..., None]) -> None:
    problem = PROBLEMS[name]()
    size = mesh_size(problem)
    assert "mesh" not in vars(problem)

    def check(n: int) -> None:
        assert (n, size.cells) == (problem.n, len(problem.mesh.cells))

    check(size.n)
    must_fail(check, size.n + 1)
    assert math.prod(size.extents) * size.components == pytest.approx(size.n)
    assert size.passes == (3 if name == "wind" else 1)


def test_other_meshes_are_measured() -> None:
    problem = PROBLEMS["tetrahedra"]()
    other = dataclasses.replace(problem, spec={"kind": "own"})
    assert mesh_size(other).n == problem.n
    assert mesh_size(other).extents[0] == pytest.approx(4 * mesh_size(other).extents[1], rel=1e-6)


@pytest.mark.parametrize("problem", [
    lambda: LinearElasticity.cell_problem(space("E", size=2), cells=[32, 8, 8], element="tet"),
    lambda: ThermalBlock.cell_problem(space("k", size=4), [2, 2], 100)])
def test_overlap_is_that_of_real_subdomains(problem: Callable[[], CellProblem], must_fail: Callable[..., None]) -> None:
    made = problem()
    size = mesh_size(made)
    whole = decompose(made.cell_dofs, made.mesh.cells, made.mesh.centroids, parts=8, subdomains=8)
    layout = Layout(Single(), [whole.part(i) for i in range(8)])
    real = float(np.mean([one.dofs.size for one in weighted_subdomains(layout)]))

    def check(overlapped: float) -> None:
        assert overlapped == pytest.approx(real, rel=0.12)

    check(predict(size, SplitPlan(2, 1, 8, 8, 1, 20, 4.0), RATES).overlapped)
    must_fail(check, size.n / 8, predict(size, SplitPlan(2, 1, 8, 8, 3, 20, 4.0), RATES).overlapped)


@pytest.mark.parametrize(("dimension", "side"), [(2, 20), (2, 60), (3, 7), (3, 13)])
def test_fill_is_that_of_real_factors(dimension: int, side: int, must_fail: Callable[..., None]) -> None:
    line = sp.diags_array([1.0, 1.0, 1.0], offsets=[-1, 0, 1], shape=(side, side))
    A: Any = line
    for _ in range(dimension - 1):
        A = sp.kron(A, line)
    A = sp.csc_array(-A + sp.diags_array(np.full(side ** dimension, 60.0)))
    order = nested_dissection(A)
    L = splu(A[order][:, order], permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).L
    heights = np.diff(L.indptr).astype(float)

    def check(factor: float) -> None:
        assert factor * factor_entries(A.shape[0], dimension) == pytest.approx(heights.sum(), rel=0.25)
        assert factor * factor_operations(A.shape[0], dimension) == pytest.approx((heights ** 2).sum(), rel=0.35)

    check(1.0)
    must_fail(check, 0.5, 2.0)


def test_components_enter_as_dense_blocks() -> None:
    assert factor_entries(1000, 3, 3) == 9 * factor_entries(1000, 3)
    assert factor_operations(1000, 3, 3) == 27 * factor_operations(1000, 3)
    assert factor_entries(1, 3) == 1
    assert box_piece((8.0, 2.0, 2.0), 1) == (8.0, 2.0, 2.0)
    assert math.prod(box_piece((40.0, 7.0, 11.0), 13)) == pytest.approx(40 * 7 * 11 / 13)


def test_scaling_over_ranks_and_workers() -> None:
    size = MeshSize(3_000_000, 6_000_000, 3, 4, 3, 15.0, (160.0, 80.0, 78.125), 6, True)
    found = {R: predict(size, SplitPlan(R, 1, 128, 1200, 1, 30, 0.5, solves=10), RATES) for R in (1, 2, 16, 128)}
    assert found[1].exchange == found[1].bytes_solve == found[1].ghosts == 0.0
    for R in (2, 16, 128):
        assert found[1].factorisation / found[R].factorisation == pytest.approx(R)
        assert found[1].seconds / R < found[R].seconds < found[1].seconds
        assert found[R].memory_rank < found[1].memory_rank
    assert found[2].bytes_iteration < found[16].bytes_iteration < found[128].bytes_iteration
    assert found[1].memory_rank > 12 * found[1].factors
    two = predict(size, SplitPlan(16, 2, 128, 1200, 1, 30, 0.5, solves=10), RATES)
    assert two.core_seconds == found[16].core_seconds
    assert two.wall_seconds < found[16].wall_seconds
    crowded = predict(size, SplitPlan(16, 2, 128, 1200, 1, 30, 0.5, solves=10, cores=4), RATES)
    assert crowded.contention == 8.0
    faster = predict(size, SplitPlan(16, 2, 128, 1200, 1, 30, 0.5), dataclasses.replace(RATES, factorisation=2e9))
    assert faster.factorisation == pytest.approx(0.5 * two.factorisation)


STUDY = """
[study]
name = "beam"
[model]
kind = "linear-elasticity"
cells = [{cells}, 8, 8]
[parameters.young]
low = 1.0
high = 10.0
size = 2
[sampling]
method = "sobol"
size = 12
[cluster]
workers = 1
{ranks}
[solver]
coarse = "nicolaides"
"""


def test_check_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from romflow.cli import app
    from romflow.tasks import scaling

    monkeypatch.setattr(scaling, "_exchange", lambda rates, launcher: rates)
    file = tmp_path / "study.toml"
    file.write_text(STUDY.format(cells=2000, ranks="ranks = 2"), encoding="utf-8")
    text = CliRunner().invoke(app, ["check", str(file)]).output
    assert "486,000" in text
    assert "2 ranks, 16 parts, 192 subdomains" in text
    assert all(word in text for word in ("first solve", "all solves", "memory", "traffic", "a rank", "assumed"))
    other = CliRunner().invoke(app, ["check", str(file), "--ranks", "8", "--workers", "4"]).output
    assert "8 ranks" in other
    assert "4 at a time" in other
    with pytest.raises(InputError, match="raise .solver. parts"):
        Study.from_file(file).on(ranks=64).plan()
    with pytest.raises(ConfigError, match="whole number from 1"):
        Study.from_file(file).on(workers=0)


def test_a_study_without_ranks_has_no_prediction() -> None:
    content = {"study": {"name": "block"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 10},
               "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "sampling": {"method": "greedy"}}
    study = Study.from_dict(content)
    assert study.plan().prediction is None
    assert study.plan().terms == 4
    assert study.on(ranks=2).config.solver.method == "auto"
    assert study.on(workers=3).config.cluster.workers == 3
    direct = Study.from_dict({**content, "solver": {"method": "direct"}})
    with pytest.raises(ConfigError, match="solves in one process"):
        direct.on(ranks=2)
