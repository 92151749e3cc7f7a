"""The lines of an evaluator that march: reduced trajectories by Euler's schemes with the sums of their residuals."""

from __future__ import annotations

from collections.abc import Callable

from romflow.core.errors import NotSupported
from romflow.parameters.expressions import Theta
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.stability import Expression, MinTheta, Scm, StabilityBound
from romflow.rom.windows import WindowedReducedModel

__all__ = ["evolution", "supported_evolution"]

_SCHEMES = ("implicit-euler", "explicit-euler")

_EVOLUTION = '''\
TIMES = tuple(data["times"].tolist())


def series(mu):
    """Outputs (o, K + 1, b) and errors (K + 1, b) at TIMES: the error at t_k is that of the trajectory up to t_k."""
    times, M, T = data["times"], data["mass"], data["residual_factor"]
    start, r = _at(mu, times[0]), len(M)
    theta_0 = _theta_0(start)
    x = np.linalg.solve(M, (theta_0 @ data["initial"]).T).T
    first = np.sum((np.hstack([theta_0, -x]) @ data["initial_factor"].T) ** 2, axis=1)
    states, squares, alphas = [x], [], []
    for before, after in zip(times, times[1:]):
        step, here = after - before, _at(mu, {here})
        theta_a, theta_f = _theta_a(here), _theta_f(here)
        A = np.einsum("bq,qij->bij", theta_a, data["operator"], optimize=True)
        f = theta_f @ data["rhs"]
{advance}
        terms = np.concatenate([-((new - x) / step)[:, :, None], -{state}[:, :, None] * theta_a[:, None, :]], axis=2)
        c = np.hstack([theta_f, terms.reshape(len(mu), r * (theta_a.shape[1] + 1))])
        squares.append(np.sum((c @ T.T) ** 2, axis=1))
        alphas.append(_alpha(_at(mu, after)))
        states.append(new)
        x = new
    X, steps = np.array(states), np.diff(times)[:, None]
    outputs = [np.einsum("bq,qor,br->ob", _theta_l(_at(mu, t)), data["output"], x, optimize=True)
               for t, x in zip(times, X)]
    norm = np.sqrt(np.sum(steps * np.sum(X[1:] ** 2, axis=2), axis=0))
    error = _errors(first, np.array(squares), steps, np.array(alphas)) + 100 * np.finfo(float).eps * norm
    return np.array(outputs).transpose(1, 0, 2), error


def _evaluate(mu):
    outputs, error = series(mu)
    return outputs[:, -1], error[-1]


def _at(mu, t):
    return np.column_stack([mu, np.full(len(mu), t)])


def _sums(first, increments):
    return np.concatenate([first[None], first + np.cumsum(increments, axis=0)])


{errors}

def _alpha(mu):
{alpha}
    return alpha
'''

_THETA = '''\
def _{name}(mu):
    return _table(mu, {theta})


'''

_IMPLICIT = '''\
        new = np.linalg.solve(M + step * A, (x @ M.T + step * f)[:, :, None])[:, :, 0]'''
_EXPLICIT = '''\
        new = x + step * np.linalg.solve(M, (f - np.einsum("bij,bj->bi", A, x)).T).T'''

_ENERGY = '''\
def _errors(first, squares, steps, alphas):
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(alphas > 0, squares / alphas, np.inf)
        smallest = np.minimum.accumulate(np.concatenate([alphas[:1], alphas]))
        return np.sqrt(np.where(smallest > 0, _sums(first, steps * shares) / smallest, np.inf))
'''
_SUMMED = '''\
def _errors(first, squares, steps, alphas):
    at = _sums(np.sqrt(first), steps * np.sqrt(squares))
    return np.sqrt(_sums(np.zeros_like(first), steps * at[1:] ** 2))
'''


def supported_evolution(rom: EvolutionReducedModel) -> EvolutionReducedModel:
    """The model itself, if its trajectories can be written down in a few lines; NotSupported otherwise."""
    reasons = {"time windows": isinstance(rom, WindowedReducedModel), "a nonlinear term": rom.nonlinear is not None,
               "step control": rom.control is not None, f"the scheme {rom.scheme}": rom.scheme not in _SCHEMES}
    for what, wrong in reasons.items():
        if wrong:
            raise NotSupported(f"npz has an evaluator for linear models in time by Euler's schemes, and this one has "
                               f"{what}; use format = \"csv\", or romflow.load(\"model.h5\")")
    if not isinstance(rom.stability, Expression | MinTheta | Scm | None):
        raise NotSupported("npz has no evaluator for models in time with a stability bound of the kind "
                           f"{type(rom.stability).__name__}")
    return rom


def evolution(rom: EvolutionReducedModel, inline: Callable[[Theta], str],
              stability: Callable[[StabilityBound | None], str]) -> str:
    """Source of `series` and `_evaluate`.

    Parameters
    ----------
    rom : EvolutionReducedModel
        As `supported_evolution` lets pass.
    inline : callable
        The source of coefficients of `mu`.
    stability : callable
        The source of `alpha`.
    """
    implicit = rom.scheme == "implicit-euler"
    thetas = {"theta_a": rom.operator_theta, "theta_f": rom.rhs_theta, "theta_l": rom.output_theta,
              "theta_0": rom.initial_theta}
    tables = [_THETA.format(name=name, theta=inline(theta)) for name, theta in thetas.items()]
    return "".join(tables) + _EVOLUTION.format(
        here="after" if implicit else "before", state="new" if implicit else "x",
        advance=_IMPLICIT if implicit else _EXPLICIT,
        alpha="    alpha = np.ones(len(mu))" if rom.stability is None else stability(rom.stability),
        errors=_SUMMED if rom.in_mass and rom.stability is None else _ENERGY)
