"""What a finished model is worth: validation on parameters it never saw, online times, and the summary."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.files import plain
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.distributed.measures import basis_coordinates, runner_for, true_errors, truth_errors
from romflow.reduction.distributed.runner import PartRunner
from romflow.reduction.residual_columns import Sketch
from romflow.reduction.snapshot_sketch import SketchedSnapshots, SnapshotSketcher
from romflow.reduction.trajectory_measures import in_time, trajectory_coordinates, trajectory_errors
from romflow.report.data import ErrorTable, FieldComparison
from romflow.rom.model import Answer, ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.store.split_array import SplitArray

_BLOCK = 64
_ONLINE_BATCH = 1000
# Seconds of a batch above which it is not timed again.
_LONG = 1.0


@dataclass(frozen=True)
class Validation:
    """True errors and estimates at k parameters: all arrays (k,), outputs (o, k).

    `truth_error` bounds the rounding of the full-order solutions themselves; an error that is not well above it was
    not measured. Where `sketch` describes an embedding, errors are sketched norms, within its epsilon of the true ones.
    """

    mu: np.ndarray
    true_error: np.ndarray
    truth_error: np.ndarray
    norm: np.ndarray
    answer: Answer
    outputs: np.ndarray | None
    sketch: dict[str, Any] | None = None

    @property
    def measured(self) -> np.ndarray:
        """Whether the true error is above the rounding of the truth (k,)."""
        return self.true_error > np.maximum(2 * self.truth_error, 100 * np.finfo(float).eps * self.norm)

    @property
    def effectivity(self) -> np.ndarray:
        """Estimate over true error where the error was measured, (j,)."""
        return self.answer.error[self.measured] / self.true_error[self.measured]


def validate(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray,
             runner: PartRunner | None = None) -> Validation:
    """Compare the reduced model with stored full-order snapshots at mu (k, p), a block at a time.

    A model without a basis is compared with the snapshots' sketches, which replace the snapshots; one whose basis lies
    in parts with the parts of the snapshots, by the `runner`.
    """
    if isinstance(rom, SketchedReducedModel):
        return _validate_sketches(rom, fom, store, mu)
    if isinstance(rom.basis, SplitArray):
        return _validate_parts(rom, store, mu, runner_for(rom.basis, runner))
    if moves(rom):
        return _validate_trajectories(rom, fom, store, mu)
    product = InnerProduct(getattr(fom, "inner_product", None), rom.norm_name)
    answer = rom.solve(mu)
    error, rounding, norm = np.empty(len(mu)), np.zeros(len(mu)), np.empty(len(mu))
    affine = hasattr(fom, "operator") and hasattr(fom, "rhs")
    outputs = []
    for start in range(0, len(mu), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(mu)))
        truth = store.matrix(mu[part])
        norm[part] = product.norm(truth)
        error[part] = product.norm(truth - rom.lift(answer.coefficients[:, part]))
        if affine:
            rounding[part] = _truth_error(rom, fom, product, truth, mu[part])
        outputs.append(true_outputs(fom, store, truth, mu[part]))
    known = [values for values in outputs if values is not None]
    complete = known and len(known) == len(outputs)
    return Validation(mu, error, rounding, norm, answer, np.hstack(known) if complete else None)


def moves(rom: ReducedModel) -> bool:
    """Whether the model's answers are trajectories."""
    return hasattr(rom, "times")


def _validate_trajectories(rom: Any, fom: Any, store: SnapshotStore, mu: np.ndarray) -> Validation:
    answer = rom.solve(mu)
    found = trajectory_errors(rom, _product(rom, fom), store, mu, answer)
    return Validation(mu, found.total_error, np.zeros(len(mu)), found.total_norm, answer, store.outputs(mu))


def _product(rom: ReducedModel, fom: Any) -> InnerProduct:
    return InnerProduct(getattr(fom, "inner_product", None), getattr(fom, "norm", "X"))


def _validate_parts(rom: Any, store: SnapshotStore, mu: np.ndarray, runner: PartRunner) -> Validation:
    answer = rom.solve(mu)
    error, norm = true_errors(runner, rom.basis, mu, answer.coefficients)
    rounding = truth_errors(rom, mu, store.facts(mu, "relative_residual"))
    return Validation(mu, error, rounding, norm, answer, store.outputs(mu))


def _validate_sketches(rom: SketchedReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray) -> Validation:
    sketcher = _sketcher(rom, fom)
    snapshots, answer = SketchedSnapshots(store, sketcher), rom.solve(mu)
    psi = None if fom.outputs is None else rom.output_theta(mu)
    error, rounding, norm = np.empty(len(mu)), np.empty(len(mu)), np.empty(len(mu))
    outputs = None if psi is None else np.empty((len(rom.output_names), len(mu)))
    for j, row in enumerate(mu):
        truth = snapshots.get(row)
        norm[j] = truth.norms[0]
        error[j] = rom.sketched_gap(truth.states, answer.coefficients[:, j:j + 1])[0]
        f, terms = sketcher.rhs * rom.rhs_theta(row[None])[0], truth.terms[:, 0] * rom.operator_theta(row[None])[0]
        sizes = np.linalg.norm(f, axis=0).sum() + np.linalg.norm(terms, axis=0).sum()
        rounding[j] = np.linalg.norm(f.sum(axis=1) - terms.sum(axis=1)) + np.finfo(float).eps * sizes
        if outputs is not None and psi is not None:
            outputs[:, j] = psi[j] @ truth.outputs[:, :, 0]
    if rom.stability is not None:
        alpha = rom.stability(mu)
        rounding /= np.where(alpha > 0.0, alpha, 1.0)
    return Validation(mu, error, rounding, norm, answer, outputs, rom.residual.about)


def _sketcher(rom: SketchedReducedModel, fom: Any) -> SnapshotSketcher:
    about = rom.residual.about
    sketch = Sketch(about["sketch"], about["rows"], about["seed"], about["epsilon"], about["delta"])
    return SnapshotSketcher(fom, InnerProduct(fom.inner_product, rom.norm_name), sketch)


def _truth_error(rom: ReducedModel, fom: Any, product: InnerProduct, truth: np.ndarray,
                 mu: np.ndarray) -> np.ndarray:
    """(||f - A u||_{X'} + eps || |A| |u| + |f| ||_{X'}) / alpha (k,) of the full-order solutions u (n, k).

    The second term is what rounding the matrix and the right-hand side alone does (Oettli and Prager 1964). A model
    whose terms interpolate its operator has the equation of its solutions as `truth`.
    """
    residual, rounded = np.empty_like(truth), np.empty_like(truth)
    system = getattr(fom, "truth", fom)
    for j, row in enumerate(mu):
        A, f, u = system.operator.assemble(row), system.rhs.assemble(row), truth[:, j]
        residual[:, j] = f - A @ u
        rounded[:, j] = abs(A) @ np.abs(u) + np.abs(f)
    bound = getattr(rom, "stability", None)
    alpha = np.ones(len(mu)) if bound is None else bound(mu)
    total = product.dual_norm(residual) + np.finfo(float).eps * product.dual_norm(rounded)
    return total / np.where(alpha > 0.0, alpha, 1.0)


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
    if result.sketch is not None:
        summary["error_measured_by"] = result.sketch
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
    best = _seconds_of(rom, mu)
    if best < _LONG:
        best = min(_seconds_of(rom, mu) for _ in range(3))
    each = best / _ONLINE_BATCH
    return plain({"seconds_per_evaluation": each, "batch": _ONLINE_BATCH, "full_order_seconds": full_order_seconds,
                  "speedup": None if full_order_seconds is None else full_order_seconds / each})


def _seconds_of(rom: ReducedModel, mu: np.ndarray) -> float:
    start = time.perf_counter()
    rom.solve(mu)
    return time.perf_counter() - start


def doubts(validation: Validation | None) -> list[str]:
    """What the validation says against the model's own error estimate, one sentence each."""
    if validation is None or validation.answer.kind != "bound":
        return []
    found = []
    effectivity, unbounded = validation.effectivity, int(np.count_nonzero(np.isinf(validation.answer.error)))
    if effectivity.size and effectivity.min() < 1.0:
        found.append(f"WARNING: the error bound is below the true error at {np.count_nonzero(effectivity < 1.0)} of "
                     f"{len(validation.mu)} validation parameters (effectivity {effectivity.min():.3g}), so it is no "
                     "bound: the model's stability constant is above the true one")
    if unbounded:
        found.append(f"WARNING: the stability lower bound is not positive at {unbounded} of {len(validation.mu)} "
                     "validation parameters, where the error bound is infinite: narrow the ranges, or give another "
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


def worst_field(rom: ReducedModel, store: SnapshotStore, validation: Validation | None) -> FieldComparison | None:
    """Truth and reduced solution where the relative error is largest; None where there are no fields."""
    if validation is None or isinstance(rom, SketchedReducedModel) or isinstance(rom.basis, SplitArray):
        return None
    worst = int(np.argmax(_relative(validation.true_error, validation.norm)))
    truth = store.get(validation.mu[worst]).state
    reduced = rom.lift(validation.answer.coefficients[:, worst:worst + 1])[:, 0]
    return FieldComparison(validation.mu[worst], truth, reduced)


def singular_values(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray,
                    runner: PartRunner | None = None) -> np.ndarray | None:
    """Singular values of the snapshots at mu (k, p), from their coordinates in the basis that they span."""
    if not len(mu) or rom.size == 0 or isinstance(rom, SketchedReducedModel):
        return None
    if moves(rom):
        found = trajectory_coordinates(rom, _product(rom, fom), store, np.unique(mu, axis=0))
        return np.linalg.svd(np.moveaxis(found, 1, 0).reshape(rom.size, -1), compute_uv=False)
    return np.linalg.svd(_coordinates(rom, fom, store, mu, runner), compute_uv=False)


def errors_by_size(rom: ReducedModel, fom: Any, store: SnapshotStore, validation: Validation,
                   runner: PartRunner | None = None) -> dict[int, tuple[float, float]]:
    """Largest true error (absolute, relative) over the validation set of each truncated model.

    With an X-orthonormal basis ||u - V x||^2 = ||u - P u||^2 + ||P u - V x||^2, so that coordinates are enough.
    """
    mu, norm = validation.mu, np.where(validation.norm > 0.0, validation.norm, 1.0)
    if moves(rom):
        return _errors_of_trajectories(rom, fom, store, validation, norm)
    if isinstance(rom, SketchedReducedModel):
        snapshots = SketchedSnapshots(store, _sketcher(rom, fom))
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


def _errors_of_trajectories(rom: Any, fom: Any, store: SnapshotStore, validation: Validation,
                            norm: np.ndarray) -> dict[int, tuple[float, float]]:
    mu, times = validation.mu, rom.times
    truth = trajectory_coordinates(rom, _product(rom, fom), store, mu)
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
    return np.hstack([weighted.T @ store.matrix(mu[s:s + _BLOCK]) for s in range(0, len(mu), _BLOCK)])
