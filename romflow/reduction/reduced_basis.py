"""Reduced basis method: the snapshots themselves, orthonormalised, span the reduced space."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.core.names import nearest
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import extend_orthonormal
from romflow.reduction.distributed.projection import DistributedProjection
from romflow.reduction.distributed.runner import PartRunner, is_split, runner_of
from romflow.reduction.distributed.stability import stability_by_weights
from romflow.reduction.projection import AffineProjection
from romflow.reduction.residual_columns import Sketch, SketchedColumns
from romflow.reduction.stability import stability_bound
from romflow.rom.affine import AffineReducedModel
from romflow.rom.sketched_residual import DELTA, EPSILON
from romflow.store.snapshots import SnapshotStore

ESTIMATORS = ("orthonormal", "eim", "gram", "sketched")
PROJECTIONS = ("auto", "galerkin", "least-squares")
_EIM_TRAINING = 300


class AffineReductor:
    """What reductors of affine models share: the checks, the options and the choice of the estimator.

    Parameters
    ----------
    tolerance : float
        Relative tolerance, used by subclasses.
    max_size : int
    estimator : {"orthonormal", "eim", "gram", "sketched"}
    projection : {"auto", "galerkin", "least-squares"}
    seed : int
        Seed of the training parameters of "eim", of the eigenvalue solver and of the sketch.
    sketch : {"sparse-sign", "srht", "gaussian", "countsketch"}
        Embedding of estimator = "sketched".
    sketch_rows : int
        Its rows; 0 takes as many as epsilon and delta need.
    epsilon, delta : float
        The estimate of a residual is to be within 1 +- epsilon of it with probability 1 - delta.

    Attributes
    ----------
    runner : PartRunner or None
        Where a run has set it, models on MPI ranks are reduced by tasks on their parts.
    """

    method = "reduced-basis"

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, estimator: str = "orthonormal",
                 projection: str = "auto", seed: int = 0, sketch: str = "sparse-sign", sketch_rows: int = 0,
                 epsilon: float = EPSILON, delta: float = DELTA) -> None:
        for name, value, known in (("estimator", estimator, ESTIMATORS), ("projection", projection, PROJECTIONS)):
            if value not in known:
                raise NotSupported(f"no {name} is called '{value}'{nearest(value, known)}")
        if estimator != "sketched" and (sketch, sketch_rows, epsilon, delta) != ("sparse-sign", 0, EPSILON, DELTA):
            raise NotSupported("sketch, sketch_rows, epsilon and delta belong to estimator = \"sketched\", and the "
                               f"estimator is \"{estimator}\"; leave them out, or set estimator = \"sketched\"")
        self.tolerance, self.max_size, self.seed = tolerance, max_size, seed
        self.estimator, self.projection = estimator, projection
        self.sketch = Sketch.chosen(sketch, sketch_rows, epsilon, delta, seed)
        self.runner: PartRunner | None = None

    @property
    def certifies(self) -> bool:
        """Whether a bound may come out, where the model has a stability bound; a sketch gives none."""
        return self.estimator != "sketched"

    def accepts(self, fom: Any) -> str | None:
        """None for affine models with an inner product, else the reason and what to use."""
        if is_split(fom):
            return self._accepts_split(fom)
        if hasattr(fom, "march"):
            return (f"{self.method} is for stationary models, and this one moves in time; use method = "
                    "\"pod-greedy\", or \"hyper-reduction\" where it is nonlinear")
        if getattr(fom, "nonlinear", None) is not None:
            return (f"{self.method} is for affine models, and this one has a nonlinear term; use method = "
                    "\"hyper-reduction\"")
        if all(hasattr(fom, name) for name in ("operator", "rhs", "inner_product", "symmetric")):
            return None
        return (f"{self.method} needs an affine model; {type(fom).__name__} has no operators. "
                "Use method = \"pod-regression\", or give the model operator, rhs and inner_product")

    def _accepts_split(self, fom: Any) -> str | None:
        if self.estimator == "sketched":
            return ("estimator = \"sketched\" needs whole snapshots, and those of a model on MPI ranks stay in parts. "
                    "Use estimator = \"orthonormal\", or leave out [cluster] ranks")
        try:
            stability_by_weights(fom.problem)
        except NotSupported as error:
            return str(error)
        return None

    def start(self, fom: Any) -> AffineProjection | DistributedProjection:
        """An empty projection of the model.

        Raises
        ------
        NotSupported
            The model is not affine; it is on MPI ranks and there is no run.
        InputError
            The inner product is not symmetric positive definite.
        """
        reason = self.accepts(fom)
        if reason is not None:
            raise NotSupported(reason)
        if is_split(fom):
            return DistributedProjection(fom, runner_of(self), self.projection, self.tolerance)
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
        columns = SketchedColumns(fom, product, self.sketch) if self.estimator == "sketched" else None
        return AffineProjection(fom, product, stability_bound(fom, product, self.seed), self.projection, columns)

    def finish(self, model: AffineReducedModel, snapshots: int,
               projected: AffineProjection | DistributedProjection) -> AffineReducedModel:
        """The model with the estimator asked for."""
        split = {"split": projected.facts} if isinstance(projected, DistributedProjection) else {}
        model = replace(model, metadata={"method": self.method, "snapshots": snapshots} | split)
        if self.estimator == "sketched":
            return replace(model, metadata=model.metadata | {"sketch": self.sketch.about})
        if self.estimator != "eim":
            return model.with_estimator(self.estimator)
        rng = np.random.default_rng(self.seed)
        return model.with_estimator("eim", model.parameters.sample(_EIM_TRAINING, rng))


class ReducedBasisReductor(AffineReductor):
    """Projection on the span of all the snapshots given, in their order, X-orthonormalised.

    Called again with more parameters it extends what it has; a call with other parameters starts anew, so that the
    result depends on the parameters alone. Snapshots that add nothing beyond rounding are left out.
    Source: Hesthaven, Rozza and Stamm 2016, section 3.2; error bound (4.3) there.
    """

    starts_empty = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, estimator: str = "orthonormal",
                 projection: str = "auto", seed: int = 0, sketch: str = "sparse-sign", sketch_rows: int = 0,
                 epsilon: float = EPSILON, delta: float = DELTA) -> None:
        super().__init__(tolerance, max_size, estimator, projection, seed, sketch, sketch_rows, epsilon, delta)
        self._fom: Any = None
        self._mu = np.empty((0, 0))

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> AffineReducedModel:
        """The reduced model on the snapshots at mu (k, p), of size at most `max_size`."""
        if fom is not self._fom or not np.array_equal(self._mu, mu[:len(self._mu)]):
            self._fom, self._projected, self._mu = fom, self.start(fom), mu[:0]
        projected = self._projected
        for row in mu[len(self._mu):]:
            if projected.size >= self.max_size:
                break
            if isinstance(projected, DistributedProjection):
                projected.extend_by_snapshot(row)
                continue
            u = store.get(row).state[:, None]
            projected.extend(extend_orthonormal(projected.V, u, projected.product))
        self._mu = mu.copy()
        return self.finish(projected.model(), len(mu), projected)
