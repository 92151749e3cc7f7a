"""From modes and a cubature to the reduced model: everything that it evaluates online, at its points alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.linalg.cubature.nonnegative import Cubature
from romflow.linalg.gappy import GappyBasis, gappy_rows
from romflow.materials.protocol import PLASTIC
from romflow.reduction.mechanics.blocks import STRESS, components_of
from romflow.reduction.mechanics.outputs import reduced_outputs
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.loads import PointTemperature
from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["Parts", "assembled", "dual_points"]

# Errors at the points may grow by this factor on their way to the whole stress field; else points are added.
_AMPLIFIED = 10.0
# The share of the forces of typical stresses that counts as a force where nothing acts.
_SMALL = 1e-2


@dataclass(frozen=True, eq=False)
class Parts:
    """What a reduced model is made of, before anything is evaluated at points.

    Attributes
    ----------
    basis : (n, r); lifting : (n, L)
    dual : dict of str to (c G, n_q)
        Modes, orthonormal with the quadrature weights.
    rule : Cubature
    size : (r,)
        Integrals of |stress| : |eps(psi_i)| of typical training stresses.
    """

    basis: np.ndarray
    lifting: np.ndarray
    dual: dict[str, np.ndarray]
    rule: Cubature
    size: np.ndarray


def dual_points(problem: Any, dual: dict[str, np.ndarray], chosen: np.ndarray) -> np.ndarray:
    """Gauss points (j,), none of the cubature's `chosen` (m,), at which the law is evaluated for dual fields alone.

    Those of Q-DEIM on the modes of the accumulated plastic strain (of the stress where there is none), and for the
    stress only if its modes are not told apart at the other points. Redundant rows make the residual that errors are
    seen by: n_q points alone would have none.
    """
    first = PLASTIC if PLASTIC in dual else STRESS
    G = problem.space.weights.size
    points = np.union1d(chosen, gappy_rows(dual[first]) % G) if dual[first].shape[1] else chosen
    rows = (G * np.arange(6)[:, None] + points).ravel()
    root = np.sqrt(float(problem.space.weights.sum()) / max(points.size, 1))
    if dual[STRESS].shape[1] and GappyBasis(dual[STRESS], rows).stability > _AMPLIFIED * root:
        points = np.union1d(points, gappy_rows(dual[STRESS]) % G)
    return np.setdiff1d(points, chosen)


def assembled(fom: Any, parts: Parts, metadata: dict[str, Any], extra: np.ndarray | None = None,
              outputs: bool = True) -> MechanicsReducedModel:
    """The reduced model of these modes and this cubature.

    Parameters
    ----------
    fom : model with `mechanics`, `times`, `parameters`
    parts : Parts
    metadata : dict
    extra : (j,) int, optional
        Points for dual fields alone; chosen by `dual_points` where left out.
    outputs : bool
        Whether the model gives the problem's outputs.
    """
    problem, V, lifting = fom.mechanics, parts.basis, parts.lifting
    space, supports, loads = problem.space, problem.supports, problem.loads
    more = dual_points(problem, parts.dual, parts.rule.points) if extra is None else extra
    points = np.concatenate([parts.rule.points, more]).astype(np.int64)
    E, dofs = space.point_rows(points)
    G = space.weights.size
    fields = {name: DualField(name, components_of(name), modes,
                              (G * np.arange(components_of(name))[:, None] + points).ravel())
              for name, modes in parts.dual.items()}
    whole = np.hstack([V, lifting])
    size = max(_SMALL * float(np.linalg.norm(parts.size)),
               float(problem.reference_force) * float(np.linalg.norm(V, 2) if V.size else 0.0))
    return MechanicsReducedModel(
        parameters=fom.parameters, basis=V, lifting=lifting, lifting_theta=supports.theta, times=np.asarray(fom.times),
        loading=problem.loading, law=problem.law, points=points, weights=parts.rule.weights,
        strain=E @ V[dofs], lifting_strain=E @ lifting[dofs], temperature=_temperature(problem, points),
        load=loads.forces.T @ V, load_theta=loads.theta, reference_force=size, dual=fields, volume=space.weights,
        outputs=reduced_outputs(problem, whole, parts.dual) if outputs else (), mesh=getattr(fom, "mesh", None),
        metadata=metadata)


def _temperature(problem: Any, points: np.ndarray) -> PointTemperature:
    shape, numbers = problem.space.shape_rows(points)
    nodes, cells = np.unique(numbers, return_inverse=True)
    return PointTemperature(problem.temperature.restrict(nodes), problem.space.nodes[nodes], shape,
                            cells.reshape(numbers.shape))
