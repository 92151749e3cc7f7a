"""What people use it for, uncertainty and export: every part in a process of its own, one table of all figures.

    python benchmarks/uses.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/uses_PART.py) and says there what it compares, and how:

designs     optimal designs for polynomials, and lattice rules on a random domain beside Monte Carlo
estimators  a reduced model as control variate, importance sampling of rare events, beside Monte Carlo
answers     intervals of Sobol' indices, and what a million certified evaluations with indices cost
export      ONNX files beside the model: differences, and time of a batch
compiled    C and functional mock-up units beside the model: differences, and time of an evaluation
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

PARTS = {
    "designs": ("lattice_rate",),
    "estimators": ("control_variate_variance_ratio",),
    "answers": ("sobol_seconds_per_million",),
    "export": ("onnx_difference",),
    "compiled": ("fmu_difference", "c_difference", "c_microseconds")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    # All times are of processors, so that small sizes may be measured two parts at a time.
    sys.exit(run("uses", PARTS, wish.only or list(PARTS), wish.quick, wish.json, 2 if wish.quick else 1))
