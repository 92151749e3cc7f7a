"""Trajectories of outputs as a table."""

import csv

import numpy as np
import pytest
import scipy.sparse as sp

from romflow.cli import app
from romflow.core.errors import NotSupported
from romflow.fom.affine import AffineOperator, AffineOutputs, AffineVector
from romflow.fom.evolution.model import EvolutionModel
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.linalg.inner_product import InnerProduct
from romflow.parameters.distributions import Uniform
from romflow.parameters.expressions import Theta
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.evolution import EvolutionProjection
from romflow.rom import tables

SPACE = ParameterSpace([Parameter("a", Uniform(0.5, 2.0))])


@pytest.fixture(scope="module")
def rom():
    n = 6
    K = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    one, theta = Theta(["1"], ["a"]), Theta(["a"], ["a"])
    fom = EvolutionModel(SPACE, sp.eye_array(n), AffineOperator(theta, [K]), AffineVector(one, np.ones((n, 1))), K,
                         TimeGrid(1.0, 4), outputs=AffineOutputs(["mean", "first"], one, np.stack(
                             [np.full(n, 1 / n), np.eye(n)[0]])[None]), spec={"kind": "test"})
    states = np.hstack([piece.states for piece in fom.march(np.array([1.0]))])
    V = InnerProduct(fom.inner_product)
    projection = EvolutionProjection(fom, V)
    basis = np.linalg.qr(states[:, 1:])[0][:, :2]
    gram = basis.T @ (K @ basis)
    projection.extend(basis @ np.linalg.inv(np.linalg.cholesky(gram)).T)
    return projection.model()


def read(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_series_has_a_row_for_each_parameter_and_time(rom, tmp_path, monkeypatch, must_fail):
    mu = np.array([[0.6], [1.0], [1.9]])
    monkeypatch.setattr(tables, "_ROWS", 10)
    tables.write_series(tmp_path / "series.csv", rom, mu)
    rows, answer = read(tmp_path / "series.csv"), rom.solve(mu)
    assert list(rows[0]) == ["row", "t", "mean", "first", "mean_error", "first_error", "state_error", "error_kind"]
    assert [row["row"] for row in rows] == [str(i) for i in range(3) for _ in range(5)]
    assert [float(row["t"]) for row in rows] == list(answer.times) * 3
    assert {row["error_kind"] for row in rows} == {answer.kind}

    def check(series):
        found = np.array([[float(row["mean"]), float(row["first"])] for row in rows]).reshape(3, 5, 2)
        assert np.abs(found.transpose(2, 1, 0) - series).max() <= 1e-13

    check(answer.series)
    must_fail(check, answer.series + 1e-12, answer.series[:, :, ::-1])
    errors = np.array([float(row["state_error"]) for row in rows]).reshape(3, 5).T
    assert np.allclose(errors, answer.error_series, rtol=1e-12)


def test_command_writes_the_series_beside_the_answers(rom, tmp_path, capsys):
    rom.save(tmp_path / "model.h5")
    (tmp_path / "mu.csv").write_text("a\n0.7\n1.2\n")
    words = ["eval", str(tmp_path / "model.h5"), "--input", str(tmp_path / "mu.csv"), "--output",
             str(tmp_path / "out.csv"), "--series", str(tmp_path / "series.csv")]
    app(words, standalone_mode=False)
    assert "Wrote 10 rows" in capsys.readouterr().out
    last = [row for row in read(tmp_path / "series.csv") if float(row["t"]) == 1.0]
    assert [row["mean"] for row in last] == [row["mean"] for row in read(tmp_path / "out.csv")]


def test_models_that_stand_still_have_no_series(tmp_path):
    with pytest.raises(NotSupported, match=r"table \[time\]"):
        tables.write_series(tmp_path / "series.csv", object(), np.ones((1, 1)))
