"""Hot spots that the training never saw: the reduced model as it is, and runs that take full-order steps on the way.

    python benchmarks/mechanics_adaptive.py [--quick] [--json FILE]

Plate with a hole of 442 unknowns, one cycle of 40 steps, trained with the spot at (1, 0). The spot is moved to 12 other
places (--quick: 3). frozen_error is the largest relative error of the accumulated plastic strain (L2) at the end
without full-order steps, adaptive_error the same of the adaptive runs (tolerance .05). The rank correlation is that of
indicator and true error at all times of the adaptive runs after the first four steps, beside that at their ends.
least_effectivity is the smallest indicator by true error where the error is above the tolerance: at all times of the
adaptive runs, and of the model as it is from where p has a twentieth of its size at the end.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import PLASTIC, SPOTS, History, plate, say  # noqa: E402

from romflow.reduction.mechanics.full_step import STEP_KERNELS  # noqa: E402
from romflow.reduction.mechanics.reductor import EmpiricalCubature  # noqa: E402
from romflow.rom.mechanics.calibration import indicator_quality  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402
from romflow.tasks.adaptive import AdaptiveSettings, run_adaptive  # noqa: E402

TRAINED = np.array([1.0, 0.0])
MOVED = np.array([[0.0, 1.0], [0.7, 0.7], [2.0, 0.0], [0.0, 2.0], [1.5, 1.5], [3.0, 0.0], [0.0, 3.0], [2.0, 2.0],
                  [1.0, 2.0], [2.5, 1.0], [1.5, 0.5], [0.5, 1.5]])
TOLERANCE, SHARE, FIRST, SEEN = 0.05, 0.15, 4, 0.05


def errors_of(rom: Any, answer: Any, truth: History) -> np.ndarray:
    """Relative errors (K + 1,) of the plastic strain, against at least a hundredth of its norm at the end."""
    found = np.stack([rom.field(answer, PLASTIC, k)[0, :, 0] for k in range(len(answer.times))], axis=1)
    norm = np.sqrt(rom.volume @ truth.p**2)
    return np.sqrt(rom.volume @ (found - truth.p) ** 2) / np.maximum(norm, 1e-2 * norm[-1])


def measure(places: np.ndarray) -> dict[str, Figure]:
    """All figures."""
    fom = plate((12, 16))
    frozen, adapted, steps, seconds = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        store = SnapshotStore(Path(folder) / "store", fom.spec, SPOTS.columns)
        History(fom, TRAINED, time.process_time).store(fom, store, TRAINED)
        method = EmpiricalCubature(1e-4, dual_tolerance=1e-4, cubature_tolerance=1e-3)
        rom = method.reduce(fom, store, TRAINED[None])

        def tasks(kernel: str, shared: dict[str, Any], parts: Any) -> list[dict[str, Any]]:
            return [STEP_KERNELS[kernel](fom, folder, part, **shared) for part in parts]

        for j, mu in enumerate(places):
            truth = History(fom, mu, time.process_time)
            answer = rom.solve(mu[None])
            norm = np.sqrt(rom.volume @ truth.p**2)
            seen = norm > SEEN * norm[-1]
            frozen.append((errors_of(rom, answer, truth)[seen], answer.error_series[seen, 0]))
            begun = time.process_time()
            run = run_adaptive(tasks, fom, rom, method.offline, mu, AdaptiveSettings(TOLERANCE, SHARE),
                               Path(folder) / f"{j:04d}")
            seconds.append(time.process_time() - begun)
            adapted.append((errors_of(run.rom, run.answer, truth), run.answer.error_series[:, 0]))
            steps.append(run.full_order_steps / (len(fom.times) - 1))
            say(f"spot at {mu.tolist()}: at the end {frozen[-1][0][-1]:.2e} as it is, {adapted[-1][0][-1]:.2e} with "
                f"{run.full_order_steps} full-order steps ({adapted[-1][0].max():.1e} at worst), indicator "
                f"{adapted[-1][1][-1]:.2e}; {seconds[-1]:.1f} s")
    E, indicators = (np.array([run[i] for run in adapted]) for i in (0, 1))
    everywhere = indicator_quality(indicators[:, FIRST:].ravel(), E[:, FIRST:].ravel(), TOLERANCE)
    ends = indicator_quality(indicators[:, -1], E[:, -1], TOLERANCE)
    least = min(_least(*run) for run in adapted), min(_least(*run) for run in frozen)
    say(f"rank correlation {everywhere.rank_correlation:.3f} at all times, {ends.rank_correlation:.3f} at the ends; "
        f"least indicator by error above the tolerance {least[0]:.2f} adaptive, {least[1]:.2f} as it is")
    figures = {"adaptive_error": Figure(E[:, -1].max(), 3e-2, False, "1"),
               "adaptive_full_order_share": Figure(max(steps), 0.15, False, "1"),
               "indicator_rank_correlation": Figure(everywhere.rank_correlation, 0.8, True, "1"),
               "frozen_error": Figure(max(run[0][-1] for run in frozen), 0.3, True, "1"),
               "least_effectivity": Figure(least[0], 1 / 3, True, "1"),
               "least_effectivity_frozen": Figure(least[1], 1 / 3, True, "1")}
    # Where no error is above the tolerance there is no effectivity to speak of.
    return {name: figure for name, figure in figures.items() if np.isfinite(figure.value)}


def _least(errors: np.ndarray, indicators: np.ndarray) -> float:
    """The smallest indicator by error where the error is above the tolerance."""
    wrong = errors > TOLERANCE
    return float((indicators[wrong] / errors[wrong]).min(initial=np.inf))


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(MOVED[[0, 4, 5]] if wish.quick else MOVED), wish.json)
