"""The reduced model of nonlinear mechanics: a law at a few points, and dual fields on the whole mesh on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.mesh import Mesh
from romflow.parameters.expressions import Theta
from romflow.parameters.loading import Loading
from romflow.parameters.space import ParameterSpace
from romflow.rom.mechanics.calibration import Calibration
from romflow.rom.mechanics.dual import DualField
from romflow.rom.mechanics.loads import PointTemperature
from romflow.rom.mechanics.outputs import ReducedOutput
from romflow.rom.model import BasisModel

if TYPE_CHECKING:
    from romflow.materials.protocol import MaterialLaw

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
    tolerance: float = 1e-8
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def measure(self) -> str:
        """The dual field whose error is indicated: the accumulated plastic strain, or the stress without it."""
        return "accumulated_plastic_strain" if "accumulated_plastic_strain" in self.dual else "stress"

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
