"""One run of CalculiX: its results at the times that converged, and what went wrong in one sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.core.names import one_line, shown
from romflow.fom.child import Finished, run
from romflow.fom.mechanics.calculix.frd import ResultFile, read_results

__all__ = ["CalculixRun", "checked_command", "converged_time", "run_calculix"]

_PRINTED = 1 << 26
_TAIL = 4000
# Times in the result file have six digits.
_DIGITS = 2e-5
_SOLVER, _LAST = "spooles", 200
_LOST = "Card image:"


@dataclass(frozen=True)
class CalculixRun:
    """What a run left.

    Attributes
    ----------
    results : ResultFile or None
        None where nothing was written.
    converged : float
        Total time up to which the increments converged; behind it the result file may hold an iterate that did not.
    failure : str or None
        What went wrong in one sentence, or None.
    facts : dict
        "seconds" (processor time), "wall_seconds", "exit_code", "increments".
    """

    results: ResultFile | None
    converged: float
    failure: str | None
    facts: dict[str, Any]

    def times(self) -> np.ndarray:
        """Times of the results that converged, rising."""
        if self.results is None:
            return np.empty(0)
        times = self.results.times
        return times[times <= self.converged * (1.0 + _DIGITS)]

    def error(self, mu: np.ndarray, time: float | None) -> SolveFailed:
        """The failed solve that this run is, at the last time that was right."""
        until = "" if time is None else f"; times up to t = {time:.6g} are kept"
        values = ", ".join(f"{value:.6g}" for value in mu)
        return SolveFailed(f"CalculiX {self.failure or 'gave no results'} for mu = [{values}]{until}",
                           {"mu": mu.tolist(), "time": time, **self.facts})


def checked_command(command: str | Sequence[str]) -> list[str]:
    """Program and arguments as a list, the program found on the PATH or as a file.

    Raises
    ------
    ConfigError
        The command is neither a text nor a list of texts.
    InputError
        There is no such program.
    """
    words = [command] if isinstance(command, str) else list(command) if isinstance(command, list | tuple) else []
    if not words or not all(isinstance(word, str) and word for word in words):
        raise ConfigError(f"command = {shown(command)}; the rule is the name of the program of CalculiX, or a list of "
                          "it and its arguments")
    found = shutil.which(words[0])
    if found is None:
        raise InputError(f"the program {shown(words[0])} is not found; install CalculiX (Debian: calculix-ccx), or "
                         "give its path as `command`")
    return [found, *words[1:]]


def run_calculix(folder: Path, job: str, command: Sequence[str] = ("ccx",), timeout: float | None = None
                 ) -> CalculixRun:
    """Solve `folder`/`job`.inp there, without a shell, in a process group that ends with this process.

    It takes as many threads as OMP_NUM_THREADS says, else one.

    Parameters
    ----------
    folder : path
    job : str
        Name of the input without ".inp".
    command : sequence of str
        The program and arguments before ``-i job``.
    timeout : float, optional
        Seconds.

    Returns
    -------
    CalculixRun
        Also of a run that failed: what converged before is in it.

    Raises
    ------
    InputError
        The program is not found, or cannot be started.
    """
    words = [*checked_command(list(command)), "-i", job]
    for ending in (".frd", ".sta", ".dat"):
        (folder / f"{job}{ending}").unlink(missing_ok=True)
    try:
        finished = run(words, Path(os.devnull), folder, timeout, b"", _PRINTED)
    except OSError as error:
        raise InputError(f"the program {words[0]} cannot be started ({error.strerror or error})") from error
    printed = finished.stdout.decode("utf-8", "replace")
    converged, increments = converged_time(folder / f"{job}.sta")
    results, unread = _results(folder / f"{job}.frd")
    failure = _failure(finished, printed, timeout) or unread
    facts: dict[str, Any] = {"seconds": finished.cpu_seconds, "wall_seconds": finished.wall_seconds,
                             "exit_code": finished.exit_code, "increments": increments}
    if failure is not None:
        facts["printed"] = printed[-_TAIL:]
    return CalculixRun(results, converged, failure, facts)


def converged_time(path: Path) -> tuple[float, int]:
    """Total time of the last increment that converged, and how many did, from the status file (.sta).

    An attempt that did not converge has a U behind its number.
    """
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return 0.0, 0
    times = [float(row[4]) for row in rows if len(row) == 7 and row[0].isdigit() and row[2].isdigit()]
    return (max(times), len(times)) if times else (0.0, 0)


def _results(path: Path) -> tuple[ResultFile | None, str | None]:
    if not path.is_file():
        return None, "wrote no results"
    try:
        return read_results(path), None
    except InputError as error:
        return None, f"left results that cannot be read ({error})"


def _failure(finished: Finished, printed: str, timeout: float | None) -> str | None:
    """What the run itself says; CalculiX goes on with cards that it does not know, so these count as errors."""
    if finished.timed_out and timeout is not None:
        return f"took longer than its time limit of {timeout:g} s and was ended"
    messages = _messages(printed)
    lost = [text.partition(_LOST)[2].strip() for text in messages if _LOST in text]
    errors = [text for text in messages if text.startswith("*ERROR")]
    if lost:
        return f"left out a line of its input that it does not understand, {one_line(lost[0], 100)!r}"
    if errors:
        return f"stopped: {one_line(errors[0].removeprefix('*ERROR').lstrip(': '), 300)}"
    if finished.exit_code < 0:
        return f"was ended by the signal {-finished.exit_code}"
    if finished.exit_code and _SOLVER in printed[-_LAST:]:
        return ("stopped while it factorised its matrix, which is singular: the load may exceed what the body can "
                "carry, or the supports leave it free")
    return f"returned {finished.exit_code}" if finished.exit_code else None


def _messages(printed: str) -> list[str]:
    """Its errors and warnings, each with the lines that it goes on over."""
    messages: list[str] = []
    fresh = False
    for line in map(str.strip, printed.splitlines()):
        if line.startswith(("*ERROR", "*WARNING")):
            messages.append(line)
            fresh = True
        elif fresh and line and (not line.startswith("*") or messages[-1].endswith(_LOST)):
            messages[-1] += " " + line
        else:
            fresh = False
    return messages
