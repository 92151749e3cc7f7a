"""Further laws of affine models: terms, residual of the solution, inner product, stability bound, outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.linalg.inner_product import InnerProduct
from romflow.reduction.stability import stability_bound
from romflow.testing.constants import DENSE, stability_constant
from romflow.testing.report import Law, Verdict

if TYPE_CHECKING:
    from romflow.testing.model import ModelCase

_RESIDUAL = 1e-8
_TERMS = 1e-12
_OUTPUTS = 1e-8
_STABILITY_PARAMETERS = 4
_STABILITY_SLACK = 1e-6


def is_affine(fom: Any) -> bool:
    """Whether a model is operator, right-hand side and inner product, and neither nonlinear nor moving in time."""
    if getattr(fom, "nonlinear", None) is not None or hasattr(fom, "march"):
        return False
    return all(getattr(fom, name, None) is not None for name in ("operator", "rhs", "inner_product"))


def _shapes(case: ModelCase) -> Verdict:
    fom, k = case.fom, len(case.mu)
    n = fom.n
    found = {
        "operator.theta(mu)": (np.shape(fom.operator.theta(case.mu)), (k, len(fom.operator.matrices))),
        "operator.assemble(mu)": (tuple(fom.operator.assemble(case.mu[0]).shape), (n, n)),
        "rhs.theta(mu)": (np.shape(fom.rhs.theta(case.mu)), (k, np.shape(fom.rhs.vectors)[1])),
        "rhs.assemble(mu)": (np.shape(fom.rhs.assemble(case.mu[0])), (n,)),
        "inner_product": (tuple(fom.inner_product.shape), (n, n)),
    }
    for name, (shape, rule) in found.items():
        if shape != rule:
            return Verdict(False, f"{name} has shape {shape}, and {rule} is needed")
    return Verdict(True, f"{found['operator.theta(mu)'][0][1]} operator terms of shape {(n, n)}")


def _terms(case: ModelCase) -> Verdict:
    worst = 0.0
    for mu in case.mu:
        theta_a, theta_f = case.fom.operator.theta(mu[None])[0], case.fom.rhs.theta(mu[None])[0]
        A = case.fom.operator.assemble(mu)
        summed = sum(t * sp.csr_array(term) for t, term in zip(theta_a, case.fom.operator.matrices, strict=True))
        f = np.asarray(case.fom.rhs.vectors) @ theta_f
        worst = max(worst, _relative(_largest(A - summed), _largest(summed)),
                    _relative(np.abs(case.fom.rhs.assemble(mu) - f).max(), np.abs(f).max()))
    return Verdict(worst <= _TERMS, f"assemble differs from the sum of theta_q times the terms by {worst:.3g} relative")


def _theta_batch(case: ModelCase) -> Verdict:
    worst = 0.0
    for theta in (case.fom.operator.theta, case.fom.rhs.theta):
        rows = np.vstack([theta(mu[None]) for mu in case.mu])
        worst = max(worst, _relative(np.abs(theta(case.mu) - rows).max(), np.abs(rows).max()))
    return Verdict(worst <= _TERMS, f"theta of a batch differs from theta row by row by {worst:.3g} relative")


def _residual(case: ModelCase) -> Verdict:
    worst, at = 0.0, case.mu[0]
    # The terms of a nonaffine model only interpolate the equation that it solves.
    system = getattr(case.fom, "truth", case.fom)
    for mu, u in zip(case.mu, case.states, strict=True):
        f, Au = system.rhs.assemble(mu), system.operator.assemble(mu) @ u
        value = _relative(float(np.linalg.norm(f - Au)), float(np.linalg.norm(f)))
        if not value <= worst:
            worst, at = value, mu
    return Verdict(worst <= _RESIDUAL, f"||f - A u|| / ||f|| = {worst:.3g} at mu = {at.tolist()}")


def _symmetric_flag(case: ModelCase) -> Verdict:
    claimed = bool(getattr(case.fom, "symmetric", False))
    defect = max(_relative(_largest(A - A.T), _largest(A)) for A in map(sp.csr_array, case.fom.operator.matrices))
    return Verdict(not claimed or defect <= _TERMS, f"symmetric = {claimed}, and |A_q - A_q^T| / |A_q| = {defect:.3g}")


def _product_symmetric(case: ModelCase) -> Verdict:
    X = sp.csr_array(case.fom.inner_product)
    defect = _relative(_largest(X - X.T), _largest(X))
    return Verdict(defect <= _TERMS, f"|X - X^T| / |X| = {defect:.3g}")


def _product_definite(case: ModelCase) -> Verdict:
    X = sp.csr_array(case.fom.inner_product)
    if X.shape[0] <= DENSE:
        values = np.linalg.eigvalsh(X.toarray())
        floor = np.finfo(float).eps * abs(values[-1])
        return Verdict(bool(values[0] > floor), f"the eigenvalues of X lie in [{values[0]:.3g}, {values[-1]:.3g}]")
    try:
        negative = InnerProduct(X).factor.negative_pivots
    except InputError as error:
        return Verdict(False, str(error).rstrip("."))
    return Verdict(negative == 0, f"X has {negative} pivots that are not positive")


def _stability(case: ModelCase) -> Verdict:
    fom = case.fom
    bound = stability_bound(fom, seed=0)
    if bound is None:
        return Verdict(True, "the model names no stability bound, so its error estimates are indicators")
    mu = fom.parameters.sample(_STABILITY_PARAMETERS, np.random.default_rng(1))
    values = np.asarray(bound(mu))
    if values.shape != (len(mu),) or not np.isfinite(values).all():
        return Verdict(False, f"alpha_LB(mu) = {values.tolist()} for {len(mu)} parameters")
    symbol = "alpha" if bound.kind == "coercivity" else "beta"
    shares = []
    for row, value in zip(mu, values, strict=True):
        constant = stability_constant(getattr(fom, "truth", fom).operator.assemble(row), fom.inner_product, bound.kind)
        if value > constant + _STABILITY_SLACK * abs(constant):
            found = f"{symbol}_LB = {value:.6g} is above {symbol} = {constant:.6g}"
            return Verdict(False, f"{found} at mu = {row.tolist()}")
        shares.append(value / constant)
    found = f"{symbol}_LB / {symbol} lies in [{min(shares):.3g}, {max(shares):.3g}]"
    return Verdict(True, f"{found} at {len(mu)} parameters")


def _outputs(case: ModelCase) -> Verdict:
    outputs = getattr(case.fom, "outputs", None)
    if outputs is None:
        return Verdict(True, "the model has no output functionals")
    U = np.column_stack(case.states)
    values = np.asarray(outputs.evaluate(U, case.mu))
    rule = (len(outputs.names), len(case.mu))
    if values.shape != rule:
        return Verdict(False, f"outputs.evaluate(U, mu) has shape {values.shape}, and {rule} is needed")
    if not np.isfinite(values).all() or not all(isinstance(name, str) and name for name in outputs.names):
        return Verdict(False, f"the outputs {outputs.names} are {values.tolist()}")
    return _agreement(case, values, f"{rule[0]} outputs of shape {rule}")


def _agreement(case: ModelCase, values: NDArray[np.float64], found: str) -> Verdict:
    """Outputs of the functionals against those that solve gave itself, where it gave any."""
    own = [column for result in case.solved if (column := getattr(result, "outputs", None)) is not None]
    if not own:
        return Verdict(True, found)
    given = np.column_stack(own)
    if given.shape != values.shape:
        return Verdict(False, f"solve gave outputs of shape {given.shape}, and the functionals {values.shape}")
    gap = _relative(float(np.abs(given - values).max()), float(np.abs(values).max()))
    return Verdict(gap <= _OUTPUTS, f"outputs of solve and of the functionals differ by {gap:.3g} relative")


def _largest(A: Any) -> float:
    return float(abs(A).max()) if A.nnz else 0.0


def _relative(value: float, scale: float) -> float:
    return float(value / scale) if scale > 0.0 else float(value)


AFFINE_LAWS: list[Law[ModelCase]] = [
    Law("affine-shapes", "theta is (b, Q), assembled operators and X are (n, n), right-hand sides (n,)", _shapes,
        ("parameters", "n")),
    Law("affine-terms", f"assemble(mu) is the sum of theta_q(mu) times its terms, to {_TERMS:g}", _terms,
        ("affine-shapes",)),
    Law("theta-batch", f"theta of a batch is theta of each row, to {_TERMS:g}", _theta_batch, ("affine-shapes",)),
    Law("residual", f"the solution solves its own equation: at most {_RESIDUAL:g}", _residual,
        ("affine-shapes", "finite")),
    Law("symmetric-flag", f"symmetric is true only where every term is symmetric, to {_TERMS:g}", _symmetric_flag,
        ("affine-shapes",)),
    Law("product-symmetric", f"the inner product X is symmetric, to {_TERMS:g}", _product_symmetric,
        ("affine-shapes",)),
    Law("product-definite", "the inner product X is positive definite", _product_definite,
        ("affine-shapes", "product-symmetric")),
    Law("stability-bound", f"alpha_LB(mu) is finite and never above the true constant, to {_STABILITY_SLACK:g}",
        _stability, ("affine-shapes", "product-definite")),
    Law("outputs", f"evaluate(U (n, b), mu (b, p)) is (o, b), finite, and equals what solve gives, to {_OUTPUTS:g}",
        _outputs, ("affine-shapes", "finite")),
]
