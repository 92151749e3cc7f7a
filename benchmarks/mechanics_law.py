"""The elastoviscoplastic law under cyclic uniaxial strain and heat, beside an ODE solver and beside CalculiX.

    python benchmarks/mechanics_law.py [--quick] [--json FILE]

law_error is the larger of two shares of the largest stress: the law by implicit Euler (1200 steps for one and a half
cycles) against the same equations written again and integrated by LSODA; one element of CalculiX and one of ours under
the same strains and temperatures (hardening, Norton flow).
"""

from __future__ import annotations

import shutil

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import say  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from romflow.fom.evolution.time_grid import TimeGrid  # noqa: E402
from romflow.fom.mechanics.calculix.model import Calculix  # noqa: E402
from romflow.materials.making import make_law  # noqa: E402
from romflow.materials.reference import REFERENCE  # noqa: E402
from romflow.materials.uniaxial import uniaxial  # noqa: E402
from romflow.parameters.space import ParameterSpace  # noqa: E402

PERIOD, END = 100.0, 150.0
HEAT = "(T - 20) / 1000"
NORTON = {"kind": "viscoplastic", "young": f"200e3 * (1 - 0.3 * {HEAT})", "poisson": 0.3,
          "expansion": f"1.2e-5 * (1 + 0.2 * {HEAT})", "reference_temperature": 20.0,
          "isotropic": f"200 * (1 - 0.5 * {HEAT}) + 80 * (1 - exp(-10 * p))",
          "viscosity": f"150 * (1 + 0.5 * {HEAT})", "exponent": f"6 - 2 * {HEAT}"}
STRAINED = {"mesh": {"shape": "box", "cells": [1, 1, 1]}, "element": "hex8", "temperature": "300 + 200 * a",
            "supports": [*({"on": f"{x} = 0", "symmetric": True} for x in "xyz"),
                         {"on": "z = max", "components": ["z"], "value": "pull * a / 1000"}],
            "amplitudes": {"a": {"times": [0, 10, 30, 40], "values": [0, 1, -1, 0], "period": 40}}}


def strain(t: np.ndarray) -> np.ndarray:
    """Prescribed axial strain."""
    return 4e-3 * np.sin(2 * np.pi * t / PERIOD)


def temperature(t: np.ndarray) -> np.ndarray:
    """Degrees Celsius."""
    return 20 + 200 * (1 - np.cos(2 * np.pi * t / PERIOD))


def stress_of(t: np.ndarray, plastic: np.ndarray) -> np.ndarray:
    """Axial stress of a bar with this plastic strain."""
    s = (temperature(t) - 20) / 1000
    return 200e3 * (1 - 0.3 * s) * (strain(t) - plastic - 1.2e-5 * (1 + 0.2 * s) * (temperature(t) - 20))


def rates(t: float, y: np.ndarray) -> list[float]:
    """d (plastic strain, p, hardening strains) / dt: the reference material, written again."""
    s = (temperature(t) - 20) / 1000
    modulus = np.array([60e3, 8e3]) * (1 - 0.4 * s)
    over = stress_of(t, y[0]) - modulus @ y[2:]
    yielding = 200 * (1 - 0.5 * s) + 80 * (1 - 0.3 * s) * (1 - np.exp(-10 * y[1]))
    dp = (max(abs(over) - yielding, 0.0) / (150 * (1 + 0.5 * s))) ** (6 - 2 * s)
    flow = np.sign(over) * dp
    return [flow, dp, *(flow - np.array([300.0, 30.0]) * y[2:] * dp)]


def against_ode(steps: int) -> float:
    """Largest difference of the stress by its largest value."""
    times = np.linspace(0.0, END, 25)
    found = solve_ivp(rates, (0.0, END), np.zeros(4), method="LSODA", rtol=1e-9, atol=1e-12, t_eval=times, max_step=1.0)
    right = stress_of(times, found.y[0])
    t = np.linspace(0.0, END, steps + 1)
    ours = uniaxial(make_law(REFERENCE), t, strain=strain(t), data={"T": temperature(t)}).stress[0, ::steps // 24]
    return float(np.abs(ours - right).max() / np.abs(right).max())


def against_calculix() -> float:
    """Largest difference of the stresses over time by their largest value, at the points of one element."""
    space = ParameterSpace.from_spec([{"name": "pull", "distribution": "uniform", "low": 0.0, "high": 10.0}])
    model = Calculix(space, NORTON, **STRAINED).evolving(TimeGrid(60.0, 30))
    return float(model.compared(np.array([4.0])).stress.max())


def measure() -> dict[str, Figure]:
    """All figures."""
    ode = against_ode(1200)
    say(f"law against LSODA: {ode:.2e} of the largest stress")
    found, peer = ode, "LSODA"
    if shutil.which("ccx"):
        theirs = against_calculix()
        say(f"law against CalculiX: {theirs:.2e} of the largest stress")
        found, peer = max(found, theirs), "LSODA, CalculiX"
    else:
        say("CalculiX (ccx) is not installed: the law is compared with the ODE solver alone")
    return {"law_error": Figure(found, 1e-3, False, "1", peer)}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(), wish.json)
