"""The registry: built-in names, classes by path, and their options."""

import sys

import pytest

from romflow.core import registry
from romflow.core.errors import ConfigError
from romflow.core.fingerprint import file_fingerprint

SAMPLER = """
from dataclasses import dataclass

LOADED = []

class Mine:
    def __init__(self, space, seed=0, *, size, shape="round"):
        self.space, self.seed, self.size, self.shape = space, seed, size, shape

class Open:
    def __init__(self, space, **options):
        self.space, self.options = space, options

class Broken:
    def __init__(self, size):
        raise TypeError("inside")

@dataclass
class Frozen:
    size: int = 1

def function():
    pass
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(SAMPLER)
    return tmp_path


@pytest.mark.parametrize("role", list(registry.BUILTIN))
def test_built_in_names_are_dotted_classes(role):
    assert registry.known(role) == list(registry.BUILTIN[role])
    for place in registry.BUILTIN[role].values():
        module, _, name = place.partition(":")
        assert module.startswith("romflow.") and name.isidentifier()


def test_all_built_in_samplers_load():
    for name in registry.known("sampler"):
        assert registry.load("sampler", name, ".").__module__ == registry.BUILTIN["sampler"][name].partition(":")[0]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        registry.load("sampler", "gredy", ".")
    assert str(caught.value) == (
        "no sampler is called 'gredy'; known: greedy, latin-hypercube, sobol, grid, file, random, "
        "lattice, sparse-grid, optimal-design. "
        "Did you mean 'greedy'?"
    )
    with pytest.raises(ConfigError, match="no role is called 'samplers'"):
        registry.known("samplers")


def test_a_class_is_loaded_by_path_once(folder):
    first = registry.load("sampler", "mine.py:Mine", folder)
    assert first is registry.load("sampler", "mine.py:Mine", folder)
    assert first is registry.load("sampler", f"{folder}/mine.py:Mine", "/")
    assert first.__name__ == "Mine"
    assert registry.load("sampler", "mine.py:Frozen", folder)(size=2).size == 2


def test_a_changed_file_is_loaded_anew(folder):
    before = registry.load("sampler", "mine.py:Mine", folder)
    (folder / "mine.py").write_text(SAMPLER + "\n# changed\n")
    assert registry.load("sampler", "mine.py:Mine", folder) is not before


def test_the_identity_of_a_users_class_is_its_name_and_the_files_hash(folder):
    assert registry.source_identity("sampler", "mine.py:Mine", folder) == {
        "class": "Mine",
        "sha256": file_fingerprint(folder / "mine.py"),
    }
    assert registry.source_identity("model", "external", folder) == {"kind": "external"}
    with pytest.raises(ConfigError, match="no model is called 'x'"):
        registry.source_identity("model", "x", folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.py", "names no class in a file; write 'path/file.py:Class'"),
        ("mine:Mine", "names no class in a file"),
        ("mine.py:not a class", "names no class in a file"),
        ("none.py:Mine", "needs the file .*none.py, which does not exist"),
        ("mine.py:Mime", "has no class 'Mime'; known: Mine, Open, Broken, Frozen. Did you mean 'Mine'"),
        ("mine.py:function", "has no class 'function'"),
    ],
)
def test_a_wrong_path_is_said_in_one_sentence(folder, name, text):
    with pytest.raises(ConfigError, match=text) as caught:
        registry.load("sampler", name, folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = 1\ny = 1 / 0\n", r"cannot be imported: ZeroDivisionError: division by zero \(line 2\)"),
        ("def f(:\n", r"cannot be imported: SyntaxError: .*\(line 1\)"),
        ("import no_such_package_at_all\n", "No module named 'no_such_package_at_all'"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(line 2\)"),
        ("raise ValueError('a\\nb')\n", r"b \(line 1\)"),
    ],
)
def test_a_file_that_cannot_be_imported_is_said_and_not_kept(tmp_path, source, text):
    (tmp_path / "bad.py").write_text(source)
    before = set(sys.modules)
    for _ in range(2):
        with pytest.raises(ConfigError, match=text) as caught:
            registry.load("model", "bad.py:C", tmp_path)
        assert "\n" not in str(caught.value)
    assert not [name for name in set(sys.modules) - before if name.startswith("romflow_user")]


def test_build_gives_what_the_class_takes(folder):
    made = registry.build("sampler", "mine.py:Mine", folder, {"size": 3}, space="space", seed=7, base=folder)
    assert (made.space, made.seed, made.size, made.shape) == ("space", 7, 3, "round")
    made = registry.build("sampler", "mine.py:Open", folder, {"any": 1}, space="space", seed=7)
    assert made.options == {"any": 1, "seed": 7}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"sise": 3},
            "s.toml: [sampling] has no key 'sise' for method = 'mine.py:Mine'; known: size, shape. "
            "Did you mean 'size'?",
        ),
        ({}, "s.toml: [sampling] needs the key 'size' for method = 'mine.py:Mine'."),
        (
            {"size": 3, "seed": 1},
            "s.toml: [sampling] has no key 'seed' for method = 'mine.py:Mine'; known: size, shape.",
        ),
    ],
)
def test_build_checks_the_names_of_the_options(folder, options, text):
    with pytest.raises(ConfigError) as caught:
        registry.build("sampler", "mine.py:Mine", folder, options, where="s.toml", space="space", seed=7)
    assert str(caught.value) == text


def test_an_option_cannot_replace_what_romflow_gives(folder):
    with pytest.raises(ConfigError, match="has no key 'space'"):
        registry.build("sampler", "mine.py:Open", folder, {"space": 3}, space="space")


def test_a_type_error_inside_a_class_is_not_swallowed(folder):
    with pytest.raises(TypeError, match="inside"):
        registry.build("sampler", "mine.py:Broken", folder, {"size": 3})


def test_a_package_that_is_not_installed_is_named(monkeypatch, tmp_path):
    module = tmp_path / "needs_a_package.py"
    module.write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registry.BUILTIN["exporter"], "odd", "needs_a_package:Odd")
    with pytest.raises(ConfigError, match="needs the package 'no_such_package_at_all', which is not installed"):
        registry.load("exporter", "odd", ".")
