"""Random coefficients with given statistics as functions of independent standard normal numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.copulas import Gaussian
from romflow.parameters.empirical import Table

__all__ = ["Coefficients", "CopulaCoefficients", "NetworkCoefficients", "NormalCoefficients", "coefficients_from_spec"]

Array = NDArray[np.float64]
# Share of the draws that may be refused as too far from all that is known.
_RARE = 1e-12


class Coefficients(ABC):
    """c (b, m) as a function of independent standard normal numbers z (b, p).

    Attributes
    ----------
    size, count : int
        p and m.
    """

    kind: ClassVar[str]
    size: int
    count: int

    def __call__(self, z: ArrayLike) -> Array:
        """c (b, m) at z (b, p).

        Raises
        ------
        ShapeError
            z does not have p columns.
        ParameterError
            A number is not finite, or a row lies farther from 0 than all draws but one in 10^12 do.
        """
        points = np.asarray(z, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self.size:
            raise ShapeError(f"the normal numbers have shape {points.shape}; the rule is (b, {self.size})")
        distances = np.sqrt(np.einsum("bp,bp->b", points, points))
        wrong = np.flatnonzero(~(distances <= self.farthest))
        if wrong.size:
            row = int(wrong[0])
            raise ParameterError(f"row {row} of the {self.size} standard normal numbers is "
                                 f"{shown(float(distances[row]))} standard deviations from 0; the rule is "
                                 f"{self.farthest:.3g} at most, beyond which lies one draw in 10^12: nothing is known "
                                 "so far out")
        return self._of(points)

    @property
    def farthest(self) -> float:
        """Largest accepted distance of z from 0: ||z||^2 has the chi-square distribution of p degrees of freedom."""
        return float(np.sqrt(special.chdtri(self.size, _RARE)))

    @abstractmethod
    def _of(self, z: Array) -> Array:
        """c (b, m)."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON that :func:`coefficients_from_spec` reads."""


class NormalCoefficients(Coefficients):
    """c = z: independent standard normal coefficients.

    Examples
    --------
    >>> NormalCoefficients(2)([[0.5, -1.0]])
    array([[ 0.5, -1. ]])
    """

    kind: ClassVar[str] = "normal"

    def __init__(self, size: int) -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InputError(f"the number of coefficients is {shown(size)}; the rule is a whole number from 1")
        self.size = self.count = size

    def _of(self, z: Array) -> Array:
        return z.copy()

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "size": self.size}


class CopulaCoefficients(Coefficients):
    """Each coefficient distributed as its sample, all of them dependent by a Gaussian copula.

    c_k = m_k + s_k F_k^{-1}(Phi((L z)_k)), F_k the distribution function of the sample of c_k, linear between its
    values (:class:`romflow.parameters.empirical.Table`), m_k and s_k such that mean and variance are those of the
    sample: F_k ends at its extremes and so has less. L L^T is the correlation of the samples' normal scores
    Phi^{-1}((rank - 1/2) / N). Dependence that this correlation does not see is lost.

    Parameters
    ----------
    samples : (N, p)
        N > p.
    correlation : (p, p), optional
        Instead of that of the samples.

    Raises
    ------
    InputError
        There are no more samples than coefficients, or they are not finite, or a column is constant.

    Examples
    --------
    >>> one = CopulaCoefficients([[-1.0], [0.0], [1.0]])
    >>> one([[0.0], [6.0]]).round(6)
    array([[0.      ],
           [1.732051]])
    """

    kind: ClassVar[str] = "copula"
    #: How samples become coefficients: stored solves and reduced models of another rule are of another model.
    rule: ClassVar[str] = "moments of the samples"

    def __init__(self, samples: ArrayLike, correlation: ArrayLike | None = None) -> None:
        x = np.asarray(samples, dtype=np.float64)
        if x.ndim != 2 or not x.shape[1] or len(x) <= x.shape[1] or not np.isfinite(x).all():
            raise InputError(f"the samples of coefficients have shape {x.shape} or are not all finite; the rule is "
                             "(N, p) finite numbers with N > p")
        if (x.max(axis=0) == x.min(axis=0)).any():
            raise InputError("all samples of a coefficient are equal; leave it out")
        self.size = self.count = x.shape[1]
        self._copula = Gaussian(_score_correlation(x) if correlation is None else correlation)
        x = np.sort(x, axis=0)
        self._tables = [Table(column.tolist()) for column in x.T]
        spread = np.sqrt([table.variance for table in self._tables])
        self._scale = x.std(axis=0, ddof=1) / spread
        self._mean = x.mean(axis=0) - self._scale * np.array([table.expectation for table in self._tables])

    def _of(self, z: Array) -> Array:
        u = self._copula.transform(special.ndtr(z))
        found = np.stack([table.quantile(u[:, k]) for k, table in enumerate(self._tables)], axis=1)
        return np.asarray(self._mean + self._scale * found)

    def spec(self) -> dict[str, Any]:
        samples = np.array([table.values for table in self._tables]).T
        return {"kind": self.kind, "rule": self.rule, "samples": samples.tolist(),
                "correlation": self._copula.correlation.tolist()}


class NetworkCoefficients(Coefficients):
    """c = W_k h(... h(W_1 z + b_1) ...) + b_k, h(x) = max(x, 0.2 x): the generator of a generative network.

    Parameters
    ----------
    layers : sequence of (weights (o, i), offsets (o,))

    Raises
    ------
    InputError
        The layers do not fit each other or hold numbers that are not finite.

    Examples
    --------
    >>> NetworkCoefficients([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, 1.0]], [0.5])])([[2.0]]).round(12)
    array([[2.1]])
    """

    kind: ClassVar[str] = "network"
    slope: ClassVar[float] = 0.2

    def __init__(self, layers: Sequence[tuple[ArrayLike, ArrayLike]]) -> None:
        self.layers = [(np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)) for W, b in layers]
        before = None
        for number, (W, b) in enumerate(self.layers):
            fits = W.ndim == 2 and W.size and b.shape == W.shape[:1] and before in (None, W.shape[1])
            if not fits or not np.isfinite(W).all() or not np.isfinite(b).all():
                raise InputError(f"layer {number} of a network has weights {W.shape} and offsets {b.shape} after "
                                 f"{before} numbers, or is not finite; the rule is (o, i) and (o,)")
            before = len(W)
        if not self.layers:
            raise InputError("a network has no layers; give one at least")
        self.size, self.count = self.layers[0][0].shape[1], len(self.layers[-1][0])

    def _of(self, z: Array) -> Array:
        for W, b in self.layers[:-1]:
            z = z @ W.T + b
            z = np.maximum(z, self.slope * z)
        W, b = self.layers[-1]
        return np.asarray(z @ W.T + b)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "layers": [[W.tolist(), b.tolist()] for W, b in self.layers]}


def _score_correlation(x: Array) -> Array:
    """Correlation (p, p) of the normal scores of samples (N, p); equal values share their mean rank."""
    count = len(x)
    below = np.stack([np.searchsorted(np.sort(column), column, side="left") for column in x.T], axis=1)
    upto = np.stack([np.searchsorted(np.sort(column), column, side="right") for column in x.T], axis=1)
    scores = special.ndtri(0.5 * (below + upto) / count)
    return np.atleast_2d(np.corrcoef(scores, rowvar=False))


def coefficients_from_spec(spec: Mapping[str, Any]) -> Coefficients:
    """The coefficients whose `spec` gave this.

    Raises
    ------
    InputError
        No such kind, or one of another rule.

    Examples
    --------
    >>> coefficients_from_spec({"kind": "normal", "size": 3}).count
    3
    """
    kind = spec.get("kind")
    if kind == "normal":
        return NormalCoefficients(int(spec["size"]))
    if kind == "copula":
        if spec.get("rule") != CopulaCoefficients.rule:
            raise InputError(f"the coefficients of a copula were made by the rule {shown(spec.get('rule'))}, and this "
                             f"romflow has the rule {CopulaCoefficients.rule!r}: run the study of the submodel again")
        return CopulaCoefficients(spec["samples"], spec["correlation"])
    if kind == "network":
        return NetworkCoefficients([(W, b) for W, b in spec["layers"]])
    raise InputError(f"no coefficients are called {shown(kind)}{nearest(str(kind), ('normal', 'copula', 'network'))}")
