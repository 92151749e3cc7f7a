"""What a finished model is worth: validation on parameters it never saw, online times, and the summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.files import plain
from romflow.linalg.inner_product import InnerProduct
from romflow.rom.model import Answer, ReducedModel
from romflow.store.snapshots import SnapshotStore

_BLOCK = 64
_ONLINE_BATCH = 1000


@dataclass(frozen=True)
class Validation:
    """True errors and estimates at k parameters: all arrays (k,), outputs (o, k)."""

    mu: np.ndarray
    true_error: np.ndarray
    norm: np.ndarray
    answer: Answer
    outputs: np.ndarray | None

    @property
    def effectivity(self) -> np.ndarray:
        """Estimate over true error where the error is above rounding, (j,)."""
        seen = self.true_error > 100 * np.finfo(float).eps * self.norm
        return self.answer.error[seen] / self.true_error[seen]


def validate(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray) -> Validation:
    """Compare the reduced model with stored full-order snapshots at mu (k, p), a block at a time."""
    product = InnerProduct(getattr(fom, "inner_product", None), rom.norm_name)
    answer = rom.solve(mu)
    error, norm = np.empty(len(mu)), np.empty(len(mu))
    outputs = []
    for start in range(0, len(mu), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(mu)))
        truth = store.matrix(mu[part])
        norm[part] = product.norm(truth)
        error[part] = product.norm(truth - rom.lift(answer.coefficients[:, part]))
        outputs.append(true_outputs(fom, store, truth, mu[part]))
    known = [values for values in outputs if values is not None]
    return Validation(mu, error, norm, answer, np.hstack(known) if len(known) == len(outputs) and known else None)


def true_outputs(fom: Any, store: SnapshotStore, truth: np.ndarray, mu: np.ndarray) -> np.ndarray | None:
    """Outputs (o, k) of full-order states (n, k): the model's functionals, or what the solver itself gave."""
    functionals = getattr(fom, "outputs", None)
    if functionals is not None and hasattr(functionals, "evaluate"):
        return np.asarray(functionals.evaluate(truth, mu))
    return store.outputs(mu)


def validation_summary(result: Validation | None, rom: ReducedModel) -> dict[str, Any]:
    """The "validation" part of summary.json; null where nothing was measured."""
    keys = ("max_relative_error", "mean_relative_error", "max_error_estimate", "min_effectivity", "median_effectivity",
            "max_effectivity", "max_relative_output_error")
    summary: dict[str, Any] = {"size": 0 if result is None else len(result.mu), "norm": rom.norm_name,
                               "error_kind": rom.error_kind} | dict.fromkeys(keys)
    if result is None:
        return summary
    relative = _relative(result.true_error, result.norm)
    summary |= {"max_relative_error": relative.max(), "mean_relative_error": relative.mean(),
                "max_error_estimate": _relative(result.answer.error, result.norm).max()}
    effectivity = result.effectivity
    if effectivity.size:
        summary |= {"min_effectivity": effectivity.min(), "median_effectivity": np.median(effectivity),
                    "max_effectivity": effectivity.max()}
    if result.outputs is not None and result.outputs.size:
        gap = np.abs(result.answer.output - result.outputs)
        scale = np.abs(result.outputs)
        summary["max_relative_output_error"] = np.max(_relative(gap, scale))
    return plain(summary)


def _relative(error: np.ndarray, norm: np.ndarray) -> np.ndarray:
    return error / np.where(norm > 0.0, norm, 1.0)


def online_summary(rom: ReducedModel, full_order_seconds: float | None, seed: int = 0) -> dict[str, Any]:
    """The "online" part of summary.json: seconds an evaluation with error estimate, in a batch of 1000."""
    mu = rom.parameters.sample(_ONLINE_BATCH, np.random.default_rng(seed))
    rom.solve(mu)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        rom.solve(mu)
        best = min(best, time.perf_counter() - start)
    each = best / _ONLINE_BATCH
    return plain({"seconds_per_evaluation": each, "batch": _ONLINE_BATCH, "full_order_seconds": full_order_seconds,
                  "speedup": None if full_order_seconds is None else full_order_seconds / each})
