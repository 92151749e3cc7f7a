"""Fields of the law's points on the whole mesh, from their values at a few points: gappy proper orthogonal modes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.gappy import GappyBasis
from romflow.materials.protocol import PLASTIC
from romflow.materials.tensors import mises

__all__ = ["DualField", "cell_means", "values_of"]


@dataclass(frozen=True, eq=False)
class DualField:
    """A field of c components at the G Gauss points, f ~= modes z with z from its values at some of the points.

    Component i at Gauss point g is entry i G + g: components first, as in arrays (c, G).

    Attributes
    ----------
    name : str
        "accumulated_plastic_strain", "stress", or another variable of the law.
    components : int
        c.
    modes : (c G, n_q)
    rows : (m_q,) int
        Entries whose values the reduced model knows: all components, or some, at its reduced points; m_q > n_q, since
        the redundancy is what the error indicator sees.

    Raises
    ------
    ShapeError, InputError
        Modes do not have whole components, or a row is not within them.
    """

    name: str
    components: int
    modes: np.ndarray
    rows: np.ndarray

    def __post_init__(self) -> None:
        size = self.modes.shape[0] if self.modes.ndim == 2 else -1
        if size < 0 or self.components < 1 or size % self.components:
            raise ShapeError(f"modes of {self.name} have shape {self.modes.shape}; the rule is ({self.components} G, "
                             "n_q), all points of one component after another")
        if self.rows.ndim != 1 or self.rows.size and not 0 <= self.rows.min() <= self.rows.max() < size:
            raise InputError(f"rows of {self.name} have shape {self.rows.shape} or lie outside 0 .. {size - 1}; give "
                             "entries of the modes")

    @property
    def size(self) -> int:
        """Number n_q of modes."""
        return int(self.modes.shape[1])

    @cached_property
    def gappy(self) -> GappyBasis:
        """The modes with the factorisation of their rows."""
        return GappyBasis(self.modes, self.rows)

    def places(self, points: np.ndarray) -> np.ndarray:
        """Where the rows are in an array (c m',) of all components at the reduced points (m',), each a Gauss point.

        Raises
        ------
        InputError
            A row lies at a point that is not among them.
        """
        G = self.modes.shape[0] // self.components
        component, wanted = np.divmod(self.rows, G)
        order = np.argsort(points, kind="stable")
        at = order[np.minimum(np.searchsorted(points[order], wanted), len(points) - 1)]
        if not np.array_equal(points[at], wanted):
            missing = wanted[points[at] != wanted][0]
            raise InputError(f"{self.name} needs Gauss point {missing}, which is none of the {len(points)} reduced "
                             "points; add it with weight 0")
        return np.asarray(component * len(points) + at)


def values_of(fields: Mapping[str, DualField], name: str, coefficients: Mapping[str, np.ndarray],
              part: slice | np.ndarray = slice(None)) -> np.ndarray:
    """Values (c, G, b), or at a part of the points, of a field from coefficients (n_q, b) of each dual field.

    Parameters
    ----------
    name : str
        Of a dual field, or "mises". The accumulated plastic strain is cut off at 0.

    Raises
    ------
    InputError
        There is no such field.
    """
    source = "stress" if name == "mises" else name
    if source not in fields:
        raise InputError(f"a reduced mechanics model knows no field {name!r}; it has {', '.join(_names(fields))}")
    dual = fields[source]
    shape = dual.components, len(dual.modes) // dual.components, dual.size
    found = dual.modes.reshape(shape)[:, part] @ coefficients[source]
    if name == "mises":
        return np.asarray(mises(found)[None])
    return np.maximum(found, 0.0) if name == PLASTIC else np.asarray(found)


def cell_means(fields: Mapping[str, DualField], coefficients: Mapping[str, np.ndarray],
               weights: np.ndarray) -> dict[str, np.ndarray]:
    """Means (C, c) over cells of all fields for one draw, coefficients (n_q, 1); quadrature weights (C, q)."""
    found = {}
    for name in _names(fields):
        values = values_of(fields, name, coefficients)[:, :, 0].reshape(-1, *weights.shape)
        found[name] = np.einsum("icq,cq->ci", values, weights) / weights.sum(axis=1)[:, None]
    return found


def _names(fields: Mapping[str, DualField]) -> list[str]:
    return [*fields, *(["mises"] if "stress" in fields else [])]
