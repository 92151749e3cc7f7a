"""C compilers of this machine, and shared libraries made by them."""

from __future__ import annotations

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from romflow.core.errors import ConfigError, NotSupported, SolveFailed
from romflow.core.names import nearest, one_line, shown

__all__ = ["PLATFORMS", "Platform", "find_compiler", "native", "shared_library"]

# For another platform the package ziglang first makes that one's C library, once.
_SECONDS = 1800
_FLAGS = ("-std=c99", "-O2", "-fPIC", "-shared", "-s")
_REMEDY = "install a C compiler (gcc, clang), or pip install romflow[compiler], which brings one, or set CC"


@dataclass(frozen=True)
class Platform:
    """Where a binary runs.

    Attributes
    ----------
    name : str
        As FMI 3.0 calls it, and the key of `PLATFORMS`.
    short : str or None
        As FMI 2.0 calls it.
    target : str
        As the compiler of the package ziglang calls it.
    suffix : str
        Of a shared library.
    """

    name: str
    short: str | None
    target: str
    suffix: str


#: What a unit can be compiled for; all but the platform of this machine need the package ziglang.
PLATFORMS = {each.name: each for each in (
    Platform("x86_64-linux", "linux64", "x86_64-linux-gnu.2.17", ".so"),
    Platform("aarch64-linux", None, "aarch64-linux-gnu.2.17", ".so"),
    Platform("x86_64-windows", "win64", "x86_64-windows-gnu", ".dll"),
    Platform("x86_64-darwin", "darwin64", "x86_64-macos", ".dylib"),
    Platform("aarch64-darwin", None, "aarch64-macos", ".dylib"))}


def native() -> str:
    """Name of the platform of this machine.

    Raises
    ------
    NotSupported
        It is none of `PLATFORMS`.
    """
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    name = f"{machine}-{platform.system().lower()}"
    if name not in PLATFORMS:
        raise NotSupported(f"this machine is {name}, for which no unit can be compiled; give platforms, which need "
                           f"pip install romflow[compiler]: {', '.join(PLATFORMS)}")
    return name


def find_compiler(name: str) -> list[str]:
    """The command of a C compiler for a platform.

    For this machine $CC, or cc, gcc, clang of the search path, or else the package ziglang; for others that package.

    Raises
    ------
    ConfigError
        No platform has this name.
    NotSupported
        There is no compiler for it.
    """
    if name not in PLATFORMS:
        raise ConfigError(f"no platform is called {shown(name)}{nearest(name, PLATFORMS)}")
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", PLATFORMS[name].target]
    has_zig = importlib.util.find_spec("ziglang") is not None
    if name != _native_or_none():
        if has_zig:
            return zig
        raise NotSupported(f"there is no compiler for the platform {name} here; pip install romflow[compiler]")
    own = shlex.split(os.environ.get("CC", ""))
    if own:
        if shutil.which(own[0]) is None:
            raise NotSupported(f"the environment says CC={shown(' '.join(own))}, which is no program; {_REMEDY}")
        return own
    found = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if found:
        return [found]
    if has_zig:
        return zig
    raise NotSupported(f"there is no C compiler here; {_REMEDY}")


def shared_library(sources: Mapping[str, str], name: str, platform_name: str, hidden: bool = True) -> bytes:
    """The bytes of a shared library.

    Parameters
    ----------
    sources : mapping
        File name -> text of each .c and .h file.
    name : str
        Of the library, without suffix.
    platform_name : str
        One of `PLATFORMS`.
    hidden : bool
        Only what the text marks is seen from outside.

    Raises
    ------
    NotSupported
        There is no compiler for it.
    SolveFailed
        The compiler refused the sources, or did not end in time.
    """
    command = find_compiler(platform_name)
    target = name + PLATFORMS[platform_name].suffix
    with tempfile.TemporaryDirectory(prefix="romflow-c-") as folder:
        for file, text in sources.items():
            Path(folder, file).write_text(text, encoding="ascii")
        units = sorted(file for file in sources if file.endswith(".c"))
        flags = [flag for flag in _FLAGS if not (flag == "-fPIC" and target.endswith(".dll"))]
        flags += ["-fvisibility=hidden"] if hidden else []
        maths = [] if target.endswith(".dll") else ["-lm"]
        _called([*command, *flags, "-o", target, *units, *maths], folder)
        return Path(folder, target).read_bytes()


def _native_or_none() -> str | None:
    try:
        return native()
    except NotSupported:
        return None


def _called(command: Sequence[str], folder: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SolveFailed(f"the C compiler {command[0]} did not run: {one_line(str(error))}; {_REMEDY}") from error
    if done.returncode:
        report = {"exit_code": done.returncode, "error": done.stderr[-2000:]}
        raise SolveFailed(f"the C compiler {command[0]} refused the text: {one_line(done.stderr[:300])}; "
                          "another compiler can be set by CC", report)
