"""Study files for the tests, and the command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

BLOCK = """
[study]
name = "block"
[model]
kind = "thermal-block"
blocks = [2, 2]
cells = {cells}
[parameters.conductivity]
low = 0.1
high = 1.0
size = 4
[sampling]
method = "greedy"
pool = 50
seed = 42
[reduction]
tolerance = {tolerance}
max_size = {max_size}
[validation]
size = 6
seed = 7
[cluster]
kind = "{cluster}"
workers = 2
"""


def write_block(folder: Path, *, cells: int = 12, tolerance: float = 1e-2, max_size: int = 20,
                cluster: str = "serial", extra: str = "") -> Path:
    """A small thermal block study."""
    path = folder / "study.toml"
    path.write_text(BLOCK.format(cells=cells, tolerance=tolerance, max_size=max_size, cluster=cluster) + extra,
                    encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """The environment of a child process that imports this checkout."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONWARNINGS": "error"}


def start(*words: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
    """`romflow words...` in a process group of its own."""
    return subprocess.Popen([sys.executable, "-m", "romflow", *map(str, words)], env=environment(), cwd=cwd, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def romflow(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command."""
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(words, process.returncode, out, err)
