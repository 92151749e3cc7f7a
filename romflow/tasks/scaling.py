"""Scaling on paper: what a study on MPI ranks will take, from the sizes of its mesh and rates measured here and now."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from romflow.core.errors import RomflowError
from romflow.dd.decomposition import default_counts
from romflow.dd.layout import parts_of_rank
from romflow.dd.prediction import LocalRates, Prediction, SplitPlan, predict
from romflow.fom.distributed.counting import mesh_size
from romflow.fom.distributed.rates import measure_rates, with_exchange
from romflow.tasks.mpi import Launch, run_ranks

__all__ = ["predicted"]

# Iterations to a residual of 1e-9 that are assumed.
_ITERATIONS = {"geneo": 25, "nicolaides": 80, "none": 200}
_PING = "romflow.dd.ping"
_LIMIT = 60.0


def predicted(model: Any, workers: int, solves: int, *, launcher: str = "auto", local: bool = True,
              ranks: int | None = None) -> Prediction:
    """Time, memory and traffic of the solves of a split model; nothing of its size is made.

    Parameters
    ----------
    model : DistributedModel
    workers, solves : int
        Solves at a time and in all.
    launcher : str
        Of the two ranks between which messages are timed.
    local : bool
        Whether all workers share the cores of this machine.
    ranks : int, optional
        Instead of those of the model.

    Raises
    ------
    InputError
        More ranks than parts.
    """
    size, options = mesh_size(model.problem), model.options
    ranks = model.ranks if ranks is None else ranks
    parts, subdomains = default_counts(size.n, size.cells, options["parts"], options["subdomains"])
    parts_of_rank(parts, ranks, 0)
    coarse = options["coarse"]
    plan = SplitPlan(ranks, workers, parts, subdomains, options["overlap"],
                     min(_ITERATIONS[coarse], options["max_iterations"]), 0.0, solves,
                     len(os.sched_getaffinity(0)) if local else 0)
    rates = measure_rates(model.problem, size, plan, spectral=coarse == "geneo", backend=options["backend"])
    plan = replace(plan, coarse_vectors=0.0 if coarse == "none" else rates.modes)
    return predict(size, plan, _exchange(rates, launcher) if ranks > 1 else rates)


def _exchange(rates: LocalRates, launcher: str) -> LocalRates:
    """The rates with latency and bandwidth between two processes, where MPI is there."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            said: Mapping[str, Any] = run_ranks({}, 2, folder, Launch(launcher, _LIMIT, module=_PING))
    except RomflowError:
        return rates
    return with_exchange(rates, float(said["latency"]), float(said["bandwidth"]))
