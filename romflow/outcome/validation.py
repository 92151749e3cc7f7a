"""Validation: the reduced model beside the truth on parameters it never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.linalg.inner_product import InnerProduct
from romflow.outcome.mechanics import FieldErrors, field_errors, measured_field
from romflow.reduction.distributed.measures import runner_for, true_errors, truth_errors
from romflow.reduction.distributed.runner import PartRunner
from romflow.reduction.residual_columns import Sketch
from romflow.reduction.snapshot_sketch import SketchedSnapshots, SnapshotSketcher
from romflow.reduction.trajectory_measures import trajectory_errors
from romflow.rom.dictionary.model import is_mechanics
from romflow.rom.mechanics.answer import guarded
from romflow.rom.model import Answer, ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.store.split_array import SplitArray

__all__ = ["BLOCK", "Validation", "moves", "product_of", "sketcher_of", "true_outputs", "unanswered", "validate"]

#: Snapshots that are read at a time.
BLOCK = 64


@dataclass(frozen=True)
class Validation:
    """True errors and estimates at k parameters: all arrays (k,), outputs (o, k).

    `truth_error` bounds the rounding of the full-order solutions themselves; an error that is not well above it was
    not measured. Where `sketch` describes an embedding, errors are sketched norms, within its epsilon of the true ones.
    At `lost` further parameters the reduced model has no solution; `refused` of these a dictionary would not answer.
    `fields` has the errors of mechanics in time.
    """

    mu: np.ndarray
    true_error: np.ndarray
    truth_error: np.ndarray
    norm: np.ndarray
    answer: Answer
    outputs: np.ndarray | None
    sketch: dict[str, Any] | None = None
    lost: int = 0
    fields: FieldErrors | None = None
    refused: int = 0

    @property
    def measured(self) -> np.ndarray:
        """Whether the true error is above the rounding of the truth (k,)."""
        return self.true_error > np.maximum(2 * self.truth_error, 100 * np.finfo(float).eps * self.norm)

    @property
    def effectivity(self) -> np.ndarray:
        """Estimate over true error where the error was measured, (j,)."""
        return self.answer.error[self.measured] / self.true_error[self.measured]


def validate(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray,
             runner: PartRunner | None = None) -> Validation | None:
    """Compare the reduced model with stored full-order snapshots at mu (k, p), a block at a time.

    None where the reduced model has a solution at none of them. A model without a basis is compared with the snapshots'
    sketches, which replace the snapshots; one whose basis lies in parts with the parts of the snapshots, by the
    `runner`.
    """
    if isinstance(rom, SketchedReducedModel):
        return _validate_sketches(rom, fom, store, mu)
    if isinstance(rom.basis, SplitArray):
        return _validate_parts(rom, store, mu, runner_for(rom.basis, runner))
    answer = rom.solve(mu)
    good = getattr(answer, "converged", None)
    if good is None or good.all():
        return _comparison(rom)(rom, fom, store, mu, answer)
    found = validate(rom, fom, store, mu[good]) if good.any() else None
    refused = int(np.count_nonzero(getattr(answer, "refused", False)))
    return None if found is None else replace(found, lost=int(np.count_nonzero(~good)), refused=refused)


def unanswered(rom: ReducedModel, mu: np.ndarray) -> dict[str, int]:
    """How many of mu (k, p) a dictionary refuses ("refused"), and where there is no solution else ("not_converged")."""
    answer = rom.solve(mu)
    lost = ~np.asarray(getattr(answer, "converged", np.ones(len(mu), dtype=bool)))
    refused = np.asarray(getattr(answer, "refused", np.zeros(len(mu), dtype=bool)))
    counts = {"refused": int(np.count_nonzero(refused)), "not_converged": int(np.count_nonzero(lost & ~refused))}
    return {name: count for name, count in counts.items() if count}


def _comparison(rom: ReducedModel) -> Callable[..., Validation]:
    if is_mechanics(rom):
        return _validate_fields
    return _validate_trajectories if moves(rom) else _validate_states


def _validate_states(rom: ReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray, answer: Answer) -> Validation:
    product = InnerProduct(getattr(fom, "inner_product", None), rom.norm_name)
    error, rounding, norm = np.empty(len(mu)), np.zeros(len(mu)), np.empty(len(mu))
    affine = hasattr(fom, "operator") and hasattr(fom, "rhs") and getattr(fom, "nonlinear", None) is None
    outputs = []
    for start in range(0, len(mu), BLOCK):
        part = slice(start, min(start + BLOCK, len(mu)))
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


def _validate_trajectories(rom: Any, fom: Any, store: SnapshotStore, mu: np.ndarray, answer: Answer) -> Validation:
    found = trajectory_errors(rom, product_of(fom), store, mu, answer)
    return Validation(mu, found.total_error, np.zeros(len(mu)), found.total_norm, answer, store.outputs(mu))


def _validate_fields(rom: Any, fom: Any, store: SnapshotStore, mu: np.ndarray, answer: Answer) -> Validation:
    """Errors of the field that the indicator is of, at the last time."""
    found = field_errors(rom, fom, store, mu, answer)
    name = measured_field(rom)
    return Validation(mu, found.error[name][-1], np.zeros(len(mu)), guarded(found.norm[name])[-1], answer,
                      store.outputs(mu), fields=found)


def product_of(fom: Any) -> InnerProduct:
    """X of the full-order model, the Euclidean product where it has none."""
    return InnerProduct(getattr(fom, "inner_product", None), getattr(fom, "norm", "X"))


def _validate_parts(rom: Any, store: SnapshotStore, mu: np.ndarray, runner: PartRunner) -> Validation:
    answer = rom.solve(mu)
    error, norm = true_errors(runner, rom.basis, mu, answer.coefficients)
    rounding = truth_errors(rom, mu, store.facts(mu, "relative_residual"))
    return Validation(mu, error, rounding, norm, answer, store.outputs(mu))


def _validate_sketches(rom: SketchedReducedModel, fom: Any, store: SnapshotStore, mu: np.ndarray) -> Validation:
    sketcher = sketcher_of(rom, fom)
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
        # The terms of a nonaffine model only interpolate the equation of its solutions, which those solve to rounding.
        left = 0.0 if hasattr(fom, "truth") else np.linalg.norm(f.sum(axis=1) - terms.sum(axis=1))
        rounding[j] = left + np.finfo(float).eps * sizes
        if outputs is not None and psi is not None:
            outputs[:, j] = psi[j] @ truth.outputs[:, :, 0]
    if rom.stability is not None:
        alpha = rom.stability(mu)
        rounding /= np.where(alpha > 0.0, alpha, 1.0)
    return Validation(mu, error, rounding, norm, answer, outputs, rom.residual.about)


def sketcher_of(rom: SketchedReducedModel, fom: Any) -> SnapshotSketcher:
    """What made the sketches that the model was built from."""
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
