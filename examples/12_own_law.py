"""A material law of one's own: held to the rules of laws, tried on a test machine, and in a body that is reduced.

    python examples/12_own_law.py

Damage: strained to kappa, a solid keeps the share rest + (1 - rest) exp(-(kappa - start) / width) of its stiffness.
"""

import tempfile
from pathlib import Path

import numpy as np

import romflow
from romflow.materials.making import make_law
from romflow.materials.protocol import LawAnswer
from romflow.materials.uniaxial import uniaxial
from romflow.testing.material_law import check_law


class Damage:
    """stress = g(kappa) C strain, where kappa is the largest sqrt(strain . C strain / E) so far."""

    variables, symmetric, temperature_range, reads = {"kappa": 1}, True, None, ()
    example_strain = 5e-3                                       # of the size that the rules are tried at

    def __init__(self, young=30e3, poisson=0.2, rest=0.3, start=1e-4, width=1e-3):
        self.young, self.rest, self.start, self.width = young, rest, start, width
        self.options = {"young": young, "poisson": poisson, "rest": rest, "start": start, "width": width}
        shear = young / (2 * (1 + poisson))
        self.C = np.diag([2 * shear] * 3 + [shear] * 3)         # the last three strains are engineering shear
        self.C[:3, :3] += young * poisson / ((1 + poisson) * (1 - 2 * poisson))

    def initial(self, points):
        return np.zeros((1, points))

    def integrate(self, strain, data, dt, state, tangent=True):  # strain (6, P), state (1, P)
        effective = self.C @ strain
        now = np.sqrt((strain * effective).sum(axis=0) / self.young)
        kappa = np.maximum(state[0], now)
        fading = (1 - self.rest) * np.exp(-np.maximum(kappa - self.start, 0.0) / self.width)
        grows = now > np.maximum(state[0], self.start)
        slope = np.where(grows, -fading / self.width, 0.0) / (self.young * np.maximum(now, 1e-300))
        slopes = (self.rest + fading) * self.C[:, :, None] + slope * effective[:, None] * effective
        return LawAnswer((self.rest + fading) * effective, kappa[None], slopes if tangent else None, np.isfinite(kappa))

    def to_spec(self):
        return self.options

    @classmethod
    def from_spec(cls, spec):
        return cls(**{name: value for name, value in spec.items() if name != "kind"})


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    file = f"{Path(__file__).resolve()}:Damage"                 # what a study names it by
    report = check_law(lambda: make_law({"kind": file}))
    print(f"{len(report.checks)} rules, kept: {report.passed}")
    loop = uniaxial(Damage(), [0, 1, 2], strain=[0, 1e-3, 5e-4], data={"T": 20.0})
    print(f"stretched to 1e-3: {loop.stress[0, 1]:.2f} MPa, back to half of that: {loop.stress[0, 2]:.2f} MPa")
    study = romflow.Study.from_dict({
        "study": {"name": "damage"}, "model": {
            "kind": "mechanics", "mesh": {"shape": "box", "cells": [8, 2, 2], "lengths": [4, 1, 1]},
            "amplitudes": {"a": {"times": [0, 1, 2], "values": [0, 1, 0.5]}}, "supports": [{"on": "x = 0"}],
            "loads": [{"type": "traction", "on": "x = max", "value": [0, 0, 1], "amplitude": "force * a"}],
            "law": {"kind": file},
            "outputs": [{"name": "tip", "type": "displacement", "on": "x = max", "component": "z"}]},
        "parameters": {"force": {"low": 0.5, "high": 1.0}}, "time": {"end": 2.0, "steps": 10},
        "sampling": {"method": "grid", "per_axis": 3}, "reduction": {"method": "empirical-cubature", "tolerance": 1e-4},
        "validation": {"size": 3}, "cluster": {"kind": "serial"}})
    found, rom = study.run(folder).summary["validation"], romflow.load(folder / "model.h5")
    print(f"{rom.n} unknowns became {rom.size}, {len(study.model.mechanics.space.weights)} points {len(rom.points)}; "
          f"outputs at new forces are off by {found['max_relative_output_error']:.1e}")
    return {"passed": report.passed, "half": loop.stress[0, 2] / loop.stress[0, 1], "size": rom.size,
            "points": len(rom.points), "output_error": found["max_relative_output_error"]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
