"""Randomised range finder with power iterations, over several passes."""

from __future__ import annotations

import numpy as np

from romflow.linalg.compression.deflation import EXACT, truncated
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.sweeps import Sweep
from romflow.linalg.inner_product import InnerProduct

__all__ = ["randomised"]

OVERSAMPLING = 10
_FIRST = 20
# Squared errors above this share of the energy are known from the difference of two norms.
_VISIBLE = 1e-11


def randomised(sweep: Sweep, product: InnerProduct, tolerance: float, max_size: int | None, power: int = 0,
               seed: int = 0) -> tuple[Pod, str]:
    """The POD within the range of S Omega, Omega <- orth(S^T X S Omega) `power` times; and how its error was found.

    Halko, Martinsson and Tropp 2011, algorithms 4.3 and 5.1, with 10 columns more than modes. Where only a tolerance is
    given, 30 columns are tried first, and twice as many until it is reached. Power iterations help where the singular
    values fall slowly, and lose those below 1e-8 of the first. Passes: 2 to 3 and one a power iteration; n k m flops
    each, m columns.

    Examples
    --------
    >>> from romflow.linalg.compression.source import ArraySource
    >>> from romflow.linalg.compression.sweeps import sweep_over
    >>> S = np.diag([3.0, 1.0, 1e-3])
    >>> randomised(sweep_over(ArraySource(S), InnerProduct(None)), InnerProduct(None), 1e-2, None)[0].basis.shape
    (3, 2)
    """
    k = sweep.k
    m = min(k, (_FIRST if max_size is None else max_size) + OVERSAMPLING)
    while True:
        omega = np.random.default_rng(seed).standard_normal((k, m))
        for _ in range(power):
            omega = np.linalg.qr(sweep.power(omega))[0]
        modes = sweep.modes()
        sweep.extend(modes, np.zeros((0, k)), omega)
        modes.orthonormalise(product, seed)
        found = _projected(sweep, modes, product, tolerance, max_size)
        # The last columns are oversampling: a basis that needs them is not the smallest one.
        enough = found.error <= tolerance and found.basis.shape[1] <= m - OVERSAMPLING
        if m == k or max_size is not None or enough:
            return found, EXACT
        m = min(2 * m, k)


def _projected(sweep: Sweep, modes: Modes, product: InnerProduct, tolerance: float, max_size: int | None) -> Pod:
    """The POD of the projection on orthonormal modes, with the exact error: one pass, two where that is below 3e-6."""
    Z, energy = sweep.coordinates(modes)
    rest = max(energy - float(np.vdot(Z, Z)), 0.0)
    if rest <= _VISIBLE * energy:
        rest = sweep.remainder(modes, Z)
    return truncated(modes, product, Z, None, rest, energy, tolerance, max_size)
