"""Hyper-reduction: POD of the states, and interpolation of the nonlinear term, which then looks at few points alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.fom.protocol import output_names
from romflow.linalg.compression.blocks import MEMORY
from romflow.linalg.compression.source import SnapshotSource, StoreSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import OrthonormalRange
from romflow.linalg.pod import pod
from romflow.parameters.expressions import Theta
from romflow.reduction.collateral import (
    Collateral,
    CollateralSource,
    TrajectoryStates,
    check_options,
    collateral_of,
    evaluated,
)
from romflow.reduction.compression import SnapshotCompression
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.evolution import EvolutionProjection, evolution_stability
from romflow.reduction.projection import dual_gram
from romflow.reduction.stability import stability_bound
from romflow.reduction.trajectory_source import TrajectorySource
from romflow.reduction.windows import check_windows, with_windows
from romflow.rom.hyper_term import HyperReducedTerm
from romflow.rom.model import ReducedModel
from romflow.rom.nonlinear import NonlinearReducedModel
from romflow.rom.stability import StabilityBound
from romflow.store.snapshots import SnapshotStore

__all__ = ["HyperReduction"]

_Built = tuple[Any, Collateral, dict[str, Any]]

_BLOCK = 64
# Parameters, and times of each, at which the indicator's modes are looked for.
_UNSEEN = 24
_TIMES = 6


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
        Relative error of the collateral basis on the snapshots; 0 takes a tenth of `tolerance`, and where that is 0
        too, all that the snapshots hold.
    extra : int
        Further rows for the indicator, from reduced states at parameters without snapshots: the more, the more of the
        interpolation error it sees.
    windows, window_size : int
        For models that move in time: contiguous windows with a local basis of so many vectors each; 1 and 0: one basis.
    """

    method = "hyper-reduction"
    certifies = False
    fixed_designs_only = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, seed: int = 0, compression: str = "auto",
                 interpolation: str = "deim", points: int = 0, interpolation_tolerance: float = 0.0,
                 extra: int = 20, windows: int = 1, window_size: int = 0) -> None:
        check_options(interpolation, interpolation_tolerance, points, extra)
        check_windows(windows, window_size)
        self.windows, self.window_size = windows, window_size
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
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
        build = self._evolution if hasattr(fom, "march") else self._stationary
        model, found, facts = build(fom, store, mu, product)
        about = {"method": self.method, "snapshots": len(mu), **facts, "hyper_reduction": found.facts}
        return replace(model, metadata=model.metadata | about)

    def _stationary(self, fom: Any, store: SnapshotStore, mu: np.ndarray, product: InnerProduct) -> _Built:
        modes = self.compression.of(store, mu, product, self.tolerance, self.max_size)
        V, training = modes.basis, _coordinates(store, mu, modes.basis, product)
        found = self._collateral(CollateralSource(fom.nonlinear, StoreSource(store, mu), mu))
        model = nonlinear_model(fom, product, V, self._term(fom, V, found), mu, training,
                                stability_bound(fom, product, self.seed) if _coercive(fom) else None)
        unseen = self._unseen(fom)
        x, converged = model.coefficients(unseen)
        found = self._behind(found, evaluated(fom.nonlinear, V @ x[:, converged], unseen[converged]))
        return replace(model, term=self._term(fom, V, found),
                       factor=residual_factor(fom, product, V, found.basis)), found, modes.facts

    def _evolution(self, fom: Any, store: SnapshotStore, mu: np.ndarray, product: InnerProduct) -> _Built:
        trajectories = [store.trajectory(row) for row in mu]
        V, facts = self._moving_basis(TrajectorySource(trajectories), product)
        states = TrajectoryStates(trajectories, mu)
        found = self._collateral(CollateralSource(fom.nonlinear, states, states.parameters, states.times))
        stability = evolution_stability(fom, product, self.seed)
        projected = EvolutionProjection(fom, product, stability, found.basis)
        projected.extend(V)
        model = projected.model(nonlinear=self._term(fom, V, found))
        found = self._behind(found, self._unseen_values(fom, model))
        projected = EvolutionProjection(fom, product, stability, found.basis)
        projected.extend(V)
        model = projected.model(nonlinear=self._term(fom, V, found))
        if self.windows > 1:
            model = with_windows(model, product, trajectories, self.windows, self.window_size)
        return model, found, facts

    def _unseen_values(self, fom: Any, model: Any) -> np.ndarray:
        """N(V x) (n, s) at some times of reduced trajectories of new parameters."""
        mu = self._unseen(fom)
        answer = model.solve(mu)
        at = np.unique(np.linspace(0, len(answer.times) - 1, _TIMES).round().astype(int))
        good = np.flatnonzero(answer.converged & np.isfinite(answer.trajectory).all(axis=(0, 1)))
        k, j = (index.ravel() for index in np.meshgrid(at, good))
        # More states than twice the modes are looked at only where they cost little memory.
        every = max(1, -(-k.size // max(2 * self.extra, MEMORY // (8 * fom.n), 1)))
        k, j = k[::every], j[::every]
        x = answer.trajectory[k, :, j].T
        return evaluated(fom.nonlinear, model.basis @ x, mu[j], answer.times[k])

    def _unseen(self, fom: Any) -> np.ndarray:
        return np.asarray(fom.parameters.sample(_UNSEEN, np.random.default_rng(self.seed)))

    def _collateral(self, source: SnapshotSource) -> Collateral:
        return collateral_of(source, self.interpolation, self.interpolation_tolerance, self.points)

    def _behind(self, found: Collateral, values: np.ndarray) -> Collateral:
        return found.behind(values[:, np.isfinite(values).all(axis=0)], self.extra)

    def _term(self, fom: Any, V: np.ndarray, found: Collateral) -> HyperReducedTerm:
        term = HyperReducedTerm.build(fom.nonlinear.restrict(found.rows), V, found.basis, found.modes, found.points)
        found.facts.update(evaluation_points=term.points, evaluation_points_of_the_model=int(fom.nonlinear.P))
        return term

    def _moving_basis(self, source: SnapshotSource, product: InnerProduct) -> tuple[np.ndarray, dict[str, Any]]:
        found = pod(source, product, self.tolerance, max_size=self.max_size, route=self.compression.route,
                    seed=self.seed)
        return found.basis, found.facts


def nonlinear_model(fom: Any, product: InnerProduct, V: np.ndarray, term: HyperReducedTerm, mu: np.ndarray,
                    coefficients: np.ndarray, stability: StabilityBound | None) -> NonlinearReducedModel:
    """The Galerkin projection of a stationary nonlinear model on V (n, r), without its residual's factor yet.

    Parameters
    ----------
    fom : NonlinearModel
    product : InnerProduct
    V : (n, r) X-orthonormal
    term : HyperReducedTerm
    mu : (k, p), coefficients : (r, k)
        Where Newton may start.
    stability : StabilityBound or None
    """
    nothing, outputs = Theta([], fom.parameters.columns), fom.outputs
    L = np.empty((0, 0, fom.n)) if outputs is None else np.asarray(outputs.functionals)
    AV, F = _terms(fom, V)
    return NonlinearReducedModel(
        parameters=fom.parameters, basis=V, operator_theta=nothing if fom.operator is None else fom.operator.theta,
        operator=V.T @ AV, rhs_theta=nothing if fom.rhs is None else fom.rhs.theta, rhs=F.T @ V,
        output_names=output_names(fom),
        output_theta=nothing if outputs is None else outputs.theta, output=L @ V, output_gram=dual_gram(L, product),
        term=term, factor=np.empty((0, 0)), training=mu.copy(), training_coefficients=coefficients, stability=stability,
        monotone=bool(fom.monotone), norm_name=product.name, mesh=getattr(fom, "mesh", None))


def residual_factor(fom: Any, product: InnerProduct, V: np.ndarray, collateral: np.ndarray) -> np.ndarray:
    """T with ||f - A V x - U' c||_{X'} = ||T (theta_f, -c, -theta_q x_i)||, from columns orthonormal in the dual norm.

    Cost: a forward substitution for each of the Qf + m' + Q r columns, and their QR factorisation.
    """
    AV, F = _terms(fom, V)
    whole = OrthonormalRange(fom.n)
    for block in (np.hstack([F, collateral]), AV.transpose(1, 2, 0).reshape(fom.n, AV.shape[0] * AV.shape[2])):
        if block.shape[1]:
            whole.extend(product.whiten(np.ascontiguousarray(block)))
    return whole.T


def _terms(fom: Any, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A_q V (Q, n, r) and f (n, Qf)."""
    AV = np.empty((0, *V.shape)) if fom.operator is None else fom.operator.apply(V)
    return AV, np.empty((fom.n, 0)) if fom.rhs is None else np.asarray(fom.rhs.vectors)


def _coercive(fom: Any) -> bool:
    """Whether a coercivity constant of A bounds the error of the whole model."""
    return bool(fom.monotone) and fom.operator is not None


def _coordinates(store: SnapshotStore, mu: np.ndarray, V: np.ndarray, product: InnerProduct) -> np.ndarray:
    """V^T X u_j (r, k) of the snapshots, some at a time."""
    XV = product.apply(V)
    parts = [XV.T @ store.matrix(mu[start:start + _BLOCK]) for start in range(0, len(mu), _BLOCK)]
    return np.hstack(parts)
