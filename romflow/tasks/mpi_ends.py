"""How an MPI job ended: which rank failed first, how, and what it said last."""

from __future__ import annotations

import contextlib
import json
import re
import signal
from pathlib import Path
from typing import Any

from romflow.core import errors
from romflow.core.errors import RomflowError, SolveFailed
from romflow.core.names import one_line

__all__ = ["failure", "first_exit", "own_error"]

_KEPT = 4000
_READ = 1 << 16
_FEW = 20  # lines of each rank
_TRACEBACK = "Traceback (most recent call last)"
_OURS = re.compile(r"^romflow\.core\.errors\.(\w+): (.+)$", re.MULTILINE)
#: What a rank raises because another one is gone.
_LOST = re.compile(r"^mpi4py\.MPI\.Exception", re.MULTILINE)
#: Lines of MPI libraries that follow the reason.
_NOISE = re.compile(r"^(Abort\(|application called MPI_Abort|MPI_ABORT was invoked|\[[\w.:-]+\] |[-=\s]*$|=  )")


def first_exit(place: Path) -> dict[str, Any] | None:
    """What is known of the rank that failed first: "rank", "exit_code", "when", "seconds"; None if none has."""
    found = []
    for file in place.glob("rank-*.exit"):
        with contextlib.suppress(OSError, ValueError):
            found.append(json.loads(file.read_text(encoding="utf-8")))
    return min((end for end in found if end["exit_code"]), key=lambda end: end["when"], default=None)


def failure(place: Path, exit_code: int | None, ranks: int, seconds: float, why: str,
            limit: float) -> SolveFailed:
    """The error for a job without a last line.

    Parameters
    ----------
    place : Path
        Folder of the job.
    exit_code : int or None
        Of the launcher.
    ranks : int
    seconds : float
        Since the job began.
    why : str
        "limit" or "cancelled" if that is why it was ended.
    limit : float
        Seconds that it might be silent at last.
    """
    texts = {int(file.stem.partition("-")[2]): _tail(file) for file in sorted(place.glob("rank-*.stderr"))}
    first = first_exit(place)
    raised = [number for number, text in texts.items() if _TRACEBACK in text and not _LOST.search(text)]
    who = raised[0] if raised else first["rank"] if first else None
    code = first["exit_code"] if first and first["rank"] == who else 1 if raised else exit_code
    text = _said(texts) if who is None else texts.get(who, "").strip()
    text = text or _tail(place / "launcher.stderr").strip()
    report: dict[str, Any] = {"rank": who, "exit_code": code, "stderr": text[-_KEPT:], "ranks": ranks,
                              "limit": limit if why == "limit" else None, "wall_seconds": seconds}
    found = _OURS.findall(text)
    if found and not why:
        report |= {"error": found[-1][0], "reason": found[-1][1]}
    return SolveFailed(_message(report, why), report)


def own_error(failed: SolveFailed) -> RomflowError | None:
    """The error of romflow that a rank ended with, or None."""
    kind = getattr(errors, str(failed.report.get("error")), None)
    if not (isinstance(kind, type) and issubclass(kind, RomflowError)):
        return None
    return kind(failed.report["reason"])


def _message(report: dict[str, Any], why: str) -> str:
    job = f"the MPI job of {report['ranks']} ranks"
    if why == "limit":
        return f"{job} was ended with all its ranks: it said nothing for {report['limit']:g} s, the time limit."
    if why == "cancelled":
        return f"{job} was cancelled, and ended with all its ranks."
    if "reason" in report:
        return f"{job} failed on rank {report['rank']}: {report['reason']}"
    raised = report["exit_code"] == 1 and _TRACEBACK in report["stderr"]
    end = "raised an error" if raised else _end(report["exit_code"])
    who = "" if report["rank"] is None else f"rank {report['rank']} "
    lines = [line for line in report["stderr"].splitlines() if not _NOISE.match(line)]
    said = one_line(f"; last line of stderr: {lines[-1]}") if lines else ""
    return f"{job} failed: {who}{end}{said}"


def _said(texts: dict[int, str]) -> str:
    """The last lines of all ranks, when nobody knows which one failed.

    Examples
    --------
    >>> _said({0: "", 1: "one\\ntwo"})
    'rank 1: one\\nrank 1: two'
    """
    return "\n".join(f"rank {number}: {line}" for number, text in texts.items() for line in text.splitlines()[-_FEW:])


def _end(code: int | None) -> str:
    """An exit code in words.

    Examples
    --------
    >>> _end(-9)
    'was killed by SIGKILL (by hand, by a batch system, or because memory ran out)'
    >>> _end(3)
    'ended with exit code 3'
    """
    if code is None:
        return "did not end"
    if not code:
        return "ended early, with exit code 0"
    number = -code if code < 0 else code - 128
    names = {int(one): one.name for one in signal.Signals}
    if number not in names:
        return f"ended with exit code {code}"
    hint = " (by hand, by a batch system, or because memory ran out)" if number == signal.SIGKILL else ""
    return f"was killed by {names[number]}{hint}"


def _tail(file: Path) -> str:
    """The end of a text file, "" if there is none."""
    with contextlib.suppress(OSError), open(file, "rb") as stream:
        stream.seek(max(0, file.stat().st_size - _READ))
        return stream.read().decode("utf-8", "replace")
    return ""
