"""Each example's headline numbers, and that it is at most 80 lines."""

import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("without_report")

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, folder):
    return runpy.run_path(str(EXAMPLES / name))["main"](folder)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_is_short(path):
    assert len(path.read_text().splitlines()) <= 80


def test_thermal_block(tmp_path):
    found = run("01_thermal_block.py", tmp_path)
    assert 14 <= found["basis_size"] <= 20
    assert found["max_relative_error"] <= 1e-4
    assert found["min_effectivity"] >= 1.0
    assert found["output_gap"] <= found["output_bound"] < 1e-9


def test_own_model(tmp_path):
    found = run("02_own_model.py", tmp_path)
    assert 5 <= found["basis_size"] <= 8
    assert found["max_relative_error"] <= 1e-6
    assert found["min_effectivity"] >= 1.0


@pytest.mark.long
def test_external_program(tmp_path):
    found = run("03_external_program.py", tmp_path)
    assert 5 <= found["basis_size"] <= 10
    assert 1e-6 < found["max_relative_error"] <= 0.03
    assert found["gap"] <= 2 * found["indicator"] < 1.0


def test_own_matrices(tmp_path):
    found = run("04_own_matrices.py", tmp_path)
    assert 8 <= found["basis_size"] <= 13
    assert found["max_relative_error"] <= 1e-4
    assert 1.0 <= found["min_effectivity"] <= found["max_effectivity"] <= 10.0


@pytest.mark.long
def test_sweep(tmp_path):
    found = run("05_sweep.py", tmp_path)
    assert found["systems"] == 16 and found["max_residual"] <= 1e-8
    assert found["gap"] <= 1e-6
    # Without PARDISO the direct strategy is the one that the other run takes.
    assert found["speedup"] > 0.7


@pytest.mark.long
def test_mesh_over_ranks(tmp_path):
    pytest.importorskip("mpi4py")
    found = run("06_mesh_over_ranks.py", tmp_path)
    assert found["solved"] == 6 and found["rank_files"] == 2 * 6
    assert found["gap"] <= 1e-9
    # The representatives' own error is part of the bound, and makes it a little larger.
    assert 1.0 <= found["min_ratio"] <= found["max_ratio"] <= 1.02


def test_calibration(tmp_path):
    found = run("07_calibration.py", tmp_path)
    assert found["error"] <= 3e-3 < 0.1 < found["start_error"]
    # The noise explains the whole error; the reduced model's share of it is below a hundredth.
    assert 0.1 <= found["error_in_spreads"] <= 3.0
    assert 1e-12 < found["model_error_in_spreads"] <= 0.01
    assert found["output_bound"] <= 1e-4


def test_nonaffine(tmp_path):
    found = run("08_nonaffine.py", tmp_path)
    assert found["few_terms"] == 4 < found["enough_terms"] <= 14
    # With too few terms the bound is as large as the error deserves.
    assert 1e-2 < found["few_error"] < found["few_bound"] and found["few_least"] >= 1.0
    assert found["enough_error"] <= 1e-3 and found["enough_bound"] <= 2e-3 and found["enough_least"] >= 1.0
    assert found["few_certified"] and found["enough_certified"]


def test_hyper_reduction(tmp_path):
    found = run("09_hyper_reduction.py", tmp_path)
    assert 60 <= found["cells_looked_at"] <= 0.25 * found["cells"]
    assert 1e-4 < found["max_relative_error"] <= 6e-3
    assert found["min_effectivity"] >= 1.0
    assert found["speedup"] > 3.0


def test_time_windows(tmp_path):
    found = run("10_time_windows.py", tmp_path)
    assert 0.0 < found["windows"] <= 0.3 * found["one_basis"]


def test_mechanics(tmp_path):
    found = run("11_mechanics.py", tmp_path)
    assert 4 <= found["size"] <= 7 and found["points"] <= 40 < found["all_points"] == 320
    assert 1e-4 < found["max_relative_error"] <= 0.03
    assert found["max_relative_error"] / 3 <= found["indicated"] <= 0.2
    # Plastic strain comes in with each of the four cycles.
    assert 3.0 <= found["growth"] <= 4.0


def test_own_law(tmp_path):
    found = run("12_own_law.py", tmp_path)
    assert found["passed"] and found["half"] == pytest.approx(0.5, rel=1e-9)
    assert found["points"] <= 60
    assert 1e-6 < found["output_error"] <= 3e-3


@pytest.mark.long
def test_uncertainty(tmp_path):
    found = run("13_uncertainty.py", tmp_path)
    assert 0.0 < found["mean_model_error"] < found["mean_error"] < 1e-5
    assert abs(found["mean"] - found["paired_mean"]) < 2 * found["paired_error"] and found["gain"] >= 5.0
    assert 1e-5 < found["rare"] < 1e-4 and found["rare_width"] < 0.15
    assert 1.0 < found["total"] < 1.1


@pytest.mark.long
def test_export(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("fmpy")
    found = run("14_export.py", tmp_path)
    assert len(found) == 5 and 0.0 < max(found.values()) <= 1e-12


def test_dictionary(tmp_path):
    found = run("15_dictionary.py", tmp_path)
    assert found["accuracy"] >= 0.85
    # The same number of modes in each of four models, from the same solves, against one model.
    assert 1e-4 < found["error"] <= 0.3 * found["alone"]
    assert found["effectivity"] >= 1.0
    assert found["refused"] + found["second"] <= 0.1
