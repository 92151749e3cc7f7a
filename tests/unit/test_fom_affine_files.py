"""Matrices that somebody else assembled: every format, and one sentence that names the file for every fault."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from romflow.core.errors import ConfigError, InputError
from romflow.core.fingerprint import check_json
from romflow.fom.affine_files import AffineFiles
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

N = 5
A0 = sp.diags_array([-np.ones(N - 1), 2 * np.ones(N), -np.ones(N - 1)], offsets=[-1, 0, 1], format="csr")
A1 = sp.diags_array(np.arange(1.0, N + 1), format="csr")
WIND = sp.diags_array([-np.ones(N - 1), np.ones(N - 1)], offsets=[-1, 1], format="csr")
F = np.linspace(1.0, 2.0, N)
TOML = """
[[operator]]
file = "A0.mtx"
theta = "a"
[[operator]]
file = "A1.npz"
theta = "1 + b**2"
[[rhs]]
file = "f.npy"
theta = "1"
[inner_product]
file = "A0.mtx"
[stability]
kind = "min-theta"
reference = [1.0, 1.0]
[[output]]
name = "mean"
file = "l.npy"
"""


def space() -> ParameterSpace:
    return ParameterSpace([Parameter("a", Uniform(0.5, 2.0)), Parameter("b", Uniform(0.0, 3.0))])


def expected(mu, extra=0.0):
    return np.linalg.solve((mu[0] * A0 + (1 + mu[1] ** 2) * A1 + extra).toarray(), F)


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "matrices"
    folder.mkdir()
    scipy.io.mmwrite(folder / "A0.mtx", A0, symmetry="symmetric")
    sp.save_npz(folder / "A1.npz", A1)
    np.save(folder / "f.npy", F)
    np.save(folder / "l.npy", np.full(N, 1 / N))
    (folder / "model.toml").write_text(TOML)
    return folder


def built(folder: Path, **options) -> AffineFiles:
    return AffineFiles(space(), folder.name, folder.parent, **options)


def refused(folder: Path, error=InputError) -> str:
    with pytest.raises(error) as caught:
        built(folder)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 600
    return text


def edited(folder: Path, old: str, new: str) -> Path:
    assert old in TOML
    (folder / "model.toml").write_text(TOML.replace(old, new))
    return folder


def test_model_solves_what_the_files_say(folder):
    fom = built(folder)
    mu = np.array([1.5, 2.0])
    snapshot = fom.solve(mu)
    assert np.allclose(snapshot.state, expected(mu), rtol=1e-13)
    assert np.allclose(snapshot.outputs, [expected(mu).mean()], rtol=1e-13)
    assert fom.symmetric and fom.n == N and fom.outputs.names == ("mean",)
    assert abs(fom.inner_product - A0).max() == 0.0
    assert fom.stability == {"kind": "min-theta", "reference": [1.0, 1.0]}


def test_symmetric_storage_is_expanded(folder):
    text = (folder / "A0.mtx").read_text()
    assert "symmetric" in text.splitlines()[0]
    assert np.array_equal(built(folder).operator.matrices[0].toarray(), A0.toarray())


@pytest.mark.parametrize("vector", [F, F[:, None], F[None], F.astype(np.float32), np.arange(N), np.flip(F)[:, None]])
def test_vectors_of_every_shape_and_real_type(folder, vector):
    np.save(folder / "f.npy", vector)
    assert np.array_equal(built(folder).rhs.vectors[:, 0], vector.reshape(-1))


@pytest.mark.parametrize("name", ["f.mtx", "f.npz", "dense.mtx"])
def test_vectors_from_sparse_and_text_files(folder, name):
    if name == "f.npz":
        sp.save_npz(folder / name, sp.csc_array(F[:, None]))
    else:
        scipy.io.mmwrite(folder / name, F[:, None] if name == "dense.mtx" else sp.coo_array(F[:, None]))
    assert np.allclose(built(edited(folder, "f.npy", name)).rhs.vectors[:, 0], F, rtol=1e-15)


@pytest.mark.parametrize(
    "name", ["A1.npy", "A1.mtx", "coo.npz", "dia.npz", "bsr.npz", "dense.mtx", "old.npz", "int.mtx"]
)
def test_matrices_of_every_format(folder, name):
    write = {
        "A1.npy": lambda path: np.save(path, A1.toarray()),
        "A1.mtx": lambda path: scipy.io.mmwrite(path, A1),
        "coo.npz": lambda path: sp.save_npz(path, A1.tocoo()),
        "dia.npz": lambda path: sp.save_npz(path, sp.dia_array(A1)),
        "bsr.npz": lambda path: sp.save_npz(path, sp.bsr_array(A1)),
        "dense.mtx": lambda path: scipy.io.mmwrite(path, A1.toarray()),
        "old.npz": lambda path: sp.save_npz(path, sp.csc_matrix(A1)),
        "int.mtx": lambda path: scipy.io.mmwrite(path, A1.astype(int)),
    }[name]
    write(folder / name)
    fom = built(edited(folder, "A1.npz", name))
    assert np.allclose(fom.operator.matrices[1].toarray(), A1.toarray(), rtol=1e-15)


def test_non_symmetric_operators_are_kept_as_they_are(folder):
    scipy.io.mmwrite(folder / "wind.mtx", WIND)
    (folder / "model.toml").write_text(TOML + '[[operator]]\nfile = "wind.mtx"\ntheta = 3\n')
    fom = built(folder)
    mu = np.array([1.0, 1.0])
    assert not fom.symmetric
    assert np.allclose(fom.solve(mu).state, expected(mu, 3 * WIND), rtol=1e-13)


def test_inner_product_defaults_to_the_symmetric_part_at_the_centre(folder):
    scipy.io.mmwrite(folder / "wind.mtx", WIND)
    text = TOML.replace('[inner_product]\nfile = "A0.mtx"\n', "") + '[[operator]]\nfile = "wind.mtx"\ntheta = 3\n'
    (folder / "model.toml").write_text(text)
    centre = space().centre()
    wanted = centre[0] * A0 + (1 + centre[1] ** 2) * A1
    assert np.allclose(built(folder).inner_product.toarray(), wanted.toarray(), rtol=1e-15)


def test_outputs_of_one_name_are_summed_with_their_coefficients(folder):
    np.save(folder / "m.npy", np.arange(N))
    (folder / "model.toml").write_text(TOML + """
[[output]]
name = "mean"
file = "m.npy"
theta = "a"
[[output]]
name = "other"
file = "m.npy"
""")
    mu = np.array([1.5, 2.0])
    u = expected(mu)
    moment = np.arange(N) @ u
    assert np.allclose(built(folder).solve(mu).outputs, [u.mean() + 1.5 * moment, moment], rtol=1e-12)


def test_outputs_and_stability_may_be_left_out(folder):
    (folder / "model.toml").write_text(TOML[: TOML.index("[stability]")])
    fom = built(folder)
    assert fom.outputs is None and fom.stability is None and fom.solve([1.0, 1.0]).outputs is None


def test_identity_is_the_content_and_not_the_place(folder, tmp_path):
    spec = built(folder).spec
    check_json(spec)
    assert str(tmp_path) not in str(spec)
    moved = tmp_path / "elsewhere" / "matrices"
    shutil.copytree(folder, moved)
    assert built(moved).spec == spec
    np.save(moved / "f.npy", F * (1 + 1e-15))
    assert built(moved).spec != spec
    shutil.copy(folder / "f.npy", moved / "f.npy")
    assert built(edited(moved, "1 + b**2", "1 + b**3")).spec != spec


def test_files_that_decide_are_listed(folder):
    assert {file.name for file in built(folder).files} == {"model.toml", "A0.mtx", "A1.npz", "f.npy", "l.npy"}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('theta = "a"', 'teta = "a"', ["[[operator]] 1", "'teta'", "Did you mean 'theta'?"]),
        ("[inner_product]", "[inner_produkt]", ["inner_produkt", "Did you mean 'inner_product'?"]),
        ('theta = "a"', "theta = \"__import__('os')\"", ["[[operator]] 1 (A0.mtx)", "theta"]),
        ('theta = "a"', 'theta = "c"', ["[[operator]] 1 (A0.mtx)", "'c'"]),
        ('theta = "a"', "theta = [1.0]", ["[[operator]] 1 (A0.mtx)", "theta"]),
        ('theta = "a"', "theta = nan", ["[[operator]] 1 (A0.mtx)", "finite"]),
        ('file = "A0.mtx"\ntheta = "a"', 'file = "A0.mtx"', ["[[operator]] 1", "'theta'"]),
        ('file = "f.npy"', "", ["[[rhs]] 1", "'file'"]),
        ('file = "f.npy"', "file = 3", ["[[rhs]] 1", "file = 3"]),
        ('name = "mean"', "", ["[[output]] 1", "'name'"]),
        ("[[rhs]]", "[rhs]", ["rhs", "[[rhs]]"]),
        ("[inner_product]", "[[inner_product]]", ["[inner_product]"]),
        ('kind = "min-theta"', 'kind = "min_theta"', ["Did you mean 'min-theta'?"]),
        ('kind = "min-theta"', "", ["[stability]", "'kind'"]),
        ('kind = "min-theta"', 'kind = "scm"', ["'reference'", "scm"]),
        ("reference = [1.0, 1.0]", "reference = [1.0]", ["reference", "2 finite numbers", "a, b"]),
        ("reference = [1.0, 1.0]", 'reference = [1.0, "x"]', ["reference"]),
        ("reference = [1.0, 1.0]", "reference = {a = 1.0, c = 2.0}", ["reference"]),
        ('kind = "min-theta"\nreference = [1.0, 1.0]', 'kind = "expression"\nexpression = "min(a, z)"', ["'z'"]),
        ('kind = "min-theta"\nreference = [1.0, 1.0]', 'kind = "expression"', ["'expression'"]),
        ('kind = "min-theta"\nreference = [1.0, 1.0]',
         'kind = "expression"\nexpression = "a"\nconstant = "other"', ["constant", "inf-sup"]),
        ("[[operator]]", "[[operator]", ["not TOML"]),
    ],
)
def test_wrong_model_toml(folder, old, new, words):
    text = refused(edited(folder, old, new), ConfigError)
    assert "model.toml" in text
    for word in words:
        assert word in text


@pytest.mark.parametrize("kind", ["scm", "inf-sup"])
def test_kinds_of_stability_without_keys(folder, kind):
    fom = built(edited(folder, 'kind = "min-theta"\nreference = [1.0, 1.0]', f'kind = "{kind}"'))
    assert fom.stability == {"kind": kind}


def test_reference_by_name_and_expression(folder):
    by_name = built(edited(folder, "[1.0, 1.0]", "{b = 1.0, a = 2.0}"))
    assert by_name.stability["reference"] == {"b": 1.0, "a": 2.0}
    old = 'kind = "min-theta"\nreference = [1.0, 1.0]'
    formula = built(edited(folder, old, 'kind = "expression"\nexpression = "0.1 * a"'))
    assert formula.stability == {"kind": "expression", "expression": "0.1 * a"}


@pytest.mark.parametrize("key", ["operator", "rhs"])
def test_operator_and_rhs_are_needed(folder, key):
    start = TOML.index(f"[[{key}]]")
    end = TOML.index("[[rhs]]") if key == "operator" else TOML.index("[inner_product]")
    (folder / "model.toml").write_text(TOML[:start] + TOML[end:])
    assert f"[[{key}]]" in refused(folder, ConfigError)


def test_missing_folder_and_files(folder):
    with pytest.raises(ConfigError, match="nowhere/model.toml does not exist"):
        AffineFiles(space(), "nowhere", folder.parent)
    for name in ("A1.npz", "f.npy", "l.npy"):
        hidden = folder / name
        hidden.rename(folder / "hidden")
        text = refused(folder)
        assert name in text and "does not exist" in text
        (folder / "hidden").rename(hidden)
    old = '[inner_product]\nfile = "A0.mtx"'
    assert "gone.mtx does not exist" in refused(edited(folder, old, old.replace("A0", "gone")))


def _archive_of_objects() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, format=np.array("csr"), data=np.array([object()]), indices=[0], indptr=[0, 1], shape=[1, 1])
    return stream.getvalue()


def _indices_out_of_range() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, format=np.array(b"csr"), data=np.ones(N), indices=np.full(N, 10**6), indptr=np.arange(N + 1),
             shape=[N, N])
    return stream.getvalue()


def _saved(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.npy", b"x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("A0.mtx", b""),
        ("A0.mtx", b"garbage"),
        ("A0.mtx", b"%%MatrixMarket matrix coordinate real general\n5 5 2\n1 1 1.0\n"),
        ("A0.mtx", b"%%MatrixMarket matrix coordinate real general\n5 5 1\n9 9 1.0\n"),
        ("A0.mtx", b"%%MatrixMarket matrix coordinate real general\n5 5 1\n1 1 nan\n"),
        ("A0.mtx", b"%%MatrixMarket matrix coordinate real general\n5 4 1\n1 1 1.0\n"),
        ("A0.mtx", b"%%MatrixMarket matrix coordinate complex general\n5 5 1\n1 1 1.0 2.0\n"),
        ("A0.mtx", b"%%MatrixMarket matrix array real general\n1000000000 1000000000\n1.0\n"),
        ("A1.npz", b"PK\x03\x04broken"),
        ("A1.npz", _zip()),
        ("A1.npz", _archive_of_objects()),
        ("A1.npz", _indices_out_of_range()),
        ("A1.npz", _saved(np.ones(3))),
        ("f.npy", b""),
        ("f.npy", _saved(F)[:-3]),
        ("f.npy", _saved(np.array([object()] * N))),
        ("f.npy", _saved(np.ones(N + 1))),
        ("f.npy", _saved(np.ones((N, 2)))),
        ("f.npy", _saved(np.ones((N, 1, 1)))),
        ("f.npy", _saved(np.ones(N) * 1j)),
        ("f.npy", _saved(np.array(["a"] * N))),
        ("f.npy", _saved(np.array([1.0, np.inf, 1.0, 1.0, 1.0]))),
        ("l.npy", _saved(np.array([1.0, np.nan, 1.0, 1.0, 1.0]))),
        ("l.npy", _saved(np.ones(N - 1))),
    ],
)
def test_damaged_and_unfit_files_are_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert name in refused(folder)


def test_matrix_of_another_shape_names_both(folder):
    sp.save_npz(folder / "A1.npz", sp.eye_array(N + 1, format="csr"))
    text = refused(folder)
    assert "A1.npz" in text and "(6, 6)" in text and "(5, 5)" in text and "A0.mtx" in text


def test_unknown_kind_of_file(folder):
    assert ".mtx, .npz, .npy" in refused(edited(folder, 'file = "l.npy"', 'file = "model.toml"'))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        (A0 - 1.5 * sp.eye_array(N), "negative"),
        (-1.0 * A0, "negative"),
        (sp.csr_array(np.ones((N, N))), "negative or zero|singular"),
        (A0 + 0.1 * WIND, "not symmetric"),
        (sp.eye_array(N - 1), "shape"),
    ],
)
def test_inner_product_that_is_not_symmetric_positive_definite(folder, X, words):
    sp.save_npz(folder / "X.npz", sp.csr_array(X))
    edited(folder, '[inner_product]\nfile = "A0.mtx"', '[inner_product]\nfile = "X.npz"')
    with pytest.raises(InputError, match=words) as caught:
        built(folder)
    assert "X.npz" in str(caught.value)


def test_default_inner_product_that_is_indefinite(folder):
    text = TOML.replace('[inner_product]\nfile = "A0.mtx"\n', "")
    (folder / "model.toml").write_text(text.replace("1 + b**2", "-9 * b"))
    text = refused(folder)
    assert "[inner_product]" in text and "centre" in text


@pytest.mark.parametrize("options", [{"residual_tolerance": 0.0}, {"residual_tolerance": "small"}])
def test_wrong_options(folder, options):
    with pytest.raises(ConfigError, match="residual_tolerance"):
        built(folder, **options)
    with pytest.raises(ConfigError, match="path = 3"):
        AffineFiles(space(), 3)
