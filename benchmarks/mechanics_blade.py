"""A blade with cooling holes under spin, pressure and heat: full order beside the reduced model, one thread, one run.

    python benchmarks/mechanics_blade.py [--quick] [--json FILE]

The blade of pipelines/blade.toml (more than 100,000 unknowns; --quick: linear elements) at the centre of its
parameters: two cycles of 20 steps by the full-order solver, of which the first trains the reduced model. rom_speedup is
the processor time of the full-order steps by that of the reduced run over the same two cycles, its indicator included.
Errors are L2 norms over the blade: of the accumulated plastic strain, the largest at the ends of the cycles, relative
to the norm there; of the von Mises stress, the largest of all times, relative to the largest norm. hundred_cycles
counts the training cycle, the offline stage and a reduced run of a hundred cycles against a hundred times the mean
cycle.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import PLASTIC, History, blade, say  # noqa: E402

from romflow.fom.evolution.time_grid import TimeGrid  # noqa: E402
from romflow.reduction.mechanics.reductor import EmpiricalCubature  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402

CYCLES, STEPS, MANY = 2, 20, 100
# Length of edges, and the element.
FULL, QUICK = (4.8, "tet10"), (12.0, "tet4")
TOLERANCES = {"tolerance": 1e-5, "dual_tolerance": 1e-4, "cubature_tolerance": 1e-3}


def errors(rom: Any, answer: Any, truth: History) -> tuple[float, float]:
    """Of the plastic strain and of the von Mises stress."""
    w = rom.volume
    gap, size = np.zeros((2, len(answer.times))), np.zeros((2, len(answer.times)))
    for k in range(len(answer.times)):
        for i, (name, true) in enumerate(((PLASTIC, truth.p[:, k]), ("mises", truth.mises[:, k]))):
            found = rom.field(answer, name, k)[0, :, 0]
            gap[i, k], size[i, k] = np.sqrt(w @ (found - true) ** 2), np.sqrt(w @ true**2)
    return (gap[0, STEPS::STEPS] / size[0, STEPS::STEPS]).max(), gap[1].max() / size[1].max()


def seconds_of(rom: Any, mu: np.ndarray, times: np.ndarray, repeats: int = 3) -> tuple[float, Any]:
    """Processor seconds of a reduced run, the best of some, and its answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        begun = time.process_time()
        answer = rom.solve(mu, times=times)
        best = min(best, time.process_time() - begun)
    return best, answer


def measure(size: float, element: str) -> dict[str, Figure]:
    """All figures."""
    fom, mu = blade(size, CYCLES, STEPS, element)
    first = fom.on(TimeGrid(100.0, STEPS))
    truth = History(fom, mu, time.process_time)
    cycle = truth.seconds.sum() / CYCLES
    say(f"{fom.n} unknowns, {len(fom.mechanics.space.weights)} points: {cycle / STEPS:.2f} s a full-order step "
        f"({truth.seconds.min():.2f} to {truth.seconds.max():.2f}), p up to {truth.p.max():.1e}, "
        f"{np.mean(truth.p[:, -1] > 1e-5):.0%} of the points plastic")
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(folder, first.spec, fom.parameters.columns)
        truth.store(first, store, mu)
        begun = time.process_time()
        rom = EmpiricalCubature(**TOLERANCES).reduce(first, store, mu[None])
        offline = time.process_time() - begun
    online, answer = seconds_of(rom, mu[None], fom.times)
    long, _ = seconds_of(rom, mu[None], np.linspace(0.0, 100.0 * MANY, STEPS * MANY + 1), 1)
    plastic, stress = errors(rom, answer, truth)
    speedup = truth.seconds.sum() / online
    all_in = MANY * cycle / (truth.seconds[:STEPS].sum() + offline + long)
    batch = rom.parameters.sample(100, np.random.default_rng(1))
    many, _ = seconds_of(rom, batch, first.times, 1)
    say(f"{rom.size} modes, {len(rom.weights)} + {len(rom.points) - len(rom.weights)} points: offline {offline:.1f} s, "
        f"online {1e3 * online / (CYCLES * STEPS):.2f} ms a step, in a batch of 100 {1e3 * many / (100 * STEPS):.2f}; "
        f"indicator at the end {answer.error_series[-1, 0]:.1e}")
    return {"rom_speedup": Figure(speedup, 600, True, "x", "own full-order solver"),
            "rom_plastic_strain_error": Figure(plastic, 2e-2, False, "1"),
            "rom_mises_error": Figure(stress, 2e-2, False, "1"),
            "hundred_cycles": Figure(all_in, 35, True, "x", "own full-order solver"),
            "batch_speedup": Figure(cycle * 100 / many, 600, True, "x", "own full-order solver"),
            "blade_unknowns": Figure(fom.n, 1e5, True, "1")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(*(QUICK if wish.quick else FULL)), wish.json)
