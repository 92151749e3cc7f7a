"""Each pipeline is a study with a page beside it; what only a run shows, at toy size."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import romflow

pytestmark = pytest.mark.usefixtures("without_report")

PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_pipeline_is_a_study_with_a_page(path: Path) -> None:
    study = romflow.Study.from_file(path)
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert study.config.study.name == path.stem.replace("_", "-")
    told = ("**Question.**", "**Expected**", "**Cost.**", f"romflow run pipelines/{path.name}")
    assert all(word in page for word in told)


def _toy(name: str, **changes: dict) -> romflow.Study:
    """The pipeline with some keys of its tables changed, without workers."""
    content = tomllib.loads((PIPELINES / f"{name}.toml").read_text(encoding="utf-8"))
    for table, keys in changes.items():
        content[table].update(keys)
    content["cluster"] = {"kind": "serial"}
    return romflow.Study.from_dict(content, PIPELINES)


def test_the_parabolic_block_keeps_its_bound(tmp_path: Path) -> None:
    study = _toy("parabolic_block", model={"cells": 10}, time={"steps": 8}, sampling={"pool": 30},
                 reduction={"tolerance": 0.1}, validation={"size": 5})
    result = study.run(tmp_path / "run")
    found = result.summary["validation"]
    assert result.rom.error_kind == found["error_kind"] == "bound"
    assert 1.0 <= found["min_effectivity"] <= found["max_effectivity"] <= 6.0
    assert 1e-4 < found["max_relative_error"] <= 0.1


def test_burgers_looks_at_few_cells(tmp_path: Path) -> None:
    study = _toy("burgers", model={"cells": [40, 20]}, time={"steps": 40}, sampling={"per_axis": 5},
                 reduction={"max_size": 15, "points": 40}, validation={"size": 3})
    result = study.run(tmp_path / "run")
    facts = result.rom.metadata["hyper_reduction"]
    assert facts["points"] == 40 and facts["evaluation_points"] < 200 < facts["evaluation_points_of_the_model"] == 800
    assert result.summary["validation"]["error_kind"] == "indicator"
    assert 1e-4 < result.summary["validation"]["max_relative_error"] <= 0.03


def test_the_moving_source_reaches_its_tolerance(tmp_path: Path) -> None:
    study = _toy("moving_source", model={"cells": 16}, sampling={"pool": 40},
                 reduction={"tolerance": 0.1}, validation={"size": 5})
    assert study.model.operator.Q == 2 and study.model.rhs.vectors.shape[1] > 20
    found = study.run(tmp_path / "run").summary
    assert found["offline"]["training_error"] <= 0.1
    assert found["validation"]["max_relative_error"] <= 0.1
    assert 1.0 <= found["validation"]["min_effectivity"] <= found["validation"]["max_effectivity"] <= 5.0


def test_the_radiating_block_is_seen_by_few_points(tmp_path: Path) -> None:
    study = _toy("radiation", model={"cells": 5}, sampling={"size": 12}, reduction={"tolerance": 1e-4},
                 validation={"size": 4})
    result = study.run(tmp_path / "run")
    facts = result.rom.metadata["hyper_reduction"]
    assert facts["points"] < 25 and facts["evaluation_points"] < facts["evaluation_points_of_the_model"]
    assert 1e-7 < result.summary["validation"]["max_relative_error"] <= 0.01


@pytest.mark.long
def test_the_layered_beam_runs_in_parts(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py")
    content = tomllib.loads((PIPELINES / "layered_beam.toml").read_text(encoding="utf-8"))
    content["model"]["cells"], content["cluster"] = [8, 2, 4], {"kind": "serial", "ranks": 1}
    content["sampling"]["size"], content["solver"]["parts"] = 4, 2
    del content["validation"]
    study = romflow.Study.from_dict(content)
    rom = study.run(tmp_path / "run").rom
    assert (rom.n, rom.size) == (8 * 3 * 5 * 3, 4)
    mu = np.array([2.0, 5.0, 40.0, 90.0])
    gap = abs(study.model.solve(mu).outputs[0] - rom.solve(mu).output[0, 0])
    assert 0.0 < gap <= rom.solve(mu).output_error[0, 0] and rom.solve(mu).kind == "bound"


def test_the_plate_goes_on_after_the_cycle_that_it_knows(tmp_path: Path) -> None:
    study = _toy("plate_with_hole", model={"mesh": {"shape": "plate-with-hole", "cells": [4, 6]}},
                 time={"end": 200.0, "steps": 16}, reduction={"tolerance": 1e-3, "dual_tolerance": 1e-3},
                 validation={"size": 1})
    rom = study.run(tmp_path / "run").rom
    found = romflow.load(tmp_path / "run" / "model.h5")
    assert (rom.n, len(rom.times), len(romflow.SnapshotStore.open(tmp_path / "run" / "store").trajectory(
        study.parameters.centre()).times)) == (70, 17, 9)
    told = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["validation"]
    assert len(found.points) < 40 < 96 and told["error_kind"] == "indicator"
    assert 1e-4 < told["max_relative_error"] <= 0.05 and told["min_effectivity"] >= 1 / 3


@pytest.mark.long
def test_a_hot_spot_that_moved_is_noticed_and_learnt(tmp_path: Path) -> None:
    study = _toy("hot_spots", model={"mesh": {"shape": "plate-with-hole", "cells": [5, 6]}}, time={"steps": 20},
                 reduction={"tolerance": 1e-3}, validation={"size": 1})
    summary = study.run(tmp_path / "run").summary
    frozen, adaptive = summary["validation"], summary["adaptive"]
    assert frozen["max_relative_error"] >= 0.3 > 0.1 >= adaptive["max_relative_error"]
    assert adaptive["runs"] == 1 and 0 < adaptive["max_full_order_share"] <= 0.15
    assert len(list((tmp_path / "run" / "adaptive").glob("*/log.csv"))) == 1


@pytest.mark.long
def test_the_blade_spins_heats_and_stops(tmp_path: Path) -> None:
    pytest.importorskip("gmsh")
    study = _toy("blade", model={"mesh": {"shape": "blade", "size": 40.0, "holes": 1, "order": 1}, "element": "tet4"},
                 time={"end": 100.0, "steps": 3}, reduction={"subdomains": 2, "tolerance": 1e-3})
    summary = study.run(tmp_path / "run").summary
    assert 1e-4 < summary["validation"]["max_relative_error"] <= 0.2
    assert (tmp_path / "run" / "blade.vtu").is_file()


@pytest.mark.long
def test_uncertain_conductivities_leave_the_house(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    study = _toy("uncertainty", model={"cells": 12}, sampling={"pool": 40}, reduction={"tolerance": 0.1},
                 validation={"size": 2}, uq={"size": 1024, "control": {"solves": 20}, "rare": {"size": 1000}})
    found = study.run(tmp_path / "run").summary["uq"]
    mean = found["answers"]["outputs"]["average"]["mean"]
    assert mean["low"] < mean["value"] < mean["high"] and mean["model_kind"] == "bound"
    assert set(found["answers"]["outputs"]["average"]["total"]) >= {"conductivity_0, conductivity_1", "conductivity_2"}
    assert found["control"]["outputs"]["average"]["mean"]["model_error"] == 0.0
    files = {file.suffix for file in (tmp_path / "run").glob("uncertainty*")}
    assert files >= {".onnx", ".c", ".h", ".npz"}


def test_the_error_of_the_mean_over_random_domains_is_split(tmp_path: Path) -> None:
    study = _toy("random_domain", model={"cells": 8}, sampling={"size": 40}, validation={"size": 2},
                 uq={"size": 128, "sensitivity": False, "levels": {"dimension": 12, "size": 16, "repetitions": 4}})
    found = study.run(tmp_path / "run").summary["uq"]
    one = found["levels"]["outputs"]["average"]
    assert one["discretisation"]["value"] > 10 * abs(one["truncation"]["value"]) and 1.8 < one["order"] < 2.2
    assert found["answers"]["outputs"]["average"]["mean"]["model_error"] == 0.0
