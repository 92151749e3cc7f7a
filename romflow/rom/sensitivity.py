"""Derivatives of the outputs of reduced models with respect to their parameters, for whole batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import SolveFailed
from romflow.parameters.expressions import Theta
from romflow.parameters.theta_jacobian import theta_jacobian

if TYPE_CHECKING:
    from romflow.rom.affine import AffineReducedModel
    from romflow.rom.nonlinear import NonlinearReducedModel

# Numbers of the largest array of a chunk of parameters.
_CHUNK = 1_000_000


def affine_sensitivity(rom: AffineReducedModel, mu: Any, check: bool = True) -> np.ndarray:
    """d s_i / d mu_j (o, p, b) of the outputs s(mu) = l(mu)^T x(mu) that `rom.solve` gives; no loop over b.

    From A x = f follows A dx = df - dA x (implicit function theorem), hence ds = dl^T x + l^T dx, or with the adjoint
    A^T z = l: ds = dl^T x + z^T (df - dA x). The adjoint serves where o < p. With the least-squares projection, which
    minimises ||g - B x||, the system is B^T B dx = dB^T (g - B x) + B^T (dg - dB x), solved by QR.

    Parameters
    ----------
    rom : AffineReducedModel
    mu : (b, p)
    check : bool
        Validate mu against the parameter space.

    Returns
    -------
    (o, p, b)
        These are the exact derivatives of the reduced outputs. How far they are from those of the full-order model
        is not estimated: the error bound is one of values.

    Raises
    ------
    ParameterError, ShapeError
        mu does not fit, or a coefficient has no finite derivative there.
    SolveFailed
        A reduced system is singular.

    Notes
    -----
    Cost of a parameter: r^3 / 3 + (1 + min(o, p)) r^2 + Q r^2, independent of n.
    """
    mu = rom.parameters.validate(mu) if check else mu
    found = np.empty((len(rom.output_names), mu.shape[1], mu.shape[0]))
    galerkin = rom.projection == "galerkin"
    rows = rom.size if galerkin else rom.factor.shape[0]
    step = max(1, _CHUNK // max(1, rows * max(rom.size, len(rom.operator_theta), mu.shape[1])))
    for start in range(0, mu.shape[0], step):
        part = slice(start, start + step)
        found[:, :, part] = (_galerkin if galerkin else _least_squares)(rom, mu[part])
    return found


def nonlinear_sensitivity(rom: NonlinearReducedModel, mu: Any, check: bool = True) -> np.ndarray:
    """d s_i / d mu_j (o, p, b) of the outputs that `rom.solve` gives; no loop over b, and only sampled points are used.

    As `affine_sensitivity`, with the Jacobian J = A + d(V^T N)/dx at the solution: J dx = df - dA x - d(V^T N)/dmu_j.

    Parameters
    ----------
    rom : NonlinearReducedModel
    mu : (b, p)
    check : bool
        Validate mu against the parameter space.

    Returns
    -------
    (o, p, b)
        NaN for the parameters at which Newton's method did not converge.

    Raises
    ------
    ParameterError, ShapeError
        mu does not fit, or a coefficient has no finite derivative there.
    SolveFailed
        A Jacobian is singular, as at a turning point.

    Notes
    -----
    Cost of a parameter: that of `solve` with its error indicator, one more Jacobian, and p evaluations of the
    derivatives of N with respect to parameters at the interpolation points.
    """
    mu = rom.parameters.validate(mu) if check else mu
    answer = rom.solve(mu, check=False)
    known = np.ones(len(mu), dtype=bool) if answer.converged is None else answer.converged
    found = np.full((len(rom.output_names), mu.shape[1], len(mu)), np.nan)
    if known.any():
        rows, x = mu[known], answer.coefficients[:, known]
        residual = _residual(rom, rows, x)
        for j, name in enumerate(rom.parameters.columns):
            residual[j] -= rom.term.parameter_derivative(name, x, rows)
        functionals = np.tensordot(rom.output_theta(rows), rom.output, 1)
        found[:, :, known] = (implicit_derivative(rom.jacobian(x, rows), functionals, residual)
                              + explicit_derivative(rom.output_theta, rows, rom.output, x))
    return found


def implicit_derivative(jacobian: np.ndarray, functionals: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """l^T J^{-1} R (o, p, b): how the outputs l^T x change with J dx = R, for a whole batch at once.

    Parameters
    ----------
    jacobian : (b, r, r)
    functionals : (b, o, r)
    residual : (p, r, b)
        R_j, minus the partial derivative of the residual at fixed x with respect to parameter j.

    Raises
    ------
    SolveFailed
        A Jacobian is singular.

    Notes
    -----
    One factorisation a parameter, with the o functionals as right-hand sides where o < p and the p columns else.
    """
    columns = residual.transpose(2, 1, 0)
    if functionals.shape[1] < columns.shape[2]:
        adjoint = solved(jacobian.transpose(0, 2, 1), functionals.transpose(0, 2, 1))
        return np.moveaxis(adjoint.transpose(0, 2, 1) @ columns, 0, 2)
    return np.moveaxis(functionals @ solved(jacobian, columns), 0, 2)


def solved(matrices: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Solutions (b, r, j) of systems with matrices (b, r, r) and right-hand sides (b, r, j).

    Raises
    ------
    SolveFailed
        A matrix is singular.
    """
    try:
        return np.linalg.solve(matrices, columns)
    except np.linalg.LinAlgError:
        raise SolveFailed(f"one of {len(matrices)} reduced systems is singular and has no derivative; check the "
                          "parameter range") from None


def explicit_derivative(theta: Theta, mu: np.ndarray, functionals: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(dl / d mu_j)^T x (o, p, b): what the outputs' own coefficients contribute, for l_q (Q, o, r) and x (r, b)."""
    return theta_jacobian(theta).contract(mu, functionals @ x).transpose(1, 0, 2)


def _galerkin(rom: AffineReducedModel, mu: np.ndarray) -> np.ndarray:
    jacobian = np.tensordot(rom.operator_theta(mu), rom.operator, 1)
    functionals = np.tensordot(rom.output_theta(mu), rom.output, 1)
    right = (rom.rhs_theta(mu) @ rom.rhs)[:, :, None]
    if rom.symmetric and functionals.shape[1] < mu.shape[1]:
        both = solved(jacobian, np.concatenate([right, functionals.transpose(0, 2, 1)], axis=2))
        x, adjoint = both[:, :, 0].T, both[:, :, 1:]
        implicit = np.einsum("bro,prb->opb", adjoint, _residual(rom, mu, x), optimize=True)
    else:
        x = solved(jacobian, right)[:, :, 0].T
        implicit = implicit_derivative(jacobian, functionals, _residual(rom, mu, x))
    return np.asarray(implicit + explicit_derivative(rom.output_theta, mu, rom.output, x))


def _residual(rom: AffineReducedModel | NonlinearReducedModel, mu: np.ndarray, x: np.ndarray) -> np.ndarray:
    """df - dA x (p, r, b)."""
    return (theta_jacobian(rom.rhs_theta).contract(mu, rom.rhs[:, :, None])
            - theta_jacobian(rom.operator_theta).contract(mu, rom.operator @ x))


def _least_squares(rom: AffineReducedModel, mu: np.ndarray) -> np.ndarray:
    """R dx = R^{-T} dB^T (g - B x) + Q^T (dg - dB x), where B = Q R = sum_q theta_q T_q."""
    Qf, Q, r = len(rom.rhs_theta), len(rom.operator_theta), rom.size
    g_terms = rom.factor[:, :Qf].T
    B_terms = np.ascontiguousarray(rom.factor[:, Qf:].reshape(-1, r, Q).transpose(2, 0, 1))
    B, g = np.tensordot(rom.operator_theta(mu), B_terms, 1), rom.rhs_theta(mu) @ g_terms
    orthonormal, triangle = np.linalg.qr(B)
    x = solved(triangle, np.einsum("bmr,bm->br", orthonormal, g)[:, :, None])[:, :, 0]
    rest = g - np.einsum("bmr,br->bm", B, x)
    by_rhs, by_operator = theta_jacobian(rom.rhs_theta), theta_jacobian(rom.operator_theta)
    inside = by_rhs.contract(mu, g_terms[:, :, None]) - by_operator.contract(mu, B_terms @ x.T)
    outside = by_operator.contract(mu, B_terms.transpose(0, 2, 1) @ rest.T)
    columns = (solved(triangle.transpose(0, 2, 1), outside.transpose(2, 1, 0))
               + orthonormal.transpose(0, 2, 1) @ inside.transpose(2, 1, 0))
    functionals = np.tensordot(rom.output_theta(mu), rom.output, 1)
    implicit = np.moveaxis(functionals @ solved(triangle, columns), 0, 2)
    return np.asarray(implicit + explicit_derivative(rom.output_theta, mu, rom.output, x.T))
