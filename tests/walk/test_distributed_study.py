"""A study on MPI ranks from end to end: the same file with `ranks`, resumed, evaluated and reported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import romflow
from romflow.core.errors import NotSupported
from romflow.store.split_array import SplitArray
from tests.walk import studies

STUDY = """
[study]
name = "block"
[model]
kind = "thermal-block"
blocks = [2, 2]
cells = 10
{ranks}
[parameters.conductivity]
low = 0.1
high = 1.0
size = 4
[sampling]
method = "sobol"
size = 6
[reduction]
method = "pod-galerkin"
tolerance = 1e-5
max_size = 4
[validation]
size = 3
[cluster]
kind = "serial"
"""
RANKS = """ranks = {ranks}
[solver]
parts = 4
tolerance = 1e-11
"""


def _run(folder: Path, ranks: int | None, extra: str = "") -> romflow.walk.watcher.Result:  # type: ignore[name-defined]
    folder.mkdir(exist_ok=True)
    file = folder / "study.toml"
    file.write_text(STUDY.format(ranks="" if ranks is None else RANKS.format(ranks=ranks)) + extra, encoding="utf-8")
    return romflow.Study.from_file(file).run(folder / "run")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("two")
    return folder, _run(folder, 2, '[[export]]\nformat = "vtu"\n[[export]]\nformat = "npz"\n')


@pytest.fixture
def without_page(two: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Further runs write none: that of the first one is looked at."""
    monkeypatch.setattr("romflow.walk.run.write_report", lambda path, data: None)


def test_ranks_change_nothing_but_who_works(two: tuple[Path, Any], tmp_path: Path, without_page: None) -> None:
    whole, split = _run(tmp_path, None), two[1]
    mu = whole.rom.parameters.sample(20, np.random.default_rng(1))
    one, other = whole.rom.solve(mu), split.rom.solve(mu)
    np.testing.assert_allclose(other.output, one.output, rtol=1e-9)
    np.testing.assert_allclose(split.rom.metadata["singular_values"], whole.rom.metadata["singular_values"],
                               rtol=0.0, atol=1e-11 * whole.rom.metadata["singular_values"][0])
    assert one.kind == other.kind == "bound"
    assert (other.error >= one.error).all() and (other.error <= 1.02 * one.error).all()
    here, there = split.summary["validation"], whole.summary["validation"]
    assert here["max_relative_error"] == pytest.approx(there["max_relative_error"], rel=1e-6)
    assert here["min_effectivity"] >= 1.0
    assert split.summary["offline"]["snapshots_solved"] == 6 + 3


def test_the_model_is_read_without_the_store(two: tuple[Path, Any], tmp_path: Path) -> None:
    folder, result = two
    moved = tmp_path / "run"
    shutil.copytree(folder / "run", moved, ignore=shutil.ignore_patterns("store"))
    rom = romflow.load(moved / "model.h5")
    assert isinstance(rom.basis, SplitArray)
    mu = rom.parameters.sample(3, np.random.default_rng(2))
    u = rom.lift(rom.solve(mu).coefficients)
    with h5py.File(moved / "model.h5") as file:
        np.testing.assert_allclose(file["basis"][:] @ rom.solve(mu).coefficients, u, atol=1e-14)
    np.testing.assert_array_equal(u, result.rom.lift(result.rom.solve(mu).coefficients))
    assert (folder / "run" / "block.vtu").is_file() and (folder / "run" / "block.npz").is_file()
    assert sorted(path.name for path in (folder / "run" / "store" / "reduction").iterdir()) == ["operators"]


def test_it_evaluates_reports_and_resumes(two: tuple[Path, Any], tmp_path: Path, without_page: None) -> None:
    folder, result = two
    rom = result.rom
    mu = rom.parameters.sample(2, np.random.default_rng(2))
    np.savetxt(tmp_path / "mu.csv", mu, delimiter=",", header=",".join(rom.parameters.columns), comments="")
    answered = studies.romflow_here("eval", folder / "run" / "model.h5", "--input", tmp_path / "mu.csv", "--output",
                                    tmp_path / "out.csv")
    assert answered.returncode == 0, answered.stderr
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    np.testing.assert_allclose(table["average"], rom.solve(mu).output[0], rtol=1e-12)
    assert "stay in part files" in (folder / "run" / "report.html").read_text(encoding="utf-8")
    romflow.Study.from_file(folder / "study.toml").run(folder / "run")
    summary = json.loads((folder / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["offline"]["snapshots_solved"] == 0 and summary["offline"]["snapshots_reused"] == 6 + 3
    assert summary["validation"]["max_relative_error"] == pytest.approx(
        result.summary["validation"]["max_relative_error"], rel=1e-12)


@pytest.mark.parametrize("reduction", [{"method": "pod-regression"}, {"method": "sketched"},
                                       {"method": "reduced-basis", "estimator": "sketched"}])
def test_methods_that_need_whole_snapshots_are_refused_before_the_run(reduction: dict[str, str]) -> None:
    study = romflow.Study.from_dict({
        "study": {"name": "b"}, "model": {"kind": "thermal-block", "blocks": [2, 1], "cells": 8},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 2}}, "sampling": {"method": "sobol", "size": 8},
        "reduction": reduction, "cluster": {"kind": "serial", "ranks": 2}})
    with pytest.raises(NotSupported, match="whole snapshots"):
        study.reductor()
