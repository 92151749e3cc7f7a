"""A quasi-static problem of mechanics in one record: what the full-order solver and every reduction of it read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import InputError, ParameterError
from romflow.materials.protocol import check_temperature
from romflow.parameters.loading import Loading
from romflow.parameters.spatial_field import SpatialField

if TYPE_CHECKING:
    from romflow.fom.mechanics.loads import Loads
    from romflow.fom.mechanics.space import StrainSpace
    from romflow.fom.mechanics.supports import Supports
    from romflow.materials.protocol import MaterialLaw

__all__ = ["FIELDS", "MechanicsProblem", "Output", "Point"]

_AXES = np.arange(6)

#: Scalar fields at the Gauss points that outputs may name, beside the variables of the law.
FIELDS = ("mises", "stress_xx", "stress_yy", "stress_zz", "stress_xy", "stress_yz", "stress_xz")


@dataclass(frozen=True, eq=False)
class Point:
    """The body at one time: everything that the rest of its history depends on.

    Attributes
    ----------
    time : float
    displacement : (n,)
        All nodal components, the supported ones too.
    state : (s, G)
        Internal variables of the law.
    stress : (6, G) or None
        Cauchy stress, where it is known; it follows from the others.
    rate : (n,) or None
        Displacement a unit of time over the last step, from which the next one is guessed.
    """

    time: float
    displacement: np.ndarray
    state: np.ndarray
    stress: np.ndarray | None = None
    rate: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """One scalar output of the body at a time.

    Attributes
    ----------
    name : str
    kind : {"displacement", "reaction", "field"}
    functional : (n,) or None
        "displacement": functional @ u; "reaction": functional @ (f_int - f_ext).
    field : str or None
        "field": one of `FIELDS`, or a variable of the law with one component.
    measure : {"mean", "max"}
        Of the field over `points`; a single point is its own mean.
    points : (k,) int or None
        Gauss points.
    weights : (k,) or None
        Of the mean; their sum is 1.
    """

    name: str
    kind: str
    functional: np.ndarray | None = None
    field: str | None = None
    measure: str = "mean"
    points: np.ndarray | None = None
    weights: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class MechanicsProblem:
    """Find u(t) with int sigma(eps(u), T, history) : eps(v) = f_ext(v; mu, t) for all v that vanish at the supports.

    The body is undeformed and free of stress at the first time, whatever acts there; what acts at later times is
    balanced there.

    Attributes
    ----------
    space : StrainSpace
        Nodes, cells, Gauss points g = cell q + k and strain rows; n dofs, G Gauss points.
    law : MaterialLaw
    loading : Loading
        The columns (parameters, amplitudes, t) that all texts read.
    temperature : SpatialField
        At nodes; at Gauss points by the shape functions.
    supports : Supports
    loads : Loads
    outputs : tuple of Output
    reference_force : float
        What a residual is small against where nothing acts.

    Notes
    -----
    The model kind "mechanics" makes one from the options of a study.
    """

    space: StrainSpace
    law: MaterialLaw
    loading: Loading
    temperature: SpatialField
    supports: Supports
    loads: Loads
    outputs: tuple[Output, ...] = ()
    reference_force: float = 0.0

    @property
    def n(self) -> int:
        """Number of dofs, the supported ones too."""
        return int(self.space.nodes.size)

    def rows(self, mu: np.ndarray, t: float) -> np.ndarray:
        """Values (1, c) of the columns at mu (p,) and time t."""
        return self.loading.rows(mu, t)

    def virgin(self, t: float) -> Point:
        """The undeformed body, free of stress, at time t."""
        G = self.space.weights.size
        return Point(float(t), np.zeros(self.n), np.asarray(self.law.initial(G)), np.zeros((6, G)), np.zeros(self.n))

    def nodal_temperature(self, rows: np.ndarray, nodes: np.ndarray | None = None) -> np.ndarray:
        """T (N,), or (k,) at the `nodes` (k,), for rows (1, c)."""
        places = self.space.nodes if nodes is None else self.space.nodes[nodes]
        return np.asarray(self.temperature.values(places.T, rows, nodes)[:, 0])

    def data(self, rows: np.ndarray, cells: slice | np.ndarray | None = None) -> dict[str, Any]:
        """What the law reads at the Gauss points of the cells for rows (1, c): "T" (G,) and numbers by their column.

        Raises
        ------
        ParameterError
            A temperature outside the range in which the law holds, or at which it has no stiffness.
        """
        if cells is None:
            T = np.asarray(self.space.at_points(self.nodal_temperature(rows)))
        else:
            nodes = np.unique(self.space.cells[cells])
            nodal = np.zeros(len(self.space.nodes))
            nodal[nodes] = self.nodal_temperature(rows, nodes)
            T = np.asarray(self.space.at_points(nodal, cells))
        check_temperature(self.law, T)
        columns = self.loading.columns
        numbers = {name: float(rows[0, columns.index(name)]) for name in self.law.reads}
        if T.size:
            self._check_stiffness(np.array([T.min(), T.max()]), numbers)
        return {"T": T, **numbers}

    def _check_stiffness(self, T: np.ndarray, numbers: dict[str, float]) -> None:
        """Raise ParameterError where the law at rest has no stiffness at one of the temperatures (2,)."""
        with np.errstate(all="ignore"):
            answer = self.law.integrate(np.zeros((6, 2)), {"T": T, **numbers}, 0.0, self.law.initial(2), True)
        tangent = np.asarray(answer.tangent)
        firm = (tangent[:3, :3].sum(axis=(0, 1)) > 0.0) & (tangent[_AXES, _AXES].max(axis=0) > 0.0)
        wrong = np.flatnonzero(answer.converged & ~firm)
        if wrong.size:
            words = "".join(f", {name} = {value:.6g}" for name, value in numbers.items())
            raise ParameterError(f"the law has no positive stiffness at T = {T[wrong[0]]:.6g}{words}; are its moduli "
                                 "above zero and Poisson's ratio under 0.5 there?")

    def external(self, rows: np.ndarray) -> np.ndarray:
        """f_ext (n,) for rows (1, c)."""
        return np.asarray(self.loads.values(rows))

    def prescribed(self, rows: np.ndarray) -> np.ndarray:
        """Displacements (n,) for rows (1, c) where the supports prescribe them, zero elsewhere."""
        return np.asarray(self.supports.values(rows))

    def check_start(self, mu: np.ndarray, t: float) -> None:
        """Raise InputError where a support prescribes a displacement at the first time t."""
        first = float(np.abs(self.prescribed(self.rows(mu, t))).max(initial=0.0))
        if first > 0.0:
            raise InputError(f"a support prescribes displacements up to {first:.6g} at the first time {t:g}, when the "
                             "body is undeformed; let their value begin at zero")

    def points_of(self, cells: slice | Sequence[int] | np.ndarray | None) -> np.ndarray:
        """Numbers (k,) of the Gauss points of cells, cell by cell."""
        q = len(self.space.shape)
        number = np.arange(len(self.space.cells))
        chosen = number if cells is None else number[cells]
        return np.asarray((q * chosen[:, None] + np.arange(q)).ravel())
