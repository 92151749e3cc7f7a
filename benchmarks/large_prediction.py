"""Scaling on paper against real solves: predicted and measured seconds, memory and bytes of split models.

    python benchmarks/large_prediction.py [--quick] [--only CASE ...] [--json FILE]

Each case is solved twice (two parameters) with method = "schwarz" on 1 and on 2 ranks of this machine. Seconds are
processor seconds of the slowest rank, so that other loads count less; memory is the largest resident set of a rank.
Predicted is what `romflow check` says: rates measured on a model subdomain before the solve, iterations and coarse
vectors assumed. "tuned" takes the iterations and coarse vectors of the real solve, and shows the formulas alone.
Figures: the worst factor between predicted and measured of the first solve and of the memory, over all cases.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from figures import Figure, arguments, pin_threads, show

pin_threads()

import numpy as np  # noqa: E402

from romflow.dd.communicator import gathered, world  # noqa: E402
from romflow.dd.prediction import Prediction, predict  # noqa: E402
from romflow.fom.build import distributed_model  # noqa: E402
from romflow.fom.distributed.rank import RankModel  # noqa: E402
from romflow.parameters.distributions import Uniform  # noqa: E402
from romflow.parameters.space import Parameter, ParameterSpace  # noqa: E402
from romflow.tasks.scaling import predicted  # noqa: E402

CASES: dict[str, tuple[dict[str, Any], int]] = {
    "beam-24336": ({"kind": "linear-elasticity", "cells": [48, 12, 12], "element": "tet"}, 5),
    "beam-55488": ({"kind": "linear-elasticity", "cells": [64, 16, 16], "element": "tet"}, 5),
    "beam-180000": ({"kind": "linear-elasticity", "cells": [96, 24, 24], "element": "tet"}, 5),
    "block-110889": ({"kind": "thermal-block", "blocks": [3, 3], "cells": 334}, 9),
    "cube-103823": ({"kind": "thermal-block", "blocks": [2, 2, 2], "cells": [48, 48, 48], "element": "P1"}, 8),
}
QUICK = ("beam-24336",)
LIMIT = 900


def request_of(case: str, ranks: int) -> dict[str, Any]:
    """A model request."""
    model, size = CASES[case]
    options = {key: value for key, value in model.items() if key != "kind"}
    space = ParameterSpace([Parameter("mu", Uniform(1.0, 100.0), size=size)])
    return {"kind": model["kind"], "options": options, "parameters": space.to_spec(), "base": ".", "ranks": ranks,
            "solver": {"method": "schwarz"}}


def rank_main(file: str) -> None:
    """One rank: build, solve twice, say seconds by phase, bytes sent and memory."""
    comm = world()
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    model = distributed_model(job["request"])
    clock = [time.process_time()]
    rank = RankModel.from_folder(comm, model.problem, model.options, model.index(job["store"]), job["store"])
    clock.append(time.process_time())
    rng = np.random.default_rng(0)
    reports = []
    for _ in range(2):
        facts = rank.solve(10.0 ** rng.uniform(0.0, 2.0, model.parameters.size))[2]
        clock.append(time.process_time())
        reports.append(facts["solver"])
    mine = np.array([[*np.diff(clock), 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                      rank.layout.local - rank.layout.owned, reports[0]["setup_seconds"],
                      reports[0]["solve_seconds"]]])
    everyone = np.concatenate(gathered(comm, mine))
    if comm.rank == 0:
        worst, mean = everyone.max(axis=0), everyone.mean(axis=0)
        print(json.dumps({"terms": worst[0], "first": worst[1] + worst[0], "again": worst[2], "memory": worst[3],
                          "ghosts": mean[4], "setup": worst[5], "solve": worst[6],
                          "iterations": reports[0]["iterations"], "coarse": reports[0]["coarse_size"],
                          "again_iterations": reports[1]["iterations"]}), flush=True)


def cut_main(file: str) -> None:
    """Cut the mesh, say seconds and memory."""
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    model = distributed_model(job["request"])
    started = time.process_time()
    model.decompose(job["store"])
    print(json.dumps({"seconds": time.process_time() - started,
                      "memory": 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}), flush=True)


def measured(case: str, ranks: int, folder: Path) -> dict[str, float]:
    """What a real job took; on 0 ranks: what cutting the mesh takes."""
    file = folder / f"job-{ranks}.json"
    file.write_text(json.dumps({"request": request_of(case, max(ranks, 1)), "store": str(folder)}), encoding="utf-8")
    own = [sys.executable, "-m", "mpi4py", __file__, "--rank" if ranks else "--cut", str(file)]
    command = [str(Path(sys.executable).parent / "mpiexec"), "-n", str(ranks), *own] if ranks else own
    crowded = {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"} if ranks > len(os.sched_getaffinity(0)) else {}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False,
                            env={**os.environ, **crowded})
    if answer.returncode:
        raise SystemExit(f"{case} on {ranks} ranks failed: {answer.stderr[-2000:]}")
    return json.loads(answer.stdout.strip().splitlines()[-1])


def tuned(found: Prediction, real: dict[str, float]) -> Prediction:
    """The prediction with the iterations and coarse vectors of the real solve."""
    vectors = real["coarse"] / found.plan.subdomains
    return predict(found.size, replace(found.plan, iterations=int(real["iterations"]), coarse_vectors=vectors),
                   found.rates)


def row(case: str, ranks: int, found: Prediction, real: dict[str, float]) -> None:
    """One line of the table."""
    fit = tuned(found, real)
    setup, solve = fit.factorisation + fit.coarse_space, fit.iteration + fit.exchange
    print(f"{case:15} {ranks:2} | first {found.seconds:6.1f} {fit.seconds:6.1f} {real['first']:6.1f} s | again "
          f"{fit.seconds_again:6.1f} {real['again']:6.1f} s | memory {found.memory_rank / 1e6:6.0f} "
          f"{fit.memory_rank / 1e6:6.0f} {real['memory'] / 1e6:6.0f} MB | iterations {found.plan.iterations:3} "
          f"{real['iterations']:3.0f} | coarse {found.coarse:5} {real['coarse']:5.0f} | ghosts {found.ghosts:6.0f} "
          f"{real['ghosts']:6.0f} | terms {fit.assembly:5.1f} {real['terms']:5.1f}, set-up "
          f"{setup:5.1f} {real['setup']:5.1f}, solve {solve:5.1f} {real['solve']:5.1f} s", flush=True)


def figures(quick: bool, only: list[str] | None = None) -> dict[str, Figure]:
    """Measure and print."""
    print("predicted, tuned (real iterations and coarse vectors), measured")
    seconds, memory, resident = [], [], 0.0
    for case in only or (QUICK if quick else CASES):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            cut = measured(case, 0, folder)
            for ranks in (1, 2):
                found = predicted(distributed_model(request_of(case, ranks)), 1, 1, local=False)
                resident = resident or found.rates.resident
                found = predict(found.size, found.plan, replace(found.rates, resident=resident))
                real = measured(case, ranks, folder)
                row(case, ranks, found, real)
                seconds.append(found.seconds / real["first"])
                memory.append(found.memory_rank / real["memory"])
            print(f"{case:15}    | cutting the mesh {found.decomposition:.1f} {cut['seconds']:.1f} s, "
                  f"{found.memory_decomposition / 1e6:.0f} {cut['memory'] / 1e6:.0f} MB", flush=True)
    worst = [max(max(ratio, 1.0 / ratio) for ratio in ratios) for ratios in (seconds, memory)]
    return {"prediction_time_factor": Figure(worst[0], 2.0, False, "x"),
            "prediction_memory_factor": Figure(worst[1], 1.5, False, "x")}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] in (["--rank"], ["--cut"]):
        (rank_main if sys.argv[1] == "--rank" else cut_main)(sys.argv[2])
        return
    options = arguments(__doc__ or "", CASES)
    show(figures(options.quick, options.only), options.json)


if __name__ == "__main__":
    main()
