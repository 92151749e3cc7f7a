"""The text of an evaluator that answers as the reduced model does, with NumPy alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from romflow.core.errors import NotSupported
from romflow.export.evaluator_evolution import evolution, supported_evolution
from romflow.export.evaluator_fields import FIELDS, interpolated, largest_sample, less_interpolation, pointwise
from romflow.parameters.expressions import Theta
from romflow.parameters.field_bounds import PointwiseCoercivity
from romflow.rom.affine import AffineReducedModel
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.model import ReducedModel
from romflow.rom.regression import GaussianProcess, RadialBasis, RegressionReducedModel
from romflow.rom.residual import EimResidual, GramResidual
from romflow.rom.stability import Expression, LessInterpolation, MinTheta, Scm, StabilityBound

Model = AffineReducedModel | RegressionReducedModel | EvolutionReducedModel

_WIDTH = 100
_BATCH = 1000  # parameters at a time, so that memory stays small
_NUMBERS = 4_000_000  # the kernel values that a regression holds at a time, as romflow itself does: the same bits

_START = '''\
"""Evaluator of the reduced model {name}: outputs and {noun}, by NumPy alone.

    python {stem}_evaluate.py {example}

`evaluate(mu)` takes parameters (b, p), or (p,), with the columns PARAMETERS, and returns the outputs (o, b) named
OUTPUTS and the {noun} of the state (b,) in the norm NORM.{promise}{moves}
"""

from pathlib import Path

import numpy as np

PARAMETERS = {parameters}
OUTPUTS = {outputs}
NORM, ERROR_KIND = {norm}, {kind}
with np.load(Path(__file__).with_name({file}), allow_pickle=False) as archive:
    data = dict(archive)


def evaluate(mu):
    mu = np.atleast_2d(np.asarray(mu, dtype=float))
    if mu.shape[1] != len(PARAMETERS) or not ((data["space/low"] <= mu) & (mu <= data["space/high"])).all():
        raise ValueError("mu must be (b, %d), finite and within the parameter space" % len(PARAMETERS))
    parts = [_evaluate(mu[i : i + {batch}]) for i in range(0, max(len(mu), 1), {batch})]
    return tuple(np.concatenate(values, axis=-1) for values in zip(*parts))


'''

_MOVES = """
The outputs are those of the last time, the error that of the whole trajectory; `series(mu)` gives both at all TIMES."""

_TABLE = '''\
def _table(mu, *columns):
    rows = [np.broadcast_to(np.asarray(column, dtype=float), len(mu)) for column in columns]
    return np.array(rows, dtype=float).reshape(len(columns), len(mu)).T


'''

_AFFINE = '''\
def _evaluate(mu):
    theta_a = _table(mu, {theta_a})
    theta_f = _table(mu, {theta_f})
    theta_l = _table(mu, {theta_l})
{solve}
    c = np.hstack([theta_f, -(x[:, :, None] * theta_a[:, None, :]).reshape(len(mu), x.shape[1] * theta_a.shape[1])])
{residual}
{stability}
    outputs = np.einsum("bq,qor,br->ob", theta_l, data["output"], x, optimize=True)
    return outputs, error
'''

_GALERKIN = '''\
    A = np.einsum("bq,qij->bij", theta_a, data["operator"], optimize=True)
    x = np.linalg.solve(A, (theta_f @ data["rhs"])[:, :, None])[:, :, 0]'''

_LEAST_SQUARES = '''\
    T, Q = data["residual_factor"], theta_a.shape[1]
    terms = T[:, theta_f.shape[1]:].reshape(len(T), -1, Q)
    orthonormal, R = np.linalg.qr(np.einsum("mrq,bq->bmr", terms, theta_a, optimize=True))
    f = theta_f @ T[:, : theta_f.shape[1]].T
    x = np.linalg.solve(R, np.einsum("bmr,bm->br", orthonormal, f)[:, :, None])[:, :, 0]'''

_ORTHONORMAL = '    residual = np.linalg.norm(c @ data["residual_factor"].T, axis=1)'

_GRAM = '''\
    G = data["residual_factor"].T @ data["residual_factor"]
    residual = np.sqrt(np.abs(np.einsum("bm,bm->b", c @ G, c)))'''

_EIM = '''\
    pairs = data["eim/pairs"].astype(int)
    phi = np.linalg.solve(data["eim/B"], (c[:, pairs[:, 0]] * c[:, pairs[:, 1]]).T)
    residual = np.sqrt(np.abs(data["eim/values"] @ phi) + data["eim/floor"])'''

_DIVIDE = '''
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(alpha > 0, residual / alpha, np.inf)'''

_MIN_THETA = '''\
    theta = _table(mu, {theta})
    alpha = float(data["stability/alpha"]) * np.maximum((theta / data["stability/reference"]).min(axis=1), 0)'''

_EXPRESSION = "    alpha = np.maximum(_table(mu, {theta})[:, 0], 0)"

_SCM = '''\
    theta = _table(mu, {theta})
{pairs}    alpha = np.maximum(_certified(theta), 0) ** {power}'''

_PAIRS = '''\
    pairs = data["stability/pairs"].astype(int)
    theta = theta[:, pairs[:, 0]] * theta[:, pairs[:, 1]]
'''

_CERTIFIED = '''\


def _certified(theta):
    low, high = data["stability/box"].T
    best = np.minimum(theta * low, theta * high).sum(axis=1)
    names = "stability/certificates", "stability/constraints", "stability/alphas"
    for M, active, alphas in zip(*(data[name] for name in names)):
        weights = np.maximum(theta @ M.T, 0)
        rest = theta - weights @ active
        best = np.maximum(best, weights @ alphas + np.minimum(rest * low, rest * high).sum(axis=1))
    return best
'''

_GAUSSIAN = '''\
def _evaluate(mu):
    z, lengths = (mu - data["low"]) / data["span"], data["regressor/lengths"][:, None]
    a, c = z[None] / lengths, data["regressor/points"][None] / lengths
    squared = (a**2).sum(2)[:, :, None] + (c**2).sum(2)[:, None, :] - 2.0 * a @ c.transpose(0, 2, 1)
    s = np.sqrt(5.0) * np.sqrt(np.maximum(squared, 0))
    amplitude, scale = data["regressor/amplitude"][:, None], data["regressor/scale"][:, None]
    K = amplitude[:, :, None] * ((1.0 + s + s**2 / 3.0) * np.exp(-s))
    mean = np.einsum("tbk,tk->tb", K, data["regressor/weights"]) * scale + data["regressor/mean"][:, None]
    known = np.sum((data["regressor/inverse_factor"] @ K.transpose(0, 2, 1)) ** 2, axis=1)
    std = np.sqrt(np.maximum(amplitude - known, 0)) * scale
    return _answer(mean, std)
'''

_RADIAL = '''\
def _evaluate(mu):
    z, points = (mu - data["low"]) / data["span"], data["regressor/points"]
    squared = (z**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2.0 * z @ points.T
    mean = data["regressor/weights"] @ (np.maximum(squared, 0) ** 1.5).T
    mean += data["regressor/tail"][:, :1] + data["regressor/tail"][:, 1:] @ z.T
    return _answer(mean, np.repeat(data["regressor/spread"][:, None], len(mu), axis=1))
'''

_ANSWER = '''

def _answer(mean, std):
    r = {size}
    return mean[r:], float(data["safety"]) * np.sqrt(np.sum(std[:r] ** 2, axis=0) + float(data["truncation"]) ** 2)
'''

_END = '''

if __name__ == "__main__":
    import sys

    values, error = evaluate([float(word) for word in sys.argv[1:]])
    print(*(f"{name} = {value:.12g}" for name, value in zip(OUTPUTS, values[:, 0])), sep="\\n")
    print(f"error {ERROR_KIND} = {error[0]:.3g}")
'''


def supported(rom: ReducedModel) -> Model:
    """`rom` itself, if there is an evaluator for its kind; NotSupported otherwise."""
    if isinstance(rom, AffineReducedModel | RegressionReducedModel):
        return rom
    if isinstance(rom, EvolutionReducedModel):
        return supported_evolution(rom)
    raise NotSupported("npz has an evaluator for affine and regression models and for linear ones in time, and "
                       f"{type(rom).__name__} is neither; use format = \"csv\", or romflow.load(\"model.h5\")")


def evaluator_source(rom: Model, file: str) -> str:
    """Python source of the evaluator that reads its arrays from `file` in its own folder.

    Raises
    ------
    NotSupported
        The model holds a part that is not known here.
    """
    if isinstance(rom, AffineReducedModel):
        points = largest_sample(rom)
        batch = max(1, min(_BATCH, _NUMBERS // points)) if points else _BATCH
        return _start(rom, file, batch) + _TABLE + (FIELDS if points else "") + _affine(rom) + _END
    if isinstance(rom, EvolutionReducedModel):
        certified = _CERTIFIED if isinstance(rom.stability, Scm) else ""
        return _start(rom, file, _BATCH) + _TABLE + evolution(rom, _inline, _stability) + certified + _END
    regressor = rom.regressor
    if not isinstance(regressor, GaussianProcess | RadialBasis):
        raise NotSupported(f"npz has no evaluator for a regressor of the kind {type(regressor).__name__}.")
    gaussian = isinstance(regressor, GaussianProcess)
    batch = _NUMBERS // max(1, len(regressor.points) * (len(regressor.weights) if gaussian else 1))
    body = _GAUSSIAN if gaussian else _RADIAL
    return _start(rom, file, max(1, batch)) + body + _ANSWER.format(size=rom.size) + _END


def _start(rom: Model, file: str, batch: int) -> str:
    noun = {"bound": "error bound", "indicator": "error indicator"}[str(rom.error_kind)]
    moves = _MOVES if isinstance(rom, EvolutionReducedModel) else ""
    promise = "" if rom.error_kind == "bound" else " An indicator is no bound: the true error may be larger."
    return _START.format(
        name=_tame(str(rom.metadata.get("study") or "without a name")),
        noun=noun,
        promise=promise,
        moves=moves,
        stem=_tame(Path(file).stem),
        example=" ".join(f"{value:.6g}" for value in rom.parameters.centre()),
        file=ascii(file),
        parameters=_tuple(rom.parameters.columns),
        outputs=_tuple(rom.output_names),
        norm=ascii(rom.norm_name),
        kind=repr(rom.error_kind),
        batch=batch,
    )


def _affine(rom: AffineReducedModel) -> str:
    residual = {GramResidual: _GRAM, EimResidual: _EIM}.get(type(rom.residual), _ORTHONORMAL)
    return _AFFINE.format(
        theta_a=_inline(rom.operator_theta),
        theta_f=_inline(rom.rhs_theta),
        theta_l=_inline(rom.output_theta),
        solve=_GALERKIN if rom.projection == "galerkin" else _LEAST_SQUARES,
        residual=residual + interpolated(rom.interpolation),
        stability=_stability(rom.stability) + ("" if rom.stability is None else _DIVIDE),
    ) + (_CERTIFIED if isinstance(getattr(rom.stability, "base", rom.stability), Scm) else "")


def _stability(stability: StabilityBound | None) -> str:
    if stability is None:
        return "    error = residual"
    if isinstance(stability, MinTheta):
        return _MIN_THETA.format(theta=_inline(stability.theta))
    if isinstance(stability, Expression):
        return _EXPRESSION.format(theta=_inline(stability.theta))
    if isinstance(stability, Scm):
        pairs = "" if stability.pairs is None else _PAIRS
        return _SCM.format(theta=_inline(stability.theta), pairs=pairs, power=repr(stability.power))
    if isinstance(stability, PointwiseCoercivity):
        return pointwise(stability)
    if isinstance(stability, LessInterpolation):
        return _stability(stability.base) + less_interpolation(stability.interpolation)
    raise NotSupported(f"npz has no evaluator for a stability bound of the kind {type(stability).__name__}.")


def _inline(theta: Theta) -> str:
    """The expressions as NumPy source, separated by commas."""
    return _listed([theta.numpy_source(q) for q in range(len(theta))])


def _tuple(names: Iterable[str]) -> str:
    listed = _listed(map(ascii, names))
    return f"({listed},)" if listed else "()"


def _tame(text: str) -> str:
    """The text as it may stand within a documentation string: printable, without quotation marks and backslashes."""
    return re.sub(r"[^ !#-\[\]-~]", "?", text)


def _listed(items: Iterable[str]) -> str:
    """Items separated by commas, on several lines where they are many; within parentheses a break means nothing."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > _WIDTH:
            lines.append(line.rstrip())
            line = ""
        line += f"{item}, "
    return "\n        ".join([*lines, line.rstrip()]).removesuffix(",")
