"""Nonaffine, nonlinear and time-dependent models: every part in a process of its own, one table of all figures.

    python benchmarks/evolution.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/evolution_PART.py) and says there what it compares, and how:

burgers     hyper-reduction of Burgers in the plane beside pyMOR: offline, alone, in batches
parabolic   POD-greedy with bounds beside pyMOR
steppers    fitted orders of the time schemes on random grids
estimators  three evaluations of the residual norm
laws        empirical interpolation, time windows, gradients
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

PARTS = {
    "burgers": ("burgers_offline_speedup", "burgers_online_speedup", "burgers_batch_speedup", "burgers_error"),
    "parabolic": ("parabolic_batch_speedup",),
    "steppers": ("bdf_orders_min_margin",),
    "estimators": (),
    "laws": ()}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    sys.exit(run("evolution", PARTS, wish.only or list(PARTS), wish.quick, wish.json))
