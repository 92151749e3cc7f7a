"""Reduced models of black boxes: POD coefficients and outputs by regression over the parameters.

Nothing here knows a residual, so the error is always an indicator, calibrated by leave-one-out predictions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import StoreError
from romflow.core.mesh import Mesh
from romflow.parameters.space import ParameterSpace
from romflow.rom.model import Answer, BasisModel, mesh_arrays, mesh_from, truncated_size
from romflow.rom.polynomial_regression import PolynomialRegression

KIND = "regression"
_SQRT5 = np.sqrt(5.0)
_CHUNK_NUMBERS = 4e6


class Regressor(Protocol):
    """Predicts t targets with their spread: scaled parameters z (b, p) -> mean (t, b), std (t, b)."""

    name: str

    def predict(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    def select(self, targets: np.ndarray) -> Regressor: ...

    def to_arrays(self) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True)
class GaussianProcess:
    """Independent Gaussian processes with an anisotropic Matern-5/2 kernel (Rasmussen and Williams 2006, 2.25-2.26).

    Attributes
    ----------
    points : (k, p)
        Training parameters, scaled to the unit box.
    lengths : (t, p), amplitude : (t,)
        Kernel amplitude * m(sqrt(sum ((z - z') / length)^2)).
    weights : (t, k)
        (K + noise)^{-1} y.
    inverse_factor : (t, k, k)
        L^{-1} with K + noise = L L^T.
    mean, scale : (t,)
        Targets are y * scale + mean.
    """

    points: np.ndarray
    lengths: np.ndarray
    amplitude: np.ndarray
    weights: np.ndarray
    inverse_factor: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    name: str = "gaussian-process"

    def predict(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and standard deviations (t, b)."""
        t, b, k = self.mean.size, z.shape[0], self.points.shape[0]
        mean, std = np.empty((t, b)), np.empty((t, b))
        chunk = max(1, int(_CHUNK_NUMBERS / max(1, t * k)))
        for start in range(0, b, chunk):
            part = slice(start, min(start + chunk, b))
            K = self.amplitude[:, None, None] * matern(self._distances(z[part]))
            mean[:, part] = np.einsum("tbk,tk->tb", K, self.weights)
            reduction = np.sum((self.inverse_factor @ K.transpose(0, 2, 1)) ** 2, axis=1)
            std[:, part] = np.sqrt(np.maximum(self.amplitude[:, None] - reduction, 0.0))
        return mean * self.scale[:, None] + self.mean[:, None], std * self.scale[:, None]

    def _distances(self, z: np.ndarray) -> np.ndarray:
        a = z[None] / self.lengths[:, None]
        c = self.points[None] / self.lengths[:, None]
        squared = (a**2).sum(2)[:, :, None] + (c**2).sum(2)[:, None, :] - 2.0 * a @ c.transpose(0, 2, 1)
        return np.sqrt(np.maximum(squared, 0.0))

    def select(self, targets: np.ndarray) -> GaussianProcess:
        """The processes of some targets alone."""
        return replace(self, lengths=self.lengths[targets], amplitude=self.amplitude[targets],
                       weights=self.weights[targets], inverse_factor=self.inverse_factor[targets],
                       mean=self.mean[targets], scale=self.scale[targets])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All the arrays, by attribute name."""
        return {key: getattr(self, key) for key in ("points", "lengths", "amplitude", "weights", "inverse_factor",
                                                    "mean", "scale")}


@dataclass(frozen=True)
class RadialBasis:
    """Cubic radial basis functions with a linear tail: s(z) = sum_i w_i |z - z_i|^3 + c_0 + c . z.

    Attributes
    ----------
    points : (k, p)
    weights : (t, k)
    tail : (t, 1 + p)
    spread : (t,)
        Root mean square of the leave-one-out errors (the same everywhere: the method knows no variance).
    """

    points: np.ndarray
    weights: np.ndarray
    tail: np.ndarray
    spread: np.ndarray
    name: str = "rbf"

    def predict(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and spreads (t, b)."""
        t, b, k = self.spread.size, z.shape[0], self.points.shape[0]
        mean = np.empty((t, b))
        chunk = max(1, int(_CHUNK_NUMBERS / max(1, k)))
        for start in range(0, b, chunk):
            part = slice(start, min(start + chunk, b))
            mean[:, part] = self.weights @ cubic(z[part], self.points).T
            mean[:, part] += self.tail[:, :1] + self.tail[:, 1:] @ z[part].T
        return mean, np.repeat(self.spread[:, None], b, axis=1)

    def select(self, targets: np.ndarray) -> RadialBasis:
        """The interpolants of some targets alone."""
        return replace(self, weights=self.weights[targets], tail=self.tail[targets], spread=self.spread[targets])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All the arrays, by attribute name."""
        return {key: getattr(self, key) for key in ("points", "weights", "tail", "spread")}


def matern(d: np.ndarray) -> np.ndarray:
    """(1 + sqrt5 d + 5 d^2 / 3) exp(-sqrt5 d)."""
    s = _SQRT5 * d
    return (1.0 + s + s**2 / 3.0) * np.exp(-s)


def cubic(z: np.ndarray, points: np.ndarray) -> np.ndarray:
    """|z - z_i|^3 (b, k)."""
    squared = (z**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2.0 * z @ points.T
    return np.maximum(squared, 0.0) ** 1.5


REGRESSORS: dict[str, type[GaussianProcess] | type[RadialBasis] | type[PolynomialRegression]] = {
    "gaussian-process": GaussianProcess, "rbf": RadialBasis, "polynomial": PolynomialRegression}


@dataclass(frozen=True)
class RegressionReducedModel(BasisModel):
    """u(mu) = V x(mu) with coefficients x and outputs predicted by regression; the error is an indicator.

    error(mu) = safety (sum_i std_i(mu)^2 + truncation^2)^{1/2} over the r coefficients, where `safety` makes it hold
    for 95 % of the leave-one-out predictions of the training snapshots.

    Attributes
    ----------
    basis : (n, r)
    regressor : Regressor
        Its first r targets are the coefficients, the others the outputs.
    low, span : (p,)
        Parameters are scaled by z = (mu - low) / span; polynomials scale by themselves, with 0 and 1 here.
    truncation : float
        Root mean square, over the snapshots, of what the basis leaves out.
    energy : (r,)
        Root mean square of each coefficient over the snapshots.
    """

    parameters: ParameterSpace
    basis: np.ndarray
    output_names: tuple[str, ...]
    regressor: Regressor
    low: np.ndarray
    span: np.ndarray
    safety: float
    output_safety: np.ndarray
    truncation: float
    energy: np.ndarray
    norm_name: str = "Euclidean"
    mesh: Mesh | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def error_kind(self) -> str:
        """Always "indicator": a black box has no residual to bound the error with."""
        return "indicator"

    @property
    def interpolates(self) -> bool:
        """Whether the training snapshots are reproduced; a fit by least squares comes near to them only."""
        return bool(getattr(self.regressor, "interpolates", True))

    def solve(self, mu: Any, check: bool = True) -> Answer:
        """Predict a whole batch at once.

        Parameters
        ----------
        mu : (b, p)

        Returns
        -------
        Answer

        Raises
        ------
        ParameterError, ShapeError
            mu has the wrong shape, is not finite or lies outside the space.
        """
        mu = self.parameters.validate(mu) if check else mu
        mean, std = self.regressor.predict((mu - self.low) / self.span)
        x, r = mean[:self.size], self.size
        spread = np.sqrt(np.sum(std[:r] ** 2, axis=0) + self.truncation**2)
        return Answer(output=mean[r:], error=self.safety * spread, kind="indicator", coefficients=x,
                      norm=np.sqrt(np.einsum("rb,rb->b", x, x)), output_error=self.output_safety[:, None] * std[r:])

    def truncate(self, size: int) -> RegressionReducedModel:
        """The model on the first `size` modes; what they leave out is added to `truncation`."""
        r = truncated_size(self, size)
        targets = np.r_[0:r, self.size:self.size + len(self.output_names)]
        left = float(np.sqrt(self.truncation**2 + np.sum(self.energy[r:] ** 2)))
        return replace(self, basis=self.basis[:, :r], regressor=self.regressor.select(targets), truncation=left,
                       energy=self.energy[:r])

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        arrays = {"basis": self.basis, "low": self.low, "span": self.span, "energy": self.energy,
                  "safety": np.array(self.safety), "output_safety": self.output_safety,
                  "truncation": np.array(self.truncation)}
        arrays |= {f"regressor/{key}": value for key, value in self.regressor.to_arrays().items()}
        metadata: dict[str, Any] = {"parameters": self.parameters.to_spec(), "output_names": list(self.output_names),
                                    "regressor": self.regressor.name, "norm": self.norm_name,
                                    "error_kind": "indicator", "about": self.metadata}
        if self.mesh is not None:
            arrays |= mesh_arrays(self.mesh)
        return KIND, arrays, metadata

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> RegressionReducedModel:
        """The model that `to_arrays` described."""
        name = metadata["regressor"]
        if name not in REGRESSORS:
            raise StoreError(f"the reduced model holds the unknown regressor '{name}'; update romflow")
        own = {key.removeprefix("regressor/"): value for key, value in arrays.items() if key.startswith("regressor/")}
        return cls(parameters=ParameterSpace.from_spec(metadata["parameters"]), basis=arrays["basis"],
                   output_names=tuple(metadata["output_names"]), regressor=REGRESSORS[name](**own),
                   low=arrays["low"], span=arrays["span"], safety=float(arrays["safety"]),
                   output_safety=arrays["output_safety"], truncation=float(arrays["truncation"]),
                   energy=arrays["energy"], norm_name=metadata["norm"],
                   mesh=mesh_from(arrays), metadata=metadata["about"])
