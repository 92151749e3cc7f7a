"""Study files for the tests, and the command line in a process of its own or in this one."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from romflow.cli import main

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


WITHOUT_PAGE = """
import romflow.walk.run
from romflow.cli import main

romflow.walk.run.write_report = lambda path, data: None
if __name__ == "__main__":
    main()
"""


def start(*words: str | Path, cwd: Path | None = None, page: bool = True) -> subprocess.Popen[str]:
    """`romflow words...` in a process group of its own; without the page, whose pictures take their time."""
    program = ["-m", "romflow"] if page else ["-c", WITHOUT_PAGE]
    return subprocess.Popen([sys.executable, *program, *map(str, words)], env=environment(), cwd=cwd, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def romflow(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command."""
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=180)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def romflow_here(*words: str | Path, page: bool = True) -> subprocess.CompletedProcess[str]:
    """The finished command, run in this process, which saves the time to import everything again."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.ExitStack() as changed:
        changed.enter_context(mock.patch.object(sys, "argv", ["romflow", *map(str, words)]))
        changed.enter_context(contextlib.redirect_stdout(out))
        changed.enter_context(contextlib.redirect_stderr(err))
        if not page:
            changed.enter_context(mock.patch("romflow.walk.run.write_report"))
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())
