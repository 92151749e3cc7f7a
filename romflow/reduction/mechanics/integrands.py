"""The integrands of reduced internal forces on one subdomain, made a block of points at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from romflow.linalg.cubature.compression import integrands, row_factor
from romflow.linalg.cubature.two_level import local_selection

__all__ = ["Integrands"]

# Bytes of integrands that are held at a time.
_MEMORY = 128 << 20


@dataclass(frozen=True)
class Integrands:
    """G[(i, s), g] = values_s stress_s(x_g) : eps(psi_i)(x_g) at the points of a subdomain, or some combinations of it.

    Attributes
    ----------
    points : (P,) int
    weights : (P,)
    strain : (6, P, r)
        Of the displacement modes.
    stress : (6 P, n_s)
        Modes, components first.
    values : (n_s,)
        Their singular values, without which a tiny mode would weigh as much as the first.
    turn : (r n_s, M) or None
        Orthonormal combinations of the rows.

    Examples
    --------
    >>> rows = Integrands(np.arange(2), np.ones(2), np.ones((6, 2, 1)), np.ones((12, 1)), np.array([0.5]), None)
    >>> rows.at(slice(0, 2)), rows.sums()["integrals"]
    (array([[3., 3.]]), array([6.]))
    """

    points: np.ndarray
    weights: np.ndarray
    strain: np.ndarray
    stress: np.ndarray
    values: np.ndarray
    turn: np.ndarray | None

    @property
    def rows(self) -> int:
        """Number r n_s of rows before they are combined."""
        return int(self.strain.shape[2] * self.values.size)

    def at(self, some: slice | np.ndarray) -> np.ndarray:
        """Rows (M, p) at some of the points."""
        stress = self.stress.reshape(6, self.points.size, -1)[:, some] * self.values
        rows = integrands(self.strain[:, some], stress)
        return rows if self.turn is None else self.turn.T @ rows

    def sums(self) -> dict[str, np.ndarray]:
        """R with R^T R = G diag(w) G^T, the integrals G w, the volume, and the integrals of |eps(psi_i)| : |stress|."""
        factor, integrals = row_factor((self.at(part), self.weights[part]) for part in self._parts())
        return {"factor": factor, "integrals": integrals, "volume": np.array(self.weights.sum()),
                "sizes": self._sizes()}

    def products(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """G diag(w) G^T, integrals and sizes of `sums`: quick, and good to 1e-7 of the largest singular value."""
        rows = self.strain.shape[2] * self.values.size if self.turn is None else self.turn.shape[1]
        gram, integrals = np.zeros((rows, rows)), np.zeros(rows)
        for part in self._parts():
            G, w = self.at(part), self.weights[part]
            gram += (G * w) @ G.T
            integrals += G @ w
        return gram, integrals, self._sizes()

    def _sizes(self) -> np.ndarray:
        sizes = np.sqrt((self.stress**2 @ self.values**2).reshape(6, -1)) * self.weights
        return np.asarray(np.einsum("cp,cpi->i", sizes, np.abs(self.strain)))

    def rule(self, tolerance: float, floor: float) -> dict[str, np.ndarray]:
        """The subdomain's own cubature, see :func:`romflow.linalg.cubature.two_level.local_selection`."""
        G = np.empty((self.rows if self.turn is None else self.turn.shape[1], self.points.size))
        for part in self._parts():
            G[:, part] = self.at(part)
        found = local_selection(G, self.weights, tolerance, ids=self.points, floor=floor)
        return {"points": found.points, "weights": found.weights, "columns": found.columns,
                "integrals": found.integrals, "volume": np.array(found.volume)}

    def _parts(self) -> Iterator[slice]:
        height = max(1, _MEMORY // (8 * max(self.rows, 1)))
        for start in range(0, self.points.size, height):
            yield slice(start, min(start + height, self.points.size))
