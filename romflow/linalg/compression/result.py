"""What every route of the POD answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Pod"]


@dataclass(frozen=True)
class Pod:
    """Modes V (n, r) with V^T X V = I, singular values (r_known,) and the relative projection error reached.

    Attributes
    ----------
    basis : (n, r)
    singular_values : (r_known,)
        Descending, r_known >= r.
    error : float
        (sum_j ||s_j - P s_j||_X^2 / sum_j ||s_j||_X^2)^{1/2}.
    route : str
        The route that was taken.
    why : str
        Why that one, and how the error was found.
    energy : float
        sum_j ||s_j||_X^2.
    count : int
        Number of snapshots.
    """

    basis: np.ndarray
    singular_values: np.ndarray
    error: float
    route: str = ""
    why: str = ""
    energy: float = 0.0
    count: int = 0

    @property
    def facts(self) -> dict[str, Any]:
        """What reduced models keep of it in their metadata.

        Examples
        --------
        >>> Pod(np.eye(2), np.array([2.0, 1.0]), 0.0, "gram", "asked for").facts["compression"]
        {'route': 'gram', 'why': 'asked for', 'error': 0.0}
        """
        return {"singular_values": self.singular_values.tolist(), "projection_error": self.error,
                "compression": {"route": self.route, "why": self.why, "error": self.error}}
