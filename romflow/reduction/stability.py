"""Building lower bounds of stability constants: min-theta, successive constraints, or the user's formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from scipy.sparse.linalg import LinearOperator

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest
from romflow.linalg.eigen import eigenvalue_range, is_semidefinite, smallest_eigenpair
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.solvers.superlu import SuperLU
from romflow.parameters.expressions import Theta
from romflow.rom.stability import Expression, LessInterpolation, MinTheta, Scm, StabilityBound

KINDS = ("min-theta", "scm", "inf-sup", "expression", "pointwise")
_TRAINING = 1000
_CORNERS = 128
_GAP = 0.2
_MAX_EIGENPROBLEMS = 60
# Eigenvalues are computed to 1e-5 relative; bounds give ten times that away.
_EIGEN_TOLERANCE = 1e-5
_SAFETY = 1e-4
# The box need not be tight, so its eigenvalues are computed to six digits only.
_BOX_TOLERANCE = 1e-6
_VANISHING = 1e-11


def stability_bound(fom: Any, product: InnerProduct | None = None, seed: int = 0) -> StabilityBound | None:
    """The lower bound that the model's `stability` asks for, None where it has none.

    Parameters
    ----------
    fom : SupportsAffine
        With `stability` None, {"kind": "min-theta", "reference": [...]}, {"kind": "scm"}, {"kind": "inf-sup"} or
        {"kind": "expression", "expression": "min(a, b)"}; or {"kind": "pointwise"} with a method `pointwise` of the
        model that gives the bound. A model with an `interpolation` gets the bound of the operator that its terms
        interpolate.
    product : InnerProduct, optional
        X of the model.

    Raises
    ------
    ConfigError
        The kind is unknown or its entries are wrong; the model has no `pointwise`.
    InputError
        min-theta does not apply: a term is indefinite or a coefficient is not positive.
    """
    wish = getattr(fom, "stability", None)
    if wish is None:
        return None
    kind = wish.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"no stability bound is called '{kind}'{nearest(str(kind), KINDS)}")
    if kind == "expression":
        return Expression(Theta([wish["expression"]], fom.parameters.columns), wish.get("constant", "coercivity"))
    if kind == "pointwise":
        if not hasattr(fom, "pointwise"):
            raise ConfigError(f"stability kind \"pointwise\" needs a model that knows its coefficients at points, and "
                              f"{type(fom).__name__} has no `pointwise`; use \"scm\"")
        bound: StabilityBound = fom.pointwise()
        return bound
    product = product or InnerProduct(fom.inner_product, getattr(fom, "norm", "X"))
    if kind == "min-theta":
        return _less_interpolation(fom, _min_theta(fom, product, wish.get("reference"), seed))
    family = _coercivity_family(fom, product) if kind == "scm" else _inf_sup_family(fom, product)
    return _less_interpolation(fom, _successive_constraints(fom, family, seed))


def _less_interpolation(fom: Any, base: StabilityBound) -> StabilityBound:
    interpolation = getattr(fom, "interpolation", None)
    return base if interpolation is None else LessInterpolation(base, interpolation)


def _min_theta(fom: Any, product: InnerProduct, reference: Any, seed: int) -> MinTheta:
    columns = fom.parameters.columns
    mu = _reference(reference, fom)
    theta = fom.operator.theta(mu[None])[0]
    terms = [_symmetric_part(A) for A in fom.operator.matrices]
    scale = max(float(abs(S).max()) if S.nnz else 0.0 for S in terms)
    active = [q for q, S in enumerate(terms) if S.nnz and float(abs(S).max()) > 1e-13 * scale]
    for q in active:
        if theta[q] <= 0.0:
            raise InputError(f"the coefficient '{fom.operator.theta.expressions[q]}' is {theta[q]:g} at the reference "
                             "parameter of min-theta; the rule is positive coefficients: use stability kind \"scm\"")
        if not is_semidefinite(terms[q], product):
            raise InputError(f"the symmetric part of operator term {q} is indefinite; min-theta needs positive "
                             "semidefinite terms: use stability kind \"scm\"")
    alpha = _coercivity(sum(theta[q] * terms[q] for q in active), product, seed)
    if alpha <= 0.0:
        raise InputError(f"the coercivity constant at the reference parameter is {alpha:g}; min-theta needs a coercive "
                         "model: use stability kind \"inf-sup\"")
    return MinTheta(Theta([fom.operator.theta.expressions[q] for q in active], columns), theta[active], alpha)


def _reference(reference: Any, fom: Any) -> np.ndarray:
    columns = fom.parameters.columns
    if reference is None:
        return fom.parameters.centre()
    if isinstance(reference, dict):
        unknown = [key for key in reference if key not in columns]
        if unknown or len(reference) != len(columns):
            raise ConfigError(f"the reference of min-theta names {sorted(reference)}; the rule is one value for each "
                              f"of {list(columns)}")
        reference = [reference[name] for name in columns]
    mu = np.asarray(reference, dtype=float)
    if mu.shape != (len(columns),) or not np.isfinite(mu).all():
        raise ConfigError(f"the reference of min-theta is {reference}; the rule is {len(columns)} finite numbers")
    return mu


def _coercivity(S: sp.sparray, product: InnerProduct, seed: int) -> float:
    difference = S - product.X
    if difference.nnz == 0 or float(abs(difference).max()) <= 1e-14 * float(abs(product.X).max()):
        return 1.0
    if not is_semidefinite(S, product):
        return -1.0
    solver = SuperLU(symmetric=True).setup(S)
    alpha, _ = smallest_eigenpair(S, product, 0.0, solver.solve, seed, _EIGEN_TOLERANCE)
    return alpha * (1.0 - _SAFETY)


def _symmetric_part(A: sp.sparray) -> sp.csr_array:
    return sp.csr_array(0.5 * (A + A.T))


@dataclass(frozen=True)
class _Family:
    """A symmetric affine family B(mu) = sum_s theta_s(mu) B_s and its smallest eigenvalue with respect to X."""

    theta: Theta
    pairs: np.ndarray | None
    box: np.ndarray
    power: float
    kind: str
    smallest: Callable[[np.ndarray, float], tuple[float, np.ndarray]]

    def empty(self) -> Scm:
        """The bound by the box alone."""
        S = self.box.shape[0]
        return Scm(self.theta, self.pairs, self.box, np.zeros((0, S, S)), np.zeros((0, S, S)), np.zeros((0, S)),
                   self.power, self.kind)


def _coercivity_family(fom: Any, product: InnerProduct) -> _Family:
    terms = [_symmetric_part(A) for A in fom.operator.matrices]
    box = _box(terms, product)
    solver = SuperLU(symmetric=True)

    def smallest(mu: np.ndarray, below: float) -> tuple[float, np.ndarray]:
        theta = fom.operator.theta(mu[None])[0]
        S = sum(t * term for t, term in zip(theta, terms, strict=True))
        factor = solver.update(S - below * product.X)
        value, v = smallest_eigenpair(S, product, below, factor.solve, tolerance=_EIGEN_TOLERANCE)
        return value, np.array([v @ (term @ v) for term in terms])

    return _Family(fom.operator.theta, None, box, 1.0, "coercivity", smallest)


def _inf_sup_family(fom: Any, product: InnerProduct) -> _Family:
    """beta(mu)^2 is the smallest eigenvalue of A^T X^{-1} A with respect to X (Huynh et al. 2007, section 3)."""
    A, n, Q = fom.operator.matrices, fom.n, fom.operator.Q
    pairs = np.array([(i, j) for i in range(Q) for j in range(i, Q)])
    solver = SuperLU(symmetric=False)

    def term(i: int, j: int) -> LinearOperator:
        def apply(v: np.ndarray) -> np.ndarray:
            v = np.ravel(v)
            first = A[i].T @ product.riesz(A[j] @ v)
            return first if i == j else first + A[j].T @ product.riesz(A[i] @ v)
        return LinearOperator((n, n), matvec=apply, dtype=float)

    terms = [term(int(i), int(j)) for i, j in pairs]
    box = _box(terms, product)

    def smallest(mu: np.ndarray, below: float) -> tuple[float, np.ndarray]:
        matrix = fom.operator.assemble(mu)
        forward, backward = solver.update(matrix), SuperLU(symmetric=False).setup(matrix.T)
        B = LinearOperator((n, n), matvec=lambda v: matrix.T @ product.riesz(matrix @ np.ravel(v)), dtype=float)
        value, v = smallest_eigenpair(
            B, product, 0.0, lambda w: forward.solve(product.apply(backward.solve(w))), tolerance=_EIGEN_TOLERANCE)
        return value, np.array([v @ (T @ v) for T in terms])

    return _Family(fom.operator.theta, pairs, box, 0.5, "inf-sup", smallest)


def _box(terms: list[Any], product: InnerProduct) -> np.ndarray:
    """Intervals (S, 2) that hold the Rayleigh quotients of each symmetric term, widened by their accuracy.

    Terms that vanish but for rounding (the symmetric part of pure transport) have the interval (0, 0).
    """
    probe = np.random.default_rng(0).standard_normal(terms[0].shape[0])
    sizes = np.array([np.linalg.norm(term @ probe) for term in terms])
    return np.array([(0.0, 0.0) if size <= _VANISHING * sizes.max() else _range(term, product)
                     for term, size in zip(terms, sizes, strict=True)])


def _range(S: sp.sparray | LinearOperator, product: InnerProduct) -> tuple[float, float]:
    low, high = eigenvalue_range(S, product, _BOX_TOLERANCE)
    margin = 10 * _BOX_TOLERANCE * max(abs(low), abs(high))
    return low - margin, high + margin


def _successive_constraints(fom: Any, family: _Family, seed: int) -> Scm:
    """Add eigenproblems where the gap between upper and lower bound is largest, until it is below 20 %."""
    training = _training(fom.parameters, np.random.default_rng(seed))
    bound = family.empty()
    theta = bound.coefficients(training)
    rayleigh = np.empty((0, family.box.shape[0]))
    constraints, alphas = np.empty((0, family.box.shape[0])), np.empty(0)
    worst = 0
    for _ in range(_MAX_EIGENPROBLEMS):
        below = float(np.minimum(theta[worst] * family.box[:, 0], theta[worst] * family.box[:, 1]).sum())
        value, y = family.smallest(training[worst], below - 1e-6 * abs(below))
        constraints = np.vstack([constraints, theta[worst]])
        alphas = np.append(alphas, value - _SAFETY * abs(value))
        rayleigh = np.vstack([rayleigh, y])
        upper = np.min(theta @ rayleigh.T, axis=1)
        bound, worst, gap = _tighten(bound, theta, upper, constraints, alphas)
        if gap <= _GAP:
            return bound
    if bound.family_bound(theta).min() <= 0.0:
        raise InputError(f"the successive constraint method found no positive lower bound after {_MAX_EIGENPROBLEMS} "
                         "eigenproblems; narrow the parameter ranges, or give a stability expression")
    return bound


def _training(space: Any, rng: np.random.Generator) -> np.ndarray:
    """Random parameters and corners of the space (k, p): the constants are often smallest in a corner."""
    p = space.size
    corners = np.array(list(np.ndindex(*[2] * p))) if 2**p <= _CORNERS else rng.integers(0, 2, (_CORNERS, p))
    bounded = np.isfinite(space.low) & np.isfinite(space.high)
    unit = np.where(bounded, corners, np.where(corners == 0, 1e-3, 1 - 1e-3))
    return np.vstack([space.ppf(unit), space.sample(_TRAINING, rng)])


def _tighten(bound: Scm, theta: np.ndarray, upper: np.ndarray, constraints: np.ndarray,
             alphas: np.ndarray) -> tuple[Scm, int, float]:
    """Store certificates at the worst training parameters until the worst one is worst also with its own program."""
    done: set[int] = set()
    while True:
        lower = bound.family_bound(theta)
        gap = (upper - lower) / np.maximum(np.abs(upper), np.finfo(float).tiny)
        worst = int(np.argmax(gap))
        if gap[worst] <= _GAP or worst in done:
            return bound, worst, float(gap[worst])
        done.add(worst)
        bound = _with_certificate(bound, theta[worst], constraints, alphas)


def _with_certificate(bound: Scm, theta: np.ndarray, constraints: np.ndarray, alphas: np.ndarray) -> Scm:
    """The bound with the dual solution of the linear program at theta (S,) as one more basis."""
    S = theta.size
    program = linprog(theta, A_ub=-constraints, b_ub=-alphas, bounds=bound.box, method="highs")
    if program.x is None:
        raise InputError(f"the linear program of the successive constraint method failed ({program.message}); "
                         "give a stability expression")
    active = np.argsort(program.ineqlin.marginals)[:S]
    active = active[program.ineqlin.marginals[active] < -1e-12]
    width = bound.box[:, 1] - bound.box[:, 0]
    inside = (program.x > bound.box[:, 0] + 1e-9 * width) & (program.x < bound.box[:, 1] - 1e-9 * width)
    M = np.zeros((S, S))
    rows = np.zeros((S, S))
    values = np.zeros(S)
    m = active.size
    rows[:m], values[:m] = constraints[active], alphas[active]
    M[:m, inside] = np.linalg.pinv(constraints[active][:, inside].T)
    return replace(bound, certificates=np.concatenate([bound.certificates, M[None]]),
                   constraints=np.concatenate([bound.constraints, rows[None]]),
                   alphas=np.concatenate([bound.alphas, values[None]]))
