"""Plate with a hole of 1,650 unknowns: trained on the first of four cycles, at the tolerances 1e-4, 1e-4, 1e-3.

    python benchmarks/mechanics_plate.py [--quick] [--json FILE]

cubature_points are those of the rule at ten displacement modes; an earlier prototype of the same problem needed 62, and
18 more at which only fields are known. Errors of the accumulated plastic strain p (L2) are relative to its norm: over
cycle 1 to the largest, in cycle 4 to that of the same time. Subdomains: the points after the global pass by those of
one subdomain. --quick runs two cycles on a 12 x 16 mesh and compares its own counts with the same numbers.
"""

from __future__ import annotations

import tempfile
import time

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import PLASTIC, SPOTS, History, plate, say  # noqa: E402

from romflow.reduction.mechanics.reductor import EmpiricalCubature  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402

MU = np.array([1.0, 0.0])


def reduced(fom, store, subdomains: int = 1):  # noqa: ANN001, ANN201
    """The reduced model."""
    method = EmpiricalCubature(1e-4, dual_tolerance=1e-4, cubature_tolerance=1e-3, subdomains=subdomains,
                               calibrate=subdomains == 1)
    return method.reduce(fom, store, MU[None])


def measure(cells: tuple[int, int], cycles: int) -> dict[str, Figure]:
    """All figures."""
    long, first = plate(cells, cycles), plate(cells, 1)
    truth = History(long, MU, time.process_time)
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(folder, first.spec, SPOTS.columns)
        truth.store(first, store, MU)
        begun = time.process_time()
        rom = reduced(first, store)
        offline = time.process_time() - begun
        counts = {number: len(reduced(first, store, number).weights) for number in (4, 16)}
    begun = time.process_time()
    answer = rom.solve(MU[None], times=long.times)
    online = (time.process_time() - begun) / (len(long.times) - 1)
    w = rom.volume
    gap = np.sqrt(w @ (rom.dual[PLASTIC].modes @ answer.dual[PLASTIC][:, :, 0].T - truth.p) ** 2)
    norm = np.sqrt(w @ truth.p**2)
    one = len(first.times) - 1
    error, last = gap[:one + 1].max() / norm[one], (gap / np.maximum(norm, 1e-30))[-one:].max()
    m = len(rom.weights)
    say(f"{rom.n} unknowns, {rom.size} modes, {m} + {len(rom.points) - m} points of {len(w)}, volume error "
        f"{abs(rom.weights.sum() / w.sum() - 1):.1e}, {rom.dual[PLASTIC].size} modes of p; offline {offline:.1f} s, "
        f"online {1e3 * online:.2f} ms a step, full order {1e3 * truth.seconds.mean():.1f} ms")
    say(f"p: cycle 1 {error:.1e}, cycle {cycles} {last:.1e}; indicator at the end {answer.error_series[-1, 0]:.1e}; "
        f"points in 1, 4, 16 subdomains: {m}, {counts[4]}, {counts[16]}")
    return {"cubature_points": Figure(m, 62, False, "1", "prototype"),
            "all_points": Figure(len(rom.points), 80, False, "1", "prototype"),
            "plate_modes": Figure(rom.size, 10, False, "1", "prototype"),
            "plastic_strain_cycle_1": Figure(error, 4e-3, False, "1"),
            "plastic_strain_last_cycle": Figure(last, 1.1e-2, False, "1"),
            "points_by_subdomains": Figure(max(counts.values()) / m, 1.2, False, "1"),
            "volume_error": Figure(abs(rom.weights.sum() / w.sum() - 1), 1e-4, False, "1"),
            "least_weight": Figure(rom.weights.min() / w.min(), 0.0, True, "1")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(*(((12, 16), 2) if wish.quick else ((24, 32), 4))), wish.json)
