"""Linear solves and sketching at scale: every part in a process of its own, one table of all figures.

    python benchmarks/solves.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/solves_PART.py) and says there what it compares, and how:

pod        compression of a snapshot set on disk beside LAPACK's SVD in memory
sweep      100 parameters as one problem beside AMG built anew and a direct factorisation for each
sketch     the sketched residual estimator beside the orthonormal basis
bandit     learnt solver settings beside the best fixed ones; sketched Newton systems beside MINRES
lstsq      sketched least squares beside numpy.linalg.lstsq; coordinated sampling beside CountSketch
functions  inverses and log-determinants from interpolated powers beside plain interpolation
wheels     the rule "auto" beside every solver that is installed

Processor seconds with one BLAS thread; the parts run one after the other. A part that fails is named, its figures are
left out, and the exit code is 1.
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

# The parts in the order of the table, with the figures that the contract of the benchmark names.
PARTS = {
    "pod": ("pod_speedup_vs_svd", "pod_extra_memory_mb", "pod_error_vs_optimal"),
    "sweep": ("sweep_speedup_vs_amg", "sweep_speedup_vs_direct", "sweep_2d_speedup_vs_best"),
    "sketch": ("sketch_ratio_std",),
    "bandit": ("bandit_vs_best_fixed",),
    "lstsq": ("lstsq_speedup",),
    "functions": (),
    "wheels": ()}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    # The quick run leaves out the parts without a figure of the contract.
    default = [part for part, named in PARTS.items() if named or not wish.quick]
    sys.exit(run("solves", PARTS, wish.only or default, wish.quick, wish.json))
