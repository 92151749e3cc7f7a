"""Large meshes: every part in a process of its own, one table of all figures.

    python benchmarks/large.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/large_PART.py) and says there what it compares, and how:

schwarz    two-level Schwarz with the cheap coarse space beside the naive one, PETSc and pyamg
sweep      ten parameters on two MPI ranks through Dask, reduced by parts; 1, 2 and 4 ranks give the same
million    1,069,200 unknowns of layered elasticity on two ranks
splitting  domain splitting on tensor grids as first guess and preconditioner

One BLAS thread; the parts run one after the other. A part that fails is named, its figures are left out, and the exit
code is 1.
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

# The parts in the order of the table, with the figures that the contract of the benchmark names.
PARTS = {
    "schwarz": ("max_iterations", "iterations_growth_with_subdomains", "time_vs_naive_geneo"),
    "sweep": ("rank_invariance", "repeat_solve_cost_ratio"),
    "million": (),
    "splitting": ()}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    # The quick run leaves out the parts without a figure of the contract.
    default = [part for part, named in PARTS.items() if named or not wish.quick]
    sys.exit(run("large", PARTS, wish.only or default, wish.quick, wish.json))
