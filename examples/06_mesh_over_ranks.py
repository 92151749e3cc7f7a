"""A mesh in parts, solved by MPI ranks: the same beam by one process and by two ranks.

    python examples/06_mesh_over_ranks.py

The second study differs in `ranks`; the rest of its tables makes it small and accurate. Its states stay in files of
parts, and its reduced model is that of one process.
"""

import tempfile
from pathlib import Path

import h5py
import numpy as np

import romflow

STUDY = {
    "study": {"name": "beam"},
    "model": {"kind": "linear-elasticity", "cells": [16, 3, 4]},
    "parameters": {"modulus": {"distribution": "log-uniform", "low": 1.0, "high": 100.0, "size": 2}},
    "sampling": {"method": "sobol", "size": 6},
    "reduction": {"method": "pod-galerkin", "tolerance": 1e-6},
    "cluster": {"kind": "serial"},
}
SPLIT = STUDY | {"cluster": {"kind": "serial", "ranks": 2}, "solver": {"parts": 4, "tolerance": 1e-11}}


def main(folder: Path) -> dict[str, float]:
    """Headline numbers of the example."""
    whole = romflow.Study.from_dict(STUDY).run(folder / "whole")
    split = romflow.Study.from_dict(SPLIT).run(folder / "split")

    mu = whole.rom.parameters.sample(1000, np.random.default_rng(0))
    one, other = whole.rom.solve(mu), split.rom.solve(mu)
    gap = float(np.abs(other.output / one.output - 1.0).max())
    ratio = other.error / one.error
    print(f"{split.rom.n} unknowns in {split.rom.basis.parts} parts became {split.rom.size}; the outputs of both "
          f"models differ by {gap:.1e}")
    print(f"the bound ({other.kind}) by parts is {ratio.min():.4f} to {ratio.max():.4f} times that of one process")

    # A split snapshot: a file a rank, and one file that shows all of them as a whole.
    files = sorted((folder / "split" / "store" / "snapshots").rglob("rank-*.h5"))
    with h5py.File(files[0].parent.with_suffix(".h5")) as file:
        state = file["state"]
        print(f"a snapshot of {state.size} numbers is {len(state.virtual_sources())} parts in the files of 2 ranks")
    return {"basis_size": split.rom.size, "gap": gap, "min_ratio": float(ratio.min()), "max_ratio": float(ratio.max()),
            "rank_files": len(files), "solved": split.summary["offline"]["snapshots_solved"]}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
