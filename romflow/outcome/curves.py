"""What a report draws of a finished model: fields, singular values, errors by basis size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.linalg.inner_product import InnerProduct
from romflow.outcome.summary import relative
from romflow.outcome.validation import BLOCK, Validation, moves, product_of, sketcher_of
from romflow.reduction.distributed.measures import basis_coordinates, runner_for
from romflow.reduction.distributed.runner import PartRunner
from romflow.reduction.snapshot_sketch import SketchedSnapshots
from romflow.reduction.trajectory_measures import in_time, trajectory_coordinates
from romflow.report.data import FieldComparison
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.model import ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.store.split_array import SplitArray

__all__ = ["errors_by_size", "singular_values", "worst_field"]


def worst_field(rom: ReducedModel, store: SnapshotStore, validation: Validation | None) -> FieldComparison | None:
    """Truth and reduced solution where the relative error is largest; None where there are no fields."""
    if validation is None or isinstance(rom, SketchedReducedModel) or isinstance(rom.basis, SplitArray):
        return None
    worst = int(np.argmax(relative(validation.true_error, validation.norm)))
    truth = store.get(validation.mu[worst]).state
    reduced = rom.lift(validation.answer.coefficients[:, worst:worst + 1])[:, 0]
    return FieldComparison(validation.mu[worst], truth, reduced)


def singular_values(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray,
                    runner: PartRunner | None = None) -> np.ndarray | None:
    """Singular values of the snapshots at mu (k, p), from their coordinates in the basis that they span.

    None for dictionaries, whose local bases span the snapshots of their own cluster alone.
    """
    if not len(mu) or rom.size == 0 or isinstance(rom, SketchedReducedModel | RomDictionary):
        return None
    if moves(rom):
        found = trajectory_coordinates(rom, product_of(fom), store, np.unique(mu, axis=0))
        return np.linalg.svd(np.moveaxis(found, 1, 0).reshape(rom.size, -1), compute_uv=False)
    return np.linalg.svd(_coordinates(rom, fom, store, mu, runner), compute_uv=False)


def errors_by_size(rom: ReducedModel, fom: Any, store: SnapshotStore, validation: Validation,
                   runner: PartRunner | None = None) -> dict[int, tuple[float, float]]:
    """Largest true error (absolute, relative) over the validation set of each truncated model.

    With an X-orthonormal basis ||u - V x||^2 = ||u - P u||^2 + ||P u - V x||^2, so that coordinates are enough.
    """
    mu, norm = validation.mu, np.where(validation.norm > 0.0, validation.norm, 1.0)
    if isinstance(rom, RomDictionary):
        return _errors_of_dictionary(rom, fom, store, validation)
    if moves(rom):
        return _errors_of_trajectories(rom, fom, store, validation, norm)
    if isinstance(rom, SketchedReducedModel):
        snapshots = SketchedSnapshots(store, sketcher_of(rom, fom))
        truth = rom.state_sketch.T @ np.hstack([snapshots.get(row).states for row in mu])
    else:
        truth = _coordinates(rom, fom, store, mu, runner)
    # Only coefficients are asked for, so the estimator that is cheapest to truncate serves.
    costly = getattr(getattr(rom, "residual", None), "name", "") in ("eim", "gram")
    plain_rom = rom.with_estimator("orthonormal") if costly else rom  # type: ignore[attr-defined]
    inside = np.sum((truth - validation.answer.coefficients) ** 2, axis=0)
    outside = np.maximum(validation.true_error**2 - inside, 0.0)
    errors = {}
    for size in range(1, rom.size + 1):
        x = plain_rom.truncate(size).solve(mu).coefficients
        gap = np.sqrt(outside + np.sum((truth[:size] - x) ** 2, axis=0) + np.sum(truth[size:] ** 2, axis=0))
        errors[size] = (float(gap.max()), float((gap / norm).max()))
    return errors


def _errors_of_dictionary(rom: RomDictionary, fom: Any, store: SnapshotStore,
                          validation: Validation) -> dict[int, tuple[float, float]]:
    """The largest over the local models, each on the draws that it answers; sizes are those of a local model."""
    answer: Any = validation.answer
    found = []
    for k, model in enumerate(rom.models):
        own = np.flatnonzero(answer.chosen == k)
        if own.size and model.size:
            part = replace(validation, mu=validation.mu[own], true_error=validation.true_error[own],
                           norm=validation.norm[own], answer=rom.local_answer(answer, k, own))
            found.append(errors_by_size(model, fom, store, part))
    sizes = range(1, 1 + max((max(errors) for errors in found), default=0))
    # A model without so many vectors keeps all that it has.
    at = {size: np.array([errors[min(size, max(errors))] for errors in found]).max(axis=0) for size in sizes}
    return {size: (float(absolute), float(relative)) for size, (absolute, relative) in at.items()}


def _errors_of_trajectories(rom: Any, fom: Any, store: SnapshotStore, validation: Validation,
                            norm: np.ndarray) -> dict[int, tuple[float, float]]:
    mu, times = validation.mu, rom.times
    truth = trajectory_coordinates(rom, product_of(fom), store, mu)
    inside = in_time(times, np.linalg.norm(truth - validation.answer.trajectory, axis=1))  # type: ignore[attr-defined]
    outside = np.maximum(validation.true_error**2 - inside**2, 0.0)
    errors = {}
    for size in range(1, rom.size + 1):
        x = rom.truncate(size).solve(mu).trajectory
        gap = np.sum((truth[:, :size] - x) ** 2, axis=1) + np.sum(truth[:, size:] ** 2, axis=1)
        total = np.sqrt(outside + in_time(times, np.sqrt(gap)) ** 2)
        errors[size] = (float(total.max()), float((total / norm).max()))
    return errors


def _coordinates(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray,
                 runner: PartRunner | None) -> np.ndarray:
    """V^T X u (r, k) of the stored snapshots, a block at a time."""
    if isinstance(rom.basis, SplitArray):
        return basis_coordinates(runner_for(rom.basis, runner), rom.basis, mu)
    product = InnerProduct(getattr(fom, "inner_product", None), rom.norm_name)
    weighted = product.apply(rom.basis)
    return np.hstack([weighted.T @ store.matrix(mu[s:s + BLOCK]) for s in range(0, len(mu), BLOCK)])
