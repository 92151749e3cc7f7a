"""The reduced model of nonlinear mechanics: a law at a few points, and dual fields on the whole mesh on request."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.core.mesh import Mesh
from romflow.linalg.gappy import GappyBasis
from romflow.materials.protocol import PLASTIC, MaterialLaw, rows_of
from romflow.parameters.expressions import Theta
from romflow.parameters.loading import Loading
from romflow.parameters.space import ParameterSpace
from romflow.rom.mechanics.answer import MechanicsAnswer, ReducedState
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.dual import DualField, cell_means, values_of
from romflow.rom.mechanics.horizon import checked_times, times_to
from romflow.rom.mechanics.loads import Drive, PointTemperature
from romflow.rom.mechanics.meta_model import MetaModel
from romflow.rom.mechanics.newton import PointRule
from romflow.rom.mechanics.observing import Observer, Watch
from romflow.rom.mechanics.outputs import ReducedOutput
from romflow.rom.mechanics.stepping import Stepper
from romflow.rom.mechanics.storing import restored, stored
from romflow.rom.model import BasisModel, truncated_size

__all__ = ["MechanicsReducedModel"]

KIND = "mechanics"


@dataclass(frozen=True)
class MechanicsReducedModel(BasisModel):
    """V^T f_int(V q + lifting, history) = V^T f_ext, with the law at m' points whatever the mesh has.

    With cubature points x_k and weights w_k > 0 the balance of a step is

        sum_k w_k E_k^T sigma(E_k q + lifting strain, T_k, state_k) = sum_q theta_q(mu, t) V^T F_q,

    solved by Newton's method with the law's consistent tangents (Hernandez, Caicedo and Ferrer 2017 for the cubature;
    Casenave, Akkari, Bordeu, Rey and Ryckelynck 2020 for the method as a whole). Fields of the law's points come from
    their values at the reduced points by gappy modes.

    Attributes
    ----------
    parameters : ParameterSpace
    basis : (n, r)
        V, zero at the supports; orthonormal in the full-order model's inner product.
    lifting : (n, L)
        Displacement fields of the prescribed values, with coefficients `lifting_theta` in the loading's columns.
    times : (K + 1,)
        The body is undeformed and free of stress at the first.
    loading : Loading
    law : MaterialLaw
    points : (m',) int
        Gauss points where the law is evaluated: those of the cubature first, then others for the dual fields alone.
    weights : (m,)
        Weights > 0 of the first m points.
    strain : (m', 6, r)
        E_k: strains of the basis there, engineering shear; of the liftings `lifting_strain` (m', 6, L).
    temperature : PointTemperature
    load : (Q, r)
        V^T F_q, with coefficients `load_theta` in the loading's columns.
    reference_force : float
        Norm in R^r that residuals are small against where nothing acts.
    dual : dict of str to DualField
        "accumulated_plastic_strain" (where the law has it) and "stress", by name; others as wished.
    volume : (G,)
        Quadrature weights of the whole mesh.
    calibration : Calibration or None
        From the residual of the field `measure` to its relative error.
    outputs : tuple of ReducedOutput
    tolerance : float
        Of Newton's method, relative.
    regressions : dict of str to MetaModel
        What replaces the gappy fit of some dual fields near the training; see `romflow.rom.mechanics.teaching.taught`.
        They belong to these points and modes: drop them where those change.
    """

    parameters: ParameterSpace
    basis: np.ndarray
    lifting: np.ndarray
    lifting_theta: Theta
    times: np.ndarray
    loading: Loading
    law: MaterialLaw
    points: np.ndarray
    weights: np.ndarray
    strain: np.ndarray
    lifting_strain: np.ndarray
    temperature: PointTemperature
    load: np.ndarray
    load_theta: Theta
    reference_force: float
    dual: dict[str, DualField]
    volume: np.ndarray
    calibration: Calibration | None = None
    outputs: tuple[ReducedOutput, ...] = ()
    tolerance: float = 1e-6
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    regressions: dict[str, MetaModel] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """The dual field whose error is indicated: accumulated plastic strain, or stress where that has no modes."""
        plastic = self.dual.get(PLASTIC)
        return "stress" if plastic is None or not plastic.size else plastic.name

    @property
    def norm_name(self) -> str:
        """Name of the norm of `error`."""
        return f"L2 of {self.measure.replace('_', ' ')} at the last time"

    @property
    def error_kind(self) -> str | None:
        """"indicator" where there is a calibration, else None."""
        return None if self.calibration is None else "indicator"

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(output.name for output in self.outputs)

    def solve(self, mu: Any, check: bool = True, times: np.ndarray | None = None) -> MechanicsAnswer:
        """Trajectories of a whole batch; the cost does not depend on the mesh, but for outputs of many of its points.

        Cost a Newton iteration: the law at m' b points, and (72 + 12 r) m r b flops for the stiffness.

        Parameters
        ----------
        mu : (b, p)
        check : bool
            Validate mu against the parameter space, and refuse the batch if a temperature is one that the law does not
            know. With False such draws, and those that are not finite, are not `converged`, all that they have is NaN,
            and the others are answered.
        times : (K + 1,), optional
            Rising, from the model's first time on, as far as wished: amplitudes that repeat take a model that was
            trained on one cycle through many. The model's own times where left out.

        Raises
        ------
        ParameterError, ShapeError
            With `check`: mu has the wrong shape, is not finite or lies outside the space; a temperature lies outside
            the law's range.
        InputError
            The times do not rise from the model's first.
        """
        mu = self.parameters.validate(mu) if check else np.asarray(mu, dtype=float)
        when = self.times if times is None else checked_times(times, float(self.times[0]))
        watch = Watch(self, len(when), len(mu))
        chunk = max(1, _CHUNK_POINTS // max(1, len(self.points)))
        for first in range(0, len(mu), chunk):
            part = slice(first, min(first + chunk, len(mu)))
            try:
                self._march(watch, part, mu[part], when)
            except ParameterError:
                if check:
                    raise
                self._march_known(watch, part, mu[part], when)
        return watch.answer(mu, when)

    def _march(self, watch: Watch, part: slice, mu: np.ndarray, when: np.ndarray) -> None:
        """The runs of draws mu (j, p), which are the columns `part` of what the watch sees."""
        state, observer = self.start(mu), Observer(watch, part)
        observer.see(0, state, None)
        for k, data in enumerate(self.drive.along(mu, when[1:]), start=1):
            state = self.stepper.step(state, data.time, data)
            observer.see(k, state, data)
        observer.end(state)

    def _march_known(self, watch: Watch, part: slice, mu: np.ndarray, when: np.ndarray) -> None:
        """The same without the draws that the law has no answer for, which are lost."""
        known = self.drive.known(mu, when[1:])
        good = np.flatnonzero(known)
        if good.size:
            own = Watch(self, len(when), good.size)
            self._march(own, slice(0, good.size), mu[good], when)
            watch.put(part.start + good, own)
        watch.lose(part.start + np.flatnonzero(~known))

    def start(self, mu: np.ndarray) -> ReducedState:
        """The undeformed body at the model's first time, for draws mu (b, p)."""
        b, points = len(mu), len(self.points)
        state = np.asarray(self.law.initial(points * b))
        state = state.reshape(len(state), points, b)
        return ReducedState(np.asarray(mu, dtype=float), float(self.times[0]), np.zeros((self.size, b)),
                            np.zeros((self.size, b)), state, np.zeros((6, points, b)), np.ones(b, dtype=bool),
                            np.zeros(b, dtype=int))

    def advance(self, state: ReducedState, t: float) -> ReducedState:
        """The state at a later time; draws whose steps fail even after ten halvings are no longer `converged`.

        Raises
        ------
        InputError
            t is not later than the state.
        """
        if not (np.isfinite(t) and t > state.time):
            raise InputError(f"a reduced state of time {state.time:g} was asked to go to t = {t}; the rule is a later "
                             "time")
        return self.stepper.step(state, float(t))

    def observe(self, state: ReducedState) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Coefficients (n_q, b) of each dual field at a state, and the relative residual (b,) of the one measured."""
        values = {name: self.at_rows(name, state)[None] for name in self.dual}
        found = {name: self.gappies[name].pseudo_inverse @ value for name, value in values.items()}
        residual = self.residual(values[self.measure], found[self.measure])[0]
        return {name: self.corrected(name, values[name], z)[0] for name, z in found.items()}, residual

    def corrected(self, name: str, values: np.ndarray, gappy: np.ndarray) -> np.ndarray:
        """Coefficients (k, n_q, b) of a field: those of its gappy fit, or of its regression where it has one.

        Parameters
        ----------
        name : str
        values : (k, m_q, b)
            At the rows of the field.
        gappy : (k, n_q, b)
            Coefficients of the gappy fit.
        """
        if name not in self.regressions:
            return gappy
        k, m, b = values.shape
        found = self.regressions[name].predict(values.transpose(1, 0, 2).reshape(m, k * b))
        return found.reshape(-1, k, b).transpose(1, 0, 2)

    def residual(self, values: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Relative residual (..., b) of values (..., m_q, b) of the measured field with coefficients (..., n_q, b).

        ||B z - v|| / ||v||, root mean squares over the m_q rows; small fields are measured against the scale of the
        calibration, as `Calibration.residual` says.
        """
        rows = max(1, values.shape[-2])
        misfit = self.gappies[self.measure].sampled @ coefficients - values
        sizes = [np.sqrt(np.einsum("...mb,...mb->...b", x, x) / rows) for x in (misfit, values)]
        if self.calibration is not None:
            return self.calibration.residual(*sizes)
        return np.asarray(np.divide(sizes[0], sizes[1], out=np.zeros_like(sizes[0]), where=sizes[1] > 0.0))

    def indicator(self, residual: np.ndarray) -> np.ndarray:
        """Indicated relative error of the measured field, of the shape of the residuals; not a number if unknown."""
        if self.calibration is None:
            return np.full(np.shape(residual), np.nan)
        return self.calibration.indicator(residual)

    def at_rows(self, name: str, state: ReducedState) -> np.ndarray:
        """Values (m_q, b) of a dual field at its rows."""
        found = state.stress if name == "stress" else state.state[rows_of(self.law, name)]
        return np.asarray(found.reshape(-1, found.shape[2])[self._places[name]])

    def lift(self, coefficients: np.ndarray) -> np.ndarray:
        """Displacements (n, b) of coefficients (r + L, b), those of the basis and then those of the liftings.

        Without the rows of the liftings, (r, b), only the part that vanishes where displacements are prescribed.

        Raises
        ------
        ShapeError
            The coefficients have another number of rows.
        """
        x, rows = np.asarray(coefficients, dtype=float), self.size + self.lifting.shape[1]
        if x.ndim != 2 or x.shape[0] not in (self.size, rows):
            raise ShapeError(f"coefficients have shape {x.shape}; the rule is ({rows}, b), one column a state")
        homogeneous = np.asarray(self.basis @ x[:self.size])
        return homogeneous + self.lifting @ x[self.size:] if x.shape[0] > self.size else homogeneous

    def field(self, answer: MechanicsAnswer, name: str, index: int = -1,
              part: slice | np.ndarray | None = None) -> np.ndarray:
        """A field (c, G, b) at the Gauss points of the whole mesh, at the time with number `index`.

        Cost: 2 c G n_q b flops. The accumulated plastic strain is cut off at 0.

        Parameters
        ----------
        answer : MechanicsAnswer
        name : str
            "stress", "mises", "accumulated_plastic_strain" or another dual field.
        index : int
            Of `answer.times`.
        part : slice or (k,) int, optional
            Gauss points; all where left out.

        Raises
        ------
        InputError
            The model knows no such field.
        """
        coefficients = {source: z[index] for source, z in answer.dual.items()}
        return values_of(self.dual, name, coefficients, slice(None) if part is None else part)

    def cell_fields(self, answer: MechanicsAnswer, index: int = -1, draw: int = 0) -> dict[str, np.ndarray]:
        """Means over the cells of the mesh (C, c) of the dual fields and von Mises' stress, at one time of one draw.

        For pictures. Gauss points are numbered cell by cell, the same number in each.
        """
        if self.mesh is None:
            return {}
        coefficients = {name: z[index][:, draw:draw + 1] for name, z in answer.dual.items()}
        return cell_means(self.dual, coefficients, self.volume.reshape(len(self.mesh.cells), -1))

    def until(self, end: float | None = None, cycles: float | None = None) -> MechanicsReducedModel:
        """The same model with times that end at `end`, or after so many cycles of the loading; all else is shared.

        Beyond its own times the steps are those of its last period, as `times_until` says. Fewer cycles cut them off.

        Raises
        ------
        InputError
            Neither or both were given, or no number after the first time.
        NotSupported
            Cycles of amplitudes without a common period.
        """
        return replace(self, times=times_to(self.times, self.loading, end, cycles))

    def truncate(self, size: int) -> MechanicsReducedModel:
        """The model on the first `size` basis vectors, by slicing alone; points and dual fields stay as they are.

        Its indicator is that of the larger model; regressions, which knew that one's errors, are dropped.
        """
        r = truncated_size(self, size)
        if r == self.size:
            return self
        outputs = tuple(replace(output, rows=np.delete(output.rows, np.s_[r:self.size], axis=1))
                        if output.source == "displacement" else output for output in self.outputs)
        return replace(self, basis=self.basis[:, :r], strain=self.strain[:, :, :r], load=self.load[:, :r],
                       outputs=outputs, regressions={})

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        return KIND, *stored(self)

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> MechanicsReducedModel:
        """The model that `to_arrays` described."""
        return cls(**restored(arrays, metadata))

    @cached_property
    def drive(self) -> Drive:
        """What acts at the reduced points."""
        return Drive(self.loading, self.load, self.load_theta, self.lifting_theta, self.temperature, self.law)

    @cached_property
    def stepper(self) -> Stepper:
        """What takes states from one time to another."""
        rule = PointRule(self.strain, self.lifting_strain, self.weights)
        return Stepper(rule, self.law, self.drive.at, self.tolerance, self.reference_force)

    @cached_property
    def gappies(self) -> dict[str, GappyBasis]:
        """The dual fields' bases with the factorisations of their rows."""
        return {name: dual.gappy for name, dual in self.dual.items()}

    @cached_property
    def gram(self) -> np.ndarray:
        """Products (n_q, n_q) of the measured field's modes in L2 over the mesh."""
        dual = self.dual[self.measure]
        weighted = dual.modes * np.tile(self.volume, dual.components)[:, None]
        return np.asarray(dual.modes.T @ weighted)

    @cached_property
    def _places(self) -> dict[str, np.ndarray]:
        return {name: dual.places(self.points) for name, dual in self.dual.items()}


# Reduced points times draws that are marched together: their arrays stay in the cache.
_CHUNK_POINTS = 12_000
