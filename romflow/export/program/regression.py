"""Regression models as programs: kernels at the distances to the training points, and the calibrated spread."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.builder import Builder, Value
from romflow.export.program.polynomial import polynomial_values
from romflow.rom.polynomial_regression import PolynomialRegression
from romflow.rom.regression import GaussianProcess, RadialBasis, RegressionReducedModel

__all__ = ["regression_results"]


def regression_results(builder: Builder, rom: RegressionReducedModel) -> dict[str, Value]:
    """Values "output" (o,), "output_error" (o,), "error" () and "norm" () of the state.

    Raises
    ------
    NotSupported
        The regressor is of another kind.
    """
    z = (builder.mu - rom.low) / rom.span
    if isinstance(rom.regressor, PolynomialRegression):
        mean, std = polynomial_values(builder, rom.regressor)
    elif isinstance(rom.regressor, GaussianProcess):
        mean, std = _gaussian(builder, rom.regressor, z)
    elif isinstance(rom.regressor, RadialBasis):
        mean, std = _radial(builder, rom.regressor, z)
    else:
        raise NotSupported(f"a regressor of the kind {type(rom.regressor).__name__} cannot be written as a program of "
                           "a few operations; use format = \"csv\", or [reduction] regressor = \"gaussian-process\"")
    r, t = rom.size, mean.shape[0]
    spread = std.cut(0, r).square().sum() + float(rom.truncation) ** 2
    return {"output": mean.cut(r, t), "output_error": std.cut(r, t) * rom.output_safety,
            "error": spread.sqrt() * float(rom.safety), "norm": mean.cut(0, r).square().sum().sqrt()}


def _gaussian(builder: Builder, process: GaussianProcess, z: Value) -> tuple[Value, Value]:
    """Means and standard deviations (t,)."""
    lengths, amplitude = process.lengths, process.amplitude
    a, c = z / lengths, process.points[None] / lengths[:, None]
    crossed = builder.einsum("tp,tkp->tk", a, builder.constant(c, "points"))
    squared = a.square().sum(axis=1).reshape(len(lengths), 1) + (c**2).sum(axis=2) - 2.0 * crossed
    s = float(np.sqrt(5.0)) * builder.maximum(squared, 0.0).sqrt()
    kernel = ((1.0 + s + s.square() / 3.0) * (-s).exp()) * amplitude[:, None]
    mean = builder.einsum("tk,tk->t", kernel, builder.constant(process.weights, "weights"))
    whitened = builder.einsum("tk,tjk->tj", kernel, builder.constant(process.inverse_factor, "inverse_factor"))
    variance = builder.maximum(amplitude - whitened.square().sum(axis=1), 0.0)
    return mean * process.scale + process.mean, variance.sqrt() * process.scale


def _radial(builder: Builder, basis: RadialBasis, z: Value) -> tuple[Value, Value]:
    """Means (t,) and the spread, which is the same everywhere."""
    points = builder.constant(basis.points, "points")
    squared = z.square().sum() + (basis.points**2).sum(axis=1) - 2.0 * builder.einsum("p,kp->k", z, points)
    cubes = builder.maximum(squared, 0.0) ** 1.5
    mean = builder.einsum("k,tk->t", cubes, builder.constant(basis.weights, "weights"))
    slope = builder.einsum("p,tp->t", z, builder.constant(basis.tail[:, 1:], "slope"))
    return mean + basis.tail[:, 0] + slope, builder.constant(basis.spread, "spread")
