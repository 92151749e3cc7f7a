"""Fixed designs: they ask once, inside the space, and the same for the same seed; tables of parameters."""

import json
import subprocess
import sys

import numpy as np
import pytest

from romflow.core import registry
from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError
from romflow.parameters.distributions import LogUniform, Normal, Uniform
from romflow.parameters.sampling.file import FromFile
from romflow.parameters.sampling.grid import Grid
from romflow.parameters.sampling.latin_hypercube import LatinHypercube
from romflow.parameters.sampling.random import Random
from romflow.parameters.sampling.sobol import Sobol
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.parameters.tables import read_table

OPTIONS = {
    "random": {"size": 7},
    "latin-hypercube": {"size": 7},
    "sobol": {"size": 7},
    "grid": {"per_axis": 3},
    "file": {"path": "mu.csv"},
}


@pytest.fixture
def space():
    return ParameterSpace([Parameter("a", Uniform(-1.0, 3.0)), Parameter("b", LogUniform(0.1, 10.0))])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mu.csv").write_text("b,a\n0.5,1\n\n10,-1\n")
    return tmp_path


def make(name, space, folder, seed=0):
    return registry.build("sampler", name, folder, OPTIONS[name], space=space, seed=seed, base=folder)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_design_asks_once_for_as_many_solves_as_it_says(name, space, folder):
    sampler = make(name, space, folder)
    mu = sampler.ask()
    assert mu.shape == (sampler.solves, 2)
    assert space.contains(mu).all()
    assert sampler.tell(None) is None
    assert sampler.ask().shape == (0, 2)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_design_is_given_by_its_seed(name, space, folder):
    first, again, other = (make(name, space, folder, seed).ask() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (name in ("grid", "file"))


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_design_goes_on_from_its_state(name, space, folder):
    sampler, fresh = make(name, space, folder), make(name, space, folder)
    before = json.loads(json.dumps(sampler.state()))
    mu = sampler.ask()
    after = json.loads(json.dumps(sampler.state()))
    fresh.restore(after)
    assert len(fresh.ask()) == 0
    fresh.restore(before)
    assert np.array_equal(fresh.ask(), mu)


def test_random_parameters_are_the_spaces_own(space):
    assert np.array_equal(Random(space, 5, size=9).ask(), space.sample(9, np.random.default_rng(5)))


@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_latin_hypercube_has_one_parameter_in_each_part_of_each_axis(size, must_fail):
    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), 6)])

    def latin(mu):
        assert all(np.array_equal(np.sort(np.floor(column * size)), np.arange(size)) for column in mu.T)

    design = LatinHypercube(space, 3, size=size).ask()
    latin(design)
    if size > 1:
        must_fail(latin, Random(space, 3, size=size).ask())
        assert len({tuple(np.argsort(column)) for column in design.T}) > 1


def test_sobol_points_fill_the_dyadic_boxes(must_fail):
    space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), 2)])

    def even(mu):
        boxes, counts = np.unique(np.floor(mu * [8, 8]), axis=0, return_counts=True)
        assert len(boxes) == 64 and (counts == 1).all()

    even(Sobol(space, 0, size=64).ask())
    must_fail(even, Random(space, 0, size=64).ask())


def test_sobol_points_of_any_number_are_the_beginning_of_the_sequence():
    space = ParameterSpace([Parameter("a", Normal(0.0, 1.0), 3)])
    long, short = Sobol(space, 4, size=32).ask(), Sobol(space, 4, size=21).ask()
    assert np.array_equal(long[:21], short)
    plain = Sobol(space, size=4, scramble=False).ask()
    assert np.isfinite(plain).all()
    assert plain[1] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


def test_a_grid_is_the_spaces_own(space):
    assert np.array_equal(Grid(space, per_axis=[2, 4]).ask(), space.grid([2, 4]))
    assert Grid(space, per_axis=3).solves == 9


def test_a_file_gives_its_rows_with_its_columns_by_name(space, folder):
    assert FromFile(space, path="mu.csv", base=folder).ask().tolist() == [[1.0, 0.5], [-1.0, 10.0]]
    np.save(folder / "mu.npy", np.array([[1.0, 0.5]]))
    assert FromFile(space, path="mu.npy", base=folder).ask().tolist() == [[1.0, 0.5]]


@pytest.mark.parametrize("name", list(OPTIONS))
@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_a_seed_is_a_whole_number(name, seed, space, folder):
    with pytest.raises(ConfigError, match=r"\[sampling\] seed = .* is not a whole number from 0"):
        make(name, space, folder, seed)


@pytest.mark.parametrize("method", [Random, LatinHypercube, Sobol])
@pytest.mark.parametrize("size", [0, -3, 2.0, True, "9", None])
def test_a_size_is_a_whole_number(method, size, space):
    with pytest.raises(ConfigError, match=r"\[sampling\] size = .* is not a whole number from 1"):
        method(space, size=size)


@pytest.mark.parametrize(
    ("per_axis", "text"),
    [
        (0, "per_axis = 0 is not a whole number from 1"),
        (2.5, "per_axis = 2.5"),
        ([2], "has 1 numbers; this space has 2 columns"),
        ([2, True], "per_axis = true"),
        (10_000, r"asks for 100000000 parameters; at most 10000000 are made"),
        (10**300, "asks for a whole number beyond 1e20 parameters"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(per_axis, text, space):
    with pytest.raises(ConfigError, match=text):
        Grid(space, per_axis=per_axis)


def test_options_of_sobol_are_checked(space):
    with pytest.raises(ConfigError, match="scramble = 1 is neither true nor false"):
        Sobol(space, size=4, scramble=1)
    wide = ParameterSpace([Parameter("a", Uniform(0.0, 1.0), 21202)])
    with pytest.raises(ConfigError, match="takes at most 21201 columns; this space has 21202"):
        Sobol(wide, size=4)


def test_a_wrong_option_names_the_nearest(space, folder):
    with pytest.raises(ConfigError, match=r"\[sampling\] has no key 'sise'.*Did you mean 'size'"):
        registry.build("sampler", "random", folder, {"sise": 3}, space=space, seed=0, base=folder)


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        ("a,b\n1,0.5\n9,1\n", ParameterError, r"mu.csv: mu\[1, 0\] \(a\) = 9 is outside \[-1, 3\] \(1 such entry\)\."),
        ("a,b\n1,nan\n", ParameterError, r"mu\[0, 1\] \(b\) = nan is not finite"),
        ("a,b\n", InputError, "the table has no rows"),
        ("", ParameterError, "the column 'a' is missing"),
        ("1,0.5\n", ParameterError, r"no parameter is called '1' \(first line\); known: a, b\."),
        ("a,bb\n1,2\n", ParameterError, "no parameter is called 'bb' .*Did you mean 'b'"),
        ("a,b,files\n1,2,x\n", ParameterError, "no parameter is called 'files'"),
        ("a,b,file,file\n1,2,x,x\n", ParameterError, "the column 'file' is there twice"),
        ("a,b,file\n1,2\n", ParameterError, "line 2 has 2 values; the first line names 3 columns"),
        ("a,file\n1,x\n", ParameterError, "the column 'b' is missing; the first line must name all 2"),
        ("a;b\n1;2\n", ParameterError, "no parameter is called 'a;b'"),
        ("a,a,b\n1,2,3\n", ParameterError, "the column 'a' is there twice"),
        ("a\n1\n", ParameterError, "the column 'b' is missing; the first line must name all 2"),
        ("a,b\n1,2\n1\n", ParameterError, "line 3 has 1 values; the first line names 2 columns"),
        ("a,b\n1,2\n1,x\n", ParameterError, "line 3: b = 'x' is not a number"),
        (b"a,b\n\xff,1\n", ParameterError, "not UTF-8"),
        ('a,b\n"1,2\n' + "x" * 200_000, ParameterError, "is not CSV"),
    ],
)
def test_a_wrong_table_is_said_with_its_place(content, kind, text, space, tmp_path):
    (tmp_path / "mu.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kind, match=text) as caught:
        FromFile(space, path="mu.csv", base=tmp_path)
    line = str(caught.value)
    assert line.startswith(f"{tmp_path}/mu.csv: ") and line.count("mu.csv") == 1 and "\n" not in line


def test_a_missing_table_is_said(space, tmp_path):
    with pytest.raises(InputError, match="none.csv: it cannot be read .no such file or directory.; check it"):
        FromFile(space, path="none.csv", base=tmp_path)
    with pytest.raises(ConfigError, match=r"\[sampling\] path = 3 is not a file name"):
        FromFile(space, path=3, base=tmp_path)


def test_a_table_of_windows_is_read(tmp_path):
    (tmp_path / "mu.csv").write_bytes(b"\xef\xbb\xbfa, b\r\n1, 2e-3\r\n")
    assert read_table(tmp_path / "mu.csv", ["a", "b"]).tolist() == [[1.0, 0.002]]


def test_an_index_of_runs_is_a_table_of_parameters(tmp_path):
    (tmp_path / "index.csv").write_text("file,b,a\nrun-0.npz,2,1\nrun-1.npz,4,3\n")
    assert read_table(tmp_path / "index.csv", ["a", "b"]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    # A parameter may have that name.
    (tmp_path / "index.csv").write_text("file,a\n1,2\n")
    assert read_table(tmp_path / "index.csv", ["a", "file"]).tolist() == [[2.0, 1.0]]
    with pytest.raises(ParameterError, match="file = 'run-0.npz' is not a number"):
        (tmp_path / "index.csv").write_text("file,a\nrun-0.npz,2\n")
        read_table(tmp_path / "index.csv", ["a", "file"])


def test_numbers_come_back_to_the_bit(tmp_path):
    numbers = np.random.default_rng(0).standard_normal((50, 2)) * 1e-7
    lines = ["a,b", *(f"{a!r},{b!r}" for a, b in numbers.tolist())]
    (tmp_path / "mu.csv").write_text("\n".join(lines))
    assert np.array_equal(read_table(tmp_path / "mu.csv", ["a", "b"]), numbers)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((3, 1)), ShapeError),
        (np.zeros(2), ShapeError),
        (np.zeros((1, 2, 1)), ShapeError),
        (np.array([["a", "b"]]), ParameterError),
        (np.array([[1j, 2]]), ParameterError),
    ],
)
def test_a_wrong_array_is_refused(array, kind, tmp_path):
    np.save(tmp_path / "mu.npy", array)
    with pytest.raises(kind, match="mu.npy: "):
        read_table(tmp_path / "mu.npy", ["a", "b"])


def test_a_pickle_is_never_loaded(tmp_path):
    np.save(tmp_path / "mu.npy", np.array([[{}, 1]], dtype=object), allow_pickle=True)
    with pytest.raises(ParameterError, match="this is no array of numbers"):
        read_table(tmp_path / "mu.npy", ["a", "b"])
    (tmp_path / "mu.npy").write_bytes(b"")
    with pytest.raises(ParameterError, match="this is no array of numbers"):
        read_table(tmp_path / "mu.npy", ["a", "b"])


def test_one_column_may_be_a_vector(tmp_path):
    np.save(tmp_path / "mu.npy", np.arange(3))
    assert read_table(tmp_path / "mu.npy", ["a"]).tolist() == [[0.0], [1.0], [2.0]]


def test_only_sobol_loads_scipy_stats():
    code = (
        "import sys; from romflow.core import registry;"
        "[registry.load('sampler', name, '.') for name in registry.known('sampler') if name != 'sobol'];"
        "print('scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("False", "")
