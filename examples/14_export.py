"""Export: one reduced model as ONNX, C and a functional mock-up unit, each run without romflow and compared.

    python examples/14_export.py

Needs the extras onnx and fmu, and a C compiler (gcc, clang, or the extra compiler).
"""

import tempfile
from pathlib import Path

import numpy as np

import romflow
from romflow.export.c import C
from romflow.export.checking import check
from romflow.export.fmu import Fmu
from romflow.export.npz import Npz
from romflow.export.onnx.exporter import Onnx


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "plate"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 30},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4, "unit": "W/(m K)"}},
        "sampling": {"method": "greedy", "pool": 200}, "reduction": {"tolerance": 1e-3, "max_size": 40},
        "validation": {"size": 5}, "cluster": {"kind": "serial"}})
    rom = study.run(folder / "run").rom
    answer = rom.solve(np.full((1, 4), 0.5))
    print(f"average = {answer.output[0, 0]:.6f}, off by at most {answer.output_error[0, 0]:.1e} (a {answer.kind})")

    worst = {}
    for exporter, name in ((Npz(fields=False), "plate.npz"), (Onnx(), "plate.onnx"), (C(), "plate.c"),
                           (Fmu(), "plate.fmu"), (Fmu(version="2.0"), "plate2.fmu")):
        files = exporter.write(rom, folder / name)
        found = check(rom, exporter, folder / name)
        sizes = ", ".join(f"{file.name} {file.stat().st_size / 1000:.0f} kB" for file in files)
        print(f"{sizes:45} {found}")
        worst[name] = found.worst
    return worst


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
