"""What a projection keeps of the whitened residual columns [f_q, A_q v_i]: an orthonormal factor, or a sketch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import NotSupported
from romflow.core.names import nearest
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.local_whitening import WhitenedTerms
from romflow.linalg.orthonormal import OrthonormalRange
from romflow.linalg.sketching.embedding_kinds import KINDS
from romflow.linalg.sketching.embeddings import Embedding, embedding
from romflow.rom.residual import OrthonormalResidual, ResidualNorm
from romflow.rom.sketched_residual import DELTA, EPSILON, SketchedResidual, residual_epsilon, residual_rows


@dataclass(frozen=True)
class Sketch:
    """An embedding by name, size and seed, with the accuracy (epsilon, delta) that it promises for one residual.

    Examples
    --------
    >>> Sketch.chosen("sparse-sign", rows=400).epsilon < 0.1
    True
    """

    kind: str
    rows: int
    seed: int
    epsilon: float
    delta: float

    @classmethod
    def chosen(cls, kind: str = "sparse-sign", rows: int = 0, epsilon: float = EPSILON, delta: float = DELTA,
               seed: int = 0, least: int = 1) -> Sketch:
        """The sketch with `rows` rows, or by the rule of `residual_rows` and at least `least` where rows = 0.

        `epsilon` of the result is what the rows give at `delta`.

        Raises
        ------
        NotSupported
            No embedding has that name.
        InputError
            A number is outside its range.
        """
        if kind not in KINDS:
            raise NotSupported(f"no sketch is called '{kind}'{nearest(str(kind), tuple(KINDS))}")
        rows = rows or max(residual_rows(epsilon, delta), least)
        return cls(kind, int(rows), int(seed), residual_epsilon(rows, delta), float(delta))

    def embedding(self, n: int) -> Embedding:
        """Theta (rows, n)."""
        return embedding(self.kind, self.rows, n, self.seed)

    def residual(self, S: np.ndarray) -> SketchedResidual:
        """The residual norm on sketched columns S (rows, Qf + r Q); a tall S is reduced to its triangular factor."""
        T = np.linalg.qr(S, mode="r") if S.shape[1] < S.shape[0] else S
        return SketchedResidual(T, self.kind, self.rows, self.seed, self.epsilon, self.delta)

    @property
    def about(self) -> dict[str, Any]:
        """All of it as JSON."""
        return self.residual(np.empty((self.rows, 0))).about


class ResidualColumns(Protocol):
    """Grows with the basis; `residual` gives the norm on all columns so far."""

    def extend(self, AW: np.ndarray) -> None: ...

    def residual(self) -> ResidualNorm: ...


class OrthonormalColumns:
    """The factor T of the whitened columns Y = Q T, by Gram-Schmidt in R^n: 8 n (Qf + r Q) Q flops a vector.

    Parameters
    ----------
    fom : SupportsAffine
    product : InnerProduct
    """

    def __init__(self, fom: Any, product: InnerProduct) -> None:
        self._terms = WhitenedTerms(product, fom.operator.matrices)
        self._range = OrthonormalRange(fom.n)
        self._range.extend(product.whiten(np.asarray(fom.rhs.vectors)))

    def extend(self, AW: np.ndarray) -> None:
        """Append the columns of A_q W, AW (Q, n, j)."""
        Q, n, j = AW.shape
        self._range.extend(self._terms.dense(AW).reshape(n, j * Q))

    def residual(self) -> OrthonormalResidual:
        """||T c||."""
        return OrthonormalResidual(self._range.T)


class SketchedColumns:
    """The sketch S = Theta Y of the whitened columns, s numbers each; nothing of length n is kept.

    Costs a forward substitution on the part of X's Cholesky factor that each term reaches, and 16 operations an entry
    for the sparse-sign embedding; no Gram-Schmidt in R^n, which is three quarters of the orthonormal factor's time.

    Parameters
    ----------
    fom : SupportsAffine
    product : InnerProduct
    sketch : Sketch

    Attributes
    ----------
    rhs : (s, Qf)
        Theta Q^{-T} f_q.
    """

    def __init__(self, fom: Any, product: InnerProduct, sketch: Sketch) -> None:
        self.sketch = sketch
        self.theta = sketch.embedding(fom.n)
        self._terms = WhitenedTerms(product, fom.operator.matrices)
        self.rhs = self.theta.apply(product.whiten(np.asarray(fom.rhs.vectors)))
        self._blocks = [self.rhs]

    def sketched(self, AW: np.ndarray) -> np.ndarray:
        """Theta Q^{-T} A_q W (s, j, Q) of AW (Q, n, j)."""
        Q, _, j = AW.shape
        S = np.empty((self.sketch.rows, j, Q))
        for q, (rows, values) in enumerate(self._terms.parts(AW)):
            S[:, :, q] = self.theta.apply(values) if rows is None else self.theta.apply_at(values, rows)
        return S

    def extend(self, AW: np.ndarray) -> None:
        """Append the columns of A_q W, AW (Q, n, j)."""
        self._blocks.append(self.sketched(AW).reshape(self.sketch.rows, -1))

    def residual(self) -> SketchedResidual:
        """||S c||."""
        self._blocks = [np.hstack(self._blocks)]
        return self.sketch.residual(self._blocks[0])
