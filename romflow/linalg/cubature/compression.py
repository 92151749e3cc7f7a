"""Rows of integrands for a cubature: made from strains and stresses, with a volume row, and fewer of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError, ShapeError

__all__ = ["RowCompression", "compressed_rows", "integrands", "merged_factor", "row_factor", "with_volume_row"]


def integrands(strain: np.ndarray, stress: np.ndarray) -> np.ndarray:
    """G[i n_s + s, g] = sum_c stress[c, g, s] strain[c, g, i]: what the internal force of a mode integrates.

    Parameters
    ----------
    strain : (6, P, n)
        Of the displacement modes, with engineering shear, so that the plain product is sigma : epsilon.
    stress : (6, P, n_s)
        Modes times their singular values: without them the smallest mode would weigh as much as the first.

    Returns
    -------
    (n n_s, P)
        P values a row; a block of points at a time keeps it small.

    Examples
    --------
    >>> integrands(np.ones((6, 4, 2)), 2.0 * np.ones((6, 4, 3))).shape
    (6, 4)
    """
    strain, stress = np.asarray(strain, dtype=float), np.asarray(stress, dtype=float)
    if strain.ndim != 3 or stress.ndim != 3 or strain.shape[:2] != stress.shape[:2]:
        raise ShapeError(f"integrands got strains of shape {strain.shape} and stresses of shape {stress.shape}; the "
                         "rule is (6, P, n) and (6, P, n_s)")
    rows = np.matmul(strain.transpose(1, 2, 0), stress.transpose(1, 0, 2))
    return np.ascontiguousarray(rows.reshape(strain.shape[1], -1).T)


def with_volume_row(G: np.ndarray, b: np.ndarray, volume: float,
                    stiffness: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """(G, b) with one more row, stiffness ||b|| / volume everywhere, whose integral is stiffness ||b||.

    A rule that integrates it has weights of the right sum, which holds states that are in equilibrium with themselves
    (thermal stresses), whose other rows nearly vanish (Hernandez, Caicedo and Ferrer 2017). Give the rows
    to `nonnegative_cubature` with a `volume_tolerance`: then its tolerance holds for the rows before.

    Parameters
    ----------
    G : (M, P), b : (M,)
    volume : float
        Sum of all weights, > 0.
    stiffness : float
        How much more the volume counts than the rows before together. With 1, a loose tolerance (1e-2) needs half as
        many points again for a volume to 1e-4; with 10 none, and the volume holds to 1e-5.

    Returns
    -------
    G : (M + 1, P), b : (M + 1,)

    Raises
    ------
    InputError
        A volume or stiffness that is not positive, or b = 0.

    Examples
    --------
    >>> G, b = with_volume_row(np.ones((1, 4)), np.array([3.0]), 2.0)
    >>> G[1].tolist(), b.tolist()
    ([15.0, 15.0, 15.0, 15.0], [3.0, 30.0])
    """
    G, b = np.asarray(G, dtype=float), np.asarray(b, dtype=float)
    scale = stiffness * float(np.linalg.norm(b))
    if not (volume > 0.0 and np.isfinite(volume) and stiffness > 0.0):
        raise InputError(f"a volume row got the volume {volume} and the stiffness {stiffness}; both must be positive")
    if not scale > 0.0:
        raise InputError("a volume row is scaled by the other integrals, and all of them vanish; give integrals of "
                         "internal forces, not of residuals at equilibrium")
    larger = np.empty((G.shape[0] + 1, G.shape[1]))
    larger[:-1], larger[-1] = G, scale / volume
    return larger, np.append(b, scale)


def row_factor(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """R (<= M, M) with R^T R = G diag(w) G^T, and G w (M,), in one pass over blocks of columns (G_b (M, P), w_b (P,)).

    By QR factorisations of R stacked on the next block, so that the rows' small singular values keep all their digits,
    which the Gram matrix itself would lose below 1e-8. Memory: M^2 and twice a block. Cost: 2 M^2 (P + M) flops a
    block.

    Raises
    ------
    ShapeError, InputError
        Blocks that do not fit, no block, a weight < 0, entries that are not finite.

    Examples
    --------
    >>> G, w = np.arange(8.0).reshape(2, 4), np.array([1.0, 2.0, 1.0, 2.0])
    >>> R, b = row_factor([(G[:, :3], w[:3]), (G[:, 3:], w[3:])])
    >>> np.allclose(R.T @ R, (G * w) @ G.T), b.tolist()
    (True, [10.0, 34.0])
    """
    R, b = np.empty((0, 0)), np.empty(0)
    for G, w in blocks:
        if not b.size:
            R, b = np.empty((0, G.shape[0])), np.zeros(G.shape[0])
        if G.ndim != 2 or G.shape != (b.size, w.size):
            raise ShapeError(f"a block of integrands has shape {G.shape} and {w.size} weights; the rule is "
                             f"({b.size}, P) and (P,)")
        if not np.isfinite(w).all() or (w < 0.0).any():
            raise InputError("a block of integrands has weights that are negative or not finite; weights are volumes")
        b += G @ w
        R = merged_factor([R, (G * np.sqrt(w)).T])
    if not b.size:
        raise InputError("no block of integrands was given, or they have no rows; give at least one")
    if not np.isfinite(b).all() or not np.isfinite(R).all():
        raise InputError("a block of integrands has entries that are not finite; look at the stresses and strains")
    return R, b


def merged_factor(factors: list[np.ndarray]) -> np.ndarray:
    """The factor (<= M, M) of several subdomains' rows together: R^T R is the sum of theirs."""
    return np.linalg.qr(np.concatenate(factors), mode="r")


@dataclass(frozen=True)
class RowCompression:
    """Orthonormal combinations of rows, the largest first.

    Attributes
    ----------
    modes : (M, k)
    singular_values : (k,)
        ||modes[:, i]^T G diag(w)^{1/2}||_2.
    dropped : float
        Largest singular value left out over the first one; 0 if none.
    """

    modes: np.ndarray
    singular_values: np.ndarray
    dropped: float

    def rows(self, G: np.ndarray) -> np.ndarray:
        """modes^T G (k, P), or modes^T b (k,): a block of columns at a time."""
        return self.modes.T @ G


def compressed_rows(R: np.ndarray, tolerance: float = 1e-9) -> RowCompression:
    """k <= rank combinations of rows with ||U^T (G x - b)|| = ||G x - b|| but for singular values <= tolerance s_1.

    From the factor of `row_factor`: G diag(w)^{1/2} = R^T Q^T = U S V^T. With the default tolerance nothing that a
    cubature sees is lost; a larger one drops, for a rule x of m of the N points, at most about
    tolerance s_1 (N / m)^{1/2} |Omega|^{1/2} of the integrals' norm. Cost: O(M^3).

    Raises
    ------
    InputError
        A tolerance outside 0 to 1, or rows that all vanish.

    Examples
    --------
    >>> G = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    >>> small = compressed_rows(row_factor([(G, np.ones(3))])[0])
    >>> small.rows(G).shape, bool(small.dropped < 1e-9)
    ((1, 3), True)
    """
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"the tolerance of a row compression is {tolerance}; the rule is 0 <= tolerance < 1")
    _, s, Ut = np.linalg.svd(R, full_matrices=False)
    if not s.max(initial=0.0) > 0.0:
        raise InputError("all rows of integrands vanish; look at the stresses and strains")
    kept = int(np.count_nonzero(s > tolerance * s[0]))
    # The sign of a singular vector is free: fixed here, for the same rows on all machines.
    modes = Ut[:kept].T * np.sign(Ut[np.arange(kept), np.argmax(np.abs(Ut[:kept]), axis=1)])
    return RowCompression(np.ascontiguousarray(modes), s[:kept], float(s[kept] / s[0]) if kept < s.size else 0.0)
