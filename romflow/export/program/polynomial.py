"""Polynomial regression as a program: recurrences of all parameters side by side, then products."""

from __future__ import annotations

import numpy as np

from romflow.export.program.builder import Builder, Value
from romflow.parameters.expressions import Theta
from romflow.rom.polynomial_regression import PolynomialRegression

__all__ = ["polynomial_values"]


def polynomial_values(builder: Builder, regression: PolynomialRegression) -> tuple[Value, Value]:
    """Means and spreads (t,) at the builder's parameter."""
    germ = (_raised(builder, regression) - regression.shift) / regression.scale
    phi = _products(builder, regression, germ)
    mean = builder.einsum("m,nm->n", phi, builder.constant(regression.coefficients, "coefficients"))
    far = builder.einsum("m,nm->n", phi, builder.constant(regression.factor, "factor"))
    return mean, (1.0 + far.square().sum()).sqrt() * regression.spread


def _raised(builder: Builder, regression: PolynomialRegression) -> Value:
    """The parameter (p,), with logarithms where the germ has them."""
    if not regression.logarithm.any():
        return builder.mu
    texts = [f"log({name})" if log else name for name, log in zip(builder.columns, regression.logarithm, strict=True)]
    return builder.theta(Theta(texts, builder.columns), name="raised")


def _products(builder: Builder, regression: PolynomialRegression, germ: Value) -> Value:
    """phi_j = prod_i phi_(d_ji)(g_i) (m,)."""
    degrees, p = regression.degrees, germ.shape[0]
    rows = [builder.constant(np.ones(p)), (germ - regression.a[:, 0]) / regression.b[:, 0]] if degrees.max() else []
    for k in range(1, int(degrees.max())):
        step = (germ - regression.a[:, k]) * rows[k] - rows[k - 1] * regression.b[:, k - 1]
        rows.append(step / regression.b[:, k])
    if not rows:
        return builder.constant(np.ones(len(degrees)))
    table = builder.concatenate([builder.varying(row).reshape(1, p) for row in rows]).reshape(len(rows) * p)
    phi: Value | None = None
    for i in np.flatnonzero(degrees.max(axis=0)):
        factor = table.take((degrees[:, i] * p + i).tolist())
        phi = factor if phi is None else phi * factor
    return builder.constant(np.ones(len(degrees))) if phi is None else phi
