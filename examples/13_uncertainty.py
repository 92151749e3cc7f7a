"""Uncertainty: a plate of four uncertain materials; statistical error and the reduced model's own error kept apart.

    python examples/13_uncertainty.py

The same question is answered by many draws of the reduced model, by a coarse reduced model with a few full-order solves
as its control, and, for a rare event, by importance sampling.
"""

import tempfile
from pathlib import Path

import numpy as np

import romflow
from romflow.parameters.copulas import Gaussian
from romflow.parameters.distributions import TruncatedNormal
from romflow.uq import Evaluated, Fidelity, RandomInputs, Wishes, control_variate, importance, of_reduced, propagate


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "plate"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 30},
        "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "greedy", "pool": 200}, "reduction": {"tolerance": 1e-3, "max_size": 40},
        "validation": {"size": 5}, "cluster": {"kind": "serial"}})
    rom, fom = study.run(folder).rom, study.model

    correlation = np.eye(4)
    correlation[0, 1] = correlation[1, 0] = 0.7
    inputs = RandomInputs(rom.parameters, {"k": TruncatedNormal(0.5, 0.15, 0.1, 1.0)}, Gaussian(correlation))
    wishes = Wishes("sobol", 2**16, exceedance={"average": [0.1]}, sensitivity=True)
    answers = propagate(of_reduced(rom), inputs, wishes, names=rom.output_names).outputs["average"]
    print(f"{'':22} value      statistical error   error of the model")
    for name, found in (("mean", answers.mean), ("standard deviation", answers.std),
                        ("P(average > 0.1)", answers.exceedance[0][1]), *answers.total.items()):
        print(f"{name:22} {found.value:.6f}   +- {(found.high - found.low) / 2:.1e}          {found.model_error:.1e}")

    def full_order(mu: np.ndarray) -> Evaluated:
        return Evaluated(np.column_stack([fom.solve(row).outputs for row in mu]))

    coarse = rom.truncate(3)
    models = Fidelity("full", full_order, 1e-3), Fidelity("coarse", of_reduced(coarse), 1e-5)
    paired = control_variate(*models, inputs, rom.output_names, solves=100, evaluations=20_000)
    mean, gain = paired.mean["average"], paired.gain["average"]["mean"]
    error = coarse.solve(inputs.sample(1000, np.random.default_rng(0))).output_error.max()
    print(f"with 100 full-order solves and a model that is off by up to {error:.1e}: mean {mean.value:.6f}, between "
          f"{mean.low:.6f} and {mean.high:.6f}; {gain:.0f} times less variance than Monte Carlo at equal cost")

    rare = importance(of_reduced(rom), inputs, rom.output_names, {"average": [0.2]}, size=10_000).events[0]
    print(f"P(average > 0.2) = {rare.estimate.value:.2e} +- {100 * rare.relative_half_width:.0f} % "
          f"from 10,000 draws, {rare.seen} of them beyond")
    return {"mean": answers.mean.value, "mean_error": (answers.mean.high - answers.mean.low) / 2,
            "mean_model_error": answers.mean.model_error, "paired_mean": mean.value, "gain": gain,
            "paired_error": (mean.high - mean.low) / 2, "rare": rare.estimate.value, "rare_width":
            rare.relative_half_width, "total": sum(found.value for found in answers.total.values())}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
