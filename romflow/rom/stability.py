"""Lower bounds of stability constants (coercivity or inf-sup), evaluated in a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import StoreError
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolationError, PointwiseCoercivity


class StabilityBound(Protocol):
    """alpha_LB(mu) (b,) for mu (b, p): never above the true constant; `kind` is "coercivity" or "inf-sup"."""

    kind: str
    method: str

    def __call__(self, mu: np.ndarray) -> np.ndarray: ...

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]: ...


@dataclass(frozen=True)
class MinTheta:
    """alpha(mu_ref) min_q theta_q(mu) / theta_q(mu_ref) over positive semidefinite terms (Patera and Rozza 2007, 4.2).

    Attributes
    ----------
    theta : Theta
        Coefficients of the terms whose symmetric part is not zero.
    reference : (Q,)
        theta_q at the reference parameter, all positive.
    alpha : float
        Coercivity constant at the reference parameter.
    """

    theta: Theta
    reference: np.ndarray
    alpha: float
    kind: str = "coercivity"
    method: str = "min-theta"

    def __call__(self, mu: np.ndarray) -> np.ndarray:
        """Lower bounds (b,); zero where a coefficient is not positive."""
        return self.alpha * np.maximum(np.min(self.theta(mu) / self.reference, axis=1), 0.0)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata that `stability_from_arrays` reads."""
        return ({"stability/reference": self.reference, "stability/alpha": np.array(self.alpha)},
                {"method": self.method, "kind": self.kind, "theta": list(self.theta.expressions)})


@dataclass(frozen=True)
class Expression:
    """A formula for alpha_LB(mu) that the user vouches for."""

    theta: Theta
    kind: str = "coercivity"
    method: str = "expression"

    def __call__(self, mu: np.ndarray) -> np.ndarray:
        """Lower bounds (b,); zero where the formula is negative."""
        return np.maximum(self.theta(mu)[:, 0], 0.0)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata that `stability_from_arrays` reads."""
        return {}, {"method": self.method, "kind": self.kind, "theta": list(self.theta.expressions)}


@dataclass(frozen=True)
class Scm:
    """Successive constraint lower bound by a table of dual certificates (Huynh, Rozza, Sen and Patera 2007).

    The bound is the linear program min theta . y over y in a box with theta(mu_k) . y >= alpha(mu_k). By weak duality
    every lambda >= 0 gives a valid bound

        sum_k lambda_k alpha_k + sum_q min over the box of (theta - sum_k lambda_k theta(mu_k))_q y_q,

    so instead of one program a parameter the online stage takes the best over stored bases of lambda = M theta(mu)
    (clipped at zero), each optimal where its program was solved. Cost: O(bases Q^2) a parameter, vectorised.

    Attributes
    ----------
    theta : Theta
        Coefficients of the operator; with `pairs` the family's coefficients are theta_i theta_j.
    pairs : (S, 2) int or None
        Products that the family is made of (for inf-sup), None for the coefficients themselves.
    box : (S, 2)
    certificates : (B, m, S)
        M of each basis, zero rows where fewer than m constraints are active.
    constraints : (B, m, S)
        theta(mu_k) of each active constraint.
    alphas : (B, m)
    power : float
        1 for coercivity, 1/2 for inf-sup constants (the family is A^T X^{-1} A).
    """

    theta: Theta
    pairs: np.ndarray | None
    box: np.ndarray
    certificates: np.ndarray
    constraints: np.ndarray
    alphas: np.ndarray
    power: float
    kind: str = "coercivity"
    method: str = "scm"

    def __call__(self, mu: np.ndarray) -> np.ndarray:
        """Lower bounds (b,)."""
        return np.maximum(self.family_bound(self.coefficients(mu)), 0.0) ** self.power

    def coefficients(self, mu: np.ndarray) -> np.ndarray:
        """Coefficients (b, S) of the symmetric family."""
        theta = self.theta(mu)
        return theta if self.pairs is None else theta[:, self.pairs[:, 0]] * theta[:, self.pairs[:, 1]]

    def family_bound(self, theta: np.ndarray) -> np.ndarray:
        """Lower bounds (b,) of the smallest eigenvalue for family coefficients theta (b, S)."""
        best = np.minimum(theta * self.box[:, 0], theta * self.box[:, 1]).sum(axis=1)
        chunk = max(1, int(4e6 / max(1, self.certificates.size)))
        for start in range(0, theta.shape[0], chunk):
            part = slice(start, start + chunk)
            best[part] = np.maximum(best[part], self._certified(theta[part]))
        return best

    def _certified(self, theta: np.ndarray) -> np.ndarray:
        if not self.alphas.size:
            return np.full(theta.shape[0], -np.inf)
        weights = np.maximum(np.einsum("kms,bs->bkm", self.certificates, theta), 0.0)
        rest = theta[:, None, :] - np.einsum("bkm,kms->bks", weights, self.constraints)
        boxed = np.minimum(rest * self.box[:, 0], rest * self.box[:, 1]).sum(axis=2)
        return np.max(np.einsum("bkm,km->bk", weights, self.alphas) + boxed, axis=1)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata that `stability_from_arrays` reads."""
        arrays = {"stability/box": self.box, "stability/certificates": self.certificates,
                  "stability/constraints": self.constraints, "stability/alphas": self.alphas}
        if self.pairs is not None:
            arrays["stability/pairs"] = self.pairs
        return arrays, {"method": self.method, "kind": self.kind, "theta": list(self.theta.expressions),
                        "power": self.power}


@dataclass(frozen=True, eq=False)
class LessInterpolation:
    """alpha_LB(mu) of the interpolated operator less ||A - A_I||: a lower bound for the operator that it stands for.

    Both coercivity and inf-sup constants move by no more than the norm of what the operator changes by.

    Attributes
    ----------
    base : StabilityBound
        Of the interpolated operator.
    interpolation : InterpolationError
    """

    base: StabilityBound
    interpolation: InterpolationError
    method: str = "less-interpolation"

    @property
    def kind(self) -> str:
        """"coercivity" or "inf-sup"."""
        return self.base.kind

    def __call__(self, mu: np.ndarray) -> np.ndarray:
        """Lower bounds (b,), zero where none is positive."""
        return np.maximum(self.base(mu) - self.interpolation.of_operator(mu), 0.0)

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata that `stability_from_arrays` reads."""
        arrays, base = self.base.to_arrays()
        extra, interpolation = self.interpolation.to_arrays()
        return arrays | extra, {"method": self.method, "kind": self.kind, "base": base, "interpolation": interpolation}


def stability_from_arrays(arrays: dict[str, np.ndarray], metadata: dict[str, Any],
                          columns: tuple[str, ...]) -> StabilityBound:
    """The bound that `to_arrays` described.

    Raises
    ------
    StoreError
        The method is not known to this version.
    """
    kind = metadata["kind"]
    if metadata["method"] == "less-interpolation":
        return LessInterpolation(stability_from_arrays(arrays, metadata["base"], columns),
                                 InterpolationError.from_arrays(arrays, metadata["interpolation"]))
    if metadata["method"] == "pointwise":
        return PointwiseCoercivity.from_arrays(arrays, metadata, columns)
    theta = Theta(metadata["theta"], columns)
    if metadata["method"] == "min-theta":
        return MinTheta(theta, arrays["stability/reference"], float(arrays["stability/alpha"]), kind)
    if metadata["method"] == "expression":
        return Expression(theta, kind)
    if metadata["method"] == "scm":
        pairs = arrays.get("stability/pairs")
        return Scm(theta, None if pairs is None else pairs.astype(int), arrays["stability/box"],
                   arrays["stability/certificates"], arrays["stability/constraints"], arrays["stability/alphas"],
                   float(metadata["power"]), kind)
    raise StoreError(f"the reduced model holds a stability bound of the unknown method '{metadata['method']}'; "
                     "update romflow")
