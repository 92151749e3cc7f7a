"""Exported files against their model: what is compared, where it runs, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import InputError, NotSupported, ShapeError, StoreError
from romflow.export.checking import Difference, check, run_isolated
from romflow.export.csv import Csv
from romflow.export.npz import Npz
from romflow.export.vtu import Vtu
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore


@pytest.fixture(scope="module")
def rom():
    fom = ThermalBlock(ParameterSpace([Parameter("k", Uniform(0.1, 1.0), size=4)]), [2, 2], 6)
    mu = fom.parameters.sample(3, np.random.default_rng(0))
    return ReducedBasisReductor().reduce(fom, MemoryStore(fom), mu)


def test_the_evaluator_agrees_and_a_changed_one_does_not(rom, tmp_path):
    path, evaluator = Npz(fields=False).write(rom, tmp_path / "a.npz")
    found = check(rom, Npz(), path, size=1000)
    assert found.passed and found.worst < 1e-13 and found.size == 1000
    assert set(found.largest) == {"output", "output_error", "error"} and found.plain()["passed"] is True
    source = evaluator.read_text("utf-8")
    for name in ("x", "alpha"):
        for factor in (1 + 1e-9, 1 - 1e-9):
            evaluator.write_text(source.replace(f"    {name} = ", f"    {name} = {factor!r} * ", 1), "utf-8")
            wrong = check(rom, Npz(), path)
            assert not wrong.passed and "output" in str(wrong) and 1e-11 < wrong.worst < 1e-8
    assert check(rom, Npz(), path, tolerance=1e-5).passed


def test_tables_hold_answers_at_their_own_parameters(rom, tmp_path):
    path, _ = Csv(samples=20).write(rom, tmp_path / "a.csv")
    found = check(rom, Csv(), path)
    assert found.worst == 0.0 and found.size == 20
    other = replace(rom, output=rom.output * (1 + 1e-9))
    assert check(other, Csv(), path).largest["output"] > 1e-10
    with pytest.raises(StoreError, match="at its own parameters"):
        Csv().answers(path, np.full((20, 4), 0.5))
    for text, words in (("a,b\n1,x\n", "begins with the columns .*'a'.* and the model has .*'k_0'"),
                        ("a,b\nx,1\n", "no table of answers"), ("", "no table of answers")):
        path.write_text(text, "utf-8")
        with pytest.raises(StoreError, match=words):
            check(rom, Csv(), path)


class Fixed:
    """An exporter whose file answers what it is told."""

    def __init__(self, **found):
        self.found = found

    def answers(self, path, mu):
        return {name: make(mu) for name, make in self.found.items()}


def test_infinite_and_missing_numbers_are_differences(rom, tmp_path):
    (tmp_path / "x").touch()
    right = lambda mu: rom.solve(mu).output.T  # noqa: E731
    assert check(rom, Fixed(output=right), tmp_path / "x").largest == {"output": 0.0}
    for wrong in (np.nan, np.inf):
        found = check(rom, Fixed(output=lambda mu, wrong=wrong: right(mu) * wrong), tmp_path / "x")
        assert found.worst == np.inf and found.plain()["largest"] == {"output": None} and not found.passed
    without = replace(rom, stability=replace(rom.stability, alpha=-1.0))
    endless = lambda mu: np.full(len(mu), np.inf)  # noqa: E731
    assert check(without, Fixed(output=right, error=endless), tmp_path / "x").passed
    with pytest.raises(StoreError, match=r"output of shape \(7, 2\) where the model has \(7, 1\)"):
        check(rom, Fixed(output=lambda mu: np.ones((7, 2))), tmp_path / "x", size=7)
    with pytest.raises(StoreError, match='gives nothing and no "output"'):
        check(rom, Fixed(), tmp_path / "x")


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 2.5}, {"size": True}, {"seed": -1}, {"tolerance": -1.0},
                                     {"tolerance": np.nan}, {"tolerance": "1"}])
def test_sizes_seeds_and_tolerances_are_numbers(rom, options, tmp_path):
    with pytest.raises(InputError, match="is not a (whole )?number from"):
        check(rom, Npz(), tmp_path / "a.npz", **options)


def test_what_cannot_be_compared_says_why(rom, tmp_path):
    with pytest.raises(NotSupported, match="vtu writes pictures or fields"):
        check(rom, Vtu(), tmp_path / "a.vtu")
    with pytest.raises(StoreError, match="is no file; export the model first"):
        check(rom, Npz(), tmp_path / "a.npz")
    path, evaluator = Npz(fields=False).write(rom, tmp_path / "a.npz")
    with pytest.raises(ShapeError, match=r"the rule is \(b, p\)"):
        Npz().answers(path, [0.5, 0.5])
    with pytest.raises(StoreError, match="within the parameter space"):
        Npz().answers(path, np.array([[0.5, 2.0, 0.5, 0.5]]))
    evaluator.unlink()
    with pytest.raises(StoreError, match="belongs beside the arrays"):
        Npz().answers(path, np.full((1, 4), 0.5))


def test_the_process_knows_nothing_of_romflow():
    for name in ("romflow", "romflow.export.npz"):
        with pytest.raises(StoreError, match="ModuleNotFoundError"):
            run_isolated(f"import {name}", {})
    found = run_isolated("answer['n'] = np.array([len(words), *given['x']])", {"x": np.ones(2)}, ["a", "b b"])
    np.testing.assert_array_equal(found["n"], [3, 1, 1])  # the words, and the place of the answer
    with pytest.raises(NotSupported, match="package nothing_of_this_name, which is not installed"):
        run_isolated("", {}, packages=["nothing_of_this_name"])
    with pytest.raises(StoreError, match="more than 0.2 s"):
        run_isolated("import time; time.sleep(30)", {}, seconds=0.2)
    with pytest.raises(StoreError, match="the process ended with 3"):
        run_isolated("import os; os._exit(3)", {})


def certified(rom, estimator="orthonormal"):
    """A model whose bounds are far below its outputs."""
    mu = rom.parameters.sample(20, np.random.default_rng(0))
    fom = ThermalBlock(rom.parameters, [2, 2], 6)
    return ReducedBasisReductor(estimator=estimator).reduce(fom, MemoryStore(fom), mu)


@pytest.mark.parametrize("estimator", ["orthonormal", "sketched"])
def test_bounds_that_are_wrong_show_though_they_are_small(rom, estimator, tmp_path):
    fine, path = certified(rom, estimator), tmp_path / "x"
    path.touch()
    mu = fine.parameters.sample(100, np.random.default_rng(0))
    answer = fine.solve(mu)
    assert answer.output_error.max() < 1e-12 * np.abs(answer.output).max()

    def told(**factors):
        right = {"output": answer.output.T, "output_error": answer.output_error.T, "error": answer.error}
        given = {name: values * factors.get(name, 1.0) for name, values in right.items()}
        return check(fine, Fixed(**{name: lambda mu, name=name: given[name] for name in given}), path)

    assert told().passed and not told().wrong
    for name in ("output_error", "error"):
        for factor in (0.0, 0.5, 1.5):
            found = told(**{name: factor})
            assert found.wrong == [name] and f"{name} 1.0" in str(told(**{name: 0.0})), str(found)
    assert told(output=1 + 1e-11).wrong == ["output"]


def test_each_output_counts_by_its_own_size(rom, tmp_path):
    (tmp_path / "x").touch()
    large = replace(rom, output=np.concatenate([rom.output, 1e9 * rom.output], axis=1), output_names=("a", "b"),
                    output_gram=np.concatenate([rom.output_gram, 1e18 * rom.output_gram]), compliance=np.zeros(2))

    def told(factors):
        return check(large, Fixed(output=lambda mu: large.solve(mu).output.T * factors), tmp_path / "x")

    assert told([1.0, 1.0]).passed
    wrong = told([1 + 1e-8, 1.0])
    assert wrong.wrong == ["output"] and wrong.worst < 1e-12 and wrong.own["output"] == pytest.approx(1e-8, rel=1e-6)


def test_what_rounding_explains_is_measured(rom, tmp_path):
    """Least bounds are noise: another program may give others, as a last digit more does in the model itself."""
    fine, path = certified(rom, "gram"), tmp_path / "x"
    path.touch()
    mu = fine.parameters.sample(100, np.random.default_rng(0))
    other = fine.solve(mu * (1 + np.finfo(float).eps), check=False)
    near = Fixed(output=lambda mu: other.output.T, error=lambda mu: other.error)
    found = check(fine, near, path)
    assert found.passed and found.explained["error"] > 1e-12 and found.explained["output"] < 1e-11
    assert not check(certified(rom), near, path).passed
    assert Difference(1, {}).passed and found.plain()["explained"] == found.explained
