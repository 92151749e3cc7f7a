"""Fields of the law's points on the whole mesh, from their values at a few points: gappy proper orthogonal modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.gappy import GappyBasis

__all__ = ["DualField"]


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
