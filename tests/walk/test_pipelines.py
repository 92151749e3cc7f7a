"""Each pipeline is a study with a page beside it; what only a run shows, at toy size."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

import romflow

PIPELINES = Path(__file__).parents[2] / "pipelines"


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_pipeline_is_a_study_with_a_page(path: Path) -> None:
    study = romflow.Study.from_file(path)
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    assert study.config.study.name == path.stem.replace("_", "-")
    told = ("**Question.**", "**Expected**", "**Cost.**", f"romflow run pipelines/{path.name}")
    assert all(word in page for word in told)


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
