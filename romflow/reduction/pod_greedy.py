"""POD-greedy: reduced bases of trajectories, grown by the modes of what each new one has outside the basis."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.linalg.compression.routes import check_route
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.orthonormal import extend_orthonormal
from romflow.linalg.pod import GRAM_LIMIT, pod
from romflow.reduction.evolution import EvolutionProjection, evolution_stability
from romflow.reduction.trajectory_source import TrajectorySource
from romflow.reduction.windows import check_windows, with_windows
from romflow.rom.evolution import EvolutionReducedModel
from romflow.store.snapshots import SnapshotStore

__all__ = ["PodGreedy"]

# A further mode of a trajectory is taken where its singular value is this share of the first.
_SHARE = 0.1


class PodGreedy:
    """Galerkin projection of a linear evolution model on modes of its trajectories.

    Trajectories that come one after the other, as a greedy asks for them, each add the first POD modes of the part of
    theirs that the basis does not have, at most `modes` and those only whose singular value is a tenth of the first
    (Haasdonk and Ohlberger 2008, section 5; convergence: Haasdonk 2013).
    Several that come at first, as those of a fixed design, are compressed together by a POD that reads them piece by
    piece. Norms are those of L2(0, T; X).

    Parameters
    ----------
    tolerance : float
        Relative projection error of the POD of a fixed design.
    max_size : int
        Basis vectors at most.
    modes : int
        Modes that a trajectory of a greedy adds at most.
    windows, window_size : int
        Contiguous time windows with a local basis of so many vectors each, for fixed designs; 1 and 0: one basis.
    compression : str
        Route of the POD of a fixed design, one of :data:`romflow.linalg.compression.routes.ROUTES`: "auto" takes the
        one that fits the number and size of the states, "hapod" is the hierarchical one.
    seed : int
        Of the eigenvalue solver of the stability bound, and of routes with random numbers.

    Examples
    --------
    >>> PodGreedy(modes=2).method
    'pod-greedy'
    """

    method = "pod-greedy"
    certifies = True

    def __init__(self, tolerance: float = 1e-3, max_size: int = 100, modes: int = 2, windows: int = 1,
                 window_size: int = 0, compression: str = "auto", seed: int = 0) -> None:
        if isinstance(modes, bool) or not isinstance(modes, int) or modes < 1:
            raise NotSupported(f"modes = {modes!r}; the rule is a whole number from 1")
        check_windows(windows, window_size)
        check_route(compression)
        self.tolerance, self.max_size, self.modes, self.seed = tolerance, max_size, modes, seed
        self.windows, self.window_size, self.route = windows, window_size, compression
        self.fixed_designs_only, self.starts_empty = windows > 1, windows == 1
        self._fom: Any = None
        self._mu = np.empty((0, 0))
        self._facts: dict[str, Any] = {}

    def accepts(self, fom: Any) -> str | None:
        """None for linear evolution models with an inner product, else the reason and what to use."""
        if not all(hasattr(fom, name) for name in ("march", "mass", "operator", "inner_product")):
            return (f"{self.method} needs a model that moves in time, with matrices; {type(fom).__name__} is none. Add "
                    "a table [time], or use method = \"reduced-basis\"")
        if fom.nonlinear is not None:
            return (f"{self.method} is for linear models, and this one has a nonlinear term; use method = "
                    "\"hyper-reduction\"")
        return None

    def reduce(self, fom: Any, store: SnapshotStore, mu: np.ndarray) -> EvolutionReducedModel:
        """The reduced model from the trajectories at mu (k, p); called again with more, it extends what it has.

        Raises
        ------
        NotSupported
            The model is not a linear evolution model.
        """
        reason = self.accepts(fom)
        if reason is not None:
            raise NotSupported(reason)
        if fom is not self._fom or not np.array_equal(self._mu, mu[:len(self._mu)]):
            self._begin(fom, mu)
        new = mu[len(self._mu):]
        if len(new) > (self.windows == 1) and not self._projected.size:
            self._together(store, new)
        else:
            for row in new:
                self._extend(store, row)
        self._mu = mu.copy()
        model = self._projected.model(metadata={"method": self.method, "snapshots": len(mu), **self._facts})
        if self.windows == 1:
            return model
        return with_windows(model, self._projected.product, [store.trajectory(row) for row in mu], self.windows,
                            self.window_size)

    def _begin(self, fom: Any, mu: np.ndarray) -> None:
        product = InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
        self._fom, self._mu, self._facts = fom, mu[:0], {}
        self._projected = EvolutionProjection(fom, product, evolution_stability(fom, product, self.seed))

    def _extend(self, store: SnapshotStore, row: np.ndarray) -> None:
        """Modes of the part of one trajectory that is outside the basis."""
        projected = self._projected
        room = min(self.modes, self.max_size - projected.size)
        if room <= 0:
            return
        source = TrajectorySource([store.trajectory(row)], projected.V, projected.product)
        found = pod(source, projected.product, GRAM_LIMIT, max_size=room, route="gram")
        values = found.singular_values[:found.basis.shape[1]]
        taken = found.basis[:, values >= _SHARE * values.max(initial=0.0)]
        projected.extend(extend_orthonormal(projected.V, taken, projected.product))

    def _together(self, store: SnapshotStore, mu: np.ndarray) -> None:
        """The POD of some trajectories."""
        projected = self._projected
        source = TrajectorySource([store.trajectory(row) for row in mu])
        found = pod(source, projected.product, self.tolerance, max_size=self.max_size, route=self.route,
                    seed=self.seed)
        self._facts = found.facts
        projected.extend(found.basis)
