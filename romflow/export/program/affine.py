"""Affine reduced models as programs: assembly, solve, residual norm, bound and outputs with their errors."""

from __future__ import annotations

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.builder import Builder, Value
from romflow.export.program.stability import interpolation_weight, lower_bound, never_nan, ratio
from romflow.rom.affine import AffineReducedModel
from romflow.rom.residual import EimResidual, GramResidual, OrthonormalResidual
from romflow.rom.sketched_residual import SketchedResidual

__all__ = ["ROUNDING", "affine_results", "smaller"]

#: What the models add to their errors for rounding, relative to the solution.
ROUNDING = 100 * float(np.finfo(float).eps)


def affine_results(builder: Builder, rom: AffineReducedModel) -> dict[str, Value]:
    """Values "output" (o,), "output_error" (o,), "error" () and "norm" () of the state.

    Raises
    ------
    NotSupported
        The model holds a part that is not known here.
    """
    theta_a = builder.theta(rom.operator_theta, name="theta_a")
    theta_f = builder.theta(rom.rhs_theta, name="theta_f")
    theta_l = builder.theta(rom.output_theta, name="theta_l")
    x = _coefficients(builder, rom, theta_a, theta_f)
    norm = x.square().sum().sqrt().named("norm")
    residual = _residual(builder, rom, theta_a, theta_f, x)
    if rom.interpolation is not None:
        left = (interpolation_weight(builder, rom.interpolation.rhs)
                + interpolation_weight(builder, rom.interpolation.operator) * norm)
        residual = residual + never_nan(builder, left)
    residual.named("residual")
    alpha = None if rom.stability is None else lower_bound(builder, rom.stability).named("alpha")
    error = residual if alpha is None else ratio(builder, residual, alpha).named("error_bound")
    output = _output(builder, rom, theta_l, x).named("output")
    output_error = _output_error(builder, rom, theta_l, error, alpha)
    return {"output": output, "output_error": output_error + ROUNDING * output.abs(),
            "error": error + ROUNDING * norm, "norm": norm}


def smaller(builder: Builder, left: Value, right: Value) -> Value:
    """The smaller of two that are not negative; one that is NaN counts for nothing."""
    return builder.minimum(never_nan(builder, left), never_nan(builder, right))


def _coefficients(builder: Builder, rom: AffineReducedModel, theta_a: Value, theta_f: Value) -> Value:
    if rom.size == 0:
        return builder.constant(np.zeros(0))
    if rom.projection == "galerkin":
        A = builder.einsum("q,qij->ij", theta_a, builder.constant(rom.operator, "operator"), name="A")
        f = builder.einsum("q,qi->i", theta_f, builder.constant(rom.rhs, "rhs"), name="f")
        return builder.solve(A, f, definite=rom.definite)
    Qf, Q = len(rom.rhs_theta), len(rom.operator_theta)
    factor = rom.factor
    if len(factor) < rom.size:  # rows of zeros change nothing
        factor = np.vstack([factor, np.zeros((rom.size - len(factor), factor.shape[1]))])
    terms = factor[:, Qf:].reshape(-1, rom.size, Q)
    A = builder.einsum("q,mrq->mr", theta_a, builder.constant(terms, "terms"), name="A")
    f = builder.einsum("q,mq->m", theta_f, builder.constant(factor[:, :Qf], "load"), name="f")
    return builder.op("least_squares", A, f, name="x")


def _residual(builder: Builder, rom: AffineReducedModel, theta_a: Value, theta_f: Value, x: Value) -> Value:
    products = builder.einsum("r,q->rq", x, theta_a)
    c = builder.concatenate([theta_f, -products.reshape(rom.size * len(rom.operator_theta))]).named("c")
    residual = rom.residual
    if isinstance(residual, OrthonormalResidual | SketchedResidual):
        y = builder.einsum("m,nm->n", c, builder.constant(residual.T, "residual_factor"))
        return y.square().sum().sqrt()
    if isinstance(residual, GramResidual):
        return (builder.einsum("m,nm->n", c, builder.constant(residual.G, "gram")) * c).sum().abs().sqrt()
    if isinstance(residual, EimResidual):
        first, second = np.asarray(residual.pairs, dtype=int).T.tolist()
        weights = np.linalg.solve(residual.B.T, residual.values)
        square = builder.einsum("d,d->", c.take(first) * c.take(second), builder.constant(weights, "eim_weights"))
        return (square.abs() + float(residual.floor)).sqrt()
    raise NotSupported(f"a residual norm of the kind {type(residual).__name__} cannot be written as a program; build "
                       "the model with [reduction] estimator = \"orthonormal\"")


def _output(builder: Builder, rom: AffineReducedModel, theta_l: Value, x: Value) -> Value:
    terms = builder.constant(rom.output, "output_terms")
    if theta_l.constant is not None:
        return builder.einsum("oi,i->o", builder.einsum("q,qoi->oi", theta_l, terms), x)
    return builder.einsum("q,qo->o", theta_l, builder.einsum("qoi,i->qo", terms, x))


def _output_error(builder: Builder, rom: AffineReducedModel, theta_l: Value, error: Value,
                  alpha: Value | None) -> Value:
    gram = builder.constant(rom.output_gram, "output_gram")
    square = builder.einsum("oq,q->o", builder.einsum("oqs,s->oq", gram, theta_l), theta_l)
    bound = builder.maximum(square, 0.0).sqrt() * error
    if alpha is None or not rom.compliance.any() or not rom.definite or rom.projection != "galerkin":
        return bound
    quadratic = np.abs(rom.compliance) * (alpha * error.square())
    least = smaller(builder, bound, quadratic)
    compliant = rom.compliance != 0.0
    return least if compliant.all() else builder.select(compliant.astype(float), least, bound)
