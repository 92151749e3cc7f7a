"""The heat equation on the 2x2 thermal block beside pyMOR: POD-greedy offline, batches with bounds online.

    python benchmarks/evolution_parabolic.py [--quick] [--json FILE]

n = 100 cells a direction, 20 steps of implicit Euler, 20 vectors, 30 training parameters. Processor seconds of one run
with one BLAS thread; the offline time is that of a whole `study.run` up to the finished model.
"""

from __future__ import annotations

import tempfile
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from peer_parabolic import ParabolicPeer, sample  # noqa: E402
from walk import best_of  # noqa: E402

import romflow  # noqa: E402
from romflow.linalg.inner_product import InnerProduct  # noqa: E402

PEER = "pyMOR 2026.1"
FULL = {"cells": 100, "steps": 20, "size": 20, "training": 30, "batch": 1000, "unseen": 100}
QUICK = {"cells": 40, "steps": 20, "size": 20, "training": 30, "batch": 1000, "unseen": 10}


def offline(cells: int, steps: int, size: int, training: int) -> tuple[Any, float, Any]:
    """The reduced model, the processor seconds of its offline stage, and the full-order model."""
    study = romflow.Study.from_dict({
        "study": {"name": "parabolic"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": cells},
        "time": {"end": 1.0, "steps": steps}, "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 4}},
        "sampling": {"method": "greedy", "pool": training, "seed": 42, "criterion": "relative"},
        "reduction": {"method": "pod-greedy", "tolerance": 0.0, "max_size": size}, "cluster": {"kind": "serial"}})
    # The modules are loaded before, as the peer's are.
    fom, _ = study.model, study.reductor()
    with tempfile.TemporaryDirectory() as folder:
        result = study.run(folder)
    return result.rom, result.summary["offline"]["cpu_seconds"], fom


def errors(rom: Any, fom: Any, mu: np.ndarray) -> tuple[float, np.ndarray]:
    """Largest relative error over time (H1_0, as the peer's), and bound over error in L2(0, T; H1_0) (k,)."""
    product, answer, weights = InnerProduct(fom.inner_product), rom.solve(mu), np.diff(fom.times)
    worst, effectivity = 0.0, np.empty(len(mu))
    for j, row in enumerate(mu):
        U = np.hstack([piece.states for piece in fom.march(row)])
        gap = product.norm(U - rom.lift(answer.trajectory[:, :, j].T))
        worst = max(worst, gap.max() / product.norm(U).max())
        effectivity[j] = answer.error[j] / np.sqrt(np.sum(weights * gap[1:] ** 2))
    return worst, effectivity


def measure(sizes: dict[str, int]) -> dict[str, Figure]:
    """All figures on these sizes."""
    built = {name: sizes[name] for name in ("cells", "steps", "size", "training")}
    rom, seconds, fom = offline(**built)
    peer = ParabolicPeer(**built)
    mu = sample(11, sizes["batch"])
    rom.solve(mu)
    batch = best_of(lambda: rom.solve(mu)) / len(mu)
    one = best_of(lambda: rom.solve(mu[:1]), 20)
    each = peer.evaluate(mu[:50])
    unseen = sample(7, sizes["unseen"])
    error, effectivity = errors(rom, fom, unseen)
    print(f"offline {seconds:.2f} s (peer {peer.greedy_seconds:.2f}), {rom.size} vectors; online {1e6 * batch:.0f} us "
          f"in a batch, {1e3 * one:.2f} ms alone (peer {1e3 * each:.2f} ms)")
    return {
        "parabolic_batch_speedup": Figure(each / batch, 40.0, True, "x", PEER),
        "parabolic_offline_speedup": Figure(peer.greedy_seconds / seconds, 4.0, True, "x", PEER),
        "parabolic_single_speedup": Figure(each / one, 1.0, True, "x", PEER),
        "parabolic_error": Figure(error, 2e-2, False, "", f"{PEER}: {peer.error(unseen[:20]):.2g}"),
        "parabolic_min_effectivity": Figure(float(effectivity.min()), 1.0, True, ""),
        "parabolic_max_effectivity": Figure(float(effectivity.max()), 100.0, False, "")}


def main() -> None:
    """Measure and show."""
    wish = arguments(str(__doc__))
    show(measure(QUICK if wish.quick else FULL), wish.json)


if __name__ == "__main__":
    main()
