"""Monte Carlo on a zone with random boundary conditions beside Monte Carlo on the whole body.

    python benchmarks/dictionary_submodel.py [--quick] [--json FILE]

The quarter of a plate with a hole under random tension, side load and heat (three normal inputs, plastic flow around
the hole). Runs of the whole plate teach the boundary conditions of a zone around the hole; other, independent draws of
the whole plate are the reference. submodel_mean_error and submodel_std_error are the errors of mean and standard
deviation of the stress (von Mises, mean around the hole) by many draws of the zone's reduced model with the default
generator, relative to the reference, whose own sampling error (from independent randomisations) stands beside them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402
from mechanics_problems import say  # noqa: E402

from romflow.fom.build import build_model, model_identity  # noqa: E402
from romflow.parameters.sampling.sobol import Sobol  # noqa: E402
from romflow.parameters.space import ParameterSpace  # noqa: E402
from romflow.reduction.mechanics.reductor import EmpiricalCubature  # noqa: E402
from romflow.store.snapshots import SnapshotStore  # noqa: E402
from romflow.study import Study  # noqa: E402
from romflow.tasks.marching import stored_march  # noqa: E402

PLATE = Path(__file__).parents[1] / "pipelines" / "submodel_plate.toml"
ZONE, MODES = "x**2 + y**2 < 3", 3
OUTPUTS = [{"name": "stress", "type": "field", "field": "mises", "on": "x**2 + y**2 < 2", "measure": "mean"},
           {"name": "plastic_strain", "type": "field", "field": "accumulated_plastic_strain",
            "on": "x**2 + y**2 < 2", "measure": "mean"}]
REPEATS = 4


def solved(request: dict, mu: np.ndarray, folder: Path) -> tuple[SnapshotStore, np.ndarray, float]:
    """Trajectories at mu (k, p) in a store, their last outputs (o, k), and processor seconds a new solve."""
    fom = build_model(request)
    store = SnapshotStore(folder, model_identity(request, fom), fom.parameters.columns)
    missing = store.missing(mu, check=False)
    start = time.process_time()
    for row in mu[missing]:
        stored_march(fom, store, row)
    seconds = (time.process_time() - start) / max(len(missing), 1)
    return store, store.outputs(mu), seconds


def sobol(space: ParameterSpace, size: int, seed: int) -> np.ndarray:
    """Scrambled Sobol' points of the inputs (size, p)."""
    return Sobol(space, seed, size=size).design()


def zone_study(folder: Path, generator: str) -> Study:
    """The study of the zone whose boundary conditions the runs in the folder teach."""
    parameter = {"distribution": "normal", "mean": 0.0, "std": 1.0, "size": MODES}
    times = Study.from_file(folder / "plate.toml").config.time
    model = {"kind": "submodel", "study": "plate.toml", "runs": "whole", "zone": ZONE, "generator": generator,
             "outputs": OUTPUTS}
    return Study.from_dict({"study": {"name": "zone"}, "model": model, "parameters": {"z": parameter},
                            "time": {"end": times.end, "steps": times.steps},
                            "sampling": {"method": "random", "size": 8}}, folder)


def moments(values: np.ndarray) -> np.ndarray:
    """Means and standard deviations (2, o) of outputs (o, k)."""
    return np.stack([values.mean(axis=1), values.std(axis=1, ddof=1)])


def zone_moments(folder: Path, generator: str, runs: int, draws: int) -> tuple[np.ndarray, dict[str, float]]:
    """Moments by draws of the zone's reduced model, and what it cost."""
    study = zone_study(folder, generator)
    fom = build_model(study.request)
    mu = np.clip(sobol(study.parameters, runs, 11), -4.0, 4.0)
    store, _, seconds = solved(study.request, mu, folder / f"zone-{generator}")
    rom = EmpiricalCubature(tolerance=1e-4, calibrate=False).reduce(fom, store, mu)
    start = time.process_time()
    output = rom.solve(sobol(study.parameters, draws, 12)).output
    online = (time.process_time() - start) / draws
    fresh = sobol(study.parameters, 4, 13)
    truth = np.stack([fom.solve(row).outputs for row in fresh], axis=1)
    gap = float(np.abs(rom.solve(fresh).output[0] / truth[0] - 1.0).max())
    return moments(output), {"full_order_seconds": seconds, "online_seconds": online, "reduced_error": gap,
                             "dofs": float(fom.n)}


def measured(folder: Path, quick: bool) -> dict[str, Figure]:
    """All figures."""
    runs, repeat, zone_runs, draws = (32, 16, 6, 512) if quick else (64, 128, 12, 1024)
    text = PLATE.read_text(encoding="utf-8").replace("size = 64", f"size = {runs}")
    if quick:
        text = text.replace("cells = [12, 16]", "cells = [6, 8]").replace("steps = 8", "steps = 4")
    (folder / "plate.toml").write_text(text, encoding="utf-8")
    study = Study.from_file(folder / "plate.toml")
    _, _, seconds = solved(study.request, study.sampler().design(), folder / "whole" / "store")
    repeats = np.stack([moments(solved(study.request, sobol(study.parameters, repeat, 100 + seed),
                                       folder / "reference" / "store")[1]) for seed in range(REPEATS)])
    reference = repeats.mean(axis=0)
    own = repeats.std(axis=0, ddof=1) / np.sqrt(REPEATS) / reference
    say(f"whole body: {build_model(study.request).n} dofs, {runs} runs teach, {REPEATS} x {repeat} independent draws "
        f"are the reference, {seconds:.3f} s a solve")
    say(f"reference: stress {reference[0, 0]:.2f} +- {reference[1, 0]:.3f} MPa (sampling errors {own[0, 0]:.2%} and "
        f"{own[1, 0]:.2%}), plastic strain {reference[0, 1]:.3e} +- {reference[1, 1]:.3e} ({own[0, 1]:.2%}, "
        f"{own[1, 1]:.2%})")
    figures: dict[str, Figure] = {}
    for generator in ("normal",) if quick else ("normal", "copula"):
        found, cost = zone_moments(folder, generator, zone_runs, draws)
        error = np.abs(found / reference - 1.0)
        say(f"{generator}: stress {found[0, 0]:.2f} +- {found[1, 0]:.3f} (errors {error[0, 0]:.2%}, "
            f"{error[1, 0]:.2%}), plastic strain errors {error[0, 1]:.2%} and {error[1, 1]:.2%}; {draws} draws of the "
            f"reduced model ({cost['reduced_error']:.2%} off at fresh draws), "
            f"{cost['online_seconds'] * 1e3:.2f} ms a draw; full-order zone {cost['dofs']:.0f} "
            f"dofs, {cost['full_order_seconds']:.3f} s")
        end = "" if generator == "normal" else f"_{generator}"
        sampling = f"its reference is known to {own[1, 0]:.2%}"
        figures[f"submodel_mean_error{end}"] = Figure(float(error[0, 0]), 0.05, False, "")
        figures[f"submodel_std_error{end}"] = Figure(float(error[1, 0]), 0.05, False, "", sampling)
    return figures


def main() -> None:
    """Measure, print, write."""
    given = arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        show(measured(Path(folder), given.quick), given.json)


if __name__ == "__main__":
    main()
