"""Studies with a [solver] section, as a user types them."""

import json
import re

import numpy as np
import pytest

from tests.walk.studies import romflow_here, write_block

SOBOL = '[sampling]\nmethod = "sobol"\nsize = 16\nseed = 42\n'
POD = '[reduction]\nmethod = "pod-galerkin"\n'


def study(folder, solver, cluster="serial", reduction=POD, cells=24):
    path = write_block(folder, cells=cells, cluster=cluster, extra=f"[solver]\n{solver}")
    text = re.sub(r"\[sampling\].*?(?=\[reduction\])", SOBOL, path.read_text(), flags=re.DOTALL)
    path.write_text(text.replace("[reduction]\n", reduction))
    return path


def finished(path, folder, page=False):
    done = romflow_here("run", path, "--out", folder, page=page)
    assert done.returncode == 0, done.stderr
    return done, json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return finished(study(folder, 'method = "direct"\nbackend = "superlu"\n'), folder / "run")[1]


@pytest.mark.parametrize("cluster", [pytest.param("serial", marks=pytest.mark.long), "local"])
def test_a_sweep_gives_the_model_of_the_direct_solves(tmp_path, plain, cluster):
    path = study(tmp_path, 'method = "sweep"\ntolerance = 1e-9\n', cluster)
    done, summary = finished(path, tmp_path / "run", page=True)
    assert "solved with" in done.stdout
    ways = summary["offline"]["solver"]
    assert sum(way["solves"] for way in ways) == summary["offline"]["snapshots_solved"] - 6 == 16
    assert all(way["max_residual"] <= 1e-9 for way in ways)
    assert plain["offline"]["solver"] == []
    for key in ("max_relative_error", "max_error_estimate"):
        assert np.isclose(summary["validation"][key], plain["validation"][key], rtol=1e-4)
    assert "Linear systems" in (tmp_path / "run" / "report.html").read_text()
    assert (tmp_path / "run" / "store" / "solver.json").is_file()


@pytest.mark.long
def test_a_second_run_solves_nothing_and_a_damaged_memory_is_learnt_again(tmp_path):
    path = study(tmp_path, 'method = "sweep"\nstrategy = "learned"\n')
    finished(path, tmp_path / "run")
    (tmp_path / "run" / "store" / "solver.json").write_text('{"nonsense": 1}')
    for snapshot in list((tmp_path / "run" / "store" / "snapshots").glob("*/*.h5"))[:3]:
        snapshot.unlink()
    done, summary = finished(path, tmp_path / "run")
    assert summary["offline"]["snapshots_solved"] == 3 and summary["offline"]["snapshots_reused"] == 19
    assert "is not used" in (tmp_path / "run" / "run.log").read_text()
    done, summary = finished(path, tmp_path / "run")
    assert summary["offline"]["snapshots_solved"] == 0


@pytest.mark.parametrize(("solver", "words"), [
    ('method = "sweeep"\n', ["sweeep", "sweep"]),
    ('metod = "sweep"\n', ["metod", "Did you mean 'method'"]),
    ('method = "sweep"\nstrategy = "multgrid"\n', ["multgrid", "multigrid"]),
    ('method = "direct"\nstrategy = "multigrid"\n', ["strategy", "sweep"]),
    ('method = "cg"\ntolerance = 2.0\n', ["tolerance", "2"]),
    ('method = "direct"\nbackend = "mumbs"\n', ["mumbs", "mumps"]),
    ('method = "direct"\npreconditioner = "jacobi"\n', ["preconditioner", "iterative"]),
])
def test_wrong_solver_sections_are_one_sentence(tmp_path, solver, words):
    done = romflow_here("check", study(tmp_path, solver))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("reduction", [
    '[reduction]\nestimator = "sketched"\nmethod = "pod-galerkin"\n',
    '[reduction]\nmethod = "sketched"\n',
    pytest.param('[reduction]\nmethod = "pod-galerkin"\ncompression = "hapod"\n', marks=pytest.mark.long),
], ids=["estimator", "method", "hapod"])
def test_sketches_and_compressions_walk_from_study_to_summary(tmp_path, plain, reduction):
    _, summary = finished(study(tmp_path, 'method = "sweep"\n', reduction=reduction), tmp_path / "run")
    sketched = "sketched" in reduction
    assert summary["validation"]["error_kind"] == ("indicator" if sketched else "bound")
    # The sketched projection is near the best one, the others are it.
    slack = 2.0 if 'method = "sketched"' in reduction else 1.05
    assert summary["validation"]["max_relative_error"] <= slack * plain["validation"]["max_relative_error"]
