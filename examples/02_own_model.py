"""Your own full-order model as a Python class: a cooling fin, discretised here, reduced and certified by romflow.

    python examples/02_own_model.py
    romflow verify examples/02_own_model.py:CoolingFin

In a study file the same class is named by its path: kind = "examples/02_own_model.py:CoolingFin".
"""

import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import romflow
from romflow import AffineModel, AffineOperator, AffineOutputs, AffineVector, Parameter, ParameterSpace, Theta
from romflow.parameters.distributions import LogUniform, Uniform


class CoolingFin(AffineModel):
    """-k u'' + h u = 0 on (0, 1), heat flux 1 at the root: conductivity k, heat transfer h."""

    def __init__(self, parameters: ParameterSpace | None = None, cells: int = 500) -> None:
        space = parameters or ParameterSpace([Parameter("k", Uniform(0.5, 2.0)), Parameter("h", LogUniform(0.1, 10.0))])
        n, length = cells + 1, 1.0 / cells
        ends = np.r_[1.0, np.full(n - 2, 2.0), 1.0]
        K = sp.diags_array([-np.ones(n - 1), ends, -np.ones(n - 1)], offsets=[-1, 0, 1]) / length
        M = sp.diags_array([np.ones(n - 1), 2 * ends, np.ones(n - 1)], offsets=[-1, 0, 1]) * (length / 6)
        flux = np.zeros((n, 1))
        flux[0] = 1.0
        one = Theta(["1"], space.columns)
        super().__init__(
            space, AffineOperator(Theta(["k", "h"], space.columns), [K, M]), AffineVector(one, flux),
            inner_product=K + M, outputs=AffineOutputs(["root_temperature"], one, flux.T[None]),
            spec={"model": "cooling fin", "cells": cells}, norm="H1",
            stability={"kind": "expression", "expression": "min(k, h)"})


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "fin"}, "model": {"kind": f"{Path(__file__).name}:CoolingFin", "cells": 500},
        "parameters": {"k": {"low": 0.5, "high": 2.0}, "h": {"distribution": "log-uniform", "low": 0.1, "high": 10.0}},
        "sampling": {"method": "greedy", "pool": 200}, "reduction": {"tolerance": 1e-6},
        "validation": {"size": 20}, "cluster": {"kind": "serial"}}, base=Path(__file__).parent)
    summary = study.run(folder).summary
    print(f"{summary['offline']['basis_size']} basis vectors, largest relative error "
          f"{summary['validation']['max_relative_error']:.1e} on parameters that it never saw")
    return {"basis_size": summary["offline"]["basis_size"],
            "max_relative_error": summary["validation"]["max_relative_error"],
            "min_effectivity": summary["validation"]["min_effectivity"]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
