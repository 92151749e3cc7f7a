"""A reduced mechanics model takes in one full-order step: basis, rule, dual fields and calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.compression.incremental import update
from romflow.linalg.compression.result import Pod
from romflow.linalg.cubature.nonnegative import Cubature
from romflow.linalg.cubature.two_level import LocalSelection, local_selection, two_level
from romflow.linalg.inner_product import InnerProduct
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.reduction.mechanics.assembly import Parts, assembled
from romflow.reduction.mechanics.blocks import STRESS
from romflow.reduction.mechanics.degraded import kept_modes
from romflow.reduction.mechanics.integrands import Integrands
from romflow.reduction.mechanics.offline import OfflineData
from romflow.rom.mechanics.answer import ReducedState
from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["FullStep", "enrich", "observed_error", "transferred", "with_plastic_modes"]

# Combinations of rows below this share of the rule's tolerance are left out at first; then tenths of it.
_SHARE, _NOISE = 1e-2, 1e-7
# Points of a block in which rules are selected apart from the others, on large meshes.
_BLOCK = 12_000
# What is this close to being in a basis already brings nothing but rounding.
_INSIDE = 1e-10


@dataclass(frozen=True, eq=False)
class FullStep:
    """What the full-order model found at one time.

    Attributes
    ----------
    time : float
    displacement : (n,)
    stress : (6, G)
    state : (s, G)
        Internal variables of the law.
    """

    time: float
    displacement: np.ndarray
    stress: np.ndarray
    state: np.ndarray


def enrich(fom: Any, rom: MechanicsReducedModel, offline: OfflineData, mu: np.ndarray,
           step: FullStep) -> tuple[MechanicsReducedModel, OfflineData]:
    """The model whose spaces hold a full-order step too, and the offline data that go with it.

    The basis gets the part of the displacement outside of it as one more vector, so that coefficients stay what they
    were; stress and plastic strain enter their modes by an incremental POD that cuts nothing (a field of the first
    plastic step is tiny next to those of training, and matters). The rule is selected anew for all products of
    strains and stresses, beginning with the points and weights it has (Casenave and Akkari 2019, section 3). What is
    inside to the tolerances changes nothing. Cost: 2 M^2 G flops for the rows, M = r n_s, beside the selection; the
    training data is not needed.

    Parameters
    ----------
    fom : model with `mechanics`, `inner_product`
    rom, offline
        What a reduction, or this function, gave.
    mu : (p,)
    step : FullStep

    Raises
    ------
    ShapeError, InputError
        The step does not fit the mesh, or is not finite.
    SolveFailed
        No rule reaches the tolerance.

    Notes
    -----
    Regressions of dual fields are left out, for the modes they speak of have changed.
    """
    problem = fom.mechanics
    _check(problem, step)
    weights = problem.space.weights
    basis, values = _with_displacement(fom, rom, offline, mu, step)
    stress, stress_values = _taken_in(offline.stress_modes, offline.stress_values, step.stress, weights,
                                      min(offline.dual_tolerance, 0.1 * offline.cubature_tolerance))
    dual = {STRESS: _kept(stress, stress_values, step.stress, weights, offline.dual_tolerance, rom.dual[STRESS].size)}
    plastic, plastic_values = offline.plastic_modes, offline.plastic_values
    if PLASTIC in rom.dual:
        field = step.state[rows_of(problem.law, PLASTIC)]
        plastic, plastic_values = _taken_in(plastic, plastic_values, field, weights, offline.dual_tolerance)
        dual[PLASTIC] = _kept(plastic, plastic_values, field, weights, offline.dual_tolerance, rom.dual[PLASTIC].size)
    new = replace(offline, displacement_values=values, stress_modes=stress, stress_values=stress_values,
                  plastic_modes=plastic, plastic_values=plastic_values, snapshots=offline.snapshots + 1)
    integrands = Integrands(np.arange(weights.size), weights, problem.space.strain(basis), stress, stress_values, None)
    rule, size = _rule(integrands, offline.cubature_tolerance, (rom.points[:len(rom.weights)], rom.weights))
    about = rom.metadata | {"enrichments": int(rom.metadata.get("enrichments", 0)) + 1}
    made = assembled(fom, Parts(basis, rom.lifting, {name: dual[name] for name in rom.dual}, rule, size), about)
    about |= {"points": len(made.points), "cubature_points": len(made.weights)}
    return replace(made, times=rom.times, tolerance=rom.tolerance, calibration=rom.calibration, metadata=about), new


def with_plastic_modes(fom: Any, rom: MechanicsReducedModel, offline: OfflineData, modes: np.ndarray,
                       values: np.ndarray) -> tuple[MechanicsReducedModel, OfflineData]:
    """The model with all plastic modes of its offline data, and further ones behind them; its rule stays.

    Parameters
    ----------
    modes : (G, j)
        Orthonormal among themselves and to those there are.
    values : (j,)
        Their sizes, like singular values.
    """
    plastic = np.hstack([offline.plastic_modes, modes])
    dual = {name: plastic if name == PLASTIC else field.modes for name, field in rom.dual.items()}
    new = replace(offline, plastic_modes=plastic, plastic_values=np.append(offline.plastic_values, values))
    points = rom.points[:len(rom.weights)]
    rule = Cubature(points, rom.weights, np.empty(0), "tolerance")
    made = assembled(fom, Parts(rom.basis, rom.lifting, dual, rule, np.zeros(rom.size)), rom.metadata)
    about = rom.metadata | {"points": len(made.points)}
    return replace(made, times=rom.times, tolerance=rom.tolerance, reference_force=rom.reference_force,
                   calibration=rom.calibration, metadata=about), new


def transferred(fom: Any, rom: MechanicsReducedModel, mu: np.ndarray, step: FullStep,
                previous: ReducedState | None = None) -> ReducedState:
    """The reduced state of an enriched model from which its run goes on: the full-order step, at the model's points.

    The coefficients are those of the projection of the displacement; the internal variables are taken as they are.

    Parameters
    ----------
    previous : ReducedState, optional
        The state before the step (of any model before), for the rate from which the next step is guessed.
    """
    q = _coordinates(fom, rom, mu, step)[:, None]
    rate = np.zeros_like(q)
    if previous is not None and step.time > previous.time:
        before = np.zeros_like(q)
        before[:len(previous.coefficients)] = previous.coefficients[:, :1]
        rate = (q - before) / (step.time - previous.time)
    return ReducedState(np.atleast_2d(mu), step.time, q, rate, np.ascontiguousarray(step.state[:, rom.points, None]),
                        np.ascontiguousarray(step.stress[:, rom.points, None]), np.ones(1, dtype=bool),
                        np.zeros(1, dtype=int) if previous is None else previous.halvings[:1])


def observed_error(problem: Any, rom: MechanicsReducedModel, coefficients: np.ndarray, step: FullStep) -> float:
    """||f - f~|| / ||f|| in L2 of the measured field f of a full-order step, f~ from coefficients (n_q,) of its modes.

    Fields that are small next to training are measured against its scale, as the residual is.
    """
    field = step.stress if rom.measure == STRESS else step.state[rows_of(problem.law, PLASTIC)]
    w = np.tile(rom.volume, field.size // rom.volume.size)
    left = field.ravel() - rom.dual[rom.measure].modes @ coefficients
    error, norm = np.sqrt(w @ left**2), np.sqrt(w @ field.ravel() ** 2)
    if rom.calibration is not None:
        norm = max(norm, rom.calibration.guard * rom.calibration.scale * np.sqrt(w.sum()))
    return float(error / norm) if norm > 0.0 else 0.0


def _check(problem: Any, step: FullStep) -> None:
    G = problem.space.weights.size
    for word, values, shape in (("displacement", step.displacement, (problem.n,)), ("stress", step.stress, (6, G)),
                                ("state", step.state, (step.state.shape[0], G))):
        if values.shape != shape:
            raise ShapeError(f"the {word} of a full-order step has shape {values.shape}; the rule is {shape}: is it of "
                             "this mesh?")
        if not np.isfinite(values).all():
            raise InputError(f"the {word} of a full-order step at t = {step.time:g} is not finite; such a step is not "
                             "taken in")


def _homogeneous(fom: Any, rom: MechanicsReducedModel, mu: np.ndarray, step: FullStep) -> np.ndarray:
    """The displacement (n,) less its prescribed part, zero at the supports."""
    problem = fom.mechanics
    u = step.displacement - rom.lifting @ rom.lifting_theta(problem.rows(mu, step.time))[0]
    u[problem.supports.constrained] = 0.0
    return np.asarray(u)


def _coordinates(fom: Any, rom: MechanicsReducedModel, mu: np.ndarray, step: FullStep) -> np.ndarray:
    product = InnerProduct(fom.inner_product, getattr(fom, "norm", "L2"))
    return np.asarray(rom.basis.T @ product.apply(_homogeneous(fom, rom, mu, step)[:, None])[:, 0])


def _with_displacement(fom: Any, rom: MechanicsReducedModel, offline: OfflineData, mu: np.ndarray,
                       step: FullStep) -> tuple[np.ndarray, np.ndarray]:
    """The basis with one more vector, where the displacement is outside of it, and the values that go with them."""
    product, V = InnerProduct(fom.inner_product, getattr(fom, "norm", "L2")), rom.basis
    u = _homogeneous(fom, rom, mu, step)[:, None]
    whole, left = float(product.norm(u)[0]), u
    for _ in range(2):
        left = left - V @ (V.T @ product.apply(left))
    size = float(product.norm(left)[0])
    values = offline.displacement_values[:V.shape[1]]
    if size <= max(_INSIDE, 0.1 * offline.tolerance) * whole:
        return V, values
    return np.hstack([V, left / size]), np.append(values, size)


def _taken_in(modes: np.ndarray, values: np.ndarray, field: np.ndarray, weights: np.ndarray,
              tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Modes and singular values with one field more, none cut, unless it is within the tolerance of them already."""
    f = field.reshape(-1, 1)
    w = np.tile(weights, len(f) // weights.size)[:, None]
    norm = float(np.sqrt(np.sum(w * f**2)))
    if not modes.size:
        return (f / norm, np.array([norm])) if norm > 0.0 else (np.empty((len(f), 0)), np.empty(0))
    left = f - modes @ (modes.T @ (w * f))
    if float(np.sqrt(np.sum(w * left**2))) <= max(_INSIDE, tolerance) * norm:
        return modes, values
    grown = update(Pod(modes, values, 0.0, "incremental", "", float(np.sum(values**2)), values.size), f,
                   InnerProduct(sp.diags_array(w[:, 0], format="csr"), "L2"), 0.0)
    return grown.basis, grown.singular_values


def _kept(modes: np.ndarray, values: np.ndarray, field: np.ndarray, weights: np.ndarray, tolerance: float,
          least: int) -> np.ndarray:
    """The first modes (c G, k): as many as the tolerance asks for in all fields, as before, and in the new field."""
    f = field.ravel()
    z = modes.T @ (np.tile(weights, f.size // weights.size) * f)
    tails = np.sqrt(np.append(np.cumsum((z**2)[::-1])[::-1], 0.0))
    enough = int(np.argmax(tails <= tolerance * tails[0])) if z.size else 0
    return modes[:, :max(enough, kept_modes(values, tolerance) if values.size else 0, min(least, values.size))]


def _rule(rows: Integrands, tolerance: float, start: tuple[np.ndarray, np.ndarray]) -> tuple[Cubature, np.ndarray]:
    """The rule for all integrands, warm started, and the typical sizes of reduced forces."""
    gram, b, sizes = rows.products()
    values, vectors = np.linalg.eigh(gram)
    singular = np.sqrt(np.maximum(values, 0.0))
    cut = max(_SHARE * tolerance, _NOISE)
    while True:
        turn = vectors[:, singular > cut * singular[-1]]
        rule = _selected(replace(rows, turn=turn), turn.T @ b, tolerance * (1.0 - _SHARE), start)
        residual = float(np.linalg.norm(rows.at(rule.points) @ rule.weights - b))
        if residual <= tolerance * float(np.linalg.norm(b)) or cut <= _NOISE:
            return rule, sizes
        cut = max(0.1 * cut, _NOISE)


def _selected(rows: Integrands, b: np.ndarray, tolerance: float, start: tuple[np.ndarray, np.ndarray]) -> Cubature:
    """In one go, or on large meshes first in blocks and then among the points that these chose and the former ones."""
    count = max(1, -(-rows.points.size // _BLOCK))
    if count == 1:
        one = _local(rows, rows.points, tolerance, start, 0.0)
        return Cubature(one.points, one.weights, np.empty(0), "tolerance")
    floor, blocks = float(np.linalg.norm(b)) / count, np.array_split(rows.points, count)
    return two_level(lambda local: [_local(rows, block, local, start, floor) for block in blocks], tolerance,
                     start=start)


def _local(rows: Integrands, block: np.ndarray, tolerance: float, start: tuple[np.ndarray, np.ndarray],
           floor: float) -> LocalSelection:
    """The block's own rule; former points that it does without stay candidates of the whole."""
    inside = np.isin(start[0], block)
    known = (start[0][inside], start[1][inside])
    one = local_selection(rows.at(slice(int(block[0]), int(block[-1]) + 1)), rows.weights[block], tolerance, ids=block,
                          floor=floor, start=known if inside.any() else None)
    left = np.setdiff1d(known[0], one.points)
    if floor == 0.0 or not left.size:
        return one
    points = np.concatenate([one.points, left])
    order = np.argsort(points)
    columns = np.hstack([one.columns, rows.at(left)])[:, order]
    return replace(one, points=points[order], weights=np.append(one.weights, np.zeros(left.size))[order],
                   columns=columns)
