"""Any program as the full-order model: POD and Gaussian-process regression, trusted as far as cross-validation goes.

    python examples/03_external_program.py

The solver is `wave_solver.py`, started once for each parameter, with a time limit and retries.
"""

import tempfile
from pathlib import Path

import numpy as np

import romflow


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    study = romflow.Study.from_dict({
        "study": {"name": "wave"},
        "model": {"kind": "external", "command": ["{python}", "wave_solver.py"], "timeout": 60},
        "parameters": {"speed": {"low": 1.0, "high": 2.0}, "damping": {"low": 0.0, "high": 3.0}},
        "sampling": {"method": "sobol", "size": 32, "seed": 3},
        "reduction": {"method": "pod-regression", "tolerance": 1e-4},
        "validation": {"size": 16, "seed": 5},
        "failures": {"retries": 1},
        "cluster": {"kind": "local", "workers": 2}}, base=Path(__file__).parent)
    result = study.run(folder)
    rom, validation = result.rom, result.summary["validation"]
    answer = rom.solve(np.array([[1.5, 1.0]]))
    field = rom.lift(answer.coefficients)[:, 0]
    x = np.linspace(0.0, 1.0, 400)
    gap = np.linalg.norm(field - np.exp(-x) * np.cos(2 * np.pi * x / 1.5))
    print(f"{rom.size} modes from {result.summary['offline']['snapshots_solved']} runs of the program in all")
    print(f"largest relative error {validation['max_relative_error']:.1e} on {validation['size']} new parameters")
    print(f"at speed 1.5, damping 1: error {gap:.1e}, {answer.kind} {answer.error[0]:.1e}")
    return {"basis_size": rom.size, "max_relative_error": validation["max_relative_error"], "gap": gap,
            "indicator": float(answer.error[0])}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
