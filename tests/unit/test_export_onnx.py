"""ONNX files answer as the model does, in a process without romflow."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from romflow.core import registry
from romflow.core.errors import NotSupported, StoreError
from romflow.export.checking import check, run_isolated
from romflow.export.onnx.exporter import Onnx
from romflow.export.onnx.model import portion
from romflow.export.program.build import build
from romflow.export.vtu import Vtu
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, advection, reaction_diffusion
from tests.unit.test_export_evolution import fom, reduced
from tests.unit.test_export_npz import block

TOLERANCE = 1e-12
STEADY = ["min-theta", "scm-least-squares", "no-bound", "orthonormal", "eim", "empty", "no-outputs", "rbf"]
TIMES = {"implicit": ("block", {"times": [0.01, 0.05, 0.2], "load": "1 + t * k_0", "initial": "k_1 * x * y"}),
         "explicit": ("block", {"end": 0.002, "steps": 4, "scheme": "explicit-euler", "initial": "x * (1 - x) * y"}),
         "wind": ("wind", {"end": 0.5, "steps": 3})}


def steady():
    """Models that are not in time."""
    drawn = np.random.default_rng(0)

    def built(fom, size, **options):
        return ReducedBasisReductor(**options).reduce(fom, MemoryStore(fom), fom.parameters.sample(size, drawn))

    yield "min-theta", built(block(), 6)
    yield "scm-least-squares", built(advection(stability={"kind": "scm"}), 8, projection="least-squares")
    yield "no-bound", built(advection(), 8)
    for estimator in ("orthonormal", "eim"):
        yield estimator, built(reaction_diffusion(), 3, estimator=estimator)
    yield "empty", built(block(), 3).truncate(0)
    silent = block()
    silent.outputs = None
    yield "no-outputs", built(silent, 3)
    fom = reaction_diffusion(60)
    for regressor in ("gaussian-process", "rbf"):
        rom = PodRegression(regressor=regressor).reduce(fom, MemoryStore(fom), fom.parameters.sample(12, drawn))
        yield regressor, replace(rom, output_names=("mean", "middle"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Name -> (model, file)."""
    folder = tmp_path_factory.mktemp("onnx")
    found = dict(steady())
    for name, (kind, times) in TIMES.items():
        found[name] = reduced(fom(kind, **times), tmp_path_factory.mktemp(name))
    return {name: (rom, Onnx().write(rom, folder / f"{name}.onnx")[0]) for name, rom in found.items()}


def here(path):
    """A function that runs a file in this process."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda mu: dict(zip(names, session.run(None, {"mu": mu}), strict=True))


def sample(rom, size):
    return rom.parameters.sample(size, np.random.default_rng(1))


def agrees(values, expected, scale, tolerance=TOLERANCE):
    assert values.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(values), finite)
    assert np.all(np.abs(values[finite] - expected[finite]) <= tolerance * scale)


@pytest.fixture(scope="module")
def answers(files):
    """Name -> outputs at random parameters, all files in one process that cannot import romflow."""
    text = ("import onnxruntime as ort\nort.set_default_logger_severity(3)\n"
            "for name, path in zip(words[::2], words[1::2]):\n"
            "    s = ort.InferenceSession(path, providers=['CPUExecutionProvider'])\n"
            "    for o, value in zip(s.get_outputs(), s.run(None, {'mu': given[name]})):\n"
            "        answer[name + ' ' + o.name] = value\n")
    words = [word for name, (_, path) in files.items() for word in (name, str(path))]
    given = {name: sample(rom, 1000) for name, (rom, _) in files.items()}
    values = run_isolated(text, given, words, ("numpy", "onnxruntime"))
    return {name: {key.split()[1]: value for key, value in values.items() if key.split()[0] == name} for name in files}


@pytest.mark.parametrize("name", STEADY)
def test_files_agree_with_the_model(files, answers, name, must_fail):
    rom, found = files[name][0], answers[name]
    expected = rom.solve(sample(rom, 1000))
    largest = np.abs(expected.output).max(initial=0.0)
    # The rounding of a residual is relative to the right-hand side.
    first = rom.truncate(0).solve(sample(rom, 1000)).error if hasattr(rom, "residual") else expected.norm
    scale = first[np.isfinite(first)].max()

    def check(error):
        agrees(found["output"].T, expected.output, largest)
        agrees(found["output_error"].T, expected.output_error, max(largest, scale))
        agrees(error, expected.error, scale)

    check(found["error"])
    must_fail(check, found["error"] + 10 * TOLERANCE * scale, found["error"] - 10 * TOLERANCE * scale)
    assert found["inside"].all()


def test_a_gaussian_process_agrees_as_far_as_its_weights_let_it(files):
    rom, path = files["gaussian-process"]
    difference = check(rom, Onnx(), path, tolerance=1e-7)
    assert difference.passed, str(difference)
    assert set(difference.largest) == {"output", "output_error", "error"}


def test_the_check_finds_a_wrong_file(files):
    assert not check(files["orthonormal"][0], Onnx(), files["eim"][1]).passed


@pytest.mark.parametrize("name", list(TIMES))
def test_files_march_as_the_model(files, answers, name, must_fail):
    rom, found = files[name][0], answers[name]
    expected = rom.solve(sample(rom, 1000))
    largest, norm = np.abs(expected.series).max(), expected.norm.max()
    agrees(found["series_error"].transpose(2, 1, 0), expected.series_error, largest)
    agrees(found["error_series"].T, expected.error_series, norm)
    agrees(found["output"].T, expected.output, largest)
    agrees(found["error"], expected.error, norm)

    def check(series):
        agrees(series.transpose(2, 1, 0), expected.series, largest)

    check(found["series"])
    must_fail(check, found["series"] + 10 * TOLERANCE * largest, found["series"] - 10 * TOLERANCE * largest)


def test_a_batch_of_any_length_gives_the_same(files):
    rom, path = files["min-theta"]
    session, longest = here(path), portion(build(rom))
    mu = sample(rom, 2 * longest + 3)
    whole = session(mu)
    for size in (0, 1, 2, longest, longest + 1):
        part = session(mu[:size])
        assert part["output"].shape == (size, len(rom.output_names))
        np.testing.assert_allclose(part["output"], whole["output"][:size], rtol=1e-14)
        np.testing.assert_allclose(part["error"], whole["error"][:size], rtol=1e-12)


def test_parameters_outside_are_flagged(files):
    rom, path = files["min-theta"]
    low, high = rom.parameters.low, rom.parameters.high
    mu = np.stack([low, high, (low + high) / 2, low, high, np.full(4, np.nan), np.full(4, np.inf)])
    mu[3, 2] -= 1e-9
    mu[4, 0] += 1e-9
    assert here(path)(mu)["inside"].tolist() == [True, True, True, False, False, False, False]


def test_the_file_is_clean_and_tells_its_facts(files):
    for rom, path in files.values():
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["romflow"])
        assert tuple(facts["columns"]) == rom.parameters.columns
        assert facts["low"] == rom.parameters.low.tolist()
        assert facts["error_kind"] == rom.error_kind
        assert [value.name for value in model.graph.input] == ["mu"]
        assert all(name in model.doc_string for name in (*rom.parameters.columns, *rom.output_names))
        assert path.stat().st_size < 100_000


def test_the_same_model_gives_the_same_bytes(files, tmp_path):
    rom, path = files["wind"]
    assert Onnx().write(rom, tmp_path / "again.onnx")[0].read_bytes() == path.read_bytes()


def test_singular_systems_give_no_numbers(tmp_path):
    singular = advection(60)
    rom = ReducedBasisReductor().reduce(singular, MemoryStore(singular), sample(singular, 3))
    nothing = ParameterSpace([Parameter(name, Uniform(-1.0, 1.0)) for name in "ewc"])
    rom.__dict__["parameters"] = nothing
    path = Onnx().write(rom, tmp_path / "m.onnx")[0]
    found = here(path)(np.zeros((1, 3)))
    assert found["inside"].all()
    assert not np.isfinite(found["output"]).any()


def test_wrong_use_is_told(files, tmp_path, monkeypatch):
    path = files["min-theta"][1]
    with pytest.raises(StoreError, match=r"does not run this file at mu of shape \(1, 99\)"):
        Onnx().answers(path, np.zeros((1, 99)))
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(StoreError, match="export the model again"):
        Onnx().answers(tmp_path / "no.onnx", np.zeros((1, 4)))
    with pytest.raises(NotSupported, match="format = \"csv\""):
        Onnx().write(object(), tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(NotSupported, match=r"romflow\[onnx\]"):
        Onnx().write(files["min-theta"][0], tmp_path / "x.onnx")
    assert not list(tmp_path.glob("x.onnx*"))


def test_the_registry_knows_it():
    assert registry.load("exporter", "onnx", ".") is Onnx
    assert not hasattr(Vtu, "answers")
