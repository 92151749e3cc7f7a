"""What drives a reduced mechanics model: reduced loads, prescribed displacements and data at the reduced points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import ShapeError
from romflow.parameters.expressions import Theta
from romflow.parameters.loading import Loading
from romflow.parameters.spatial_field import SpatialField

__all__ = ["PointTemperature", "StepData", "data_at"]


@dataclass(frozen=True, eq=False)
class PointTemperature:
    """Temperatures at the m' reduced points: values of the field at the nodes of their cells, times shape functions.

    Attributes
    ----------
    field : SpatialField
        In the columns of the loading; its nodal numbers are those of `nodes` alone (`SpatialField.restrict`).
    nodes : (u, d)
        Coordinates of the nodes.
    shape : (m', v)
        Shape functions of each point's cell there.
    cells : (m', v) int
        The nodes 0 .. u - 1 they belong to.
    """

    field: SpatialField
    nodes: np.ndarray
    shape: np.ndarray
    cells: np.ndarray

    def __post_init__(self) -> None:
        if self.shape.shape != self.cells.shape or self.shape.ndim != 2:
            raise ShapeError(f"shape functions have shape {self.shape.shape} and their nodes {self.cells.shape}; the "
                             "rule is (m', v) for both")
        matrix = np.zeros((len(self.shape), len(self.nodes)))
        np.add.at(matrix, (np.arange(len(self.shape))[:, None], self.cells), self.shape)
        object.__setattr__(self, "_matrix", matrix)

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Temperatures (m', b) for rows (b, c) of the loading. Cost: u b values of the field, 2 m' u b flops."""
        values = self.field.values(self.nodes.T, rows)
        return np.asarray(self.__dict__["_matrix"] @ values)


@dataclass(frozen=True, eq=False)
class StepData:
    """What a step to one time needs, for b draws.

    Attributes
    ----------
    time : float
    load : (r, b)
        V^T F.
    lifting : (L, b)
        Coefficients of the prescribed displacements.
    temperature : (m', b)
    given : dict of str to (b,)
        Columns that the law reads.
    """

    time: float
    load: np.ndarray
    lifting: np.ndarray
    temperature: np.ndarray
    given: dict[str, np.ndarray]

    def columns(self, chosen: np.ndarray) -> StepData:
        """The data of some draws."""
        return StepData(self.time, self.load[:, chosen], self.lifting[:, chosen], self.temperature[:, chosen],
                        {name: values[chosen] for name, values in self.given.items()})


def data_at(loading: Loading, load: np.ndarray, load_theta: Theta, lifting_theta: Theta,
            temperature: PointTemperature, reads: tuple[str, ...], mu: np.ndarray, t: float) -> StepData:
    """The data of a step to the time t for draws mu (b, p); `load` is (Q, r) with coefficients `load_theta`."""
    rows = loading.rows(mu, t)
    b = len(rows)
    given = {name: rows[:, loading.columns.index(name)] for name in reads}
    lifting = lifting_theta(rows).T if len(lifting_theta) else np.zeros((0, b))
    forces = load.T @ load_theta(rows).T if len(load_theta) else np.zeros((load.shape[1], b))
    return StepData(t, forces, lifting, temperature.at(rows), given)
