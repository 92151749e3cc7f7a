"""The full-order solver beside CalculiX: the same mesh, law, forces and times, in space, with hardening and heat.

    python benchmarks/mechanics_calculix.py [--quick] [--json FILE]

A beam of quadratic tetrahedra (9,000 unknowns) is pulled, bent and heated along its length until it has yielded by
some per cent, in steps of which CalculiX cuts none. Errors are shares of the largest value over all times:
displacements; accumulated plastic strain (the two solvers against each other, plus the law against what CalculiX
wrote); stress, which the import computes from the displacements alone, against what CalculiX wrote. Seconds are
processor seconds a step of one run each, one thread; CalculiX has SPOOLES, ours the backend that [solver] finds.
"""

from __future__ import annotations

import shutil
import sys
import time

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import PLASTIC, History, say  # noqa: E402

from romflow.fom.evolution.time_grid import TimeGrid  # noqa: E402
from romflow.fom.marching import checked_march  # noqa: E402
from romflow.fom.mechanics.calculix.model import Calculix  # noqa: E402
from romflow.fom.mechanics.model import Mechanics  # noqa: E402
from romflow.fom.mechanics.replay import replay  # noqa: E402
from romflow.materials.protocol import rows_of  # noqa: E402
from romflow.parameters.space import ParameterSpace  # noqa: E402

SPACE = ParameterSpace.from_spec([{"name": "pull", "distribution": "uniform", "low": 0.0, "high": 1000.0}])
MU = np.array([140.0])
HEAT = "(T - 20) / 1000"
LAW = {"kind": "viscoplastic", "young": f"200e3 * (1 - 0.3 * {HEAT})", "poisson": 0.3,
       "expansion": f"1.2e-5 * (1 + 0.2 * {HEAT})", "reference_temperature": 20.0,
       "isotropic": f"200 * (1 - 0.5 * {HEAT}) + 80 * (1 - exp(-10 * p))"}
FULL, QUICK, STEPS = [12, 5, 5], [6, 2, 2], 8


def beam(cells: list[int]) -> dict[str, object]:
    """Options that both models take."""
    return {"mesh": {"shape": "box", "cells": cells, "lengths": [3.0, 1.0, 1.0]}, "element": "tet10",
            "supports": [{"on": "x = 0"}], "temperature": "20 + 60 * a * x",
            "loads": [{"type": "traction", "on": "x = max", "value": [1, 0, 0.1], "amplitude": "pull * a"}],
            "amplitudes": {"a": {"times": [0, 1, 2], "values": [0, 1, -0.5]}}}


def measure(cells: list[int], steps: int) -> dict[str, Figure]:
    """All figures."""
    grid = TimeGrid(2.0, steps)
    model = Mechanics(SPACE, LAW, **beam(cells)).evolving(grid)  # type: ignore[arg-type]
    ours = History(model, MU, time.process_time)
    theirs = Calculix(SPACE, LAW, **beam(cells)).evolving(grid)  # type: ignore[arg-type]
    pieces = list(checked_march(theirs, MU))
    seconds = sum(piece.seconds for piece in pieces) / steps
    u = np.hstack([piece.states for piece in pieces])
    plastic = rows_of(model.mechanics.law, PLASTIC)
    p = np.stack([state[plastic][0] for _, _, state in replay(model.mechanics, MU, grid.times, u.T)], axis=1)
    found = theirs.compared(MU)
    w = model.mechanics.space.weights
    displacement = np.abs(u - ours.u).max() / np.abs(ours.u).max()
    strain = np.sqrt((w @ (p - ours.p) ** 2).max() / (w @ ours.p**2).max()) + found.accumulated_plastic_strain.max()
    say(f"{model.n} unknowns, p up to {ours.p.max():.1e}: {ours.seconds.mean():.2f} s a step, CalculiX {seconds:.2f} s")
    return {"calculix_displacement_error": Figure(displacement, 1e-3, False, "1", "CalculiX 2.20"),
            "calculix_plastic_strain_error": Figure(strain, 1e-2, False, "1", "CalculiX 2.20"),
            "calculix_import_stress_error": Figure(found.stress.max(), 1e-2, False, "1", "CalculiX 2.20"),
            "step_seconds_vs_calculix": Figure(ours.seconds.mean() / seconds, 1.0, False, "1", "CalculiX 2.20")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    if shutil.which("ccx") is None:
        sys.exit("CalculiX (ccx) is not installed; Debian has it as calculix-ccx")
    show(measure(QUICK if wish.quick else FULL, STEPS), wish.json)
