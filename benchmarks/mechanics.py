"""Nonlinear structural mechanics: every part in a process of its own, one table of all figures.

    python benchmarks/mechanics.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/mechanics_PART.py) and says there what it compares, and how:

law         the material law beside an ODE solver and CalculiX
calculix    the whole solver beside CalculiX on the same mesh: results, and seconds a step
plate       plate with a hole: trained on one cycle, run through four; points of the cubature, subdomains
blade       a blade in space: speed-up of the reduced model and its errors, a hundred cycles
adaptive    hot spots that the training never saw: full-order steps where the indicator asks for them
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

PARTS = {
    "calculix": ("calculix_displacement_error",),
    "law": ("law_error",),
    "blade": ("rom_speedup", "rom_plastic_strain_error"),
    "plate": ("cubature_points",),
    "adaptive": ("adaptive_error", "adaptive_full_order_share", "indicator_rank_correlation")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    sys.exit(run("mechanics", PARTS, wish.only or list(PARTS), wish.quick, wish.json))
