"""Ends the process groups of this process when it dies, however it dies: by a second process that waits for that."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

# Reads "+group" and "-group" lines; the end of the input means that the parent is gone.
_PROGRAM = """
import os, signal, sys, time
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for number, pause in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 0.0)):
    for group in groups:
        try:
            os.killpg(group, number)
        except OSError:
            pass
    if groups:
        time.sleep(pause)
"""

_lock = threading.Lock()
_watchdog: subprocess.Popen[bytes] | None = None


@contextlib.contextmanager
def guarded(group: int) -> Iterator[None]:
    """Within this context a process group is ended (SIGTERM, after 2 s SIGKILL) if this process dies.

    The second process is started once and shared; it is in a session of its own, so that Ctrl-C does not reach it. If
    it cannot be started, the groups are not watched.
    """
    _tell(f"+{group}\n")
    try:
        yield
    finally:
        _tell(f"-{group}\n")


def _tell(line: str) -> None:
    global _watchdog
    with _lock:
        if _watchdog is None or _watchdog.poll() is not None:
            _watchdog = _started()
        if _watchdog is not None and _watchdog.stdin is not None:
            with contextlib.suppress(OSError):
                _watchdog.stdin.write(line.encode())


def _started() -> subprocess.Popen[bytes] | None:
    if not sys.executable:
        return None
    with contextlib.suppress(OSError):
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", _PROGRAM], bufsize=0, stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True)
    return None


def _stop() -> None:
    if _watchdog is not None and _watchdog.stdin is not None:
        _watchdog.stdin.close()
        _watchdog.wait()


def _forget() -> None:
    """In a forked child: close its copy of the pipe, which would hide the parent's death; start anew when needed."""
    global _watchdog, _lock
    _lock = threading.Lock()
    if _watchdog is not None:
        if _watchdog.stdin is not None:
            os.close(_watchdog.stdin.fileno())
            _watchdog.stdin = None
        _watchdog.returncode = 0
        _watchdog = None


atexit.register(_stop)
os.register_at_fork(after_in_child=_forget)
