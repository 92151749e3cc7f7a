"""The linear systems of Newton's method: few factorisations, and iterations that count what one more would save."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import SolveFailed
from romflow.fom.evolution.solvers import PolicyFactor
from romflow.linalg.solvers.direct import BACKENDS, default_backend
from romflow.linalg.solvers.flexible_gmres import flexible_gmres
from romflow.linalg.solvers.pardiso import Pardiso
from romflow.linalg.solvers.protocol import DirectBackend, Kind
from romflow.linalg.solvers.superlu import SuperLUBackend

__all__ = ["DirectTangents", "Factor", "FreePattern", "KeptFactor", "SharedFactor", "Tangents"]

_ATTEMPTS: tuple[tuple[bool, Kind], ...] = ((True, "definite"), (False, "definite"), (False, "symmetric"))
_UPPER = np.triu_indices(6)
# A preconditioner that misses a known solution by more is factorised in double precision.
_SINGLE_ERROR = 1e-2
_MOST, _USUAL = 80, 3


class Tangents(Protocol):
    """Solves K du = r on the free dofs for one tangent after the other."""

    iterations: int
    factorisations: int

    def solve(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> np.ndarray:
        """du (f,) with ||r - K du|| <= accuracy ||r|| for the tangent (6, 6, G)."""
        ...

    def product(self, tangent: np.ndarray, u: np.ndarray) -> np.ndarray:
        """K u (n,) of all dofs (n,)."""
        ...

    def checkpoint(self) -> dict[str, np.ndarray]:
        """Numbers with which `restore` goes on bit by bit."""
        ...

    def restore(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Go on from the numbers of `checkpoint`."""
        ...


class Factor(Protocol):
    """One factorisation, which several histories may use in turn, and the iterations that it preconditions."""

    pattern: Any
    owner: object

    def factorise(self, tangent: np.ndarray, owner: object) -> None:
        """Factorise the symmetric tangent (6, 6, G) for `owner`; SolveFailed where it is singular."""
        ...

    def iterate(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> tuple[np.ndarray | None, int]:
        """du (f,) with ||r - K du|| <= accuracy ||r|| for the tangent (6, 6, G), or None; and the iterations."""
        ...


class FreePattern:
    """The matrix of the free dofs out of a stiffness of fixed pattern, by one gather.

    Parameters
    ----------
    space : StrainSpace
    free : (n,) bool

    Examples
    --------
    >>> class Space:
    ...     def stiffness(self, tangent): return sp.csc_array(np.arange(9.0).reshape(3, 3) + tangent[0, 0, 0])
    >>> FreePattern(Space(), np.array([True, False, True])).of(np.ones((6, 6, 1))).toarray()
    array([[1., 3.],
           [7., 9.]])
    """

    def __init__(self, space: Any, free: np.ndarray) -> None:
        self.space, self.free = space, np.asarray(free, dtype=bool)
        self._kept: np.ndarray | None = None

    def of(self, tangent: np.ndarray) -> sp.csc_array:
        """K (f, f) of the tangent (6, 6, G), columns compressed, indices of 32 bits."""
        K = self.space.stiffness(tangent)
        if self._kept is None:
            columns = np.repeat(np.arange(K.shape[1]), np.diff(K.indptr))
            self._kept = np.flatnonzero(self.free[K.indices] & self.free[columns])
            number = np.cumsum(self.free, dtype=np.int32) - 1
            self._indices = number[K.indices[self._kept]].astype(np.int32)
            counts = np.bincount(columns[self._kept], minlength=K.shape[1])[self.free]
            self._indptr = np.append(0, np.cumsum(counts)).astype(np.int32)
        f = len(self._indptr) - 1
        return sp.csc_array((K.data[self._kept], self._indices, self._indptr), shape=(f, f))

    def product(self, tangent: np.ndarray, u: np.ndarray) -> np.ndarray:
        """K u (n,) of all dofs (n,) without assembling K."""
        strain = self.space.strain(u)
        stress = np.einsum("ijg,jg->ig", tangent, strain, optimize=False)
        return np.asarray(self.space.forces(stress))


class DirectTangents:
    """Full Newton: every tangent is assembled and solved as the keys of [solver] say.

    Parameters
    ----------
    pattern : FreePattern
    options : mapping
        As from `romflow.fom.evolution.solvers.step_options`.
    symmetric : bool
        The tangents are.
    """

    def __init__(self, pattern: FreePattern, options: Mapping[str, Any], symmetric: bool) -> None:
        self._pattern = pattern
        self._factor = PolicyFactor(options, symmetric)
        self.iterations = self.factorisations = 0

    def solve(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> np.ndarray:
        """See `Tangents`; the accuracy is that of the options."""
        self.factorisations += 1
        self.iterations += 1
        return self._factor.of(self._pattern.of(tangent)).solve(r)

    def product(self, tangent: np.ndarray, u: np.ndarray) -> np.ndarray:
        """See `Tangents`."""
        return self._pattern.product(tangent, u)

    def checkpoint(self) -> dict[str, np.ndarray]:
        """Nothing is kept."""
        return {}

    def restore(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Nothing is kept."""


class SharedFactor:
    """One factorisation of the symmetric part of a tangent, in single precision; the analysis is made once.

    Parameters
    ----------
    pattern : FreePattern
    backend : str
        "auto" or a name of `romflow.linalg.solvers.direct.BACKENDS`.
    """

    def __init__(self, pattern: FreePattern, backend: str = "auto") -> None:
        self.pattern, self._asked = pattern, backend
        self._engine: DirectBackend | None = None
        self._key: tuple[str, str, bool] | None = None
        self.owner: object = None

    def factorise(self, tangent: np.ndarray, owner: object) -> None:
        """Factorise the symmetric tangent (6, 6, G) for `owner`, positive definite or not.

        Raises
        ------
        SolveFailed
            The matrix is singular.
        """
        K = self.pattern.of(tangent)
        # The matrix is symmetric: its columns are its rows.
        A = sp.csr_array((K.data, K.indices, K.indptr), shape=K.shape)
        diagonal = np.abs(A.diagonal())
        scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        A.data *= np.repeat(scale, np.diff(A.indptr)) * scale[A.indices]
        self.owner = None
        failure: SolveFailed | None = None
        for single, kind in _ATTEMPTS:
            try:
                self._numbers(A, kind, single)
            except SolveFailed as error:
                failure = error
                continue
            self._scale = scale
            if self._error(A) < _SINGLE_ERROR:
                self.owner = owner
                return
        raise failure or SolveFailed("the tangent is singular to working precision; check the supports")

    def solve(self, r: np.ndarray) -> np.ndarray:
        """About K^{-1} r for r (f,)."""
        engine = self._engine
        if engine is None:
            raise SolveFailed("the preconditioner was used before a factorisation")
        return np.asarray(self._scale * np.ravel(engine.solve((self._scale * r)[:, None])))

    def iterate(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> tuple[np.ndarray | None, int]:
        """du (f,) with ||r - K du|| <= accuracy ||r|| for the tangent (6, 6, G), or None; and the iterations."""
        free, whole = self.pattern.free, np.zeros(self.pattern.free.size)

        def product(z: np.ndarray) -> np.ndarray:
            whole[free] = z
            return np.asarray(self.pattern.product(tangent, whole)[free])

        return flexible_gmres(product, self.solve, r, accuracy, _MOST)

    def _numbers(self, A: sp.csr_array, kind: Kind, single: bool) -> None:
        name = default_backend(A.shape[0], A.nnz, kind == "definite") if self._asked == "auto" else self._asked
        key = (name, kind, single)
        if self._engine is None or self._key != key:
            self._engine = None
            engine = _engine(name, kind, single)
            engine.analyse(A)
            self._engine, self._key = engine, key
        self._engine.factorise(A)

    def _error(self, A: sp.csr_array) -> float:
        """Relative error of one solve with a known solution; infinite where it is not finite."""
        x = np.cos(np.arange(A.shape[0]))
        engine = self._engine
        error = np.ravel(engine.solve((A @ x)[:, None])) - x if engine is not None else x
        return float(np.nan_to_num(np.linalg.norm(error) / np.linalg.norm(x), nan=np.inf))


class KeptFactor:
    """GMRES on the tangent at hand, preconditioned by the factor of an earlier one until that costs more than a new.

    Let R be the iterations that cost as much as one factorisation, b their mean in the second to fourth solve after the
    last one (the first is of that very tangent), and e the sum of those beyond b since. A new factorisation follows
    where e > R: by the ski-rental argument no more than twice the least work is then done. No clock decides; the
    product with the tangent needs no assembled matrix.

    Parameters
    ----------
    shared : Factor
    limit : float
        R.
    """

    def __init__(self, shared: Factor, limit: float) -> None:
        self._shared, self.limit = shared, limit
        self._tangent: np.ndarray | None = None
        self._counts: list[int] = []
        self.iterations = self.factorisations = 0

    def solve(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> np.ndarray:
        """See `Tangents`.

        Raises
        ------
        SolveFailed
            No convergence even with a factorisation of this tangent.
        """
        if self._tangent is None or self._excess() > self.limit:
            self._renew(tangent)
        elif self._shared.owner is not self:
            self._shared.factorise(_whole(self._tangent), self)
        found, count = self._iterate(tangent, r, accuracy)
        if found is None and self._counts:
            self._renew(tangent)
            found, count = self._iterate(tangent, r, accuracy)
        if found is None:
            raise SolveFailed(f"GMRES did not reach {accuracy:.1e} in {count} iterations on a tangent that is nearly "
                              "singular", {"iterations": count})
        return found

    def product(self, tangent: np.ndarray, u: np.ndarray) -> np.ndarray:
        """See `Tangents`."""
        return np.asarray(self._shared.pattern.product(tangent, u))

    def checkpoint(self) -> dict[str, np.ndarray]:
        """The tangent of the factor (21, G), and what was counted since."""
        if self._tangent is None:
            return {}
        return {"factor_tangent": self._tangent, "factor_counts": np.array(self._counts, dtype=np.int64)}

    def restore(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Go on from the numbers of `checkpoint`."""
        if "factor_tangent" in numbers:
            self._tangent = np.asarray(numbers["factor_tangent"], dtype=np.float32)
            self._counts = [int(count) for count in numbers["factor_counts"]]

    def _excess(self) -> float:
        """e."""
        usual = self._counts[1:1 + _USUAL]
        return sum(max(count - sum(usual) / _USUAL, 0.0) for count in self._counts[1 + _USUAL:])

    def _renew(self, tangent: np.ndarray) -> None:
        # The numbers of a checkpoint, so that a history that goes on from one has the same factor to the bit.
        kept = (0.5 * (tangent + tangent.transpose(1, 0, 2)))[_UPPER].astype(np.float32)
        self._tangent = None
        self._shared.factorise(_whole(kept), self)
        self._tangent, self._counts = kept, []
        self.factorisations += 1

    def _iterate(self, tangent: np.ndarray, r: np.ndarray, accuracy: float) -> tuple[np.ndarray | None, int]:
        """du or None, and the iterations."""
        found, count = self._shared.iterate(tangent, r, accuracy)
        self.iterations += count
        if found is not None:
            self._counts.append(count)
        return found, count


def _engine(name: str, kind: Kind, single: bool) -> DirectBackend:
    if single and name == "pardiso":
        return Pardiso(kind, single=True)
    if single and name == "superlu":
        return SuperLUBackend(kind, single=True)
    return BACKENDS[name](kind)


def _whole(upper: np.ndarray) -> np.ndarray:
    """The symmetric tangent (6, 6, G) of its upper triangle (21, G)."""
    tangent = np.empty((6, 6, upper.shape[1]))
    tangent[_UPPER] = upper
    tangent[_UPPER[::-1]] = upper
    return tangent
