"""What every linear solver answers: a factorised system with a report, and the small face of a direct back end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp

__all__ = ["DirectBackend", "Factorised", "Kind", "SolveReport"]

Kind = Literal["definite", "symmetric", "general"]


@dataclass(frozen=True)
class SolveReport:
    """What one `solve` did; every number was measured in that call.

    Attributes
    ----------
    method : str
        "direct", "cg", "minres", "gmres", "sketched-gmres" or "nystrom-cg": the one that gave the answer.
    backend : str
        Library or preconditioner, such as "pardiso" or "smoothed-aggregation".
    iterations : int
        Of the slowest right-hand side; steps of iterative refinement for a direct method.
    relative_residual : float
        Largest ||b - A x|| / ||b|| (Euclidean) of the columns.
    seconds, setup_seconds : float
        Processor seconds of this solve, and of the last `setup` or `update` before it.
    why : str
        Why this method was taken, and what failed before it.

    Examples
    --------
    >>> SolveReport("cg", "ruge-stuben", 12, 3e-11, 0.2, 0.1, "you asked for it").iterations
    12
    """

    method: str
    backend: str
    iterations: int
    relative_residual: float
    seconds: float
    setup_seconds: float
    why: str


class Factorised(Protocol):
    """A system A X = B that is ready to be solved for any number of right-hand sides.

    Attributes
    ----------
    report : SolveReport or None
        Of the last solve; None before the first.
    """

    report: SolveReport | None

    def solve(self, B: np.ndarray, guess: np.ndarray | None = None) -> np.ndarray:
        """X with ||b - A x|| <= tolerance ||b|| for every column b of B (n,) or (n, j); the shape is that of B.

        Raises
        ------
        ShapeError, InputError
            B or the guess does not fit, or is not finite and real.
        SolveFailed
            The tolerance was not reached; the message names a remedy and `report` has the figures.
        """
        ...


class DirectBackend(Protocol):
    """A library of sparse factorisations: symbolic analysis once for a pattern, numbers as often as they change.

    Attributes
    ----------
    name : str
    """

    name: str

    def analyse(self, A: sp.csr_array) -> None:
        """Ordering and symbolic factorisation of the pattern of A (n, n), canonical CSR."""
        ...

    def factorise(self, A: sp.csr_array) -> None:
        """Numeric factorisation of a matrix of the analysed pattern; it replaces the one before.

        Raises
        ------
        SolveFailed
            A pivot is zero, or negative where A was said to be definite.
        """
        ...

    def solve(self, B: np.ndarray) -> np.ndarray:
        """One forward and backward substitution for B (n, j), without refinement."""
        ...
