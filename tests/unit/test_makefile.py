"""The Makefile finds a Python that works, says so when there is none, and installs once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")

# Stands for a Python: says its age, and "makes" an environment whose python logs what it is asked to do.
STAND_IN = """#!/bin/sh
if [ "$1" = -c ]; then exit {old}; fi
if [ "$2" = venv ]; then
    mkdir -p .venv/bin
    printf '#!/bin/sh\\necho "$0 $*" >> log\\n' > .venv/bin/python
    cp .venv/bin/python .venv/bin/romflow
    chmod +x .venv/bin/python .venv/bin/romflow
    echo "{name} -m venv" >> log
fi
"""


def _folder(tmp_path: Path, repository: Path, pythons: dict[str, int]) -> Path:
    """A copy of what make needs, and a PATH of stand-ins: name -> 0 (new enough) or 1 (too old)."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("mkdir", "chmod", "cp", "touch", "rm", "dirname"):
        (programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    for name, old in pythons.items():
        (programs / name).write_text(STAND_IN.format(name=name, old=old), encoding="utf-8")
        (programs / name).chmod(0o755)
    return tmp_path


def _make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "PYTHON")}
    environment["PATH"] = str(folder / "programs")
    return subprocess.run([str(MAKE), *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
                          check=False)


@pytest.mark.parametrize(("pythons", "taken"), [
    ({"python3.11": 0}, "python3.11"), ({"python3": 0}, "python3"), ({"python3.11": 1, "python3": 0}, "python3"),
    ({"python3.11": 0, "python3": 1}, "python3.11"),
])
def test_python_that_works_is_taken(tmp_path: Path, repository: Path, pythons: dict[str, int], taken: str) -> None:
    folder = _folder(tmp_path, repository, pythons)
    answer = _make(folder, "run")
    assert answer.returncode == 0, answer.stderr
    log = (folder / "log").read_text(encoding="utf-8").splitlines()
    assert log[0] == f"{taken} -m venv"
    assert log[1].startswith(".venv/bin/python -m pip install")
    assert log[2] == ".venv/bin/romflow run pipelines/thermal_block.toml --out runs/thermal-block"


def test_second_run_installs_nothing(tmp_path: Path, repository: Path) -> None:
    folder = _folder(tmp_path, repository, {"python3": 0})
    assert _make(folder, "run").returncode == 0
    (folder / "log").unlink()
    assert _make(folder, "run").returncode == 0
    assert len((folder / "log").read_text(encoding="utf-8").splitlines()) == 1


def test_failed_installation_starts_again(tmp_path: Path, repository: Path) -> None:
    folder = _folder(tmp_path, repository, {"python3": 0})
    assert _make(folder, ".venv/.created").returncode == 0
    (folder / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert _make(folder, "run").returncode != 0
    assert not (folder / ".venv/.installed").exists()


@pytest.mark.parametrize("pythons", [{}, {"python3.11": 1, "python3": 1}])
def test_no_python_is_said(tmp_path: Path, repository: Path, pythons: dict[str, int]) -> None:
    answer = _make(_folder(tmp_path, repository, pythons), "run")
    assert answer.returncode != 0
    assert "romflow needs Python 3.11 or newer" in answer.stderr
    assert not (tmp_path / ".venv").exists()


def test_named_python_is_checked(tmp_path: Path, repository: Path) -> None:
    folder = _folder(tmp_path, repository, {"python3": 0, "mine": 0, "old": 1})
    answer = _make(folder, "run", "PYTHON=old")
    assert answer.returncode != 0
    assert "old is not a Python 3.11 or newer" in answer.stderr
    assert _make(folder, "run", "PYTHON=mine").returncode == 0
    assert (folder / "log").read_text(encoding="utf-8").startswith("mine -m venv")


def test_real_python_answers_the_question(repository: Path) -> None:
    """The question that the Makefile asks is answered with yes by the Python that runs the tests."""
    text = (repository / "Makefile").read_text(encoding="utf-8")
    question = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"
    assert text.count(question) == 2
    assert subprocess.run([sys.executable, "-c", question], check=False).returncode == 0
