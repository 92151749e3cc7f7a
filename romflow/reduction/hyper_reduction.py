"""Hyper-reduction: POD of the states, and interpolation of the nonlinear term, which then looks at few points alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.linalg.compression.hapod import hapod_node, tree_of
from romflow.linalg.compression.source import SnapshotSource, StoreSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import OrthonormalRange
from romflow.parameters.expressions import Theta
from romflow.reduction.collateral import Collateral, CollateralSource, TrajectorySource, check_kind, collateral_of
from romflow.reduction.compression import SnapshotCompression
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.projection import dual_gram
from romflow.reduction.stability import stability_bound
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.model import ReducedModel
from romflow.rom.nonlinear import NonlinearReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["HyperReduction"]

_BLOCK = 64


class HyperReduction:
    """Galerkin projection of a nonlinear model with its nonlinear term from interpolation rows alone.

    Stationary models and evolution models alike: the states' POD gives V, the POD of N(u) on the same states the
    collateral basis. Which rows were chosen, how many and why, is in the model's metadata.

    Parameters
    ----------
    tolerance : float
        Relative projection error of the states' POD.
    max_size : int
    seed : int
    compression : str
        Route of the states' POD for stationary models, see :func:`romflow.linalg.pod.pod`.
    interpolation : {"deim", "qdeim", "eim", "oversampled"}
        See :func:`romflow.reduction.collateral.collateral_of`.
    points : int
        Interpolation rows; 0 lets `interpolation_tolerance` decide.
    interpolation_tolerance : float
        Relative error of the collateral basis on the snapshots; 0 takes a tenth of `tolerance`.
    extra : int
        Further rows for the indicator: the more, the more of the interpolation error it sees.
    """

    method = "hyper-reduction"
    certifies = False
    fixed_designs_only = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, seed: int = 0, compression: str = "auto",
                 interpolation: str = "deim", points: int = 0, interpolation_tolerance: float = 0.0,
                 extra: int = 20) -> None:
        check_kind(interpolation)
        self.tolerance, self.max_size, self.seed = tolerance, max_size, seed
        self.interpolation, self.points, self.extra = interpolation, points, extra
        self.interpolation_tolerance = interpolation_tolerance or 0.1 * tolerance
        self.compression = SnapshotCompression(compression, seed)

    def accepts(self, fom: Any) -> str | None:
        """None for models with a nonlinear term that can be restricted to rows, else the reason and what to use."""
        if is_split(fom):
            return (f"{self.method} needs whole snapshots, and those of a model on MPI ranks stay in parts; leave out "
                    "[cluster] ranks")
        if hasattr(getattr(fom, "nonlinear", None), "restrict") and hasattr(fom, "inner_product"):
            return None
        return (f"{self.method} needs a model with a nonlinear term; {type(fom).__name__} has none. Use method = "
                "\"reduced-basis\" or \"pod-galerkin\" for affine models, \"pod-greedy\" for those that move in time, "
                "\"pod-regression\" for any other")

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> ReducedModel:
        """The reduced model from the snapshots or trajectories at mu (k, p), of size at most `max_size`.

        Raises
        ------
        NotSupported
            The model has no nonlinear term.
        InputError
            The nonlinear term is not finite on the snapshots, or vanishes.
        """
        reason = self.accepts(fom)
        if reason is not None:
            raise NotSupported(reason)
        moves = hasattr(fom, "march")
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
        states = TrajectorySource(store, mu) if moves else StoreSource(store, mu)
        V, facts = self._moving_basis(states, product) if moves else self._basis(store, mu, product)
        found = collateral_of(CollateralSource(fom.nonlinear, states, mu), self.interpolation,
                              self.interpolation_tolerance, self.points, self.extra)
        restriction = fom.nonlinear.restrict(found.rows)
        term = HyperReducedTerm.build(restriction, V, found.basis, found.modes, found.points)
        model = self._evolution(fom, product, V, term, found) if moves else self._stationary(
            fom, product, V, term, found, store, mu)
        about = {"method": self.method, "snapshots": len(mu), **facts, "hyper_reduction": found.facts | {
            "evaluation_points": term.points, "evaluation_points_of_the_model": int(fom.nonlinear.P)}}
        return replace(model, metadata=model.metadata | about)

    def _basis(self, store: SnapshotStore, mu: np.ndarray, product: InnerProduct) -> tuple[np.ndarray, dict[str, Any]]:
        found = self.compression.of(store, mu, product, self.tolerance, self.max_size)
        return found.basis, found.facts

    def _moving_basis(self, source: SnapshotSource, product: InnerProduct) -> tuple[np.ndarray, dict[str, Any]]:
        root = hapod_node(source, product, self.tolerance, tree_of(source.n, source.k))
        r = min(self.max_size, len(root.sigma))
        left = float(np.sqrt((root.tail + np.sum(root.sigma[r:] ** 2)) / root.energy)) if root.energy else 0.0
        return np.ascontiguousarray(root.basis[:, :r]), {
            "singular_values": root.sigma.tolist(), "projection_error": left,
            "compression": {"route": "hapod", "why": "trajectories are read by pieces", "error": left}}

    def _evolution(self, fom: Any, product: InnerProduct, V: np.ndarray, term: HyperReducedTerm,
                   found: Collateral) -> Any:
        from romflow.reduction.evolution import EvolutionProjection

        projected = EvolutionProjection(fom, product)
        projected.extend(V)
        return projected.model(nonlinear=term)

    def _stationary(self, fom: Any, product: InnerProduct, V: np.ndarray, term: HyperReducedTerm, found: Collateral,
                    store: SnapshotStore, mu: np.ndarray) -> NonlinearReducedModel:
        r, columns = V.shape[1], fom.parameters.columns
        nothing, outputs = Theta([], columns), fom.outputs
        AV = np.empty((0, fom.n, r)) if fom.operator is None else fom.operator.apply(V)
        F = np.empty((fom.n, 0)) if fom.rhs is None else np.asarray(fom.rhs.vectors)
        L = np.empty((0, 0, fom.n)) if outputs is None else np.asarray(outputs.functionals)
        range_ = OrthonormalRange(fom.n)
        for block in (np.hstack([F, found.basis]), AV.transpose(1, 2, 0).reshape(fom.n, -1)):
            range_.extend(product.whiten(np.ascontiguousarray(block)))
        known = fom.monotone and fom.operator is not None
        return NonlinearReducedModel(
            parameters=fom.parameters, basis=V,
            operator_theta=nothing if fom.operator is None else fom.operator.theta,
            operator=np.einsum("nr,qnj->qrj", V, AV, optimize=True),
            rhs_theta=nothing if fom.rhs is None else fom.rhs.theta, rhs=F.T @ V,
            output_names=() if outputs is None else tuple(outputs.names),
            output_theta=nothing if outputs is None else outputs.theta, output=L @ V,
            output_gram=dual_gram(L, product), term=term, factor=range_.T, training=mu.copy(),
            training_coefficients=_coordinates(store, mu, V, product),
            stability=stability_bound(fom, product, self.seed) if known else None, monotone=bool(fom.monotone),
            norm_name=product.name, mesh=getattr(fom, "mesh", None))


def _coordinates(store: SnapshotStore, mu: np.ndarray, V: np.ndarray, product: InnerProduct) -> np.ndarray:
    """V^T X u_j (r, k) of the snapshots, some at a time."""
    XV = product.apply(V)
    parts = [XV.T @ store.matrix(mu[start:start + _BLOCK]) for start in range(0, len(mu), _BLOCK)]
    return np.hstack(parts)
