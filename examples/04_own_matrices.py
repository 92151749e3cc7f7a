"""Matrices that another code assembled: files in a folder and a model.toml, no Python class needed.

    python examples/04_own_matrices.py

Here the "other code" is a few lines that write a transport problem with a non-symmetric operator.
"""

import tempfile
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp

import romflow

MODEL = """
[[operator]]                 # diffusion
file = "K.mtx"
theta = "viscosity"
[[operator]]                 # transport by the wind
file = "B.mtx"
theta = "cos(angle)"
[[rhs]]
file = "f.npy"
theta = "1"
[inner_product]
file = "K.mtx"
[stability]
kind = "scm"
[[output]]
name = "mean"
file = "l.npy"
"""


def write_matrices(folder: Path, n: int = 300) -> None:
    """What the other code leaves."""
    h = 1.0 / (n + 1)
    K = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) / h
    B = sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]) / 2
    folder.mkdir()
    scipy.io.mmwrite(folder / "K.mtx", K)
    scipy.io.mmwrite(folder / "B.mtx", B)
    np.save(folder / "f.npy", np.full(n, h))
    np.save(folder / "l.npy", np.full(n, h))
    (folder / "model.toml").write_text(MODEL, encoding="utf-8")


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    write_matrices(folder / "matrices")
    study = romflow.Study.from_dict({
        "study": {"name": "transport"}, "model": {"kind": "affine-files", "path": "matrices"},
        "parameters": {"viscosity": {"distribution": "log-uniform", "low": 0.05, "high": 1.0},
                       "angle": {"low": 0.0, "high": 3.14159}},
        "sampling": {"method": "greedy", "pool": 200}, "reduction": {"tolerance": 1e-4},
        "validation": {"size": 30}, "cluster": {"kind": "serial"}}, base=folder)
    result = study.run(folder / "run")
    validation = result.summary["validation"]
    print(f"{result.rom.size} basis vectors by least-squares projection; largest relative error "
          f"{validation['max_relative_error']:.1e}, its {validation['error_kind']} "
          f"{validation['max_error_estimate']:.1e}")
    return {"basis_size": result.rom.size, "max_relative_error": validation["max_relative_error"],
            "min_effectivity": validation["min_effectivity"], "max_effectivity": validation["max_effectivity"]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
