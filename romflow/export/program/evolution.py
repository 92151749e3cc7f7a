"""Linear evolution models as programs: Euler's steps in a march with the sums that bound the errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.affine import ROUNDING, smaller
from romflow.export.program.builder import Body, Builder, Value
from romflow.export.program.evolution_errors import EnergySum, PlainSum
from romflow.export.program.stability import interpolation_weight, lower_bound, never_nan
from romflow.parameters.expressions import Theta
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.windows import WindowedReducedModel

__all__ = ["evolution_results"]

_SCHEMES = ("implicit-euler", "explicit-euler")
# Steps that differ by rounding share an inverse; so many inverses are made before the march, otherwise one a step.
_SAME, _INVERSES = 1e-13, 4


def evolution_results(builder: Builder, rom: EvolutionReducedModel) -> dict[str, Value]:
    """Values "series" (K + 1, o), "series_error" (K + 1, o), "error_series" (K + 1,), their last rows, and "norm" ().

    Raises
    ------
    NotSupported
        The model has another scheme, step control, a nonlinear term or time windows.
    """
    _supported(rom)
    parts = _Parts(builder, rom)
    start = _start(parts)
    body = builder.body()
    x, dt = body.state("state", start), body.step("dt", np.diff(rom.times))
    new = _advanced(parts, body, x, dt).named("new_state")
    square = _residual_square(parts, body, x, new, dt).named("residual_square")
    sums = _sums(parts, body, start, dt, square)
    output = _output(parts, body, new)
    bound = smaller(body, parts.dual_mass.inside(body) * sums.in_mass, parts.dual_space.inside(body) * sums.in_space)
    found = builder.march(body, {"outputs": output, "output_bounds": bound, "totals": sums.total},
                          {"state": new, "norm_square": body.state("norm_square", 0.0) + dt * new.square().sum()}
                          | sums.following, final=["norm_square"])
    first = smaller(builder, parts.dual_mass.first * sums.first_mass, parts.dual_space.first * sums.first_space)
    square = found["norm_square"]
    lost = square - square  # 0, and NaN where a state is no number: a step that is too long for an explicit scheme
    series = _stacked(builder, _first_output(parts, start), found["outputs"]) + lost
    series_error = _stacked(builder, first, found["output_bounds"]) + ROUNDING * series.abs()
    error = _stacked(builder, sums.first_total, found["totals"]) + (ROUNDING * square.sqrt() + lost)
    series_error, error = never_nan(builder, series_error), never_nan(builder, error)
    last = len(rom.times) - 1
    return {"output": series.take(last), "output_error": series_error.take(last), "error": error.take(last),
            "series": series, "series_error": series_error, "error_series": error, "norm": square.sqrt()}


def _supported(rom: EvolutionReducedModel) -> None:
    reasons = {"time windows": isinstance(rom, WindowedReducedModel), "a nonlinear term": rom.nonlinear is not None,
               "step control": rom.control is not None, f"the scheme {rom.scheme}": rom.scheme not in _SCHEMES}
    for what, wrong in reasons.items():
        if wrong:
            raise NotSupported("a model in time is written as a program where it is linear, by Euler's schemes, and "
                               f"this one has {what}; use format = \"csv\", or romflow.load(\"model.h5\")")


@dataclass(frozen=True)
class _Moving:
    """A value at the times: its first row, and what the march sees of it, either rows (K, ...) or one for all."""

    first: Value
    rest: Value
    moves: bool
    name: str

    def inside(self, body: Body) -> Value:
        """The value in the body of the march, at the end of the step."""
        return body.step(self.name, self.rest) if self.moves else body.fix(self.rest)


class _Parts:
    """What does not depend on the state: coefficients at the times, and what is made of them once."""

    def __init__(self, builder: Builder, rom: EvolutionReducedModel) -> None:
        self.builder, self.rom = builder, rom
        self.implicit = rom.scheme == "implicit-euler"
        self.times = rom.times[1:] if self.implicit else rom.times[:-1]
        self.mass_inverse = builder.constant(rom.mass_inverse, "mass_inverse")
        self.theta_a, self.moving = self.rows(rom.operator_theta, self.times, "theta_a")
        self.theta_f, self.loaded = self.rows(rom.rhs_theta, self.times, "theta_f")
        self.theta_0 = builder.theta(rom.initial_theta, {"t": rom.times[0]}, "theta_0")
        self.theta_l, self.observed = self.rows(rom.output_theta, rom.times, "theta_l")
        self.dual_mass = self._dual(rom.output_mass_gram, "dual_mass")
        self.dual_space = self._dual(rom.output_gram, "dual_space")

    def rows(self, theta: Theta, times: np.ndarray, name: str) -> tuple[Value, bool]:
        """Coefficients (K, Q) and True where they move, else (Q,) and False."""
        found = self.builder.theta(theta, {"t": times}, name)
        moves = len(found.shape) == 2
        return (found.transpose(1, 0) if moves else found), moves

    def split(self, rows: Value, moves: bool, name: str) -> _Moving:
        """Rows at all K + 1 times as what is first and what the march sees."""
        if not moves:
            return _Moving(rows, rows, False, name)
        return _Moving(rows.take(0), rows.cut(1, len(self.rom.times)), True, name)

    def _dual(self, gram: np.ndarray, name: str) -> _Moving:
        k = "k" * self.observed
        once = self.builder.einsum(f"{k}s,oqs->{k}oq", self.theta_l, gram)
        square = self.builder.einsum(f"{k}oq,{k}q->{k}o", once, self.theta_l)
        return self.split(self.builder.maximum(square, 0.0).sqrt(), self.observed, name)


def _stacked(builder: Builder, first: Value, rest: Value) -> Value:
    return builder.concatenate([first.reshape(1, *first.shape), rest])


def _start(parts: _Parts) -> Value:
    builder, rom = parts.builder, parts.rom
    projected = builder.einsum("q,qi->i", parts.theta_0, rom.initial)
    return builder.einsum("i,ji->j", projected, parts.mass_inverse, name="start")


def _load(parts: _Parts, body: Body, terms: np.ndarray, name: str) -> Value:
    """sum_q theta_f terms[q] in the body of the march."""
    constant = parts.builder.constant(terms, name)
    if parts.loaded:
        return body.step(f"{name}_now", parts.builder.einsum("kq,qi->ki", parts.theta_f, constant))
    return body.fix(parts.builder.einsum("q,qi->i", parts.theta_f, constant))


def _advanced(parts: _Parts, body: Body, x: Value, dt: Value) -> Value:
    """The next state."""
    builder, rom = parts.builder, parts.rom
    f, mass = _load(parts, body, rom.rhs, "rhs"), body.constant(rom.mass, "mass")
    if not parts.implicit:
        slope = f - body.einsum("ij,j->i", _operator(parts, body), x)
        return x + dt * body.einsum("i,ji->j", slope, body.fix(parts.mass_inverse))
    right = body.einsum("i,ji->j", x, mass) + dt * f
    inverse = None if parts.moving else _inverse(builder, body, parts)
    if inverse is None:
        return body.solve(mass + dt * _operator(parts, body), right, definite=rom.definite)
    return body.einsum("ij,j->i", inverse, right)


def _operator(parts: _Parts, body: Body) -> Value:
    """A (r, r) in the body of the march."""
    constant = parts.builder.constant(parts.rom.operator, "operator")
    if parts.moving:
        return body.einsum("q,qij->ij", body.step("theta_a_now", parts.theta_a), body.fix(constant))
    return body.fix(parts.builder.einsum("q,qij->ij", parts.theta_a, constant, name="A"))


def _inverse(builder: Builder, body: Body, parts: _Parts) -> Value | None:
    """(M + dt A)^{-1}, made before the march; None where the steps are of many lengths."""
    rom, steps = parts.rom, np.diff(parts.rom.times)
    lengths: list[float] = []
    for step in steps.tolist():
        if not any(abs(step - length) <= _SAME * length for length in lengths):
            lengths.append(step)
    if len(lengths) > _INVERSES:
        return None
    A = builder.einsum("q,qij->ij", parts.theta_a, builder.constant(rom.operator, "operator"), name="A")
    found = [builder.solve(rom.mass + length * A, np.eye(rom.size), definite=rom.definite, name="inverse")
             for length in lengths]
    if len(found) == 1:
        return body.fix(found[0])
    which = np.array([[float(abs(step - length) <= _SAME * length) for length in lengths] for step in steps])
    which = which / which.sum(axis=1, keepdims=True)
    stacked = builder.concatenate([one.reshape(1, rom.size, rom.size) for one in found])
    return body.einsum("d,dij->ij", body.step("which", which), body.fix(stacked))


def _residual_square(parts: _Parts, body: Body, x: Value, new: Value, dt: Value) -> Value:
    """||r||_{X'}^2 of the step, with what interpolated coefficients leave."""
    builder, rom = parts.builder, parts.rom
    Qf, Q, r, state = len(rom.rhs_theta), len(rom.operator_theta), rom.size, new if parts.implicit else x
    terms = rom.factor[:, Qf:].reshape(-1, r, Q + 1)
    pull = _load(parts, body, rom.factor[:, :Qf].T, "factor_load")
    rate = body.einsum("i,mi->m", (new - x) / dt, terms[:, :, 0])
    if parts.moving:
        products = body.einsum("q,i->iq", body.step("theta_a_now", parts.theta_a), state)
        flow = body.einsum("iq,miq->m", products, terms[:, :, 1:])
    else:
        flow = body.einsum("mi,i->m", body.fix(builder.einsum(
            "q,miq->mi", parts.theta_a, builder.constant(terms[:, :, 1:], "factor_operator"))), state)
    square = (pull - rate - flow).square().sum()
    if rom.interpolation is None or rom.load is None:
        return square
    load = parts.split(*parts.rows(rom.load, rom.times, "load"), "load_now").inside(body).take(0).abs()
    left = (load * body.fix(interpolation_weight(builder, rom.interpolation.rhs))
            + new.square().sum().sqrt() * body.fix(interpolation_weight(builder, rom.interpolation.operator)))
    return (square.sqrt() + never_nan(body, left)).square()


def _sums(parts: _Parts, body: Body, start: Value, dt: Value, square: Value) -> EnergySum | PlainSum:
    builder, rom = parts.builder, parts.rom
    gap = builder.concatenate([parts.theta_0, -start])
    first = builder.einsum("q,mq->m", gap, rom.initial_factor).square().sum()
    if rom.stability is None and rom.in_mass:
        return PlainSum(builder, body, first, dt, square)
    if rom.stability is None:
        alpha = builder.constant(1.0)
    else:
        alpha = lower_bound(builder, rom.stability, {"t": rom.times[1:]})
    moves = len(alpha.shape) == 1
    rows = _Moving(alpha.take(0) if moves else alpha, alpha, moves, "alpha_now")
    return EnergySum(builder, body, first, dt, square, rows.first, rows.inside(body))


def _output(parts: _Parts, body: Body, x: Value) -> Value:
    builder, terms = parts.builder, parts.rom.output
    if parts.observed:
        theta = body.step("theta_l_now", parts.theta_l.cut(1, len(parts.rom.times)))
        return body.einsum("q,qo->o", theta, body.einsum("qoi,i->qo", terms, x))
    return body.einsum("oi,i->o", body.fix(builder.einsum("q,qoi->oi", parts.theta_l, terms)), x)


def _first_output(parts: _Parts, start: Value) -> Value:
    builder, theta = parts.builder, parts.theta_l.take(0) if parts.observed else parts.theta_l
    return builder.einsum("q,qo->o", theta, builder.einsum("qoi,i->qo", parts.rom.output, start))
