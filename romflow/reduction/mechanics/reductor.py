"""Method "empirical-cubature": from stored displacements alone to a reduced model of nonlinear mechanics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, NotSupported, SolveFailed
from romflow.core.names import shown
from romflow.linalg.compression.result import Pod
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.materials.protocol import PLASTIC
from romflow.reduction.compression import SnapshotCompression
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.mechanics.assembly import Parts, assembled
from romflow.reduction.mechanics.blocks import STRESS, fields_of
from romflow.reduction.mechanics.cubature import force_cubature
from romflow.reduction.mechanics.degraded import KnownField, calibrated, kept_modes, taught_by_training
from romflow.reduction.mechanics.modes import DualSweep, dual_pod
from romflow.reduction.mechanics.offline import OfflineData
from romflow.reduction.mechanics.outputs import unsupported_output
from romflow.reduction.mechanics.runner import BlockRunner, Tasks
from romflow.reduction.mechanics.snapshots import HomogeneousStates, check_trajectories, lifting_fields
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["EmpiricalCubature"]

# The rule may be this much coarser than the displacements' modes, and the stresses that make its rows this much finer
# than the rule.
_RULE, _ROWS = 10.0, 0.1
_MOST = 0.1


class EmpiricalCubature:
    """Reduced elastoviscoplasticity from trajectories of displacements (Casenave et al. 2020; Hernandez et al. 2017).

    1. POD of the displacements less their prescribed part, in the model's inner product. 2. The law is integrated along
    the stored displacements, subdomain by subdomain: stresses and accumulated plastic strain. 3. POD of both. 4. A
    cubature with positive weights for the internal forces of these stresses. 5. Points at which fields are known, and
    modes that continue them to the whole mesh. 6. The indicator is calibrated with coarser models. Nothing is asked of
    the solver but its displacements.

    Parameters
    ----------
    tolerance : float
        Relative projection error of the displacements.
    max_size : int
        Largest number of displacement modes.
    dual_tolerance : float
        The same of the dual fields; 0 takes `tolerance`.
    cubature_tolerance : float
        Relative error of the internal forces of training stresses; 0 takes 10 `tolerance`.
    dual : {"gappy", "regression"}
        How fields of the whole mesh are found from values at the points: by a least-squares fit of their modes, or by
        this fit corrected by a regression that the reduced model's own runs at the training parameters teach.
    subdomains : int
        Blocks of cells that tasks work on; the result depends on them to rounding but for the points of the rule, of
        which there may be some more.
    calibrate : bool
        Whether the model gets an error indicator, which costs some reduced runs.
    compression : str
        Route of the displacements' POD, see :func:`romflow.linalg.pod.pod`.
    seed : int

    Attributes
    ----------
    tasks : callable or None
        Where a run has set it, kernels are tasks: tasks(kernel, shared, parts); see
        `romflow.reduction.mechanics.kernels`.
    offline : OfflineData or None
        Of the last `reduce`: what an enrichment needs beside the model.

    Raises
    ------
    ConfigError
        A number is out of range.
    """

    method = "empirical-cubature"
    certifies = False
    fixed_designs_only = True

    def __init__(self, tolerance: float = 1e-4, max_size: int = 100, dual_tolerance: float = 0.0,
                 cubature_tolerance: float = 0.0, dual: str = "gappy", subdomains: int = 1, calibrate: bool = True,
                 compression: str = "auto", seed: int = 0) -> None:
        for name, value in (("tolerance", tolerance), ("dual_tolerance", dual_tolerance),
                            ("cubature_tolerance", cubature_tolerance)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < 1.0:
                raise ConfigError(f"[reduction] {name} = {shown(value)}; the rule is 0 <= {name} < 1")
        if isinstance(subdomains, bool) or not isinstance(subdomains, int) or subdomains < 1:
            raise ConfigError(f"[reduction] subdomains = {shown(subdomains)}; the rule is a whole number from 1")
        if dual not in ("gappy", "regression"):
            raise ConfigError(f"[reduction] dual = {shown(dual)}; the rule is \"gappy\" or \"regression\"")
        self.dual = dual
        self.tolerance, self.max_size, self.seed = float(tolerance), max_size, seed
        self.dual_tolerance = float(dual_tolerance) or self.tolerance
        self.cubature_tolerance = float(cubature_tolerance) or min(_RULE * self.tolerance, _MOST)
        self.subdomains, self.calibrate = subdomains, calibrate
        self.compression = SnapshotCompression(compression, seed)
        self.tasks: Tasks | None = None
        self.offline: OfflineData | None = None

    def accepts(self, fom: Any) -> str | None:
        """None for models of mechanics that move in time, else the reason and what to use."""
        if is_split(fom):
            return (f"{self.method} needs whole displacements, and those of a model on MPI ranks stay in parts; leave "
                    "out [cluster] ranks, and set [reduction] subdomains")
        problem = getattr(fom, "mechanics", None)
        if problem is None or not hasattr(fom, "march"):
            return (f"{self.method} needs a model of mechanics in time (kind \"mechanics\", \"calculix\" or "
                    f"\"imported\"), with its law; {type(fom).__name__} is none. Use method = \"reduced-basis\", "
                    "\"hyper-reduction\" or \"pod-regression\"")
        return unsupported_output(problem.outputs)

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> MechanicsReducedModel:
        """The reduced model from the trajectories at mu (k, p), of size at most `max_size`.

        What the kernels find stays in files of the store named by what it is, until the model is there: a run that was
        killed goes on with them.

        Raises
        ------
        NotSupported
            The model is none of mechanics in time.
        InputError
            No trajectory; displacements that do not fit the mesh, the times or the supports; nothing moves.
        SolveFailed
            The law does not converge along a trajectory.
        """
        reason = self.accepts(fom)
        if reason is not None:
            raise NotSupported(reason)
        if not len(mu):
            raise InputError(f"{self.method} got no trajectory; the rule is one at least: raise [sampling] size")
        runner = BlockRunner(fom, store, np.asarray(mu, dtype=float), self.subdomains, self.tasks)
        found = _Found.of(self, fom, runner)
        rom = assembled(fom, found.parts, found.facts | {"method": self.method, "snapshots": len(mu)})
        known = {name: _known(runner, name, modes) for name, modes in found.parts.dual.items()
                 if self.dual == "regression" or (self.calibrate and name == rom.measure)}
        calibration, models = calibrated(
            fom, rom, found.parts, found.cubature, known[rom.measure], found.values, runner.mu,
            self.tolerance) if self.calibrate else (None, 0)
        if self.dual == "regression":
            rom = taught_by_training(rom, runner.mu, known)
        self.offline = self._offline(found, runner)
        runner.files.clear()
        about = rom.metadata | {"calibration_models": models, "points": len(rom.points),
                                "cubature_points": len(rom.weights)}
        return replace(rom, calibration=calibration, metadata=about)

    def _offline(self, found: _Found, runner: BlockRunner) -> OfflineData:
        plastic = found.pods.get(PLASTIC)
        none = np.empty((0, 0))
        return OfflineData(
            found.values["displacement"], found.pods[STRESS].basis, found.values[STRESS],
            none if plastic is None else plastic.basis, np.empty(0) if plastic is None else found.values[PLASTIC],
            sum(len(runner.store.trajectory(row)) for row in runner.mu), self.tolerance, self.dual_tolerance,
            self.cubature_tolerance)


@dataclass(frozen=True)
class _Found:
    """Modes and rule of a reduction, with how they were found."""

    parts: Parts
    cubature: Any
    pods: dict[str, Pod]
    values: dict[str, np.ndarray]
    facts: dict[str, Any]

    @classmethod
    def of(cls, method: EmpiricalCubature, fom: Any, runner: BlockRunner) -> _Found:
        """Everything that takes passes over the trajectories."""
        problem, mu = fom.mechanics, runner.mu
        trajectories = [runner.store.trajectory(row) for row in mu]
        check_trajectories(trajectories, problem.n, np.asarray(fom.times))
        lifting = lifting_fields(problem, mu[0], float(fom.times[0]))
        source = HomogeneousStates(problem, trajectories, mu, lifting)
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "L2"))
        states = pod(source, product, method.tolerance, max_size=method.max_size, route=method.compression.route,
                     seed=method.seed)
        if not states.basis.shape[1]:
            raise InputError("no trajectory has a displacement, so that there is nothing to reduce; check the loads")
        runner.replay()
        finer = min(method.dual_tolerance, _ROWS * method.cubature_tolerance)
        pods = {field: dual_pod(runner, field, finer if field == STRESS else method.dual_tolerance)
                for field in fields_of(problem.law)}
        values = {name: one.singular_values[:one.basis.shape[1]] for name, one in pods.items()}
        values["displacement"] = states.singular_values
        try:
            rule = force_cubature(runner, states.basis, pods[STRESS].basis, values[STRESS], method.cubature_tolerance)
        except SolveFailed as error:
            asked = f"[reduction] cubature_tolerance = {method.cubature_tolerance:g}"
            raise SolveFailed(f"no cubature of {asked} was found ({error}); write a larger one") from error
        dual = {name: one.basis[:, :kept_modes(one.singular_values, method.dual_tolerance)]
                for name, one in pods.items()}
        facts = states.facts | {"cubature": rule.facts, "stress_modes": pods[STRESS].basis.shape[1],
                                "dual_modes": {name: modes.shape[1] for name, modes in dual.items()}}
        return cls(Parts(states.basis, lifting, dual, rule.rule, rule.size), rule, pods, values, facts)


def _known(runner: BlockRunner, name: str, modes: np.ndarray) -> KnownField:
    """A dual field along the training histories, in its modes."""
    coordinates, squares = DualSweep(runner, name).known(modes)
    return KnownField(coordinates, squares, tuple(len(runner.store.trajectory(row)) for row in runner.mu))
