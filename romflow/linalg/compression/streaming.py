"""POD from one pass: every snapshot, or every block of rows, is seen once and can then be thrown away."""

from __future__ import annotations

import numpy as np
import scipy.linalg as sl

from romflow.core.errors import InputError, NotSupported, ShapeError
from romflow.linalg.compression.blocks import MEMORY, diagonal_of, squared_sum, tiles
from romflow.linalg.compression.deflation import NOISE
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.source import ArraySource, SnapshotSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embeddings import Embedding, embedding

__all__ = ["StreamingPod", "streaming"]

RANK = 50
_CORE, _CORE_FACTOR = 1000, 4
_TEST = 500
_OVERSAMPLING = 10


class StreamingPod:
    """Sketches of S (n, k), from which its leading modes are reconstructed (Tropp, Yurtsever, Udell and Cevher 2019).

    Range sketch Y = S Omega (n, q), core sketch Z = Phi Q_X S Xi^T (s, w) with X = Q_X^T Q_X, and where k > s the
    co-range sketch W = Psi Q_X S (q, k); with fewer snapshots Xi = I and W is not needed. Reconstruction: V = orth(Y)
    in X, P = orth(W^T) or I, C = (Phi Q_X V)^+ Z ((Xi P)^+)^T, S ~ V C P^T, whose singular value decomposition is cut.
    The least-squares inverses keep it stable. A further sketch, independent of these, estimates the error. Memory: n q
    numbers, with q = rank + max(10, rank / 4), and s k. Cost: 2 n q + 4 n flops a snapshot.

    Parameters
    ----------
    n, k : int
    product : InnerProduct
        Rows can be added where X is the identity or diagonal, snapshots with any X.
    rank : int
        Modes that are wanted at most.
    seed : int

    Examples
    --------
    >>> S = np.outer(np.arange(1.0, 5.0), [1.0, 2.0])
    >>> sketch = StreamingPod(4, 2, InnerProduct(None), rank=1)
    >>> for start in (0, 2):
    ...     sketch.add_rows(slice(start, start + 2), S[start:start + 2])
    >>> found = sketch.finish(1e-6)
    >>> found.basis.shape, found.error < 1e-12
    ((4, 1), True)
    """

    def __init__(self, n: int, k: int, product: InnerProduct, rank: int = RANK, seed: int = 0) -> None:
        if rank < 1:
            raise InputError(f"the streaming POD got rank = {rank}; the rule is at least 1 mode")
        self.n, self.k, self.product, self.rank = n, k, product, rank
        q = min(rank + max(_OVERSAMPLING, rank // 4), n, k)
        s = max(_CORE, _CORE_FACTOR * q)
        random = np.random.default_rng(seed)
        self._omega = random.standard_normal((k, q))
        self._xi = random.standard_normal((s, k)) / np.sqrt(s) if k > s else None
        self._psi = embedding("sparse-sign", q, n, seed + 1) if k > s else None
        self._phi, self._test = embedding("countsketch", s, n, seed + 2), embedding("countsketch", _TEST, n, seed + 3)
        self._range = Modes(n)
        self._range.append(q)
        self._core, self._tested = np.zeros((s, k if self._xi is None else s)), np.zeros((_TEST, k))
        self._corange = np.zeros((0 if self._psi is None else q, k))
        self._diagonal = diagonal_of(product)
        self._euclidean = product.X is None or self._diagonal is not None
        self._energy, self._seen = 0.0, 0

    @property
    def by_rows(self) -> bool:
        """Whether blocks of rows can be added."""
        return self._euclidean

    def add_rows(self, rows: slice, B: np.ndarray) -> None:
        """Take in rows S[rows] (m, k), each of them once.

        Raises
        ------
        NotSupported
            X couples the rows.
        ShapeError, InputError
            Another shape; numbers that are not finite.
        """
        start, stop, _ = rows.indices(self.n)
        if B.shape != (stop - start, self.k):
            raise ShapeError(f"rows {start} to {stop - 1} came with shape {B.shape}; the rule is "
                             f"{stop - start, self.k}")
        if not self._euclidean:
            raise NotSupported("rows cannot be streamed in the norm of a matrix that couples them; add whole snapshots")
        squared_sum(B, f"rows {start} to {stop - 1}")
        if self._diagonal is not None:
            B = np.sqrt(self._diagonal[start:stop])[:, None] * B
        self._range.V[start:stop] = B @ self._omega
        core = self._phi.apply_rows(B, start)
        self._core += core if self._xi is None else core @ self._xi.T
        self._tested += self._test.apply_rows(B, start)
        if self._psi is not None:
            self._corange += self._psi.apply_rows(B, start)
        self._energy += float(np.vdot(B, B))
        self._seen += B.size

    def add_snapshots(self, part: slice, S: np.ndarray) -> None:
        """Take in snapshots S[:, part] (n, j), each of them once.

        Raises
        ------
        ShapeError, InputError
            Another shape; numbers that are not finite.
        """
        start, stop, _ = part.indices(self.k)
        if S.shape != (self.n, stop - start):
            raise ShapeError(f"snapshots {start} to {stop - 1} came with shape {S.shape}; the rule is "
                             f"{self.n, stop - start}")
        squared_sum(S, f"snapshots {start} to {stop - 1}")
        if self._diagonal is not None:
            S = np.sqrt(self._diagonal)[:, None] * S
        self._range.V[:] += S @ self._omega[part]
        QS = S if self._euclidean else self.product.whiten(self.product.apply(S))
        core = self._phi.apply(QS)
        if self._xi is None:
            self._core[:, part] += core
        else:
            self._core += core @ self._xi[:, part].T
        self._tested[:, part] += self._test.apply(QS)
        if self._psi is not None:
            self._corange[:, part] += self._psi.apply(QS)
        self._energy += float(np.vdot(QS, QS))
        self._seen += S.size

    def finish(self, tolerance: float = 0.0, max_size: int | None = None) -> Pod:
        """The POD; the sketches are used up.

        Parameters
        ----------
        tolerance : float
            Relative projection error; where `rank` modes do not reach it, the error says so.
        max_size : int, optional

        Raises
        ------
        InputError
            Not every number was taken in once.
        """
        if self._seen != self.n * self.k:
            raise InputError(f"the streaming POD saw {self._seen} of {self.n * self.k} numbers; add each block once")
        V = self._range
        plain = InnerProduct(None) if self._euclidean else self.product
        V.orthonormalise(plain)
        C, rows_of_S = self._coefficients(V)
        U, sigma, Wt = sl.svd(C, full_matrices=False) if C.size else (np.zeros((V.r, 0)), np.zeros(0), C[:0])
        V.transform(U)
        r, error = self._cut(V, sigma[:, None] * (Wt @ rows_of_S), sigma, tolerance, max_size)
        V.transform(np.eye(V.r)[:, :r])
        if self._diagonal is not None:
            V.V[:] /= np.sqrt(self._diagonal)[:, None]
        V.whiten(self.product, np.zeros((r, 0)))
        V.fix_signs()
        why = f"its error is estimated by an independent sketch of {_TEST} rows"
        return Pod(V.V, sigma, error, "streaming", why, self._energy, self.k)

    def _coefficients(self, V: Modes) -> tuple[np.ndarray, np.ndarray]:
        """C (q, j) and P^T (j, k) with S ~ V C P^T."""
        left = np.linalg.lstsq(self._sketched(self._phi, V), self._core, rcond=None)[0]
        if self._xi is None:
            return left, np.eye(self.k)
        P = np.linalg.qr(self._corange.T)[0]
        return np.linalg.lstsq(self._xi @ P, left.T, rcond=None)[0].T, P.T

    def _sketched(self, theta: Embedding, V: Modes) -> np.ndarray:
        """Theta Q_X V (s, r)."""
        if self._euclidean:
            return theta.apply(V.V)
        parts = tiles(V.r, self.n, ArraySource(np.zeros((0, 0))), MEMORY, None)
        return np.hstack([theta.apply(self.product.whiten(self.product.apply(V.V[:, part]))) for part in parts])

    def _cut(self, V: Modes, coordinates: np.ndarray, sigma: np.ndarray, tolerance: float,
             max_size: int | None) -> tuple[int, float]:
        """The least number of modes within the tolerance, and the error estimated for it."""
        most = min(self.rank if max_size is None else min(max_size, self.rank), int(np.sum(sigma > 0.0)))
        if not self._energy:
            return 0, 0.0
        T = self._sketched(self._test, V)
        left = float(np.sum((self._tested - T @ coordinates) ** 2))
        tails = np.append(np.cumsum(sigma[::-1] ** 2)[::-1], 0.0) + left
        reached = tails <= max(tolerance, NOISE) ** 2 * self._energy
        r = min(int(np.argmax(reached)) if reached.any() else most, most)
        rest = self._tested - T[:, :r] @ coordinates[:r]
        return r, float(np.sqrt(np.sum(rest**2) / self._energy))


def streaming(source: SnapshotSource, product: InnerProduct, tolerance: float, max_size: int | None, seed: int = 0,
              memory: int = MEMORY, block: int | None = None) -> Pod:
    """The POD of a source that is read once, by rows where X allows it.

    Examples
    --------
    >>> streaming(ArraySource(np.diag([2.0, 1.0])), InnerProduct(None), 1e-3, None).basis.shape
    (2, 2)
    """
    sketch = StreamingPod(source.n, source.k, product, RANK if max_size is None else max(max_size, 1), seed)
    if source.by_rows and sketch.by_rows:
        for rows in tiles(source.n, source.k, source, memory, block):
            sketch.add_rows(rows, source.rows(rows))
    else:
        for part in tiles(source.k, source.n, source, memory, block):
            sketch.add_snapshots(part, source.columns(part))
    return sketch.finish(tolerance, max_size)
