"""The table of samples holds what the model answers."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError, ParameterError, StoreError
from romflow.export.checking import check
from romflow.export.csv import Csv
from romflow.export.program.build import facts_of
from romflow.parameters.space import ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, reaction_diffusion


@pytest.fixture(scope="module")
def rom():
    fom = reaction_diffusion(50)
    return ReducedBasisReductor().reduce(fom, MemoryStore(fom), fom.parameters.grid(2))


def read(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_samples_read_back_to_the_same_bits(rom, tmp_path):
    path, facts = Csv(samples=7, seed=3).write(rom, tmp_path / "a.csv")
    assert json.loads(facts.read_text("ascii")) == facts_of(rom).plain() and facts.name == "a_facts.json"
    mu = rom.parameters.sample(7, np.random.default_rng(3))
    answer = rom.solve(mu)
    rows = read(path)
    assert len(rows) == 7 and list(rows[0])[:3] == ["mu", "mean", "middle"]
    for i, row in enumerate(rows):
        assert float(row["mu"]) == mu[i, 0]
        assert [float(row["mean"]), float(row["middle"])] == answer.output[:, i].tolist()
        assert float(row["state_error"]) == answer.error[i] and row["error_kind"] == "bound"
        assert float(row["mean_error"]) == answer.output_error[0, i]


def test_an_indicator_is_called_an_indicator(tmp_path):
    fom = reaction_diffusion(50)
    rom = PodRegression(regressor="rbf").reduce(fom, MemoryStore(fom), fom.parameters.grid(6))
    rows = read(Csv(samples=2).write(rom, tmp_path / "a.csv")[0])
    assert {row["error_kind"] for row in rows} == {"indicator"}


def test_same_options_same_bytes_other_seed_other_bytes(rom, tmp_path):
    def image(**options):
        return Csv(samples=20, **options).write(rom, tmp_path / "a.csv")[0].read_bytes()

    assert image() == image(seed=0) != image(seed=1)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "a_facts.json"]


def test_given_table(rom, tmp_path):
    (tmp_path / "mu.csv").write_text("mu\n2.5\n1\n")
    rows = read(Csv(input="mu.csv", base=tmp_path).write(rom, tmp_path / "a.csv")[0])
    assert [float(row["mu"]) for row in rows] == [2.5, 1.0]
    (tmp_path / "mu.csv").write_text("mu\n99\n")
    with pytest.raises(ParameterError, match="outside"):
        Csv(input="mu.csv", base=tmp_path).write(rom, tmp_path / "b.csv")
    with pytest.raises(InputError, match="cannot be read"):
        Csv(input="none.csv", base=tmp_path).write(rom, tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize("options", [{"samples": 0}, {"samples": 2.0}, {"seed": -1}, {"seed": True}, {"input": 3}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigError, match="csv: "):
        Csv(**options)


def test_refused_folder_is_an_error_of_romflow(rom, tmp_path):
    with pytest.raises(StoreError):
        Csv(samples=1).write(rom, tmp_path / "missing" / "a.csv")


def test_names_with_commas_and_quotes_are_quoted(rom, tmp_path):
    named = replace(rom, output_names=('flux, "left"', "two\nlines"))
    path = Csv(samples=3).write(named, tmp_path / "a.csv")[0]
    assert list(read(path)[0])[1:3] == list(named.output_names)
    assert check(named, Csv(), path).passed


@pytest.mark.parametrize("name", ["state", "state_error", "mean_error", "mean"])
def test_parameters_may_have_the_names_of_other_columns(name, tmp_path):
    fom = reaction_diffusion(50)
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), fom.parameters.grid(2))
    (table,) = rom.parameters.tables
    rom = replace(rom, parameters=ParameterSpace([replace(table, name=name)]))
    assert check(rom, Csv(), Csv(samples=3).write(rom, tmp_path / "a.csv")[0]).passed
