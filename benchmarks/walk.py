"""The walk beside pyMOR 2026.1 on the thermal block: greedy offline, batches online, errors, round-off.

    python benchmarks/walk.py [--quick] [--json FILE] [--picture FILE]

All times are processor seconds of one run with one BLAS thread. The offline time is that of a whole `study.run` up to
the finished model (solves, store, reduction, pool), in this process.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from peer_thermal_block import Peer, sample  # noqa: E402

import romflow  # noqa: E402
from romflow.linalg.inner_product import InnerProduct  # noqa: E402

PEER = "pyMOR 2026.1"


def study(blocks: int, cells: int, size: int, training: int, tolerance: float = 0.0) -> romflow.Study:
    """The peer's problem as a study, solved in this process."""
    return romflow.Study.from_dict({
        "study": {"name": "thermal-block"}, "model": {"kind": "thermal-block", "blocks": [blocks, blocks],
                                                      "cells": cells},
        "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": blocks**2}},
        "sampling": {"method": "greedy", "pool": training, "seed": 42},
        "reduction": {"tolerance": tolerance, "max_size": size},
        "validation": {"size": 0}, "cluster": {"kind": "serial"}})


def offline(blocks: int, cells: int, size: int, training: int) -> tuple[Any, float, Any]:
    """The reduced model, the processor seconds of its offline stage, and the full-order model."""
    problem = study(blocks, cells, size, training)
    fom = problem.model
    with tempfile.TemporaryDirectory() as folder:
        result = problem.run(folder)
    return result.rom, result.summary["offline"]["cpu_seconds"], fom


def truth(fom: Any, mu: np.ndarray) -> np.ndarray:
    """Full-order states (n, k)."""
    return np.stack([fom.solve(row).state for row in mu], axis=1)


def errors(rom: Any, fom: Any, mu: np.ndarray, U: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors and effectivities (k,)."""
    product = InnerProduct(fom.inner_product)
    answer = rom.solve(mu)
    error = product.norm(U - rom.lift(answer.coefficients))
    return error / product.norm(U), answer.error / error


def best_of(action: Callable[[], Any], repeats: int = 5) -> float:
    """Least processor seconds of an action."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times)


def bare_numpy(rom: Any, mu: np.ndarray) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """The same batch, outputs and bounds, as one would write it by hand for this one problem."""
    A, f, functional, T = rom.operator, rom.rhs[0], rom.output[0, 0], rom.factor
    alpha_reference = 1.0

    def evaluate() -> tuple[np.ndarray, np.ndarray]:
        outputs, bounds = np.empty(len(mu)), np.empty(len(mu))
        for start in range(0, len(mu), 1000):
            theta = mu[start:start + 1000]
            right = np.broadcast_to(f[:, None], (len(theta), f.size, 1))
            x = np.linalg.solve(np.tensordot(theta, A, 1), right)[..., 0]
            c = np.concatenate([np.ones((len(theta), 1)), -(x[:, :, None] * theta[:, None]).reshape(len(theta), -1)], 1)
            outputs[start:start + 1000] = x @ functional
            bounds[start:start + 1000] = np.linalg.norm(c @ T.T, axis=1) / (alpha_reference * theta.min(axis=1))
        return outputs, bounds

    return evaluate


def against_peer(blocks: int, cells: int, size: int, training: int, batch: int) -> dict[str, Figure]:
    """Greedy, batch and errors on one problem."""
    peer = Peer(blocks, cells, size, training)
    rom, seconds, fom = offline(blocks, cells, size, training)
    mu, online = sample(7, 100, blocks**2), sample(13, batch, blocks**2)
    error, effectivity = errors(rom, fom, mu, truth(fom, mu))
    peer_error, _ = peer.errors(mu)
    peer_online, peer_outputs = peer.evaluate(online)
    own_online = best_of(lambda: rom.solve(online))
    by_hand = bare_numpy(rom, online)
    outputs, _ = by_hand()
    assert np.allclose(rom.solve(online).output[0], outputs, rtol=1e-9), "the batch by hand computes something else"
    assert np.allclose(outputs, peer_outputs, rtol=0.2), "the peer solves another problem"
    print(f"{blocks}x{blocks} blocks, {cells} cells: greedy {seconds:.2f} s, {PEER} {peer.greedy_seconds:.2f} s; "
          f"{batch} outputs with bounds {own_online:.3f} s, {PEER} {peer_online:.2f} s; largest relative error "
          f"{error.max():.4g}, {PEER} {peer_error.max():.4g}")
    return {
        "greedy_speedup_vs_pymor": Figure(peer.greedy_seconds / seconds, 4.0, True, "x", PEER),
        "batch_speedup_vs_pymor": Figure(peer_online / own_online, 40.0, True, "x", PEER),
        "batch_slowdown_vs_numpy": Figure(own_online / best_of(by_hand), 2.0, False, "x", "NumPy by hand"),
        "max_relative_error": Figure(error.max(), 1.1 * peer_error.max(), False, "", PEER),
        "min_effectivity": Figure(effectivity.min(), 1.0, True, ""),
        "max_effectivity": Figure(effectivity.max(), 10.0, False, "")}


def estimator_floor(cells: int, size: int, picture: Path | None) -> Figure:
    """Smallest relative bound that still follows the true error within a factor of 10, on 2 x 2 blocks."""
    rom, _, fom = offline(2, cells, size, 200)
    mu = sample(7, 20, 4)
    U = truth(fom, mu)
    norm = InnerProduct(fom.inner_product).norm(U)
    curves: dict[str, list[float]] = {"true": [], "orthonormal": [], "gram": []}
    floor = np.inf
    for r in range(1, rom.size + 1):
        small = rom.truncate(r)
        error, effectivity = errors(small, fom, mu, U)
        bound = small.solve(mu).error / norm
        curves["true"].append(error.max())
        curves["orthonormal"].append(bound.max())
        curves["gram"].append((small.with_estimator("gram").solve(mu).error / norm).max())
        if effectivity.max() <= 10.0 and effectivity.min() >= 1.0:
            floor = min(floor, bound.max())
    print(f"round-off on 2x2 blocks: true error down to {min(curves['true']):.2g}, Gram formula stalls at "
          f"{min(curves['gram']):.2g}")
    if picture is not None:
        draw(curves, picture)
    return Figure(floor, 1e-12, False, "")


def draw(curves: dict[str, list[float]], target: Path) -> None:
    """The true error and both estimators against the basis size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    styles = {"true": ("true error", "k", "-"), "orthonormal": ("bound, orthonormal residual basis", "#0072b2", "--"),
              "gram": ("bound, Gram formula", "#d55e00", ":")}
    for name, values in curves.items():
        label, colour, line = styles[name]
        axes.semilogy(range(1, len(values) + 1), values, line, color=colour, label=label)
    axes.set(xlabel="basis size", ylabel="largest relative error on 20 parameters")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=150)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "")
    if options.quick:
        figures = against_peer(3, 60, 12, 100, 2000)
        figures["estimator_floor"] = estimator_floor(40, 42, options.picture)
    else:
        figures = against_peer(3, 99, 20, 200, 10_000)
        for name, value in against_peer(2, 100, 20, 200, 1000).items():
            if name in ("max_relative_error", "max_effectivity"):
                figures[f"{name}_2x2"] = value
        large = against_peer(3, 300, 20, 200, 1000)
        figures["greedy_speedup_vs_pymor_300"] = large["greedy_speedup_vs_pymor"]
        figures["estimator_floor"] = estimator_floor(100, 45, options.picture)
    show(figures, options.json)


if __name__ == "__main__":
    main()
