"""Numbers that follow from the values of coefficients at points: interpolation errors and coercivity constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.parameters.expressions import Theta
from romflow.parameters.fields import FieldSample

__all__ = ["InterpolatedField", "InterpolationError", "PointwiseCoercivity"]

Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

# Values of a coefficient that are held at once: 32 MB.
_VALUES = 4_000_000


@dataclass(frozen=True, eq=False)
class InterpolatedField:
    """g(x; mu) ~= sum_m theta_m(mu) l_m(x), and by how much it fails at the K points of a sample.

    Attributes
    ----------
    sample : FieldSample
        The true field at K points.
    theta : Theta
        M coefficients of the interpolant.
    cardinal : (K, M)
        l_m at the same points.
    weight : float
        What an error of 1 everywhere adds at most to the norm of the operator or of the right-hand side.

    Examples
    --------
    >>> from romflow.parameters.fields import ParametricField
    >>> sample = FieldSample(ParametricField(["exp(a * x)"], 1, ["a"]), np.array([[0.0], [0.5]]), np.zeros(2, int))
    >>> field = InterpolatedField(sample, Theta(["1", "exp(a)"], ["a"]), np.array([[1.0, 0.0], [0.5, 0.5]]), 1.0)
    >>> field.remainder(np.array([[0.0], [1.0]])).round(4)
    array([0.    , 0.2104])
    """

    sample: FieldSample
    theta: Theta
    cardinal: Array
    weight: float

    def remainder(self, mu: Array) -> Array:
        """Largest |g - sum_m theta_m l_m| (b,) over the points at mu (b, p), infinite where a value is not finite.

        Cost: K (M + the operations of the text) a parameter, in batches of bounded memory.
        """
        theta, found = self.theta(mu), np.zeros(len(mu))
        for part in _batches(len(mu), len(self.cardinal)):
            with np.errstate(all="ignore"):
                gap = np.abs(self.sample.values(mu[part]) - self.cardinal @ theta[part].T).max(axis=0, initial=0.0)
            found[part] = np.where(np.isfinite(gap), gap, np.inf)
        return found


@dataclass(frozen=True, eq=False)
class InterpolationError:
    """||A - A_I||_{X -> X'} and ||f - f_I||_{X'} from the errors of their coefficients, term by term.

    Attributes
    ----------
    operator, rhs : tuple of InterpolatedField
    exact : bool
        The points are all those at which the full-order model evaluates its coefficients, so that these are upper
        bounds; else they look at some points only.
    """

    operator: tuple[InterpolatedField, ...]
    rhs: tuple[InterpolatedField, ...]
    exact: bool

    def of_operator(self, mu: Array) -> Array:
        """(b,) at mu (b, p)."""
        return _weighted(self.operator, mu)

    def of_rhs(self, mu: Array) -> Array:
        """(b,) at mu (b, p)."""
        return _weighted(self.rhs, mu)

    def residual(self, mu: Array, norm: Array) -> Array:
        """||(f - f_I) - (A - A_I) u||_{X'} (b,) at most, for states of X-norm `norm` (b,)."""
        with np.errstate(invalid="ignore"):
            found = self.of_rhs(mu) + self.of_operator(mu) * norm
        return np.where(np.isnan(found), np.inf, found)

    def to_arrays(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays in the group "interpolation" and JSON metadata."""
        arrays: Arrays = {}
        metadata: dict[str, Any] = {"exact": self.exact}
        for name, fields in (("operator", self.operator), ("rhs", self.rhs)):
            metadata[name] = [_described(f"interpolation/{name}/{i}", field, arrays) for i, field in enumerate(fields)]
        return arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: Arrays, metadata: dict[str, Any]) -> InterpolationError:
        """What `to_arrays` described."""
        fields = {name: tuple(_restored(f"interpolation/{name}/{i}", arrays, about)
                              for i, about in enumerate(metadata[name])) for name in ("operator", "rhs")}
        return cls(fields["operator"], fields["rhs"], bool(metadata["exact"]))


@dataclass(frozen=True, eq=False)
class PointwiseCoercivity:
    """A lower bound of the coercivity constant of -div(a grad u) + b . grad u + c u in the H1_0 semi-norm.

    alpha(mu) = min_q a(x_q) + C min(0, min_q c(x_q)) - sum_m |theta_m| rho_m - w max_q |b - b_I|(x_q)

    over the quadrature points: the first two because their weights are positive, with the squared Poincare constant C
    = max (u, u) / |u|_1^2; then b_I = sum_m theta_m l_m is the interpolated velocity and rho_m the spectral radius of
    the symmetric part of its m-th transport matrix with respect to X, which is near zero for velocities without
    divergence; the last term is what the interpolation leaves of b.

    Attributes
    ----------
    diffusion : FieldSample
    reaction : FieldSample or None
    poincare : float
        C.
    theta : Theta
        M coefficients of the velocity, none where there is none.
    radii : (M,)
    velocity : InterpolatedField or None
        Its error; None where the velocity is exactly its interpolant.
    exact : bool
        All the quadrature points are there; otherwise it is no bound.
    """

    diffusion: FieldSample
    reaction: FieldSample | None
    poincare: float
    theta: Theta
    radii: Array
    velocity: InterpolatedField | None
    exact: bool
    kind: str = "coercivity"
    method: str = "pointwise"

    def __call__(self, mu: Array) -> Array:
        """Lower bounds (b,), zero where none is positive. Cost: an evaluation of a, c and b at every point."""
        alpha = _smallest(self.diffusion, mu)
        if self.reaction is not None:
            alpha = alpha + self.poincare * np.minimum(_smallest(self.reaction, mu), 0.0)
        if self.radii.size:
            alpha = alpha - np.abs(self.theta(mu)) @ self.radii
        if self.velocity is not None:
            alpha = alpha - self.velocity.weight * self.velocity.remainder(mu)
        return np.where(alpha > 0.0, alpha, 0.0)

    def to_arrays(self) -> tuple[Arrays, dict[str, Any]]:
        """Arrays in the group "stability" and JSON metadata."""
        arrays: Arrays = {"stability/radii": self.radii}
        metadata: dict[str, Any] = {"method": self.method, "kind": self.kind, "poincare": self.poincare,
                                    "theta": list(self.theta.expressions), "exact": self.exact}
        for name in ("diffusion", "reaction"):
            sample = getattr(self, name)
            if sample is not None:
                extra, metadata[name] = sample.to_arrays(f"stability/{name}")
                arrays |= extra
        if self.velocity is not None:
            metadata["velocity"] = _described("stability/velocity", self.velocity, arrays)
        return arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: Arrays, metadata: dict[str, Any], columns: tuple[str, ...]) -> PointwiseCoercivity:
        """What `to_arrays` described."""
        samples = {name: FieldSample.from_arrays(f"stability/{name}", arrays, metadata[name])
                   for name in ("diffusion", "reaction") if name in metadata}
        velocity = metadata.get("velocity")
        return cls(samples["diffusion"], samples.get("reaction"), float(metadata["poincare"]),
                   Theta(metadata["theta"], columns), arrays["stability/radii"],
                   None if velocity is None else _restored("stability/velocity", arrays, velocity),
                   bool(metadata["exact"]))


def _smallest(sample: FieldSample, mu: Array) -> Array:
    """The smallest value (b,); minus infinity where one is not finite."""
    found = np.empty(len(mu))
    for part in _batches(len(mu), len(sample.points)):
        with np.errstate(all="ignore"):
            least = sample.values(mu[part]).min(axis=0)
        found[part] = np.where(np.isfinite(least), least, -np.inf)
    return found


def _batches(b: int, points: int) -> list[slice]:
    size = max(1, _VALUES // max(1, points))
    return [slice(start, min(start + size, b)) for start in range(0, b, size)]


def _weighted(fields: tuple[InterpolatedField, ...], mu: Array) -> Array:
    total = np.zeros(len(mu))
    for field in fields:
        total += field.weight * field.remainder(mu)
    return total


def _described(prefix: str, field: InterpolatedField, arrays: Arrays) -> dict[str, Any]:
    extra, about = field.sample.to_arrays(prefix)
    arrays |= extra | {f"{prefix}/cardinal": field.cardinal}
    return {"field": about, "theta": list(field.theta.expressions), "weight": field.weight}


def _restored(prefix: str, arrays: Arrays, about: dict[str, Any]) -> InterpolatedField:
    sample = FieldSample.from_arrays(prefix, arrays, about["field"])
    return InterpolatedField(sample, Theta(about["theta"], sample.field.columns), arrays[f"{prefix}/cardinal"],
                             float(about["weight"]))
