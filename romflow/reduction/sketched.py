"""Projection from sketches alone: snapshots may be thrown away once they are sketched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, NotSupported
from romflow.fom.protocol import output_names
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import extend_orthonormal
from romflow.linalg.sketching.randomised_gram_schmidt import SketchedGramSchmidt
from romflow.parameters.expressions import Theta
from romflow.reduction.projection import compliances, dual_gram, kind_of
from romflow.reduction.reduced_basis import AffineReductor
from romflow.reduction.residual_columns import Sketch
from romflow.reduction.snapshot_sketch import SketchedSnapshots, SketchedVectors, SnapshotSketcher
from romflow.reduction.stability import stability_bound
from romflow.rom.affine import AffineReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.rom.sketched_residual import DELTA, EPSILON
from romflow.store.snapshots import SnapshotStore

# Rows for each basis vector that keep the singular values of a sketched basis within about 1 +- 1/2.
_ROWS_A_VECTOR = 4


class SketchedProjection:
    """Reduced operators from sketches: Galerkin S^T (Theta Q^{-T} A_q V), or least squares of the sketched residual.

    Balabanov and Nouy 2019, part I, equation (4.4) (sketched Galerkin) and part II, equation (3.4) (sketched minimal
    residual). Vectors are orthonormalised as sketches (randomised Gram-Schmidt), at 8 s r flops each whatever n is.

    Parameters
    ----------
    sketcher : SnapshotSketcher
    stability : StabilityBound, optional
    projection : {"auto", "galerkin", "least-squares"}

    Examples
    --------
    >>> from romflow.testing.small import small_thermal_block
    >>> fom = small_thermal_block()
    >>> sketcher = SnapshotSketcher(fom, InnerProduct(fom.inner_product), Sketch.chosen(rows=60))
    >>> projected = SketchedProjection(sketcher)
    >>> for row in fom.parameters.sample(6, np.random.default_rng(0)):
    ...     projected.extend(sketcher.of(fom.solve(row).state[:, None]))
    >>> projected.model().size, projected.model().error_kind
    (6, 'indicator')
    """

    def __init__(self, sketcher: SnapshotSketcher, stability: Any = None, projection: str = "auto") -> None:
        fom = sketcher.fom
        self.sketcher, self.stability, self.kind = sketcher, stability, kind_of(projection, fom)
        s, Q = sketcher.sketch.rows, len(fom.operator.matrices)
        self._basis = SketchedGramSchmidt(s)
        self._terms = np.empty((s, 0, Q))
        self._output = np.empty((*sketcher.functionals.shape[:2], 0))
        self._output_gram = dual_gram(sketcher.functionals, sketcher.product)
        self._compliance = compliances(fom)

    @property
    def size(self) -> int:
        """Number of basis vectors so far."""
        return self._basis.size

    def extend(self, vectors: SketchedVectors) -> None:
        """Append vectors by their sketches, orthonormalised as sketches; dependent ones are left out."""
        for j, p in enumerate(vectors.states.T):
            h, rho = self._basis.append(p)
            if rho > 0.0:
                self._keep((vectors.terms[:, j] - np.einsum("srq,r->sq", self._terms, h)) / rho,
                           (vectors.outputs[:, :, j] - self._output @ h) / rho)

    def extend_as_given(self, vectors: SketchedVectors) -> None:
        """Append sketches of vectors that are orthonormal in X already."""
        for j, p in enumerate(vectors.states.T):
            self._basis.join(p)
            self._keep(vectors.terms[:, j], vectors.outputs[:, :, j])

    def model(self, basis: np.ndarray | None = None) -> AffineReducedModel:
        """The reduced model; with the X-orthonormal `basis` (n, r) behind the sketches it can lift."""
        fom, sketcher, S = self.sketcher.fom, self.sketcher, self._basis.S
        residual = sketcher.sketch.residual(np.hstack([sketcher.rhs, self._terms.reshape(S.shape[0], -1)]))
        outputs = fom.outputs
        parts: dict[str, Any] = {
            "parameters": fom.parameters, "operator_theta": fom.operator.theta,
            "operator": np.ascontiguousarray(np.einsum("sr,stq->qrt", S, self._terms, optimize=True)),
            "rhs_theta": fom.rhs.theta, "rhs": sketcher.rhs.T @ S,
            "output_names": output_names(fom),
            "output_theta": Theta([], fom.parameters.columns) if outputs is None else outputs.theta,
            "output": self._output, "output_gram": self._output_gram, "compliance": self._compliance,
            "factor": residual.T, "residual": residual, "stability": self.stability,
            # The sketched Galerkin matrix S^T (Theta Q^{-T} A V) is not symmetric where A is.
            "projection": self.kind, "symmetric": False, "norm_name": sketcher.product.name,
            "interpolation": getattr(fom, "interpolation", None)}
        if basis is not None:
            return AffineReducedModel(basis=basis, mesh=getattr(fom, "mesh", None), **parts)
        return SketchedReducedModel(basis=np.empty((0, self.size)), state_sketch=S, unknowns=fom.n, **parts)

    def _keep(self, terms: np.ndarray, output: np.ndarray) -> None:
        self._terms = np.concatenate([self._terms, terms[:, None]], axis=1)
        self._output = np.concatenate([self._output, output[:, :, None]], axis=2)


class SketchedReductor(AffineReductor):
    """Projection of the span of all the snapshots given, from their sketches; the error estimate is sketched too.

    With `keep_snapshots = false` each snapshot is replaced in the store by its sketch, of s (1 + Q) numbers, as soon as
    it is reduced: neither the store nor the model then holds a vector of length n, and the model has outputs and error
    estimates but no fields. With `keep_snapshots = true` the basis is kept, X-orthonormal as that of other reductors.

    Parameters
    ----------
    tolerance, max_size, projection, seed, sketch, epsilon, delta
        As for `AffineReductor`.
    estimator : {"sketched"}
    sketch_rows : int
        0 takes what epsilon and delta need for the estimate, and at least 4 (max_size + 1), with which the sketch tells
        the basis vectors apart.
    keep_snapshots : bool
    """

    method = "sketched"
    starts_empty = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, estimator: str = "sketched",
                 projection: str = "auto", seed: int = 0, sketch: str = "sparse-sign", sketch_rows: int = 0,
                 epsilon: float = EPSILON, delta: float = DELTA, keep_snapshots: bool = True) -> None:
        super().__init__(tolerance, max_size, estimator, projection, seed, sketch, sketch_rows, epsilon, delta)
        if estimator != "sketched":
            raise NotSupported(f"method = \"sketched\" estimates errors from sketches and not by \"{estimator}\"; "
                               "leave the estimator out, or use method = \"reduced-basis\"")
        if not isinstance(keep_snapshots, bool):
            raise ConfigError(f"[reduction] keep_snapshots = {keep_snapshots!r} is neither true nor false; give one")
        self.keep_snapshots = keep_snapshots
        self.sketch = Sketch.chosen(sketch, sketch_rows, epsilon, delta, seed, least=_ROWS_A_VECTOR * (max_size + 1))
        if 0 < sketch_rows <= max_size:
            raise ConfigError(f"[reduction] sketch_rows = {sketch_rows} cannot tell max_size = {max_size} basis "
                              f"vectors apart; give at least {_ROWS_A_VECTOR * (max_size + 1)}, or 0 for the rule")
        self._fom: Any = None
        self._mu = np.empty((0, 0))

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> AffineReducedModel:
        """The reduced model on the snapshots at mu (k, p), of size at most `max_size`."""
        if fom is not self._fom or not np.array_equal(self._mu, mu[:len(self._mu)]):
            self._begin(fom, mu)
        if not self.keep_snapshots:
            snapshots = SketchedSnapshots(store, self._sketcher)
        for row in mu[len(self._mu):]:
            if self.keep_snapshots:
                self._extend_basis(store.get(row).state[:, None])
                continue
            vectors = snapshots.get(row)
            self._states.append(vectors.states[:, 0])
            if self._projected.size < self.max_size:
                self._projected.extend(vectors)
        self._mu = mu.copy()
        return self._finished(len(mu))

    def _begin(self, fom: Any, mu: np.ndarray) -> None:
        reason = self.accepts(fom)
        if reason is not None:
            raise NotSupported(reason)
        self._fom, self._mu = fom, mu[:0]
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
        self._sketcher = SnapshotSketcher(fom, product, self.sketch)
        self._projected = SketchedProjection(self._sketcher, stability_bound(fom, product, self.seed), self.projection)
        self._V = np.empty((fom.n, 0))
        self._states: list[np.ndarray] = []

    def _extend_basis(self, u: np.ndarray) -> None:
        if self._projected.size < self.max_size:
            W = extend_orthonormal(self._V, u, self._sketcher.product)
            self._projected.extend_as_given(self._sketcher.of(W))
            self._V = np.hstack([self._V, W])

    def _finished(self, snapshots: int) -> AffineReducedModel:
        model = self._projected.model(self._V if self.keep_snapshots else None)
        about: dict[str, Any] = {"method": self.method, "snapshots": snapshots, "sketch": self.sketch.about}
        if self._states:
            values = np.linalg.svd(np.stack(self._states, axis=1), compute_uv=False)
            about |= {"singular_values": values.tolist()}
        return replace(model, metadata=about)
