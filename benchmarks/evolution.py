"""Nonaffine, nonlinear and time-dependent models beside pyMOR 2026.1.

    python benchmarks/evolution.py [--quick] [--only PART ...] [--json FILE]

Each part runs in a process of its own: burgers, parabolic, steppers.
"""

from __future__ import annotations

import sys

from figures import arguments
from parts import run

PARTS = {
    "burgers": ("burgers_offline_speedup", "burgers_online_speedup", "burgers_batch_speedup", "burgers_error"),
    "parabolic": ("parabolic_batch_speedup",),
    "steppers": ("bdf_orders_min_margin",),
}


def main() -> int:
    """Measure the parts asked for."""
    wish = arguments(str(__doc__), PARTS)
    return run("evolution", PARTS, wish.only or list(PARTS), wish.quick, wish.json)


if __name__ == "__main__":
    sys.exit(main())
