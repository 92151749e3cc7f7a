"""Times beyond the training: asked for in Python and on the command line."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from romflow.cli import app
from romflow.core.errors import InputError, NotSupported
from romflow.parameters.loading import Amplitude, Loading
from romflow.rom import tables
from romflow.rom.mechanics.horizon import times_until
from romflow.rom.mechanics.model import MechanicsReducedModel
from tests.toy_reduced_mechanics import MU, TIMES, history, reduced


@pytest.fixture(scope="module")
def rom() -> MechanicsReducedModel:
    return reduced(history(), 1e-2, 1e-2)


def test_steps_keep_their_place_in_the_cycle() -> None:
    times = np.array([0.0, 10.0, 30.0, 50.0, 80.0, 100.0])
    longer = times_until(times, 330.0, 100.0)
    assert np.allclose(longer, [*times, 110, 130, 150, 180, 200, 210, 230, 250, 280, 300, 310, 330])
    half = times_until(np.array([*times, 110.0, 130.0]), 240.0, 100.0)
    assert np.allclose(half[-8:], [110, 130, 150, 180, 200, 210, 230, 240])
    assert np.allclose(times_until(times, 145.0, 300.0)[-4:], [100, 120, 140, 145])


def test_a_model_of_one_cycle_is_asked_for_many(rom: MechanicsReducedModel) -> None:
    long = rom.until(cycles=2.5)
    assert long.times[-1] == 250.0 and np.array_equal(long.times[:len(TIMES)], TIMES)
    assert np.array_equal(long.solve(MU).series, rom.solve(MU, times=long.times).series)
    short = rom.until(TIMES[3])
    assert np.array_equal(short.times, TIMES[:4])
    assert np.allclose(short.solve(MU).output, rom.solve(MU).series[:, 3], rtol=1e-9, atol=0.0)


def test_wrong_horizons_are_named(rom: MechanicsReducedModel) -> None:
    for end in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="above its first time"):
            rom.until(end)
    with pytest.raises(InputError, match="at most 10,000,000"):
        rom.until(1e12)
    with pytest.raises(InputError, match="above 0"):
        rom.until(cycles=0)
    with pytest.raises(InputError, match="either"):
        rom.until()
    still = Loading(rom.loading.parameters, (Amplitude("a", [0.0, 1.0], [0.0, 1.0]),))
    with pytest.raises(NotSupported, match="no common period"):
        replace(rom, loading=still).until(cycles=2)
    with pytest.raises(NotSupported, match="--until"):
        tables.with_times(object(), 3.0, None)


def test_answers_of_many_draws_are_written_some_at_a_time(rom: MechanicsReducedModel, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    short, seen = rom.until(TIMES[2]), []
    solve = MechanicsReducedModel.solve
    monkeypatch.setattr(tables, "_ROWS", 6)
    monkeypatch.setattr(MechanicsReducedModel, "solve",
                        lambda self, mu, check=True: (seen.append(len(mu)), solve(self, mu, check))[1])
    tables.write_answers(tmp_path / "o.csv", short, np.tile(MU, (5, 1)))
    assert seen == [2, 2, 1] and len((tmp_path / "o.csv").read_text().splitlines()) == 6


def test_eval_and_export_go_beyond_the_training(rom: MechanicsReducedModel, tmp_path: Path) -> None:
    model, table = rom.save(tmp_path / "model.h5"), tmp_path / "mu.csv"
    table.write_text("spot,pull\n1,1\n")
    inputs = ["eval", str(model), "--input", str(table), "--output"]
    app([*inputs, str(tmp_path / "o.csv"), "--series", str(tmp_path / "s.csv"), "--cycles", "1.2"],
        standalone_mode=False)
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert [float(row["t"]) for row in rows] == pytest.approx(rom.until(cycles=1.2).times)
    assert float(rows[-1]["corner"]) == pytest.approx(rom.until(120.0).solve(MU).output[0, 0], rel=1e-9)
    assert (tmp_path / "o.csv").read_text().splitlines()[1].split(",")[2] == rows[-1]["corner"]
    with pytest.raises(InputError, match="one of them"):
        app([*inputs, str(tmp_path / "x.csv"), "--cycles", "2", "--until", "3"], standalone_mode=False)
    assert not (tmp_path / "x.csv").exists()
    app(["export", str(model), "--format", "vtu", "--output", str(tmp_path / "f.vtu"), "--option", "times=true",
         "--until", "15"], standalone_mode=False)
    assert len(list(tmp_path.glob("f_*.vtu"))) == 4
