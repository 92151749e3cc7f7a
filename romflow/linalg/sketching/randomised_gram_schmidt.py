"""Randomised Gram-Schmidt (Balabanov and Grigori 2022): orthogonality of sketches in place of that of long vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.linalg.orthonormal import DEPENDENT
from romflow.linalg.sketching.embeddings import Embedding, ProductEmbedding

# Cancellation beyond this share of a new vector's sketch is repaired by a second combination.
_LOST = 1e-10


@dataclass(frozen=True)
class RandomisedQR:
    """W = Q R with Theta Q orthonormal.

    Attributes
    ----------
    Q : (n, r)
        Well conditioned: cond(Q) <= sqrt((1 + epsilon) / (1 - epsilon)) where Theta embeds range(W) up to epsilon.
    R : (r, k)
        Upper triangular, or a staircase where columns of W depend on earlier ones.
    S : (s, r)
        Theta Q, orthonormal to 1e-10 or better.
    """

    Q: np.ndarray
    R: np.ndarray
    S: np.ndarray


class SketchedGramSchmidt:
    """Orthonormalises sketches one by one; the same combinations make the vectors behind them well conditioned.

    `coefficients(p)` of a sketch p = Theta w gives h (r,) and rho > 0 such that (p - S h) / rho is orthonormal to the
    columns of S; then (w - W_r h) / rho is the next vector, whether or not anyone forms it. Two sweeps in R^s ("twice
    is enough"); 8 s r flops a vector, whatever n is.

    Parameters
    ----------
    rows : int
        s.

    Examples
    --------
    >>> grown = SketchedGramSchmidt(3)
    >>> grown.append(np.array([0.0, 2.0, 0.0]))
    (array([], dtype=float64), 2.0)
    >>> h, rho = grown.append(np.array([3.0, 1.0, 0.0]))
    >>> h, rho, grown.size
    (array([1.]), 3.0, 2)
    """

    def __init__(self, rows: int) -> None:
        self.S = np.empty((rows, 0))

    @property
    def size(self) -> int:
        """Number of vectors so far."""
        return int(self.S.shape[1])

    def coefficients(self, p: np.ndarray) -> tuple[np.ndarray, float]:
        """h (r,) and rho of a sketch p (s,); rho = 0 where p depends on the earlier ones to rounding.

        Raises
        ------
        ShapeError
            p is not (s,).
        """
        if p.shape != self.S.shape[:1]:
            raise ShapeError(f"a sketch of shape {p.shape} was given to a basis of sketches with {self.S.shape[0]} "
                             "rows; sketch with the same embedding")
        start = float(np.linalg.norm(p))
        h = self.S.T @ p
        rest = p - self.S @ h
        for _ in range(2):
            more = self.S.T @ rest
            h, rest = h + more, rest - self.S @ more
        rho = float(np.linalg.norm(rest))
        return h, (rho if rho > DEPENDENT * start and self.size < p.size else 0.0)

    def append(self, p: np.ndarray) -> tuple[np.ndarray, float]:
        """As `coefficients`, and the new direction joins the basis unless rho = 0."""
        h, rho = self.coefficients(p)
        if rho > 0.0:
            self.join((p - self.S @ h) / rho)
        return h, rho

    def join(self, q: np.ndarray) -> None:
        """Append the sketch q (s,) of the new vector, of norm one and orthogonal to the others to rounding."""
        self.S = np.hstack([self.S, q[:, None]])


def randomised_qr(W: np.ndarray, theta: Embedding | ProductEmbedding) -> RandomisedQR:
    """W = Q R with Theta Q orthonormal: cond(Q) stays near one also where cond(W) reaches the inverse of rounding.

    Balabanov and Grigori 2022, Algorithm 2 (RGS): the coefficients of a column come from the sketches, the combination
    is formed once and sketched again. One pass over Q a column: 2 n r flops, half of classical and a quarter of
    reorthogonalised Gram-Schmidt; a second one where cancellation in the combination left more than 1e-10 of the new
    sketch along the earlier ones.

    Parameters
    ----------
    W : (n, k)
    theta : Embedding or ProductEmbedding
        With at least 2 k rows; a `ProductEmbedding` makes Q nearly orthonormal in its inner product.

    Returns
    -------
    RandomisedQR
        Columns that depend on earlier ones to rounding (1e-13) bring no column of Q.

    Raises
    ------
    ShapeError
        W is not (n, k), or theta is for another n.
    InputError
        W is not finite, or the embedding has fewer rows than W columns.

    Examples
    --------
    >>> from romflow.linalg.sketching.embeddings import embedding
    >>> W = np.vander(np.linspace(0.0, 1.0, 2000), 12)
    >>> found = randomised_qr(W, embedding("sparse-sign", 100, 2000))
    >>> bool(np.abs(found.Q @ found.R - W).max() < 1e-12), bool(np.linalg.cond(found.Q) < 2.5)
    (True, True)
    """
    W = np.asarray(W, dtype=float)
    if W.ndim != 2:
        raise ShapeError(f"randomised Gram-Schmidt takes columns (n, k); this array has shape {W.shape}")
    if not np.isfinite(W).all():
        raise InputError("the columns for randomised Gram-Schmidt are not finite (NaN or infinity); check the solves")
    n, k = W.shape
    if k > theta.rows:
        raise InputError(f"an embedding with {theta.rows} rows cannot tell {k} columns apart; the rule is at least "
                         f"2 k = {2 * k} rows")
    basis = SketchedGramSchmidt(theta.rows)
    Q, R = np.empty((n, k), order="F"), np.zeros((k, k))
    for j, p in enumerate(theta.apply(W).T):
        r = basis.size
        h, rho = basis.coefficients(p)
        R[:r, j] = h
        if rho == 0.0:
            continue
        q = W[:, j] - Q[:, :r] @ h
        sketch = theta.apply(q)
        left = basis.S.T @ sketch
        if np.linalg.norm(left) > _LOST * np.linalg.norm(sketch):
            R[:r, j] += left
            q -= Q[:, :r] @ left
            sketch = theta.apply(q)
        R[r, j] = np.linalg.norm(sketch)
        Q[:, r] = q / R[r, j]
        basis.join(sketch / R[r, j])
    r = basis.size
    return RandomisedQR(Q[:, :r], R[:r], basis.S)
