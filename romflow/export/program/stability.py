"""Lower bounds of stability constants and interpolation errors as parts of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.builder import Builder, Value
from romflow.export.program.program import Array
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import InterpolatedField, PointwiseCoercivity
from romflow.parameters.fields import COORDINATES, FieldSample
from romflow.parameters.modal_field import ModalField
from romflow.rom.stability import Expression, LessInterpolation, MinTheta, Scm, StabilityBound

__all__ = ["interpolation_weight", "lower_bound", "never_nan", "ratio"]

_LARGEST = float(np.finfo(float).max)


def lower_bound(builder: Builder, bound: StabilityBound, columns: Mapping[str, Any] | None = None) -> Value:
    """alpha (), or (K,) where a column of K values is given and used; zero where nothing positive is known.

    Raises
    ------
    NotSupported
        The bound is of another kind.
    """
    if isinstance(bound, MinTheta):
        theta = builder.theta(bound.theta, columns, "theta_stability")
        shares = theta / (bound.reference[:, None] if len(theta.shape) == 2 else bound.reference)
        return builder.maximum(shares.min(axis=0), 0.0) * float(bound.alpha)
    if isinstance(bound, Expression):
        return builder.maximum(builder.theta(bound.theta, columns, "theta_stability").take(0), 0.0)
    if isinstance(bound, Scm):
        return _successive(builder, bound, columns)
    if isinstance(bound, PointwiseCoercivity):
        return _pointwise(builder, bound)
    if isinstance(bound, LessInterpolation):
        less = interpolation_weight(builder, bound.interpolation.operator)
        return builder.maximum(lower_bound(builder, bound.base, columns) - less, 0.0)
    raise NotSupported(f"a stability bound of the kind {type(bound).__name__} cannot be written as a program of a few "
                       "operations; use format = \"csv\", or romflow.load(\"model.h5\")")


def ratio(builder: Builder, above: Any, below: Value) -> Value:
    """above / below, infinite where `below` is not positive."""
    return builder.select(below, above / below, np.inf)


def never_nan(builder: Builder, value: Value) -> Value:
    """A value that is not negative, infinite where it is NaN."""
    return value if value.constant is not None else builder.select(value + 1.0, value, np.inf)


def interpolation_weight(builder: Builder, fields: tuple[InterpolatedField, ...]) -> Value:
    """By how much interpolated coefficients fail at most, in the norm of the operator or right-hand side."""
    total = builder.constant(0.0)
    for field in fields:
        total = total + float(field.weight) * _remainder(builder, field)
    return total


def _remainder(builder: Builder, field: InterpolatedField) -> Value:
    if not len(field.sample.points):
        return builder.constant(0.0)
    interpolant = builder.einsum("m,km->k", builder.theta(field.theta), field.cardinal)
    gap = (_sampled(builder, field.sample) - interpolant).abs().max(axis=0)
    return never_nan(builder, gap)


def _pointwise(builder: Builder, bound: PointwiseCoercivity) -> Value:
    alpha = _smallest(builder, bound.diffusion)
    if bound.reaction is not None:
        alpha = alpha + float(bound.poincare) * builder.minimum(_smallest(builder, bound.reaction), 0.0)
    if bound.radii.size:
        alpha = alpha - builder.einsum("m,m->", builder.theta(bound.theta).abs(), bound.radii)
    if bound.velocity is not None:
        alpha = alpha - float(bound.velocity.weight) * _remainder(builder, bound.velocity)
    return builder.select(alpha, alpha, 0.0)


def _smallest(builder: Builder, sample: FieldSample) -> Value:
    """The smallest value; minus infinity where one is not finite."""
    least = _sampled(builder, sample).min(axis=0)
    if least.constant is not None:
        return least if np.isfinite(least.constant) else builder.constant(-np.inf)
    return builder.select(_LARGEST - least, least, -np.inf)


def _sampled(builder: Builder, sample: FieldSample) -> Value:
    """Values (K,) of a coefficient at its points."""
    if isinstance(sample.field, ModalField):
        return _modal(builder, sample.field, sample.points)
    field, found, order = sample.field, [], []
    names = (*COORDINATES[:field.dimension], *field.columns)
    for c, text in enumerate(field.expressions):
        rows = np.flatnonzero(sample.components == c) if field.size > 1 else np.arange(len(sample.points))
        if not len(rows):
            continue
        places = dict(zip(COORDINATES, sample.points[rows].T, strict=False))
        values = builder.theta(Theta([text], names), places, "field")
        found.append(values.reshape(len(rows)) if len(values.shape) == 2 else values + np.zeros(len(rows)))
        order.append(rows)
    whole = builder.concatenate(found)
    return whole if len(found) == 1 else whole.take(np.argsort(np.concatenate(order)).tolist())


def _modal(builder: Builder, field: ModalField, points: Array) -> Value:
    """Values (K,) of a random field."""
    modes = points[:, field.skipped:]
    total = builder.einsum("p,kp->k", builder.mu, builder.constant(modes[:, 1:], "modes")) + modes[:, 0]
    return total.exp() if field.transform == "lognormal" else total


def _successive(builder: Builder, bound: Scm, columns: Mapping[str, Any] | None) -> Value:
    theta = builder.theta(bound.theta, columns, "theta_stability")
    t = "t" * (len(theta.shape) - 1)
    if bound.pairs is not None:
        first, second = np.asarray(bound.pairs, dtype=int).T.tolist()
        theta = theta.take(first) * theta.take(second)
    low, high = (end[:, None] if t else end for end in bound.box.T)
    best = builder.minimum(theta * low, theta * high).sum(axis=0)
    if bound.alphas.size:
        weights = builder.maximum(builder.einsum(f"s{t},kms->km{t}", theta, bound.certificates), 0.0)
        rest = theta - builder.einsum(f"km{t},kms->ks{t}", weights, bound.constraints)
        boxed = builder.minimum(rest * low, rest * high).sum(axis=1)
        certified = builder.einsum(f"km{t},km->k{t}", weights, bound.alphas) + boxed
        best = builder.maximum(best, certified.max(axis=0))
    positive = builder.maximum(best, 0.0)
    return positive if bound.power == 1.0 else positive.sqrt() if bound.power == 0.5 else positive ** bound.power
