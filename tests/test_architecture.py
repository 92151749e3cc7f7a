"""What the package promises about itself: imports, homes of libraries, sizes, names, docstrings, no dangerous calls."""

import ast
import configparser
import importlib
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "romflow"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
MOST_LINES_OF_AN_EXAMPLE = 80
MOST_PUBLIC_NAMES = 30
IMPORT_SECONDS = 0.3
NOT_AT_IMPORT = ("dask", "distributed", "mpi4py", "h5py", "matplotlib", "sklearn", "skfem", "typer")
SERIALISERS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
NO_WORDS = {"compute", "process", "handle", "manager", "utils"}


# -- import -----------------------------------------------------------------------------------------------------------

def _python(code: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code), *arguments], cwd=cwd, capture_output=True,
                          text=True, timeout=120, check=False)


def test_import_is_quick_and_light() -> None:
    code = """
        import sys, time
        start = time.process_time()
        import romflow
        print(time.process_time() - start, *(name for name in sys.argv[1:] if name in sys.modules))
    """
    answers = [_python(code, *NOT_AT_IMPORT) for _ in range(3)]
    assert all(answer.returncode == 0 for answer in answers), answers[0].stderr
    seconds, loaded = min(float(a.stdout.split()[0]) for a in answers), answers[0].stdout.split()[1:]
    assert loaded == []
    assert seconds < IMPORT_SECONDS


def test_public_names() -> None:
    romflow = importlib.import_module("romflow")
    assert 0 < len(romflow.__all__) <= MOST_PUBLIC_NAMES
    for name in romflow.__all__:
        assert getattr(romflow, name).__doc__, f"romflow.{name} has no docstring"


LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_import_contracts_hold() -> None:
    answer = _python(LINT)
    assert answer.returncode == 0, answer.stdout


def test_import_contracts_can_break(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "romflow", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    homes = ("h5py", "mpi4py", "dask", "matplotlib", "meshio", "skfem", "sklearn", "pymetis", "pyamg", "typer",
             "onnx")
    with (tmp_path / "romflow/core/errors.py").open("a") as file:
        file.write("\n" + "\n".join(f"import {name}" for name in (*homes, "romflow.store.snapshots")) + "\n")
    answer = _python(LINT, cwd=tmp_path)
    assert answer.returncode == 1
    assert "12 broken" in answer.stdout


# -- the skeleton -----------------------------------------------------------------------------------------------------

def _setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.splitlines() if line.strip()}


def test_environment_is_in_step() -> None:
    setup = _setup()
    extras = setup["options.extras_require"]
    wanted = _lines(setup["options"]["install_requires"]) | _lines(extras["test"]) | _lines(extras["lint"])
    wanted |= {f"python{setup['options']['python_requires']}", "pip"}
    listed = (ROOT / "environment.yml").read_text(encoding="utf-8").partition("dependencies:")[2]
    given = [line.strip().removeprefix("- ") for line in listed.splitlines() if line.strip() not in ("", "- pip:")]
    assert set(given) == wanted
    assert len(given) == len(set(given))


def test_pyproject_is_short() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(content) == {"build-system", "tool"}
    assert set(content["tool"]) == {"ruff"}


def _files_of_ours() -> list[Path]:
    folders = [ROOT / name for name in ("romflow", "tests", "benchmarks", "examples")]
    return [file for folder in folders if folder.is_dir() for file in sorted(folder.rglob("*.py"))]


def test_files_are_short() -> None:
    lengths = {str(file.relative_to(ROOT)): file.read_bytes().count(b"\n") for file in _files_of_ours()}
    assert {name: length for name, length in lengths.items() if length >= MOST_LINES} == {}
    examples = {name: length for name, length in lengths.items() if name.startswith("examples/")}
    assert {name: length for name, length in examples.items() if length > MOST_LINES_OF_AN_EXAMPLE} == {}


def test_no_room_is_empty() -> None:
    rooms = [folder for folder in PACKAGE.rglob("*") if folder.is_dir() and folder.name[0] not in "._"]
    assert [str(room) for room in rooms if not list(room.glob("*.py"))] == []


# -- what the code may not hold ---------------------------------------------------------------------------------------

@cache
def _nodes(tree: ast.Module) -> list[ast.AST]:
    """What the scans look at; the other nodes are nine tenths of a tree."""
    kinds = (ast.Import, ast.ImportFrom, ast.Call, ast.Assert, ast.FunctionDef, ast.ClassDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {(node.module or "").partition(".")[0]}
    return set()


def _called(node: ast.Call) -> str:
    """The name of what is called, with what is before its last dot where that is a name too."""
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        return f"{node.func.value.id}.{node.func.attr}"
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _keyword(node: ast.Call, name: str) -> object:
    found = [word.value for word in node.keywords if word.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def _dangers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in _nodes(tree):
        line = getattr(node, "lineno", 0)
        for name in _imported(node) & SERIALISERS:
            yield line, f"imports {name}"
        if not isinstance(node, ast.Call):
            continue
        if _called(node) in ("eval", "exec", "os.system", "os.popen"):
            yield line, f"calls {_called(node)}"
        if any(word.arg == "shell" for word in node.keywords) and _keyword(node, "shell") is not False:
            yield line, "starts a shell"
        if _called(node) in ("np.load", "numpy.load") and _keyword(node, "allow_pickle") is not False:
            yield line, "np.load without allow_pickle=False"
        if _keyword(node, "allow_pickle") is True:
            yield line, "allow_pickle=True"


def _asserts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in _nodes(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert: raise an error of romflow.core.errors"


def _undocumented(tree: ast.Module) -> Iterator[tuple[int, str]]:
    if not ast.get_docstring(tree):
        yield 1, "the module has no docstring"
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and _public(node) else []
        bases = {ast.unparse(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
        for item in (node, *inner):
            if not isinstance(item, ast.ClassDef | ast.FunctionDef) or not _public(item) or ast.get_docstring(item):
                continue
            if not any((base, item.name) in _documented_methods() for base in bases):
                yield item.lineno, f"{item.name} has no docstring"


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _documented_methods() -> set[tuple[str, str]]:
    """(class, method) of the package where the method has a docstring, which overriding methods inherit."""
    trees = [_tree(file) for file in SOURCES]
    classes = [node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    return {(outer.name, inner.name) for outer in classes for inner in outer.body
            if isinstance(inner, ast.FunctionDef) and ast.get_docstring(inner)}


def _public(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether a reader meets this name: neither underscored nor the bare signature of a protocol."""
    bare = len(node.body) == 1 and ast.unparse(node.body[0]) == "..." and isinstance(node, ast.FunctionDef)
    setter = any(ast.unparse(decorator).endswith(".setter") for decorator in node.decorator_list)
    return not (node.name.startswith("_") or bare or setter)


def _words(name: str) -> set[str]:
    """The words of a name; a Gaussian process is a field term."""
    return set(name.lower().replace("gaussian_process", "").split("_"))


def _vague(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in _nodes(tree):
        if isinstance(node, ast.FunctionDef) and NO_WORDS & _words(node.name):
            yield node.lineno, f"the function name {node.name} holds a word that says nothing"
        if isinstance(node, ast.ClassDef) and re.search("(Manager|Handler|Utils|Processor)$", node.name):
            yield node.lineno, f"the class name {node.name} says nothing"


Scan = Callable[[ast.Module], Iterator[tuple[int, str]]]


@pytest.mark.parametrize("scan", [_dangers, _asserts, _undocumented, _vague])
def test_sources(scan: Scan) -> None:
    assert len(SOURCES) > 20
    found = [f"{file.relative_to(ROOT)}:{line}: {what}" for file in SOURCES
             for line, what in scan(_tree(file))]
    assert found == []


def test_modules_have_telling_names() -> None:
    assert [str(file) for file in SOURCES if NO_WORDS & _words(file.stem)] == []


@pytest.mark.parametrize(("scan", "code"), [
    (_dangers, "import pickle"), (_dangers, "from cloudpickle import dumps"), (_dangers, "x = eval(text)"),
    (_dangers, "subprocess.run('ls', shell=True)"), (_dangers, "subprocess.run('ls', shell=flag)"),
    (_dangers, "os.system('ls')"), (_dangers, "np.load('a.npy')"), (_dangers, "np.load('a.npy', allow_pickle=True)"),
    (_dangers, "h(allow_pickle=True)"), (_asserts, "assert x > 0"),
    (_undocumented, "x = 1"), (_undocumented, "'''A.'''\ndef f(): return 1"),
    (_undocumented, "'''A.'''\nclass C: pass"),
    (_undocumented, "'''A.'''\nclass C:\n    '''B.'''\n    def f(self): return 1"),
    (_vague, "def compute_norm(): pass"), (_vague, "class SnapshotManager: pass"),
])
def test_scans_can_fail(scan: Scan, code: str) -> None:
    assert list(scan(ast.parse(code)))


@pytest.mark.parametrize(("scan", "code"), [
    (_dangers, "np.load('a.npy', allow_pickle=False)"), (_dangers, "subprocess.run(['ls'], shell=False)"),
    (_undocumented, "'''A.'''\nclass C:\n    '''B.'''\n    def f(self): ...\n    def _g(self): return 1"),
    (_vague, "class GaussianProcess: pass"), (_vague, "def fit_gaussian_process(): pass"),
])
def test_scans_let_sound_code_pass(scan: Scan, code: str) -> None:
    assert list(scan(ast.parse(code))) == []
