"""Functional mock-up units: the reduced model as a block of a system simulation, compiled here."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.files import write_atomic
from romflow.core.names import shown
from romflow.export.compiled.compiler import PLATFORMS, find_compiler, native, shared_library
from romflow.export.compiled.description import build_description, model_description, token
from romflow.export.compiled.fmi2 import FMI_2
from romflow.export.compiled.fmi3 import FMI_3
from romflow.export.compiled.running import run_unit
from romflow.export.compiled.source import Source, source_of
from romflow.export.compiled.text import number, string, wrapped
from romflow.export.compiled.unit import UNIT
from romflow.export.program.build import build
from romflow.rom.model import ReducedModel

__all__ = ["Fmu"]

_WRITTEN = (1980, 1, 1, 0, 0, 0)
_VERSIONS = ("3.0", "2.0")

_START = """\
#include "{stem}.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

#define PARAMETERS {NAME}_PARAMETERS
#define OUTPUTS {NAME}_OUTPUTS
#define OUTPUT_ERRORS {errors}
#define ERRORS 1
#define POINTS {points}
#define WORK {NAME}_WORK
#define TOKEN {token}
#define evaluate {name}_{function}_with
#define low {name}_low
#define high {name}_high
#define parameter_names {name}_parameters
{times}
static const double start_values[PARAMETERS] = {{
{start}
}};
"""


class Fmu:
    """A functional mock-up unit (FMI) for co-simulation and model exchange, with its sources and its binary.

    Parameters are tunable and have units, ranges and start values (the centre of the space); outputs, their errors and
    the error of the state are outputs. A parameter outside its range is refused: the call that sets it returns an
    error and the log says why. A model at rest answers at any time. A model that moves in time has outputs between its
    first and last time: at its own times they are its values, between two of them outputs are interpolated linearly
    and of errors the larger of the two is given; its parameters hold for the whole trajectory, and new ones put
    another trajectory in its place. In model exchange the unit has no states: it gives the same values of time.

    Parameters
    ----------
    version : "3.0" or "2.0"
        Of FMI; the number will do.
    platforms : sequence of str, optional
        What to compile for: "x86_64-linux", "aarch64-linux", "x86_64-windows", "x86_64-darwin", "aarch64-darwin". By
        default this machine, by $CC, cc, gcc, clang or the package ziglang; the others need that package.

    Raises
    ------
    ConfigError
        There is no such version or platform.

    Examples
    --------
    >>> Fmu(version="2.0").suffix
    '.fmu'
    """

    suffix = ".fmu"

    def __init__(self, version: str | float = "3.0", platforms: Sequence[str] | None = None) -> None:
        version = f"{version:.1f}" if isinstance(version, int | float) and version in (2, 3) else version
        if not isinstance(version, str) or version not in _VERSIONS:
            raise ConfigError(f"fmu: version = {shown(version)} is none of {', '.join(_VERSIONS)}; give one of them.")
        if platforms is not None:
            _check_platforms(platforms, version)
        self.version, self.platforms = version, None if platforms is None else tuple(platforms)

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write the unit to `path`; the same model and compiler give the same bytes.

        Raises
        ------
        NotSupported
            The model cannot be written as a list of array operations, or there is no compiler.
        SolveFailed
            The compiler refused.
        StoreError
            The file cannot be written.
        """
        platforms = self.platforms or (native(),)
        for name in platforms:
            find_compiler(name)
        program = build(rom)
        source = source_of(program, "model")
        start = _inside(rom)
        write_atomic(Path(path), _archive(self._files(source, start, platforms)))
        return [Path(path)]

    def answers(self, path: Path, mu: np.ndarray) -> dict[str, np.ndarray]:
        """What a unit answers at mu (b, p), run by fmpy in a process in which romflow cannot be imported.

        Raises
        ------
        NotSupported
            fmpy is not installed.
        StoreError
            The file is no such unit, or it refused a parameter.
        """
        return run_unit(Path(path), mu)

    def _files(self, source: Source, start: Sequence[float], platforms: Sequence[str]) -> dict[str, bytes]:
        sources = {"model.c": source.source, "model.h": source.header, "unit.c": _unit(source, start, self.version)}
        found = {f"sources/{name}": text.encode("ascii") for name, text in sources.items()}
        found["modelDescription.xml"] = model_description(source, start, self.version, list(sources))
        found["resources/facts.json"] = json.dumps(source.facts.plain(), indent=1, sort_keys=True).encode("ascii")
        if self.version == "3.0":
            found["sources/buildDescription.xml"] = build_description(source, list(sources))
        for name in platforms:
            place = PLATFORMS[name]
            folder = place.short if self.version == "2.0" else name
            binary = shared_library(sources, source.name, name)
            found[f"binaries/{folder}/{source.name}{place.suffix}"] = binary
        return found


def _check_platforms(platforms: Sequence[str], version: str) -> None:
    if isinstance(platforms, str) or not isinstance(platforms, Sequence) or not platforms:
        raise ConfigError(f"fmu: platforms = {shown(platforms)} is no list of names; give some of "
                          f"{', '.join(PLATFORMS)}.")
    for name in platforms:
        if name not in PLATFORMS:
            raise ConfigError(f"fmu: no platform is called {shown(name)}; known: {', '.join(PLATFORMS)}.")
        if version == "2.0" and PLATFORMS[name].short is None:
            raise ConfigError(f"fmu: FMI 2.0 knows no platform {name}; give version = \"3.0\".")


def _inside(rom: ReducedModel) -> list[float]:
    """The centre of the parameter space."""
    return [float(value) for value in rom.parameters.centre()]


def _unit(source: Source, start: Sequence[float], version: str) -> str:
    """The C text around the model."""
    facts = source.facts
    moves = facts.times is not None
    times = f"#define times {source.name}_times" if moves else "static const double times[1] = {0.0};"
    head = _START.format(stem="model", name=source.name, NAME=source.name.upper(), errors=int(source.errors),
                         points=f"{source.name.upper()}_TIMES" if moves else "1", times=times,
                         token=string(token(source, version)), function="series" if moves else "evaluate",
                         start=wrapped(number(value) for value in start))
    return head + UNIT + (FMI_2 if version == "2.0" else FMI_3)


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A zip file without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _WRITTEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
