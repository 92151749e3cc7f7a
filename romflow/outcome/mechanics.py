"""A reduced mechanics model beside stored trajectories: its fields at all points of the mesh, at all times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import StoreError
from romflow.fom.mechanics.between import inner_of
from romflow.fom.mechanics.replay import replay
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.materials.tensors import mises
from romflow.rom.dictionary.answer import columns_of
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.mechanics.answer import guarded
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["FieldErrors", "TrueFields", "field_errors", "fields_at", "measured_field", "plastic_field"]


@dataclass(frozen=True)
class FieldErrors:
    """L2 norms over the body of true fields and of their errors, at each time.

    Attributes
    ----------
    times : (K + 1,)
    norm, error : dict of str to (K + 1, k)
        Of "displacement", "mises" and, where the law has it, "accumulated_plastic_strain".
    worst : int
        The parameter with the largest error of the measured field, relative, at the last time; `body` is the truth
        there at that time.
    """

    times: np.ndarray
    norm: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    worst: int = 0
    body: TrueFields | None = None

    def relative(self, name: str, whole: bool = False) -> np.ndarray:
        """Errors (K + 1, k) relative to the true field of the same time, or to its largest norm over the `whole` run.

        A field below a hundredth of its largest norm is measured against that; zero where it is zero all the time.
        """
        norm = self.norm[name].max(axis=0, keepdims=True) if whole else guarded(self.norm[name])
        return np.asarray(np.divide(self.error[name], norm, out=np.zeros_like(self.error[name]),
                                    where=norm > 0.0))

    def summary(self) -> dict[str, Any]:
        """The largest errors of each field over the parameters: at the last time, and over all times."""
        found: dict[str, Any] = {}
        for name in self.norm:
            found[f"max_relative_{name}_error"] = float(self.relative(name)[-1].max(initial=0.0))
            found[f"max_relative_{name}_error_in_time"] = float(self.relative(name, True).max(initial=0.0))
        return found


@dataclass(frozen=True)
class TrueFields:
    """The body at one time as the truth has it.

    Attributes
    ----------
    displacement : (n,)
    stress : (6, G)
    plastic : (G,) or None
    """

    displacement: np.ndarray
    stress: np.ndarray
    plastic: np.ndarray | None


def plastic_field(law: Any, state: np.ndarray) -> np.ndarray | None:
    """Accumulated plastic strain (G,) in states (s, G); None where the law has none."""
    return state[rows_of(law, PLASTIC)][0] if PLASTIC in law.variables else None


def fields_at(fom: Any, store: SnapshotStore, mu: np.ndarray) -> Iterator[tuple[int, TrueFields]]:
    """The true fields of the stored trajectory at mu (p,), time by time: the law replayed along its displacements."""
    trajectory, problem = store.trajectory(mu), fom.mechanics
    displacements = (U[:, j] for _, U in trajectory.pieces() for j in range(U.shape[1]))
    kept: list[np.ndarray] = []

    def watched() -> Iterator[np.ndarray]:
        for u in displacements:
            kept[:] = [u]
            yield u

    for k, stress, state in replay(problem, mu, trajectory.times, watched(), inner=inner_of(trajectory)):
        yield k, TrueFields(kept[0], stress, plastic_field(problem.law, state))


def field_errors(rom: Any, fom: Any, store: SnapshotStore, mu: np.ndarray,
                 answer: Any) -> FieldErrors:
    """Errors of the reduced fields of `answer` at mu (k, p) against stored trajectories.

    `rom` is a reduced model of mechanics, or a dictionary of them. Cost: one evaluation of the law at all points a time
    and parameter. Memory: some fields of the mesh.

    Raises
    ------
    StoreError
        A trajectory has other times than the answer.
    """
    names = ["displacement", "mises", *([PLASTIC] if PLASTIC in rom.dual else [])]
    norm = {name: np.zeros((len(answer.times), len(mu))) for name in names}
    error = {name: np.zeros((len(answer.times), len(mu))) for name in names}
    mass = fom.mechanics.space.mass(fom.mechanics.space.nodes.shape[1])
    measured = measured_field(rom)
    largest, worst, body = -1.0, 0, None
    for j, row in enumerate(mu):
        if not np.array_equal(store.trajectory(row).times, answer.times):
            raise StoreError(f"the trajectory at mu = {row.tolist()} is stored at other times than the reduced "
                             "model's; it belongs to another study: run in another folder")
        one = columns_of(answer, slice(j, j + 1))
        for k, true in fields_at(fom, store, row):
            u = rom.lift(one.trajectory[k])[:, 0] if k else np.zeros_like(true.displacement)
            pairs = {"displacement": (true.displacement, u),
                     "mises": (mises(true.stress), rom.field(one, "mises", k)[0, :, 0])}
            if true.plastic is not None and PLASTIC in rom.dual:
                pairs[PLASTIC] = (true.plastic, rom.field(one, PLASTIC, k)[0, :, 0])
            for name, (truth, reduced) in pairs.items():
                weighted = mass if name == "displacement" else rom.volume
                norm[name][k, j], error[name][k, j] = _norm(truth, weighted), _norm(truth - reduced, weighted)
        last = error[measured][-1, j] / (guarded(norm[measured])[-1, j] or 1.0)
        if last > largest:
            largest, worst, body = last, j, true
    return FieldErrors(answer.times, norm, error, worst, body)


def measured_field(rom: MechanicsReducedModel | RomDictionary) -> str:
    """The field whose error at the last time is that of the model: "mises" stands for the stress."""
    return PLASTIC if rom.measure == PLASTIC else "mises"


def _norm(values: np.ndarray, weights: Any) -> float:
    """Root of v^T W v for a matrix, of sum w v^2 for weights of points."""
    weighted = weights * values if getattr(weights, "ndim", 2) == 1 else weights @ values
    return float(np.sqrt(max(0.0, float(values @ weighted))))
