"""A small plate with a hole, its history, and reduced models of it that are made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from romflow.fom.mechanics.equilibrium import Equilibrium
from romflow.fom.mechanics.linear import DirectTangents, FreePattern
from romflow.fom.mechanics.loads import make_loads
from romflow.fom.mechanics.places import Places
from romflow.fom.mechanics.problem import MechanicsProblem
from romflow.fom.mechanics.shapes.plate_with_hole import plate_with_hole
from romflow.fom.mechanics.supports import make_supports
from romflow.linalg.cubature.compression import with_volume_row
from romflow.linalg.cubature.nonnegative import nonnegative_cubature
from romflow.linalg.gappy import gappy_rows
from romflow.materials.making import make_law
from romflow.materials.reference import REFERENCE
from romflow.parameters.loading import Amplitude, Loading
from romflow.parameters.space import ParameterSpace
from romflow.parameters.spatial_field import SpatialField
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.loads import PointTemperature
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.mechanics.outputs import ReducedOutput

SPACE = ParameterSpace.from_spec([{"name": "spot", "distribution": "uniform", "low": 0.0, "high": 3.0},
                                  {"name": "pull", "distribution": "uniform", "low": 0.0, "high": 1.5}])
MU = np.array([1.0, 1.0])
TIMES = np.linspace(0.0, 100.0, 21)
_SIDES = [{"on": "x = 0", "symmetric": True}, {"on": "y = 0", "symmetric": True}]


@dataclass(frozen=True)
class History:
    """A problem with displacements (n, K + 1), stresses (6, G, K + 1) and states (s, G, K + 1) at the times."""

    problem: MechanicsProblem
    times: np.ndarray
    u: np.ndarray
    stress: np.ndarray
    state: np.ndarray


def plate(law: Mapping[str, Any] = REFERENCE, prescribed: str | None = None, traction: float = 110.0,
          cells: tuple[int, int] = (6, 8)) -> MechanicsProblem:
    """The quarter plate, pulled at its top, with a hot spot; its right edge may be moved by a text."""
    solid = plate_with_hole(cells)
    places, space = Places(solid), solid.space()
    loading = Loading(("spot", "pull"), (Amplitude("a", [0, 30, 50, 80, 100], [0, 1, 1, -0.3, 0], 100.0),))
    moved = [] if prescribed is None else [{"on": "right", "components": ["x"], "value": prescribed}]
    loads = [{"type": "traction", "on": "top", "value": [0.0, traction], "amplitude": "a * pull"}]
    heat = SpatialField(["20 + abs(a) * 500 * exp(-((x - spot)**2 + y**2) / 2.25)"], loading.columns)
    return MechanicsProblem(space, make_law(law, loading.columns), loading, heat,
                            make_supports([*_SIDES, *moved], places, loading),
                            make_loads(loads, places, space, loading))


@cache
def history(prescribed: str | None = None, cycles: int = 1) -> History:
    """The plate's history at MU, 20 steps a cycle."""
    problem = plate(prescribed=prescribed)
    times = np.linspace(0.0, 100.0 * cycles, 20 * cycles + 1)
    tangents = DirectTangents(FreePattern(problem.space, problem.supports.free), {}, False)
    equilibrium, point = Equilibrium(problem, tangents), problem.virgin(0.0)
    points = [point]
    for t in times[1:].tolist():
        point, _ = equilibrium.step(point, t, MU)
        points.append(point)
    return History(problem, times, *(np.stack([getattr(point, name) for point in points], axis=-1)
                                     for name in ("displacement", "stress", "state")))


def reduced(known: History, accuracy: float = 1e-4, cubature: float | None = 1e-4) -> MechanicsReducedModel:
    """A model of a history by POD; all Gauss points with their own weights where `cubature` is None."""
    problem, space = known.problem, known.problem.space
    G, w, lifting = space.G, space.weights, problem.supports.modes
    rows = np.concatenate([problem.rows(MU, t) for t in known.times.tolist()])
    moved = lifting @ problem.supports.theta(rows).T if lifting.shape[1] else np.zeros_like(known.u)
    V = _modes((known.u - moved)[:, 1:], np.ones(space.n), accuracy)[0]
    stress, sizes = _modes(known.stress.reshape(6 * G, -1)[:, 1:], np.tile(w, 6), accuracy)
    flow = _modes(known.state[6][:, 1:], w, accuracy)[0]
    points, weights = (np.arange(G), w) if cubature is None else _rule(space, V, stress * sizes, cubature)
    points = np.concatenate([points, np.setdiff1d(gappy_rows(flow), points)])
    ordered = np.sort(points)
    strain, dofs = space.point_rows(points)
    shape, nodes = space.shape_rows(points)
    used, cells = np.unique(nodes, return_inverse=True)
    heat = PointTemperature(problem.temperature.restrict(used), space.nodes[used], shape, cells.reshape(nodes.shape))
    corner = np.zeros(space.n)
    corner[2 * np.argmax(space.nodes.sum(axis=1)) + 1] = 1.0
    held = np.flatnonzero(space.nodes[:, 1] == 0.0) * 2 + 1
    pull = _stress_functional(space, held)
    outputs = (ReducedOutput("corner", "displacement", (corner @ np.column_stack([V, lifting]))[None], np.ones(1)),
               ReducedOutput("peak", "accumulated_plastic_strain", flow, np.ones(G), maximum=True),
               ReducedOutput("mises", "stress", stress, w / w.sum(), equivalent=True),
               ReducedOutput("reaction", "stress", (pull @ stress)[None], np.ones(1),
                             load=problem.loads.forces[held].sum(axis=0)))
    loads = np.ascontiguousarray(problem.loads.forces.T @ V)
    return MechanicsReducedModel(
        SPACE, V, lifting, problem.supports.theta, known.times, problem.loading, problem.law, points, weights,
        np.einsum("mij,mjr->mir", strain, V[dofs]), np.einsum("mij,mjl->mil", strain, lifting[dofs]), heat, loads,
        problem.loads.theta, 1e-3 * float(np.linalg.norm(loads)),
        {"accumulated_plastic_strain": DualField("accumulated_plastic_strain", 1, flow, ordered),
         "stress": DualField("stress", 6, stress, np.concatenate([i * G + ordered for i in range(6)]))},
        w, outputs=outputs, mesh=space.mesh)


def with_law(rom: MechanicsReducedModel, law: Any) -> MechanicsReducedModel:
    """The model with another law, and the dual fields that it has."""
    names = [name for name in rom.dual if name == "stress" or name in law.variables]
    return replace(rom, law=law, dual={name: rom.dual[name] for name in names}, outputs=())


def _modes(columns: np.ndarray, weights: np.ndarray, accuracy: float) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(weights)[:, None]
    U, s, _ = np.linalg.svd(columns * root, full_matrices=False)
    kept = int((np.cumsum((s**2)[::-1])[::-1] > accuracy**2 * (s**2).sum()).sum())
    return U[:, :kept] / root, s[:kept]


def _rule(space: Any, V: np.ndarray, stress: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    w = space.weights
    rows = np.einsum("igr,igs->rsg", space.strain(V), stress.reshape(6, space.G, -1)).reshape(-1, space.G)
    _, s, Wt = np.linalg.svd(rows * np.sqrt(w), full_matrices=False)
    kept = s > 1e-9 * s[0]
    G = s[kept, None] * Wt[kept] / np.sqrt(w)
    rule = nonnegative_cubature(*with_volume_row(G, G @ w, float(w.sum())), tolerance, volume_tolerance=1e-4)
    return rule.points, rule.weights


def _stress_functional(space: Any, dofs: np.ndarray) -> np.ndarray:
    """(6 G,) that gives the sum of the internal forces at some dofs from a stress (6 G,)."""
    u = np.zeros(space.n)
    u[dofs] = 1.0
    return np.asarray((space.strain(u) * space.weights).ravel())
