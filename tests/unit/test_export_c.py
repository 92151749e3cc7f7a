"""The exported pair of C files answers as the reduced model does, without romflow, and refuses what it should."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from romflow.core import registry
from romflow.core.errors import InputError, NotSupported, ShapeError, SolveFailed, StoreError
from romflow.export.c import C
from romflow.export.checking import check
from romflow.export.compiled import compiler
from romflow.export.compiled.compiler import find_compiler, native
from romflow.export.compiled.source import source_of
from romflow.export.compiled.text import identifier, string
from romflow.export.program.build import build
from romflow.export.program.builder import Builder
from romflow.export.program.interpreter import run
from romflow.export.program.program import Facts
from romflow.parameters.expressions import Theta
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from tests.problems import MemoryStore, advection, reaction_diffusion
from tests.unit.test_export_evolution import fom, reduced
from tests.unit.test_export_npz import block

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fPIC", "-shared"]
STEADY = ["min-theta", "scm-galerkin", "scm-least-squares", "gram", "eim", "empty", "no-outputs", "rbf"]
TIMES = {"implicit": ("block", {"times": [0.01, 0.05, 0.2], "load": "1 + t * k_0", "initial": "k_1 * x * y"}),
         "explicit": ("block", {"end": 0.002, "steps": 4, "scheme": "explicit-euler", "initial": "x * (1 - x) * y"}),
         "wind": ("wind", {"end": 0.5, "steps": 3})}
SIZE = 200

pytestmark = pytest.mark.skipif(shutil.which("cc") is None and shutil.which("gcc") is None, reason="no C compiler")


def steady():
    """One model for each kind of text, without those that take long to make."""
    rng = np.random.default_rng(0)

    def made(model, size, **options):
        return ReducedBasisReductor(**options).reduce(model, MemoryStore(model), model.parameters.sample(size, rng))

    yield "min-theta", made(block(), 6)
    for projection in ("galerkin", "least-squares"):
        yield f"scm-{projection}", made(advection(stability={"kind": "scm"}), 8, projection=projection)
    for estimator in ("gram", "eim"):
        yield estimator, made(reaction_diffusion(), 3, estimator=estimator)
    yield "empty", made(block(), 3).truncate(0)
    silent = block()
    silent.outputs = None
    yield "no-outputs", made(silent, 3)
    model = reaction_diffusion(60)
    yield "rbf", PodRegression(regressor="rbf").reduce(model, MemoryStore(model), model.parameters.sample(12, rng))


@pytest.fixture(scope="module")
def roms(tmp_path_factory):
    """Name -> reduced model."""
    return dict(steady()) | {name: reduced(fom(kind, **time), tmp_path_factory.mktemp(name))
                             for name, (kind, time) in TIMES.items()}


@pytest.fixture(scope="module")
def folder(roms, tmp_path_factory):
    """All models as C text, compiled at once with every warning an error."""
    folder = tmp_path_factory.mktemp("c")
    files = [C().write(rom, folder / f"{name}.c")[0] for name, rom in roms.items()]
    subprocess.run([*find_compiler(native()), *STRICT, "-o", folder / "all.so", *files, "-lm"], check=True)
    return folder


def call(library, function, mu, outputs, times=()):
    """Codes (b,), outputs (b, .., o), their errors and the error (b, ..)."""
    shapes = ((*times, outputs), (*times, outputs), times)
    answers = [np.full((len(mu), *shape), 7.0) for shape in shapes]
    codes = [getattr(library, function)(*(ctypes.c_void_p(row.ctypes.data) for row in (mu[i], *(
        values[i:] for values in answers)))) for i in range(len(mu))]
    return np.array(codes), *answers


def sample(rom):
    return np.ascontiguousarray(rom.parameters.sample(SIZE, np.random.default_rng(1)))


def agrees(values, expected, scale, tolerance):
    assert values.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(values), finite)
    assert np.all(np.abs(values[finite] - expected[finite]) <= tolerance * scale)


@pytest.mark.parametrize("name", [*STEADY, *TIMES])
def test_the_text_agrees_with_the_model(roms, folder, name, must_fail):
    rom, mu = roms[name], sample(roms[name])
    library, expected = ctypes.CDLL(str(folder / "all.so")), rom.solve(mu)
    found = {"": call(library, f"romflow_{identifier(name)}_evaluate", mu, len(rom.output_names))}
    right = {"": (expected.output.T, expected.output_error.T, expected.error)}
    if name in TIMES:
        found["series"] = call(library, f"romflow_{name}_series", mu, len(rom.output_names), (len(rom.times),))
        right["series"] = (expected.series.T, expected.series_error.T, expected.error_series.T)
    scales = (np.abs(expected.output).max(initial=0.0) or 1.0,) * 2 + (expected.norm.max() or 1.0,)
    tolerance = {"gram": 1e-8, "eim": 1e-9}.get(name, 1e-12)
    for kind, (codes, *answers) in found.items():
        assert not codes.any()
        for values, numbers, scale in zip(answers, right[kind], scales, strict=True):
            agrees(values, numbers, scale, tolerance)
            if numbers.size and np.isfinite(numbers).any():
                must_fail(lambda moved, numbers=numbers, scale=scale: agrees(moved, numbers, scale, tolerance),
                          values + 10 * tolerance * scale, values - 10 * tolerance * scale)


def test_the_text_is_cpp_as_well(folder):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    for name in ("min-theta", "implicit"):
        subprocess.run(["g++", "-x", "c++", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                        folder / f"{name}.c"], check=True)


@pytest.mark.parametrize(("change", "code"), [(9.0, 1), (-1.0, 1), (np.nan, 2), (np.inf, 2)])
def test_parameters_outside_are_refused(roms, folder, change, code):
    rom, library = roms["implicit"], ctypes.CDLL(str(folder / "all.so"))
    mu = sample(rom)[:1]
    mu[0, 1] = change
    for function, times in (("evaluate", ()), ("series", (len(rom.times),))):
        codes, *answers = call(library, f"romflow_implicit_{function}", mu, 1, times)
        assert codes[0] == code
        assert all(np.isnan(values).all() for values in answers)


def test_errors_need_not_be_asked_for(roms, folder):
    library, mu = ctypes.CDLL(str(folder / "all.so")), sample(roms["min-theta"])
    output = np.zeros(1)
    code = library.romflow_min_theta_evaluate(ctypes.c_void_p(mu.ctypes.data), ctypes.c_void_p(output.ctypes.data),
                                              None, None)
    assert code == 0
    assert output[0] == pytest.approx(roms["min-theta"].solve(mu[:1]).output[0, 0], rel=1e-13)


def everything():
    """A program with each kind of product and move that has a text of its own."""
    rng, builder = np.random.default_rng(3), Builder(["a", "b", "c"])
    mu, number = builder.mu, rng.standard_normal
    theta = builder.theta(Theta(["sin(a) - -2", "max(a, b) ** 2 / (1 + c)", "-a ** 3 * (-2)", "sign(b) - abs(c)",
                                 "2 ** -a"], ["a", "b", "c"]))
    A = builder.einsum("q,qij->ij", theta, number((5, 4, 4)))
    outer = builder.einsum("r,q->rq", mu, theta)
    cube = builder.einsum("rq,k->qkr", outer, number(2))
    triangle = builder.einsum("d,jd->j", A.reshape(16), np.tril(number((16, 16))))
    parts = [theta, A, outer, cube, triangle, A.transpose(1, 0), cube.transpose(2, 0, 1), cube.take(1, axis=1),
             cube.take([3, 0, 3], axis=0), cube.cut(1, 3, axis=2), A.cut(1, 3), cube.sum(axis=1), cube.max(axis=0),
             cube.min(), builder.concatenate([A, number((4, 2)), A], axis=1),
             builder.select(A - 0.5, A, number(4)), builder.minimum(A, A.transpose(1, 0)), A / number((1, 4)),
             builder.solve(A + 9 * np.eye(4)[::-1], A), builder.einsum("ij,ij->i", A, number((4, 4))),
             builder.op("least_squares", builder.concatenate([A, number((3, 4))]), number(7)),
             builder.einsum("ij,jk->ik", A, A), builder.einsum("ij,j->i", A, number(4)), A.abs().sqrt(),
             (-A.square()).exp(), A.abs() ** 1.5]
    body = builder.body()
    x, y = body.state("x", mu), body.state("y", np.ones(3))
    step = body.step("s", number((4, 3)))
    marched = builder.march(body, {"all": x * step}, {"x": y, "y": body.minimum(x + step, 2.0)}, ["x", "y"])
    flat = builder.concatenate([part.reshape(int(np.prod(part.shape))) for part in [*parts, *marched.values()]])
    facts = Facts("all", ("a", "b", "c"), ("", "K", "%"), (-2.0,) * 3, (2.0, float("inf"), 2.0),
                  tuple(f"o{i}" for i in range(flat.shape[0])), "indicator", "X")
    return builder.finish({"output": flat, "output_error": flat.abs(), "error": flat.sum()}, facts)


def test_every_operation_means_what_numpy_does(tmp_path, must_fail):
    program = everything()
    source = source_of(program, "all")
    (tmp_path / "all.h").write_text(source.header)
    (tmp_path / "all.c").write_text(source.source)
    subprocess.run([*find_compiler(native()), *STRICT, "-o", tmp_path / "all.so", tmp_path / "all.c", "-lm"],
                   check=True)
    mu = np.random.default_rng(0).uniform(-2, 2, (20, 3))
    expected = run(program, mu)
    codes, output, _, error = call(ctypes.CDLL(str(tmp_path / "all.so")), "romflow_all_evaluate", mu,
                                   len(program.facts.outputs))

    def same(values):
        np.testing.assert_allclose(values, expected["output"], rtol=1e-9, atol=1e-11)

    assert not codes.any()
    same(output)
    must_fail(same, output + 1e-8, output[::-1])
    np.testing.assert_allclose(error, expected["error"], rtol=1e-9)


def test_a_singular_system_has_no_answer(tmp_path):
    builder = Builder(["a"])
    x = builder.solve(builder.einsum("q,qij->ij", builder.mu, np.ones((1, 2, 2))), np.array([1.0, 2.0]))
    facts = Facts("one", ("a",), ("",), (0.0,), (1.0,), ("x", "y"), "indicator", "X")
    source = source_of(builder.finish({"output": x}, facts), "one")
    (tmp_path / "one.h").write_text(source.header)
    (tmp_path / "one.c").write_text(source.source)
    found = C().answers(tmp_path / "one.c", np.array([[0.5], [2.0]]))
    np.testing.assert_array_equal(found["code"], [3, 1])
    assert all(np.isnan(found[name]).all() for name in ("output", "output_error", "error"))


def test_the_facts_go_with_it(roms, folder):
    rom, text = roms["min-theta"], (folder / "min-theta.c").read_text()
    pieces = text.partition("_facts[] = {")[2].partition("NULL")[0]
    told = "".join(part.encode().decode("unicode_escape") for part in pieces.split('"')[1::2])
    assert json.loads(told)["columns"] == list(rom.parameters.columns)
    assert "min_theta_fingerprint" in text
    (folder / "again").mkdir()
    again = C().write(rom, folder / "again" / "min-theta.c")
    assert [file.read_bytes() for file in again] == [(folder / file.name).read_bytes() for file in again]
    assert string('a"?') == '"a\\042\\077"'
    assert registry.load("exporter", "c", ".") is C


def test_the_check_runs_it_and_finds_a_wrong_one(roms, folder, tmp_path):
    rom = roms["min-theta"]
    assert check(rom, C(), folder / "min-theta.c", 20).passed
    C().write(rom.truncate(3), tmp_path / "less.c")
    assert not check(rom, C(), tmp_path / "less.c", 20).passed


def test_wrong_use_is_told(roms, folder, tmp_path, monkeypatch):
    mu = sample(roms["min-theta"])
    with pytest.raises(ShapeError, match=r"the rule is \(b, 4\)"):
        C().answers(folder / "min-theta.c", mu[:, :2])
    with pytest.raises(StoreError, match="cannot be read"):
        C().answers(tmp_path / "none.c", mu)
    (tmp_path / "other.h").write_text("int main(void);")
    (tmp_path / "other.c").write_text("int main(void) { return 0; }")
    with pytest.raises(StoreError, match="no header of an exported model"):
        C().answers(tmp_path / "other.c", mu)
    with pytest.raises(NotSupported, match="facts"):
        source_of(Builder(["a"]).finish({}), "x")
    with pytest.raises(NotSupported, match="cannot be written"):
        C().write(object(), tmp_path / "x.c")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(NotSupported, match="CC=.*no program"):
        C().answers(folder / "min-theta.c", mu)
    monkeypatch.delenv("CC")
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotSupported, match=r"romflow\[compiler\]"):
        find_compiler(native())
    C().write(roms["min-theta"], tmp_path / "text.c")  # needs no compiler
    assert build(roms["min-theta"]).facts is not None


@pytest.mark.parametrize("stem", ["gr\u00f6\u00dfe", 'q"q', "new\nline", "-x", "a b.1", "\u2603"])
def test_any_name_of_a_file_can_be_compiled(roms, stem, tmp_path):
    path, header = C().write(roms["rbf"], tmp_path / f"{stem}.c")
    assert path.stem == stem and header.name.isascii()
    assert check(roms["rbf"], C(), path, 5).passed
    with pytest.raises(InputError, match="ends in .c"):
        C().write(roms["rbf"], tmp_path / f"{stem}.h")


def test_a_system_that_is_not_definite_has_no_answer(roms, tmp_path):
    """As for the model itself, whose elimination meets a pivot that is not positive."""
    rom = roms["min-theta"]
    turned = replace(rom, operator=-rom.operator)
    mu, path = sample(rom)[:8], C().write(turned, tmp_path / "a.c")[0]
    assert turned.definite
    for row in mu:
        with pytest.raises(SolveFailed, match="not positive definite"):
            turned.solve(row[None])
    found = C().answers(path, mu)
    assert (found["code"] == 3).all() and np.isnan(found["output"]).all() and np.isnan(found["error"]).all()


def test_a_training_range_that_is_not_known_is_no_number(roms, folder):
    library = ctypes.CDLL(str(folder / "all.so"))
    for name, known in (("min-theta", False), ("rbf", True)):
        p = roms[name].parameters.size
        found = np.array((ctypes.c_double * p).in_dll(library, f"romflow_{identifier(name)}_trained_low"))
        assert np.isfinite(found).all() == known and np.isfinite(found).any() == known
