"""Reduced models as C text and as functional mock-up units: how far from the model they are, and how fast C is.

    python benchmarks/uses_compiled.py [--quick] [--json FILE]

c_difference and fmu_difference are the largest differences of outputs and their bounds (by the largest output) and of
the bound (by the largest norm of a state) at 1000 random parameters, run in a process that cannot import romflow: a
thermal block with 20 vectors and its bound, a problem without symmetry, a heat equation at all its times; units of FMI
3.0 and 2.0. c_microseconds is the time of one call for the thermal block with 20 vectors and its bound, text compiled
by -O2, one call after the other at 1000 parameters, least of 30 repetitions in each of several processes one
after the other, for other programs on the machine come and go.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from uses_models import reduced  # noqa: E402

from romflow.export.c import C  # noqa: E402
from romflow.export.checking import check  # noqa: E402
from romflow.export.compiled.compiler import find_compiler, native  # noqa: E402
from romflow.export.fmu import Fmu  # noqa: E402

FULL, QUICK = {"cells": 40, "processes": 8}, {"cells": 12, "processes": 3}
SIZE, REPEATS = 1000, 30
PAUSE = 0.3
SERIAL = {"study": {"name": "compiled"}, "validation": {"size": 0}, "cluster": {"kind": "serial"}}
CLOCK = """\
#include "block.h"
#include <stdio.h>
#include <time.h>
static double mu[{size} * {NAME}_PARAMETERS], output[{NAME}_OUTPUTS], output_error[{NAME}_OUTPUTS], error;
int main(void)
{{
    double best = 1e9;
    FILE *file = fopen("mu.bin", "rb");
    if (!file || fread(mu, sizeof mu, 1, file) != 1) return 1;
    for (int r = 0; r < {repeats}; r++) {{
        clock_t start = clock();
        double seconds;
        for (int i = 0; i < {size}; i++)
            if (romflow_block_evaluate(mu + i * {NAME}_PARAMETERS, output, output_error, &error)) return 2;
        seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        if (seconds < best) best = seconds;
    }}
    printf("%.17g\\n", best / {size} * 1e6);
    return 0;
}}
"""


def studies(cells: int) -> dict[str, dict[str, Any]]:
    """A study of each kind of model."""
    block = {"model": {"kind": "thermal-block", "blocks": [3, 3], "cells": cells},
             "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 9}},
             "sampling": {"method": "greedy", "pool": 60, "seed": 42}, "reduction": {"tolerance": 0.0, "max_size": 20}}
    wind = {"model": {"kind": "advection-diffusion", "cells": cells, "speed": 3.0},
            "parameters": {"diffusion": {"low": 0.1, "high": 1.0}, "angle": {"low": 0.0, "high": 1.5}},
            "sampling": {"method": "greedy", "pool": 60, "seed": 42}, "reduction": {"tolerance": 0.0, "max_size": 10}}
    heat = block | {"model": {"kind": "thermal-block", "blocks": [2, 2], "cells": cells},
                    "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 4}},
                    "time": {"end": 1.0, "steps": 20},
                    "reduction": {"method": "pod-greedy", "tolerance": 0.0, "max_size": 10}}
    return {name: SERIAL | own for name, own in (("block", block), ("wind", wind), ("heat", heat))}


def microseconds(rom: Any, folder: Path, processes: int) -> float:
    """Processor time of one call, from a C program around the exported text."""
    C().write(rom, folder / "block.c")
    rom.parameters.sample(SIZE, np.random.default_rng(0)).tofile(folder / "mu.bin")
    (folder / "clock.c").write_text(CLOCK.format(size=SIZE, repeats=REPEATS, NAME="ROMFLOW_BLOCK"), encoding="ascii")
    subprocess.run([*find_compiler(native()), "-std=c99", "-O2", "-o", "clock", "clock.c", "block.c", "-lm"],
                   cwd=folder, check=True)
    found = []
    for _ in range(processes):
        done = subprocess.run(["./clock"], cwd=folder, check=True, capture_output=True, text=True)
        found.append(float(done.stdout))
        time.sleep(PAUSE)
    print(f"microseconds of an evaluation in {processes} processes: {', '.join(f'{value:.1f}' for value in found)}")
    return min(found)


def measure(sizes: dict[str, int]) -> dict[str, Figure]:
    """All figures; of small sizes without the problem that is not symmetric, and one unit of each."""
    small = sizes == QUICK
    gaps: dict[str, list[float]] = {"c": [], "fmu": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for study, table in studies(sizes["cells"]).items():
            if small and study == "wind":
                continue
            rom = reduced(table)
            units = [Fmu(), Fmu(version="2.0")]
            for exporter in (C(), *(units[study == "heat":][:1] if small else units)):
                path = exporter.write(rom, folder / f"{study}{exporter.suffix}")[0]
                found = check(rom, exporter, path, SIZE)
                gaps[exporter.suffix[1:]].append(found.worst)
                print(f"{study}, {rom.size} vectors, {path.stat().st_size / 1e3:.0f} kB {exporter.suffix}: {found}")
            if study == "block":
                least = microseconds(rom, folder, sizes["processes"])
    peer = "rom.solve"
    return {"c_difference": Figure(max(gaps["c"]), 1e-12, False, "", peer),
            "fmu_difference": Figure(max(gaps["fmu"]), 1e-12, False, "", peer),
            "c_microseconds": Figure(least, 20.0, False, "us")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(QUICK if wish.quick else FULL), wish.json)
