"""Random designs for weighted least squares: projection determinantal, volume-rescaled and independent draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, shown
from romflow.parameters.polynomials.basis import PolynomialBasis
from romflow.parameters.polynomials.marginals import Marginal
from romflow.parameters.polynomials.square_draws import SquareDraws

__all__ = ["DESIGNS", "conditioned", "gram", "optimal_germs"]

Array = NDArray[np.float64]

DESIGNS = ("projection-dpp", "volume", "iid")

_TRIES, _AT_ONCE = 100, 10


def optimal_germs(basis: PolynomialBasis, marginals: Sequence[Marginal], n: int, rng: np.random.Generator,
                  design: str = "projection-dpp", repetitions: int = 1) -> Array:
    """Germs (repetitions, n, p) of independent designs of n points, for weights m / sum_j phi_j^2.

    Each point of each design has the density (1/m) sum_j phi_j^2 with regard to the parameters' distribution (Cohen and
    Migliorati, SMAI J. Comput. Math. 3, 2017), so that the weighted Gram matrix has the mean I. They differ in how the
    points repel each other: "iid": not at all; "projection-dpp": n / m determinantal draws of m points each, the last
    one thinned at random; "volume": one such draw and n - m independent points, which makes the weighted least-squares
    fit unbiased (Derezinski, Warmuth and Hsu 2022; Nouy and Michel 2025).

    Raises
    ------
    InputError
        Unknown design, or n < m.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.polynomials.basis import marginals_of, polynomial_basis
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> basis = polynomial_basis(space, 3)
    >>> optimal_germs(basis, marginals_of(space, 3), 8, np.random.default_rng(0)).shape
    (1, 8, 1)
    """
    m = basis.size
    if design not in DESIGNS:
        raise InputError(f"no optimal design is called {shown(design)}{nearest(design, DESIGNS)}")
    if n < m:
        raise InputError(f"a design of {n} points is asked for {m} polynomials; the rule is at least {m}: raise size, "
                         "or lower degree.")
    draws = SquareDraws(basis.degrees, marginals)
    if design == "iid":
        return _independent(draws, m, repetitions * n, rng).reshape(repetitions, n, -1)
    full = 1 if design == "volume" else -(-n // m)
    points = _determinantal(basis, draws, repetitions * full, rng).reshape(repetitions, full * m, -1)
    if design == "volume":
        more = _independent(draws, m, repetitions * (n - m), rng).reshape(repetitions, n - m, -1)
        return np.concatenate([points, more], axis=1)
    return _thinned(points, n, m, rng)


def gram(basis: PolynomialBasis, germs: Array) -> Array:
    """G = (1/n) sum_i w_i phi(x_i) phi(x_i)^T (m, m) with w = m / sum_j phi_j^2."""
    phi = basis.of_germs(germs)
    weighted = phi * np.sqrt(basis.size / np.sum(phi**2, axis=1))[:, None]
    return np.asarray(weighted.T @ weighted / len(germs))


def conditioned(basis: PolynomialBasis, marginals: Sequence[Marginal], n: int, rng: np.random.Generator,
                design: str = "projection-dpp", least: float = 0.5) -> Array:
    """Germs (n, p) of the first design, of at most a hundred, whose Gram matrix has no eigenvalue below `least`.

    Then the weighted fit loses at most a factor of 1 / least against the best one (Haberstich, Nouy and Perrin, Math.
    Comp. 91, 2022).

    Raises
    ------
    InputError
        None of a hundred designs is so good.
    """
    best = 0.0
    for _ in range(_TRIES // _AT_ONCE):
        for germs in optimal_germs(basis, marginals, n, rng, design, _AT_ONCE):
            smallest = float(np.linalg.eigvalsh(gram(basis, germs))[0])
            if smallest >= least:
                return np.asarray(germs)
            best = max(best, smallest)
    raise InputError(f"none of {_TRIES} designs of {n} points for {basis.size} polynomials has a Gram matrix without "
                     f"eigenvalues below {least:.2g} (best {best:.2g}); raise size, or lower degree.")


def _independent(draws: SquareDraws, m: int, count: int, rng: np.random.Generator) -> Array:
    """Points (count, p) of the density (1/m) sum_j phi_j^2: a polynomial at random, then a draw from its square."""
    return draws.of_one(rng.integers(m, size=count), rng)


def _determinantal(basis: PolynomialBasis, draws: SquareDraws, count: int, rng: np.random.Generator) -> Array:
    """Projection determinantal draws (count, m, p), all at once.

    The conditional density of the next point is the mean of the squares of any orthonormal basis of what the points so
    far leave of the space (Lavancier, Moller and Rubak 2015, algorithm 1): one of these at random, then a draw from its
    square. A reflection takes the new point's direction out of the basis. Cost O(m^3) a draw.
    """
    m = basis.size
    left = np.tile(np.eye(m), (count, 1, 1))
    found = []
    for taken in range(m):
        chosen = rng.integers(m - taken, size=count)
        x = draws.draw(left[np.arange(count), :, chosen], rng)
        found.append(x)
        left = _without(left, basis.of_germs(x))
    return np.stack(found, axis=1)


def _without(left: Array, phi: Array) -> Array:
    """An orthonormal basis of the part of span(left (r, m, s)) that is orthogonal to phi (r, m): (r, m, s - 1)."""
    v = np.einsum("rms,rm->rs", left, phi)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    v[:, 0] += np.where(v[:, 0] < 0.0, -1.0, 1.0)
    scale = 2.0 / np.sum(v**2, axis=1)
    turned = np.einsum("rms,rs->rm", left, v) * scale[:, None]
    return np.asarray(left[:, :, 1:] - turned[:, :, None] * v[:, None, 1:])


def _thinned(points: Array, n: int, m: int, rng: np.random.Generator) -> Array:
    """All full draws, and a random part of the last one."""
    last = n - n // m * m
    if not last:
        return points
    full = points[:, :n - last]
    order = np.argsort(rng.random((len(points), m)), axis=1)[:, :last]
    rest = np.take_along_axis(points[:, n - last:], order[:, :, None], axis=1)
    return np.concatenate([full, rest], axis=1)
