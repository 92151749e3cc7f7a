"""Runs as a script beside MPI ranks, with the standard library alone: who dies takes along what it has started.

``rank.py launch PARENT COMMAND ...`` becomes COMMAND, which gets SIGTERM when its parent PARENT dies.
``rank.py rank FOLDER COMMAND ...`` runs COMMAND as one rank. What it writes to standard error goes to
``FOLDER/rank-0003.stderr``, with standard output except that of rank 0, and how it ended to ``FOLDER/rank-0003.exit``,
whichever MPI and launcher it is. It is killed when this process dies, and so on up to the launcher's parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "SLURM_PROCID")


def main(words: list[str]) -> None:
    """Do what the words of the command line say."""
    if words[0] == "launch":
        _die_with(int(words[1]), signal.SIGTERM)
        os.execvp(words[2], words[2:])
    sys.exit(_run(words[1], words[2:]))


def _run(folder: str, command: list[str]) -> int:
    """Run one rank to its end; its exit code, 128 + the signal if one killed it."""
    number = next((int(os.environ[name]) for name in _RANKS if name in os.environ), 0)
    stem = os.path.join(folder, f"rank-{number:04d}")
    parent = os.getpid()
    child = os.fork()
    if not child:
        _become(command, f"{stem}.stderr", number, parent)
    _die_with(os.getppid(), signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    told = {"rank": number, "exit_code": code, "when": time.time(), "seconds": usage.ru_utime + usage.ru_stime}
    with contextlib.suppress(OSError), open(f"{stem}.part", "w", encoding="utf-8") as file:
        file.write(json.dumps(told))
        os.replace(f"{stem}.part", f"{stem}.exit")
    return code if code >= 0 else 128 - code


def _become(command: list[str], errors: str, number: int, parent: int) -> None:
    try:
        _die_with(parent, signal.SIGKILL)
        file = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, 2)
        if number:
            os.dup2(file, 1)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _die_with(parent: int, number: int) -> None:
    """Get a signal when the parent dies, which may have happened already."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(128 + number)


if __name__ == "__main__":
    main(sys.argv[1:])
