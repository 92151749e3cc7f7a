"""Whatever is wrong: one sentence on standard error, exit code 2, no traceback."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from tests.walk.studies import romflow, romflow_here, write_block

pytestmark = pytest.mark.usefixtures("without_report")

SECTIONS = """
[study]
name = "files"
[model]
kind = "affine-files"
path = "matrices"
[parameters.a]
low = 1.0
high = 2.0
[sampling]
method = "greedy"
pool = 10
[cluster]
kind = "serial"
"""

MODEL = """
[[operator]]
file = "A.mtx"
theta = "a"
[[rhs]]
file = "f.npy"
theta = "1"
[inner_product]
file = "X.mtx"
"""


def refused(done, *words):
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("romflow: ")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def edited(tmp_path, old, new):
    path = write_block(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(("old", "new", "words"), [
    ("pool = 50", "pol = 50", ["'pol'", "Did you mean 'pool'"]),
    ("tolerance", "tolerence", ["'tolerence'", "Did you mean 'tolerance'"]),
    ("[validation]", "[validaton]", ["validaton", "validation"]),
    ("cells = 12", "cels = 12", ["'cels'", "Did you mean 'cells'"]),
    ('method = "greedy"', 'method = "gredy"', ["no sampler is called 'gredy'", "Did you mean 'greedy'"]),
    ('kind = "thermal-block"', 'kind = "termal-block"', ["Did you mean 'thermal-block'"]),
    ("low = 0.1", "low = 3.0", ["low", "high"]),
    ("low = 0.1", "low = nan", ["low"]),
    ("high = 1.0", "high = inf", ["high"]),
    ("low = 0.1", 'low = "small"', ["low"]),
    ("size = 4", "size = 5", ["5", "4"]),
    ("cells = 12", "cells = -3", ["cells"]),
    ("[study]", "[study", ["TOML"]),
    ('kind = "thermal-block"', 'kind = "nowhere.py:Model"', ["nowhere.py"]),
])
def test_wrong_study(tmp_path, old, new, words):
    refused(romflow_here("run", edited(tmp_path, old, new), "--out", tmp_path / "run"), *words)


def test_missing_study_file(tmp_path):
    refused(romflow("check", tmp_path / "none.toml"), "none.toml")


def files_study(tmp_path, model=MODEL, **changes):
    folder = tmp_path / "matrices"
    folder.mkdir()
    A = sp.diags_array([-np.ones(9), 2.0 * np.ones(10), -np.ones(9)], offsets=[-1, 0, 1])
    content = {"A.mtx": A, "X.mtx": A, "f.npy": np.ones(10)} | changes
    for name, value in content.items():
        if value is not None and name.endswith(".npy"):
            np.save(folder / name, value)
        elif value is not None:
            scipy.io.mmwrite(folder / name, value)
    (folder / "model.toml").write_text(model)
    path = tmp_path / "study.toml"
    path.write_text(SECTIONS)
    return path


def test_right_files_are_accepted(tmp_path):
    done = romflow_here("run", files_study(tmp_path), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("changes", "words"), [
    ({"A.mtx": None}, ["A.mtx"]),
    ({"X.mtx": sp.eye_array(4)}, ["X.mtx"]),
    ({"f.npy": np.ones(7)}, ["f.npy"]),
    ({"f.npy": np.full(10, np.nan)}, ["f.npy"]),
    ({"X.mtx": -sp.eye_array(10)}, ["positive definite"]),
    ({"X.mtx": sp.diags_array([np.arange(1.0, 11.0), np.ones(9)], offsets=[0, 1])}, ["symmetric"]),
])
def test_wrong_files(tmp_path, changes, words):
    refused(romflow_here("run", files_study(tmp_path, **changes), "--out", tmp_path / "run"), *words)


@pytest.mark.parametrize("theta", ["__import__('os')", "a.real", "b + 1", "9**9**9**9", "(lambda: 1)()",
                                   "a if a else a"])
def test_wrong_theta(tmp_path, theta):
    model = MODEL.replace('theta = "a"', f'theta = "{theta}"')
    refused(romflow_here("run", files_study(tmp_path, model), "--out", tmp_path / "run"))


def test_store_of_another_study(tmp_path):
    assert romflow_here("run", write_block(tmp_path, max_size=2), "--out", tmp_path / "run").returncode == 0
    refused(romflow_here("run", write_block(tmp_path, cells=14), "--out", tmp_path / "run"), "cells", "12", "14")


def test_truncated_snapshot_is_set_aside_and_solved_again(tmp_path):
    study, run = write_block(tmp_path, max_size=4), tmp_path / "run"
    assert romflow_here("run", study, "--out", run).returncode == 0
    before = (run / "model.h5").read_bytes()
    victim = sorted((run / "store").rglob("*.h5"))[0]
    victim.write_bytes(victim.read_bytes()[:700])
    again = romflow_here("run", study, "--out", run)
    assert again.returncode == 0, again.stderr
    assert "1 solved" in again.stdout
    assert victim.name in again.stderr
    assert (run / "model.h5").read_bytes() == before


def test_damaged_and_foreign_models(tmp_path):
    study, run = write_block(tmp_path, max_size=2), tmp_path / "run"
    assert romflow_here("run", study, "--out", run).returncode == 0
    model = run / "model.h5"
    (tmp_path / "mu.csv").write_text("conductivity_0,conductivity_1,conductivity_2,conductivity_3\n0.5,0.5,0.5,9\n")
    words = ("eval", model, "--input", tmp_path / "mu.csv", "--output", tmp_path / "out.csv")
    refused(romflow_here(*words), "mu[0, 3] (conductivity_3) = 9 is outside [0.1, 1]")
    content = model.read_bytes()
    model.write_bytes(content[:-2000])
    refused(romflow_here(*words), "model.h5")
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    model.write_bytes(bytes(flipped))
    refused(romflow_here(*words), "model.h5")
    model.write_text("hello")
    refused(romflow_here(*words), "model.h5")
    model.unlink()
    refused(romflow_here(*words), "model.h5")


def test_folder_without_write_permission(tmp_path):
    target = tmp_path / "file"
    target.write_text("in the way")
    refused(romflow_here("run", write_block(tmp_path), "--out", target / "run"), "run")


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs the right to mount")
@pytest.mark.parametrize("size", ["16k", "200k"])
def test_full_disk(tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        refused(romflow_here("run", write_block(tmp_path, cells=60), "--out", disk / "run"), "space")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs the right to mount")
def test_read_only_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        refused(romflow_here("run", write_block(tmp_path), "--out", disk / "run"), "read-only")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(("old", "new", "words"), [
    ("[validation]", '[[export]]\nformat = "npz"\npath = "../out.npz"\n[validation]', ["leaves the run folder"]),
    ("[validation]", '[[export]]\nformat = "npz"\npath = "a"\n[[export]]\nformat = "csv"\npath = "a"\n[validation]',
     ["named twice"]),
    ("tolerance = 0.01", 'method = "pod-regression"', ["fixed design"]),
    ("tolerance = 0.01", 'method = "pod-regression"\ncertified = true', ["no bound"]),
])
def test_choices_that_do_not_fit_are_refused_before_any_solve(tmp_path, old, new, words):
    refused(romflow_here("check", edited(tmp_path, old, new)), *words)


def test_a_bound_that_validation_refutes_is_said_to_be_none(tmp_path):
    study = files_study(tmp_path, MODEL + '\n[stability]\nkind = "expression"\nexpression = "100 * a"\n')
    study.write_text(study.read_text().replace("pool = 10", "pool = 10\n[reduction]\ntolerance = 0.5\nmax_size = 1\n"
                                               "[validation]\nsize = 5"))
    (tmp_path / "matrices" / "model.toml").write_text(
        (tmp_path / "matrices" / "model.toml").read_text() + '[[operator]]\nfile = "M.mtx"\ntheta = "1"\n')
    scipy.io.mmwrite(tmp_path / "matrices" / "M.mtx", sp.eye_array(10))
    done = romflow_here("run", study, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "WARNING: the error bound is below the true error" in done.stderr


def test_input_is_never_overwritten(tmp_path):
    study, run = write_block(tmp_path, max_size=2), tmp_path / "run"
    assert romflow_here("run", study, "--out", run).returncode == 0
    refused(romflow_here("export", run / "model.h5", "--format", "npz", "--output", run / "model.h5"), "another name")
