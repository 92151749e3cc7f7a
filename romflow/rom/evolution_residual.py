"""Dual norms of the residuals of whole reduced trajectories, in a batch of parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["residual_squares"]

# Numbers of the matrices of a few parameters that are made at once: they stay in the second-level cache.
_CHUNK_NUMBERS = 300_000


def residual_squares(model: Any, system: Any, times: np.ndarray, X: np.ndarray, D: np.ndarray) -> np.ndarray:
    """||f - N(V x) - A V x - M V d||_{X'}^2 (K, b) of reduced states X (K, r, b) with derivatives D (K, r, b).

    With the factor T of the whitened columns [f_q, U', M v_1, A_1 v_1 .. A_Q v_1, M v_2, ..] it is the square of
    ||T c|| (Buhr, Engwer, Ohlberger and Rave 2014): accurate to rounding times ||f||, not to its root. Where A does not
    move, T_A(mu) = sum_q theta_q T_q is made once a parameter: 2 m r (Q + 2 K) operations each.

    Parameters
    ----------
    model : EvolutionReducedModel
    system : ReducedSystem
        Of the b parameters.
    times : (K,)
    X, D : (K, r, b)
        At these times.
    """
    if model.nonlinear is None and not model.moving:
        return _steady(model, system, times, X, D)
    return _general(model, system, times, X, D)


def _steady(model: Any, system: Any, times: np.ndarray, X: np.ndarray, D: np.ndarray) -> np.ndarray:
    K, r, b = X.shape
    TM, TQ = model.residual_terms
    m = model.factor.shape[0]
    theta = system.theta_a(0.0)
    F = model.factor[:, :len(model.rhs_theta)]
    loads = [system.theta_f(float(t)) @ F.T for t in (times if model.loaded else times[:1])]
    load = np.stack(loads, axis=1)
    chunk = max(1, min(b, _CHUNK_NUMBERS // max(1, 2 * r * m)))
    W = np.empty((chunk, 2 * r, m))
    W[:, :r] = TM
    squares = np.empty((K, b))
    for start in range(0, b, chunk):
        part = slice(start, min(start + chunk, b))
        count = part.stop - start
        Z = np.empty((count, K, 2 * r))
        Z[:, :, :r] = D[:, :, part].transpose(2, 0, 1)
        Z[:, :, r:] = X[:, :, part].transpose(2, 0, 1)
        W[:count, r:] = (theta[part] @ TQ).reshape(count, r, m)
        Y = Z @ W[:count]
        Y -= load[part]
        squares[:, part] = np.einsum("bkm,bkm->kb", Y, Y)
    return squares


def _general(model: Any, system: Any, times: np.ndarray, X: np.ndarray, D: np.ndarray) -> np.ndarray:
    K, r, b = X.shape
    Qf, Q, extra = len(model.rhs_theta), len(model.operator_theta), model.collateral
    width = Qf + extra + r * (Q + 1)
    squares = np.empty((K, b))
    N = model.nonlinear.coefficients_along(X, system.mu, times) if extra else None
    count = max(1, _CHUNK_NUMBERS // max(1, b * width))
    for start in range(0, K, count):
        part = slice(start, min(start + count, K))
        c = np.empty((part.stop - start, b, width))
        linear = c[:, :, Qf + extra:].reshape(part.stop - start, b, r, Q + 1)
        c[:, :, :Qf] = [system.theta_f(t) for t in times[part].tolist()]
        if N is not None:
            c[:, :, Qf:Qf + extra] = -N[part].transpose(0, 2, 1)
        linear[:, :, :, 0] = -D[part].transpose(0, 2, 1)
        theta = np.array([system.theta_a(t) for t in times[part].tolist()])
        np.multiply(-X[part].transpose(0, 2, 1)[:, :, :, None], theta[:, :, None, :], out=linear[:, :, :, 1:])
        y = c.reshape(-1, width) @ model.factor.T
        squares[part] = np.einsum("jm,jm->j", y, y).reshape(-1, b)
    return squares
