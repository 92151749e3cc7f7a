"""Any program as a full-order model: parameters in as JSON on standard input, the state out as a NumPy file."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import one_line, shown
from romflow.core.snapshot import Snapshot
from romflow.fom.child import Finished, run
from romflow.fom.protocol import short
from romflow.parameters.space import ParameterSpace

_STDERR = 4000
_UNKNOWN_LIMIT = 1 << 30


class ExternalProgram:
    """A state by running a program once a parameter.

    The program reads one JSON object from standard input::

        {"parameters": {"conductivity_0": 0.3, ...},     # by column
         "mu": [0.3, ...],                               # the same in order
         "output": "/tmp/.../state.npy"}                 # where to write the state, (n,) or (n, 1) real numbers

    and writes the state as a NumPy file to `output`, or to standard output, and ends with exit code 0. Where the study
    names outputs, the object holds also "output_names" and "outputs", the path of a second NumPy file (o,) that the
    program must write. The folder of `output` is empty, its own, and removed afterwards: it may be used for scratch
    files. What goes to standard output is otherwise ignored. The working folder is `base`.

    The program runs without a shell in its own session. The whole process group is ended when the program ends, on the
    time limit (SIGTERM, after 2 s SIGKILL), and when romflow itself dies; only a process that leaves the group on
    purpose stays.

    Parameters
    ----------
    parameters : ParameterSpace
    command : list of str
        Program and arguments. The first is a file relative to `base` if there is one, else a name on the PATH. The word
        "{python}" means the Python that runs romflow.
    base : path
        Folder of the study.
    timeout : float, optional
        Time limit of one run in seconds.
    n : int, optional
        Length of a state; every result is checked against it. Without it the first result of a process sets it.
    outputs : list of str, optional
        Names of the outputs that the program gives.

    Raises
    ------
    ConfigError
        An option is wrong.
    InputError
        The program is not found or not executable.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> code = "import json, sys, numpy; r = json.load(sys.stdin); numpy.save(r['output'], [r['parameters']['a'], 1.0])"
    >>> ExternalProgram(space, ["{python}", "-c", code]).solve(np.array([0.5])).state
    array([0.5, 1. ])
    """

    def __init__(self, parameters: ParameterSpace, command: Sequence[str], base: str | Path = ".",
                 timeout: float | None = None, n: int | None = None, outputs: Sequence[str] | None = None) -> None:
        self.parameters = parameters
        self.command = _command(command)
        self.base = Path(base).resolve()
        self.timeout = _timeout(timeout)
        self.n = _length(n)
        self.output_names = _names(outputs)
        self._words = _resolved(self.command, self.base)
        self.files = tuple(self.base / word for word in self.command if (self.base / word).is_file())
        hashes = {word: file_fingerprint(self.base / word) for word in self.command if (self.base / word).is_file()}
        self.spec: dict[str, Any] = {"kind": "external", "command": self.command, "files": hashes, "n": self.n,
                                     "outputs": list(self.output_names)}

    def solve(self, mu: np.ndarray) -> Snapshot:
        """Run the program at mu (p,).

        Returns
        -------
        Snapshot
            `info`: "seconds" (processor time of the program), "wall_seconds", "exit_code", and "stderr" if not empty.

        Raises
        ------
        ParameterError
            mu is outside the parameter space.
        SolveFailed
            The program cannot be started, took too long, returned another exit code than 0, or gave no usable result.
            `report`: "mu", "command", "exit_code", "stderr" (the last 4000 characters), "seconds", "wall_seconds".
        """
        row = self.parameters.one(mu, "solve")
        with tempfile.TemporaryDirectory(prefix="romflow-", ignore_cleanup_errors=True) as folder:
            return self._solve(row, Path(folder).resolve())

    def _solve(self, mu: np.ndarray, folder: Path) -> Snapshot:
        state_file, outputs_file = folder / "state.npy", folder / "outputs.npy"
        request: dict[str, Any] = {"parameters": dict(zip(self.parameters.columns, mu.tolist(), strict=True)),
                                   "mu": mu.tolist(), "output": str(state_file)}
        if self.output_names:
            request.update(output_names=list(self.output_names), outputs=str(outputs_file))
        failure = _Failure(self._name, self._words, mu)
        with tempfile.TemporaryDirectory(prefix="romflow-", ignore_cleanup_errors=True) as private:
            text = Path(private, "request.json")
            text.write_text(json.dumps(request), encoding="utf-8")
            limit = _UNKNOWN_LIMIT if self.n is None else 16 * self.n + (1 << 16)
            try:
                finished = run(self._words, text, self.base, self.timeout, npy.MAGIC_PREFIX, limit)
            except OSError as error:
                raise failure.because(f"cannot be started ({error.strerror or error})", None) from error
        failure.check(finished, self.timeout)
        state = self._state(state_file, finished, failure)
        outputs = self._outputs(outputs_file, finished, failure)
        self.n = state.size if self.n is None else self.n
        return Snapshot(state, outputs, failure.facts(finished))

    @property
    def _name(self) -> str:
        """The script of an interpreter, else the program."""
        return Path(self.files[0] if self.files else self.command[0].replace("{python}", "python")).name

    def _state(self, file: Path, finished: Finished, failure: _Failure) -> np.ndarray:
        if file.is_file():
            with failure.reading("the file that it wrote", finished), open(file, "rb") as stream:
                return read_vector(stream, self.n)
        if not finished.stdout.startswith(npy.MAGIC_PREFIX):
            printed = one_line(finished.stdout.decode("utf-8", "replace"), 80)
            raise failure.because(
                "returned 0 but wrote no state, neither to the file named by \"output\" nor in NumPy's format to "
                "standard output" + (f" (which begins {printed!r})" if printed else ""), finished)
        if finished.overflow:
            raise failure.because(f"returned 0 but printed more than a state of n = {self.n} can be", finished)
        with failure.reading("its standard output", finished):
            return read_vector(BytesIO(finished.stdout), self.n)

    def _outputs(self, file: Path, finished: Finished, failure: _Failure) -> np.ndarray | None:
        if not self.output_names:
            return None
        if not file.is_file():
            raise failure.because("returned 0 but wrote no outputs: the file named by \"outputs\" is missing", finished)
        with failure.reading("its outputs", finished), open(file, "rb") as stream:
            return read_vector(stream, len(self.output_names))


class _Failure:
    """Makes the SolveFailed of one run: who, for which parameter, why, with the report."""

    def __init__(self, name: str, command: list[str], mu: np.ndarray) -> None:
        self.name, self.command, self.mu = name, command, mu

    def facts(self, finished: Finished) -> dict[str, Any]:
        """What a snapshot keeps of the run."""
        facts: dict[str, Any] = {"seconds": finished.cpu_seconds, "wall_seconds": finished.wall_seconds,
                                 "exit_code": finished.exit_code}
        stderr = finished.stderr.decode("utf-8", "replace")[-_STDERR:]
        return {**facts, "stderr": stderr} if stderr else facts

    def because(self, reason: str, finished: Finished | None) -> SolveFailed:
        """The error."""
        report: dict[str, Any] = {"mu": self.mu.tolist(), "command": self.command, "exit_code": None, "stderr": "",
                                  "seconds": 0.0}
        if finished is not None:
            report.update(self.facts(finished))
        lines = [line for line in report["stderr"].splitlines() if line.strip()]
        last = f"; last line of stderr: {one_line(lines[-1], 200)}" if lines else ""
        return SolveFailed(f"external solver {self.name!r} {reason} for mu = {short(self.mu)}{last}", report)

    def check(self, finished: Finished, timeout: float | None) -> None:
        """Raise unless the program ended by itself with exit code 0."""
        if finished.timed_out:
            raise self.because(f"took longer than its time limit of {timeout:g} s and was ended", finished)
        if finished.exit_code < 0:
            with contextlib.suppress(ValueError):
                name = signal.Signals(-finished.exit_code).name
                raise self.because(f"was ended by the signal {name}", finished)
        if finished.exit_code != 0:
            raise self.because(f"returned {finished.exit_code}", finished)

    @contextlib.contextmanager
    def reading(self, source: str, finished: Finished) -> Any:
        """Turn what goes wrong while `source` is read into the error."""
        try:
            yield
        except (ValueError, OverflowError, OSError, MemoryError) as error:
            reason = one_line(str(error), 200) or type(error).__name__
            raise self.because(f"returned 0 but {source} is no usable state: {reason}", finished) from error


def read_vector(stream: BinaryIO, n: int | None) -> np.ndarray:
    """The finite real vector (n,) in a .npy stream, from an array (n,) or (n, 1); nothing is unpickled.

    Raises
    ------
    ValueError
        Another format, type, shape or size than promised, or values that are not finite.
    """
    shape, dtype = _header(stream)
    if dtype.kind not in "iuf":
        raise ValueError(f"it has type {dtype}, and the rule is real numbers")
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or shape[0] < 1:
        raise ValueError(f"it has shape {shape}, and the rule is (n,) or (n, 1)")
    if n is not None and shape[0] != n:
        raise ValueError(f"it has {shape[0]} values, and the rule is {n}")
    # Before anything of the promised size is allocated.
    start = stream.tell()
    held, promised = stream.seek(0, os.SEEK_END) - start, shape[0] * dtype.itemsize
    if held != promised:
        raise ValueError(f"its header promises {promised} bytes, and it has {held}")
    stream.seek(start)
    values = np.frombuffer(stream.read(promised), dtype=dtype).astype(np.float64)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise ValueError(f"{bad} of its values are not finite (NaN or infinity)")
    return values


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(stream)
    if version not in readers:
        raise ValueError(f"its format version {version} is not 1.0 or 2.0")
    try:
        shape, _, dtype = readers[version](stream)
    except Exception as error:  # NumPy's reader promises no kinds of error for damaged headers
        raise ValueError(f"its header cannot be read ({error})") from error
    return shape, dtype


def _command(command: Any) -> list[str]:
    words = list(command) if isinstance(command, list | tuple) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ConfigError(f"command = {shown(command)} is not a list of words; write [\"program\", \"argument\", ...], "
                          "for no shell splits it")
    return words


def _resolved(command: list[str], base: Path) -> list[str]:
    """The words that are run: "{python}" replaced, the program as an absolute path."""
    words = [sys.executable if word == "{python}" else word for word in command]
    here = base / words[0]
    found = str(here) if here.is_file() else shutil.which(words[0])
    if found is None:
        raise InputError(f"external program {shown(command[0])} is neither a file in {base} nor a program on the PATH; "
                         "check the first word of command")
    if not os.access(found, os.X_OK):
        raise InputError(f"external program {found} is not executable; run chmod +x on it, or name its interpreter "
                         "first, such as \"{python}\"")
    return [found, *words[1:]]


def _timeout(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0.0 < timeout < math.inf:
        raise ConfigError(f"timeout = {shown(timeout)} is not a number of seconds above 0")
    return float(timeout)


def _length(n: Any) -> int | None:
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise ConfigError(f"n = {shown(n)} is not a whole number from 1; give the length of a state, or leave it out")
    return n


def _names(outputs: Any) -> tuple[str, ...]:
    names = [] if outputs is None else list(outputs) if isinstance(outputs, list | tuple) else [outputs, None]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise ConfigError(f"outputs = {shown(outputs)} is not a list of different names")
    return tuple(names)
