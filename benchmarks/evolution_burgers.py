"""Burgers in two dimensions beside pyMOR: empirical interpolation of the fluxes offline, single and batched online.

    python benchmarks/evolution_burgers.py [--quick] [--json FILE]

120 x 60 cells, 100 steps of explicit Euler, 100 interpolation points, 20 vectors; 10 training parameters. Processor
seconds of one run with one BLAS thread; the offline time is that of a whole `study.run` up to the finished model, and
the peer's the sum of its interpolation (by the faster of two algorithms) and its greedy. Errors are the peer's: largest
L2 error over time by the largest norm.
"""

from __future__ import annotations

import tempfile
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from peer_burgers import BurgersPeer  # noqa: E402
from walk import best_of  # noqa: E402

import romflow  # noqa: E402
from romflow.linalg.inner_product import InnerProduct  # noqa: E402

PEER = "pyMOR 2026.1"
FULL = {"cells": 60, "steps": 100, "points": 100, "size": 20}
QUICK = {"cells": 20, "steps": 30, "points": 40, "size": 12}


def offline(cells: int, steps: int, points: int, size: int) -> tuple[Any, float, Any]:
    """The reduced model, the processor seconds of its offline stage, and the full-order model."""
    study = romflow.Study.from_dict({
        "study": {"name": "burgers"}, "model": {"kind": "burgers", "cells": [2 * cells, cells]},
        "time": {"end": 0.3, "steps": steps, "scheme": "explicit-euler"},
        "parameters": {"exponent": {"low": 1.0, "high": 2.0}},
        "sampling": {"method": "grid", "per_axis": 10},
        "reduction": {"method": "hyper-reduction", "tolerance": 0.0, "max_size": size, "points": points},
        "cluster": {"kind": "serial"}})
    # The modules are loaded before, as the peer's are.
    fom, _ = study.model, study.reductor()
    with tempfile.TemporaryDirectory() as folder:
        result = study.run(folder)
    return result.rom, result.summary["offline"]["cpu_seconds"], fom


def worst_error(rom: Any, fom: Any, mu: np.ndarray) -> float:
    """Largest L2 error over time by the largest norm, over mu (k, 1)."""
    product, answer, worst = InnerProduct(fom.inner_product), rom.solve(mu), 0.0
    for j, row in enumerate(mu):
        U = np.hstack([piece.states for piece in fom.march(row)])
        gap = product.norm(U - rom.lift(answer.trajectory[:, :, j].T))
        worst = max(worst, gap.max() / product.norm(U).max())
    return worst


def measure(sizes: dict[str, int]) -> dict[str, Figure]:
    """All figures on these sizes."""
    rom, seconds, fom = offline(**sizes)
    peer = BurgersPeer(**sizes, algorithm="deim")
    test = np.random.default_rng(7).uniform(1.0, 2.0, 10)
    peer_full, peer_each, peer_error = peer.evaluate(test)
    mu = np.random.default_rng(11).uniform(1.0, 2.0, (100, 1))
    rom.solve(mu)
    batch, one = best_of(lambda: rom.solve(mu), 3) / len(mu), best_of(lambda: rom.solve(mu[:1]))
    full = best_of(lambda: [piece for piece in fom.march(mu[0])], 3)
    theirs = peer.interpolation_seconds + peer.greedy_seconds
    print(f"offline {seconds:.2f} s (peer {peer.interpolation_seconds:.2f} + {peer.greedy_seconds:.2f}), {rom.size} "
          f"vectors; online {1e3 * one:.2f} ms alone, {1e3 * batch:.2f} ms in a batch (peer {1e3 * peer_each:.1f}); "
          f"full order {1e3 * full:.0f} ms (peer {1e3 * peer_full:.0f}); error of the peer {peer_error:.2e}")
    return {
        "burgers_offline_speedup": Figure(theirs / seconds, 4.0, True, "x", PEER),
        "burgers_online_speedup": Figure(peer_each / one, 5.0, True, "x", PEER),
        "burgers_batch_speedup": Figure(peer_each / batch, 20.0, True, "x", PEER),
        "burgers_error": Figure(worst_error(rom, fom, test[:, None]), 1.9e-2, False, "", f"{PEER}: {peer_error:.2g}"),
        "burgers_full_order_speedup": Figure(peer_full / full, 1.0, True, "x", PEER)}


def main() -> None:
    """Measure and show."""
    wish = arguments(str(__doc__))
    show(measure(QUICK if wish.quick else FULL), wish.json)


if __name__ == "__main__":
    main()
