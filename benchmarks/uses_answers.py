"""Statistics of random inputs: what their intervals hold, and what a million certified evaluations cost.

    python benchmarks/uses_answers.py [--quick] [--json FILE]

sobol_coverage_least and sobol_coverage_largest: of all first-order and total indices of the Ishigami function and of
Sobol's g-function (3 and 8 inputs, 22 indices with known values, 1024 base points), the least and largest share of
repeated studies whose 95 % interval holds the exact value: 1000 studies of independent draws, and 200 of scrambled
Sobol' points in 16 repetitions (--quick: 300 of the former alone). The standard deviation of such a share over 1000
studies is .007, over 200 it is .015.

sobol_seconds_per_million: processor seconds of one process for the certified 3x3 thermal block with 20 basis vectors;
outputs, their bounds, moments, quantiles, densities and the indices of nine inputs. sobol_memory_gb: what that process
held at most, with all libraries and the offline stage.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterable

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

import romflow  # noqa: E402
from romflow.parameters.distributions import Uniform  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402
from romflow.uq.estimate import Estimate  # noqa: E402
from romflow.uq.evaluation import of_function, of_reduced  # noqa: E402
from romflow.uq.inputs import RandomInputs  # noqa: E402
from romflow.uq.streaming.propagation import propagate  # noqa: E402
from romflow.uq.streaming.sensitivity import sobol_indices  # noqa: E402
from romflow.uq.wishes import Wishes  # noqa: E402

G_WEIGHTS = np.array([0.0, 1.0, 4.5, 9.0, 99.0, 99.0, 99.0, 99.0])
BASE_POINTS = 1024
Known = tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray]


def ishigami() -> Known:
    """sin x1 + 7 sin^2 x2 + .1 x3^4 sin x1 on (-pi, pi)^3, and its indices (Ishigami and Homma 1990)."""
    def f(u: np.ndarray) -> np.ndarray:
        x = np.pi * (2.0 * u - 1.0)
        return np.sin(x[:, 0]) + 7.0 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])

    first = np.array([0.5 * (1.0 + 0.1 * np.pi**4 / 5.0) ** 2, 49.0 / 8.0, 0.0])
    both = 0.01 * np.pi**8 * (1.0 / 18.0 - 1.0 / 50.0)
    total = first + np.array([both, 0.0, both])
    return f, first / (first.sum() + both), total / (first.sum() + both)


def g_function() -> Known:
    """prod_i (|4 x_i - 2| + a_i) / (1 + a_i) on (0, 1)^8, and its indices (Sobol' 1993)."""
    def f(u: np.ndarray) -> np.ndarray:
        return np.prod((np.abs(4.0 * u - 2.0) + G_WEIGHTS) / (1.0 + G_WEIGHTS), axis=1)

    parts = 1.0 / (3.0 * (1.0 + G_WEIGHTS) ** 2)
    everything = np.prod(1.0 + parts)
    return f, parts / (everything - 1.0), parts * everything / (1.0 + parts) / (everything - 1.0)


def cube(p: int) -> RandomInputs:
    """p uniform inputs."""
    return RandomInputs(ParameterSpace([Parameter("x", Uniform(0.0, 1.0), size=p)]))


def holds(estimates: Iterable[Estimate], exact: np.ndarray) -> list[bool]:
    """Which intervals hold the exact values."""
    return [one.low <= value <= one.high for one, value in zip(estimates, exact, strict=True)]


def by_independent_draws(problem: Known, seed: int) -> list[list[bool]]:
    """One study (2, p): which intervals hold the first-order and total indices."""
    f, *exact = problem
    p = len(exact[0])
    A, B = np.random.default_rng(seed).random((2, BASE_POINTS, p))
    mixed = np.where(np.eye(p, dtype=bool)[:, None], B, A)
    found = sobol_indices(f(A), f(B), [f(points) for points in mixed])
    return [holds(estimates, values) for estimates, values in zip(found, exact, strict=True)]


def by_sobol_points(problem: Known, seed: int) -> list[list[bool]]:
    """The same by the whole walk from inputs to answers."""
    f, *exact = problem
    wishes = Wishes("sobol", 256, seed=seed, sensitivity=True, sensitivity_size=BASE_POINTS, density=False,
                    quantiles=())
    found = propagate(of_function(f), cube(len(exact[0])), wishes).outputs["output_0"]
    return [holds(estimates.values(), values)
            for estimates, values in zip((found.first_order, found.total), exact, strict=True)]


def coverages(quick: bool) -> dict[str, Figure]:
    """The least and the largest share over functions, draws and indices."""
    studies = [("independent", by_independent_draws, 300 if quick else 1000)]
    studies += [] if quick else [("sobol", by_sobol_points, 200)]
    shares: list[float] = []
    for name, problem in (("Ishigami", ishigami()), ("g-function", g_function())):
        for draws, study, count in studies:
            found = np.mean([study(problem, seed) for seed in range(count)], axis=0)
            print(f"{name:10} {draws:12} {count} studies: intervals hold {found.min():.3f} to {found.max():.3f}")
            shares += [float(found.min()), float(found.max())]
    return {"sobol_coverage_least": Figure(min(shares), 0.92, True, "1"),
            "sobol_coverage_largest": Figure(max(shares), 0.98, False, "1")}


def thermal_block(cells: int) -> romflow.ReducedModel:
    """The certified model with 20 basis vectors."""
    study = romflow.Study.from_dict({
        "study": {"name": "thermal-block"}, "model": {"kind": "thermal-block", "blocks": [3, 3], "cells": cells},
        "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 9}},
        "sampling": {"method": "greedy", "pool": 100, "seed": 42}, "reduction": {"tolerance": 0.0, "max_size": 20},
        "validation": {"size": 0}, "cluster": {"kind": "serial"}})
    with tempfile.TemporaryDirectory() as folder:
        return study.run(folder).rom


def million(cells: int, size: int) -> dict[str, Figure]:
    """Seconds and memory of `size` evaluations, half of them for the indices."""
    rom = thermal_block(cells)
    wishes = Wishes("sobol", size // 2, sensitivity=True, sensitivity_size=size // 22)
    started = time.process_time()
    found = propagate(of_reduced(rom), RandomInputs(rom.parameters), wishes, names=rom.output_names)
    seconds = time.process_time() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    one = next(iter(found.outputs.values()))
    print(f"{found.evaluations} evaluations in {seconds:.1f} s; mean {one.mean.value:.6g}, half of its interval "
          f"{one.mean.high - one.mean.value:.1g}, model error {one.mean.model_error:.1g}")
    return {"sobol_seconds_per_million": Figure(1e6 * seconds / found.evaluations, 60.0, False, "s"),
            "sobol_memory_gb": Figure(memory, 1.0, False, "GB")}


def measure(quick: bool) -> dict[str, Figure]:
    """All figures; memory first, before anything else has been held."""
    return million(24 if quick else 99, 100_000 if quick else 1_000_000) | coverages(quick)


if __name__ == "__main__":
    wish = arguments(__doc__ or "")
    show(measure(wish.quick), wish.json)
