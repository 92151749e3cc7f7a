"""What drives a reduced mechanics model: reduced loads, prescribed displacements and data at the reduced points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import ParameterError, ShapeError
from romflow.materials.protocol import MaterialLaw, check_temperature, prepared
from romflow.parameters.expressions import Theta
from romflow.parameters.loading import Loading
from romflow.parameters.spatial_field import SpatialField
from romflow.rom.halving import solved_parts

__all__ = ["Drive", "PointTemperature", "StepData"]

# Nodal temperatures, or constants of the law, that are made at once; a law has about so many of them.
_BLOCK_NUMBERS = 500_000
_CONSTANTS = 16


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
    given : mapping of str to (..., m', b)
        What the law reads, as `materials.protocol.prepared` made it.
    """

    time: float
    load: np.ndarray
    lifting: np.ndarray
    temperature: np.ndarray
    given: Mapping[str, np.ndarray]

    def given_at(self, points: slice) -> dict[str, Any]:
        """What the law reads at some of the reduced points, in the order of arrays (m', b)."""
        found = {name: values[..., points, :] for name, values in self.given.items()}
        return {name: values.reshape(*values.shape[:-2], values.shape[-2] * values.shape[-1])
                for name, values in found.items()}

    def columns(self, chosen: np.ndarray) -> StepData:
        """The data of some draws."""
        return StepData(self.time, self.load[:, chosen], self.lifting[:, chosen], self.temperature[:, chosen],
                        {name: values[..., chosen] for name, values in self.given.items()})


@dataclass(frozen=True, eq=False)
class Drive:
    """Data of steps, for any draws and times, from the reduced loads.

    Attributes
    ----------
    loading : Loading
    load : (Q, r)
        With coefficients `load_theta`.
    load_theta, lifting_theta : Theta
        In the loading's columns.
    temperature : PointTemperature
    law : MaterialLaw
        What it reads, and the temperatures in which it holds.
    """

    loading: Loading
    load: np.ndarray
    load_theta: Theta
    lifting_theta: Theta
    temperature: PointTemperature
    law: MaterialLaw

    def at(self, mu: np.ndarray, t: float) -> StepData:
        """The data of a step to the time t for draws mu (b, p).

        Raises
        ------
        ParameterError
            A temperature lies outside the range of the law.
        """
        return self._pieces(self.loading.rows(mu, t), [t])[0]

    def along(self, mu: np.ndarray, times: np.ndarray) -> Iterator[StepData]:
        """The data of steps to each of the times, made for many times at once: few calls for few draws."""
        numbers = max(len(self.temperature.nodes), _CONSTANTS * len(self.temperature.shape))
        block = max(1, _BLOCK_NUMBERS // max(1, len(mu) * numbers))
        for first in range(0, len(times), block):
            chosen = times[first:first + block].tolist()
            yield from self._pieces(np.concatenate([self.loading.rows(mu, t) for t in chosen]), chosen)

    def known(self, mu: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Which draws (b,) have temperatures within the range of the law, and finite data, at all of these times.

        Batches are halved until those that fail stand alone: meant for batches that have failed, with few such draws.
        """
        found = np.zeros(len(mu), dtype=bool)
        for rows, steps in solved_parts(lambda part: sum(1 for _ in self.along(part, times)), mu, (ParameterError,)):
            found[rows] = steps is not None
        return found

    def _pieces(self, rows: np.ndarray, times: list[float]) -> list[StepData]:
        k, b = len(times), len(rows) // len(times)
        loads = (self.load_theta(rows) @ self.load).reshape(k, b, -1).transpose(0, 2, 1)
        lifting = (self.lifting_theta(rows) if len(self.lifting_theta) else np.zeros((k * b, 0)))
        lifting = lifting.reshape(k, b, -1).transpose(0, 2, 1)
        found = self.temperature.at(rows)
        check_temperature(self.law, found)
        temperature = np.ascontiguousarray(found.reshape(-1, k, b).transpose(1, 0, 2))
        given = {"T": temperature.reshape(-1)}
        for name in self.law.reads:
            column = rows[:, self.loading.columns.index(name)].reshape(k, 1, b)
            given[name] = np.broadcast_to(column, temperature.shape).reshape(-1)
        known = {name: np.asarray(values).reshape(*np.shape(values)[:-1], *temperature.shape)
                 for name, values in prepared(self.law, given, temperature.size).items()}
        return [StepData(t, loads[i], lifting[i], temperature[i],
                         {name: values[..., i, :, :] for name, values in known.items()})
                for i, t in enumerate(times)]
