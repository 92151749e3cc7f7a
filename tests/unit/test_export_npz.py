"""The exported evaluator answers as the reduced model does, with NumPy alone."""

import dataclasses
import importlib.util
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from romflow.core.errors import ConfigError, NotSupported, StoreError
from romflow.export.npz import Npz
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import LogNormal, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, advection, reaction_diffusion

TOLERANCE = 1e-12

RUNNER = """
import importlib.util, pathlib, sys
for name in ("romflow", "scipy"):
    sys.modules[name] = None
import numpy as np
folder = pathlib.Path(sys.argv[1])
for file in sorted(folder.glob("*_evaluate.py")):
    spec = importlib.util.spec_from_file_location("evaluator", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stem = file.name.removesuffix("_evaluate.py")
    outputs, error = module.evaluate(np.load(folder / f"{stem}.mu.npy"))
    np.savez(folder / f"{stem}.answer", outputs=outputs, error=error, kind=module.ERROR_KIND)
"""


def block():
    return ThermalBlock(ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), 4)]), [2, 2], 10)


def models():
    """One reduced model for every branch of the evaluator."""
    rng = np.random.default_rng(0)

    def reduced(fom, size, **options):
        return ReducedBasisReductor(**options).reduce(fom, MemoryStore(fom), fom.parameters.sample(size, rng))

    yield "min-theta", reduced(block(), 6)
    for kind in ("scm", "inf-sup"):
        for projection in ("galerkin", "least-squares"):
            yield f"{kind}-{projection}", reduced(advection(stability={"kind": kind}), 8, projection=projection)
    yield "no-bound", reduced(advection(), 8)
    for estimator in ("orthonormal", "gram", "eim"):
        yield estimator, reduced(reaction_diffusion(), 3, estimator=estimator)
    yield "empty", reduced(block(), 3).truncate(0)
    silent = block()
    silent.outputs = None
    yield "no-outputs", reduced(silent, 3)
    fom = reaction_diffusion(60)
    for regressor in ("gaussian-process", "rbf"):
        rom = PodRegression(regressor=regressor).reduce(fom, MemoryStore(fom), fom.parameters.sample(12, rng))
        yield regressor, dataclasses.replace(rom, output_names=("mean", "middle"))


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Name -> (reduced model, parameters, answer of the evaluator in a process without romflow and scipy)."""
    folder = tmp_path_factory.mktemp("npz")
    found = {}
    for name, rom in models():
        mu = rom.parameters.sample(1300, np.random.default_rng(1))
        np.save(folder / f"{name}.mu.npy", mu)
        Npz().write(rom, folder / f"{name}.npz")
        found[name] = rom, mu
    subprocess.run([sys.executable, "-I", "-c", RUNNER, str(folder)], check=True, timeout=100)
    return {name: (*pair, dict(np.load(folder / f"{name}.answer.npz"))) for name, pair in found.items()}


NAMES = ["min-theta", "scm-galerkin", "scm-least-squares", "inf-sup-galerkin", "inf-sup-least-squares", "no-bound",
         "orthonormal", "gram", "eim", "empty", "no-outputs", "gaussian-process", "rbf"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_evaluator_agrees_with_the_model(answers, name, must_fail):
    rom, mu, found = answers[name]
    expected = rom.solve(mu)
    # the residual's rounding error is relative to the right-hand side, and divided by the stability constant
    first = rom.truncate(0).solve(mu).error if hasattr(rom, "residual") else expected.norm
    scale = np.where(np.isfinite(first), first, 1.0)
    slack = 1e-7 if name == "gram" else TOLERANCE  # the Gram formula itself is rounding noise below 1e-8
    slack = 1e-9 if name == "eim" else slack

    def check_outputs(outputs):
        np.testing.assert_allclose(
            outputs, expected.output, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected.output).max()
        )

    def check_error(error):
        finite = np.isfinite(expected.error)
        np.testing.assert_array_equal(np.isfinite(error), finite)
        assert np.all(np.abs(error[finite] - expected.error[finite]) <= slack * scale[finite])

    assert found["outputs"].shape == expected.output.shape
    assert str(found["kind"]) == expected.kind
    if expected.output.size:
        check_outputs(found["outputs"])
    check_error(found["error"])
    if expected.output.size and rom.size:
        must_fail(check_outputs, found["outputs"] * (1 + 10 * TOLERANCE), found["outputs"] * (1 - 10 * TOLERANCE))
    must_fail(check_error, found["error"] + 10 * slack * scale, found["error"] - 10 * slack * scale)


def load(path):
    spec = importlib.util.spec_from_file_location("evaluator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rom():
    fom = block()
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), fom.parameters.sample(4, np.random.default_rng(0)))
    return dataclasses.replace(rom, metadata={"study": 'odd """ name \\ {x} \n'})


def test_files_are_two_short_deterministic_and_without_pickle(rom, tmp_path):
    files = Npz().write(rom, tmp_path / "a.npz")
    assert files == [tmp_path / "a.npz", tmp_path / "a_evaluate.py"]
    content = [file.read_bytes() for file in files]
    Npz().write(rom, tmp_path / "a.npz")
    assert [file.read_bytes() for file in files] == content
    assert sorted(tmp_path.iterdir()) == sorted(files)
    arrays = np.load(files[0], allow_pickle=False)
    _, expected, metadata = rom.to_arrays()
    for name, values in expected.items():
        np.testing.assert_array_equal(arrays[name], values)
    assert json.loads(str(arrays["metadata"]))["operator_theta"] == metadata["operator_theta"]
    source = files[1].read_text("utf-8")
    assert len(source.splitlines()) < 80 and "mu[:, 3]" in source
    assert not re.search(r"pickle=True|\beval\(|exec\(|^import (?!numpy|sys)", source, re.MULTILINE)


def test_fields_may_be_left_out(rom, tmp_path):
    small, large = (Npz(fields=fields).write(rom, tmp_path / f"{fields}.npz")[0] for fields in (False, True))
    assert "basis" not in np.load(small) and "points" not in np.load(small) and "basis" in np.load(large)
    assert small.stat().st_size < large.stat().st_size
    mu = rom.parameters.centre()
    outputs, error = load(tmp_path / "False_evaluate.py").evaluate(mu)
    np.testing.assert_allclose(outputs[:, 0], rom.solve(mu).output[:, 0], rtol=1e-13)
    assert error.shape == (1,)


@pytest.mark.parametrize("mu", [[[0.5, 0.5, 0.5]], [[0.5, 0.5, 0.5, 2.0]], [[0.5, 0.5, 0.5, np.nan]]])
def test_parameters_outside_the_space_are_refused(rom, tmp_path, mu):
    Npz().write(rom, tmp_path / "a.npz")
    with pytest.raises(ValueError, match="within the parameter space"):
        load(tmp_path / "a_evaluate.py").evaluate(mu)


def test_infinity_is_in_no_space(rom, tmp_path):
    space = ParameterSpace([Parameter("conductivity", LogNormal(0.0, 0.1), 4)])
    Npz().write(dataclasses.replace(rom, parameters=space), tmp_path / "a.npz")
    module = load(tmp_path / "a_evaluate.py")
    assert np.isfinite(module.evaluate(np.ones((1, 4)))[0]).all()
    for mu in (np.full((2, 4), np.inf), np.ones((1, 4, 2)), np.ones(3)):
        with pytest.raises(ValueError, match="finite and within the parameter space"):
            module.evaluate(mu)


def test_no_parameters_give_no_answers(rom, tmp_path):
    Npz().write(rom, tmp_path / "a.npz")
    outputs, error = load(tmp_path / "a_evaluate.py").evaluate(np.empty((0, 4)))
    assert outputs.shape == (1, 0) and error.shape == (0,)


def test_evaluator_runs_as_a_program(rom, tmp_path):
    Npz().write(rom, tmp_path / "my model.npz")
    command = [sys.executable, "-I", str(tmp_path / "my model_evaluate.py"), "0.5", "0.5", "0.5", "0.5"]
    words = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    answer = rom.solve(np.full((1, 4), 0.5))
    assert words[:2] == ["average", "="] and float(words[2]) == pytest.approx(answer.output[0, 0], rel=1e-11)
    assert words[3:6] == ["error", "bound", "="] and float(words[6]) == pytest.approx(answer.error[0], rel=5e-3)


def test_many_columns_and_terms_still_make_a_program(tmp_path):
    fom = ThermalBlock(ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), 36)]), [6, 6], 12)
    mu = fom.parameters.sample(2, np.random.default_rng(0))
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), mu)
    evaluator = Npz().write(rom, tmp_path / "a.npz")[1]
    assert max(map(len, evaluator.read_text("utf-8").splitlines())) <= 250
    np.testing.assert_allclose(load(evaluator).evaluate(mu)[0], rom.solve(mu).output, rtol=1e-12)


def test_other_models_and_options_are_refused(tmp_path):
    with pytest.raises(NotSupported, match='the kind int cannot be written.*use format = "csv"'):
        Npz().write(3, tmp_path / "a.npz")
    with pytest.raises(ConfigError, match="fields = 'no'"):
        Npz(fields="no")
    assert list(tmp_path.iterdir()) == []


def test_refused_folder_is_an_error_of_romflow(rom, tmp_path):
    with pytest.raises(StoreError):
        Npz().write(rom, tmp_path / "missing" / "a.npz")
