"""What a finished model is worth in numbers: errors, effectivities, online times, solvers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.core.errors import ParameterError, SolveFailed
from romflow.core.files import plain
from romflow.outcome.validation import Validation
from romflow.report.data import ErrorTable
from romflow.rom.dictionary.answer import SECOND, Chosen
from romflow.rom.halving import solved_parts
from romflow.rom.model import ReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["doubts", "error_table", "online_summary", "relative", "solver_summary", "validation_summary"]

_ONLINE_BATCH = 1000
# Parameters that are timed first; seconds of a batch above which it is not timed again; seconds that it may take.
_FIRST, _LONG, _LONGEST = 10, 0.5, 2.0


def validation_summary(result: Validation | None, rom: ReducedModel,
                       lost: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The "validation" part of summary.json; null where nothing was measured.

    `lost` has the numbers of parameters without an answer ("refused", "not_converged") where none had one.
    """
    keys = ("max_relative_error", "mean_relative_error", "max_error_estimate", "min_effectivity", "median_effectivity",
            "max_effectivity", "max_relative_output_error")
    summary: dict[str, Any] = {"size": 0 if result is None else len(result.mu), "norm": rom.norm_name,
                               "error_kind": rom.error_kind} | dict.fromkeys(keys)
    if result is None:
        return summary | dict(lost or {})
    if result.fields is not None:
        summary["fields"] = result.fields.summary()
    if result.lost > result.refused:
        summary["not_converged"] = result.lost - result.refused
    if isinstance(result.answer, Chosen):
        summary |= {"refused": result.refused, "clusters": np.bincount(result.answer.chosen), **_chain(result.answer)}
    if result.sketch is not None:
        summary["error_measured_by"] = result.sketch
    errors = relative(result.true_error, result.norm)
    summary |= {"max_relative_error": errors.max(), "mean_relative_error": errors.mean(),
                "max_error_estimate": relative(result.answer.error, result.norm).max()}
    effectivity = result.effectivity
    if effectivity.size:
        summary |= {"min_effectivity": effectivity.min(), "median_effectivity": np.median(effectivity),
                    "max_effectivity": effectivity.max()}
    if result.outputs is not None and result.outputs.size:
        gap = np.abs(result.answer.output - result.outputs)
        scale = np.abs(result.outputs)
        summary["max_relative_output_error"] = np.max(relative(gap, scale))
    return plain(summary)


def _chain(answer: Chosen) -> dict[str, int]:
    """How many draws the second cluster's model answered."""
    return {"second_cluster": int(np.count_nonzero(answer.status == SECOND))}


def relative(error: np.ndarray, norm: np.ndarray) -> np.ndarray:
    """error / norm (k,), the error itself where the norm is zero."""
    return error / np.where(norm > 0.0, norm, 1.0)


def online_summary(rom: ReducedModel, full_order_seconds: float | None, seed: int = 0) -> dict[str, Any]:
    """The "online" part of summary.json: seconds an evaluation with error estimate, in a batch of at most 1000.

    Models that take long to answer are timed on fewer. Parameters without an answer are none of the evaluations, and
    where none has one the seconds are null.
    """
    mu = rom.parameters.sample(_ONLINE_BATCH, np.random.default_rng(seed))
    first, _ = _timed(rom, mu[:_FIRST])
    if first > _LONG / 10:
        mu = mu[:max(_FIRST, min(_ONLINE_BATCH, int(_FIRST * _LONGEST / first)))]
    best, answers = _timed(rom, mu)
    if answers and best < _LONG:
        best = min(_timed(rom, mu)[0] for _ in range(3))
    each = best / answers if answers else None
    return plain({"seconds_per_evaluation": each, "batch": len(mu), "full_order_seconds": full_order_seconds,
                  "speedup": None if full_order_seconds is None or each is None else full_order_seconds / each})


def _timed(rom: ReducedModel, mu: np.ndarray) -> tuple[float, int]:
    """Seconds of a batch, and how many of its parameters have an answer."""
    start = time.perf_counter()
    answers = _answers(rom, mu)
    return time.perf_counter() - start, answers


def _answers(rom: ReducedModel, mu: np.ndarray) -> int:
    """How many of mu (k, p) have an answer; a batch that fails is halved."""
    parts = solved_parts(lambda rows: rom.solve(rows, check=False), mu, (SolveFailed, ParameterError))
    return sum(int(np.count_nonzero(getattr(answer, "converged", np.ones(rows.stop - rows.start))))
               for rows, answer in parts if answer is not None)


def doubts(validation: Validation | None) -> list[str]:
    """What the validation says against the model and its own error estimate, one sentence each."""
    if validation is None:
        return []
    found = []
    if validation.refused:
        found.append(f"the dictionary refused {validation.refused} of {validation.refused + len(validation.mu)} "
                     "validation parameters, which are far from its training or have an error estimate above its "
                     "tolerance; they are not in the errors below")
    if validation.lost > validation.refused:
        found.append("WARNING: the reduced model found no solution at "
                     f"{validation.lost - validation.refused} validation parameters, where "
                     "the truth has one; they are not in the errors below: take more snapshots, or more points")
    kind = validation.answer.kind
    effectivity, unbounded = validation.effectivity, int(np.count_nonzero(np.isinf(validation.answer.error)))
    if validation.answer.kind == "bound" and effectivity.size and effectivity.min() < 1.0:
        found.append(f"WARNING: the error bound is below the true error at {np.count_nonzero(effectivity < 1.0)} of "
                     f"{len(validation.mu)} validation parameters (effectivity {effectivity.min():.3g}), so it is no "
                     "bound: the model's stability constant is above the true one")
    if unbounded:
        found.append(f"WARNING: the stability lower bound is not positive at {unbounded} of {len(validation.mu)} "
                     f"validation parameters, where the error {kind} is infinite: narrow the ranges, or give another "
                     "stability bound")
    return found


def error_table(validation: Validation | None) -> ErrorTable | None:
    """The validation as the report takes it."""
    if validation is None:
        return None
    answer = validation.answer
    error = np.where(validation.measured, validation.true_error, np.nan)
    return ErrorTable(validation.mu, error, answer.error, validation.norm, validation.outputs,
                      answer.output if answer.output.size else None, answer.output_error)


def solver_summary(store: SnapshotStore, mu: np.ndarray) -> list[dict[str, Any]]:
    """How the linear systems of the snapshots at mu (k, p) were solved, the most frequent way first.

    Each row has "with", "solves", "mean_iterations", "seconds" (processor, all together) and "max_residual"; a model
    that solves by itself or by the default factorisation gives none.
    """
    if not len(mu):
        return []
    ways: dict[str, list[tuple[float, float, float]]] = {}
    for facts, seconds, residual in zip(store.facts(mu, "solver"), store.seconds(mu),
                                        store.facts(mu, "relative_residual"), strict=True):
        if isinstance(facts, dict):
            ways.setdefault(str(facts.get("with")), []).append(
                (float(facts.get("iterations", 0)), float(seconds), float(residual or 0.0)))
    rows = [{"with": way, "solves": len(found), "mean_iterations": float(np.mean([row[0] for row in found])),
             "seconds": float(np.nansum([row[1] for row in found])), "max_residual": max(row[2] for row in found)}
            for way, found in ways.items()]
    return sorted(rows, key=lambda row: (-int(row["solves"]), str(row["with"])))  # type: ignore[call-overload]
