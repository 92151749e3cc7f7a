"""Rank-1 lattice rules: generating vectors by fast component-by-component construction, points, worst-case error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import shown

__all__ = ["admissible", "baker", "embedded", "lattice", "next_size", "points", "product_weights", "worst_case_error"]

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

#: The largest number of points of a rule.
MAX_POINTS = 2**26
# sum over h != 0 of exp(2 pi i h x) / h^(2 a) = factor * B_2a(x), with the Bernoulli polynomial B_2a.
_BERNOULLI = {1: (2.0 * math.pi**2, (1.0, -1.0, 1.0 / 6.0)),
              2: (-2.0 / 3.0 * math.pi**4, (1.0, -2.0, 1.0, 0.0, -1.0 / 30.0)),
              3: (4.0 / 45.0 * math.pi**6, (1.0, -3.0, 2.5, 0.0, -0.5, 0.0, 1.0 / 42.0))}


def lattice(n: int, p: int, weights: ArrayLike | None = None, *, smoothness: int = 1) -> Integers:
    """Generating vector z (p,) of a good n-point lattice rule in p dimensions, 1 <= z_j < n.

    Component by component: z_j minimises the worst-case error of the first j components, the others being kept (Sloan
    and Reztsov 2002). All candidates at once by fast Fourier transforms over the units modulo n, which are cyclic up to
    sign (Nuyens and Cools, Math. Comp. 75, 2006, for primes; J. Complexity 22, 2006, for powers of two). Cost
    O(p n log n), memory O(n). Among equals the smallest power of the generator is taken, so the answer is the same
    everywhere.

    Parameters
    ----------
    n : int
        Prime or a power of two, at most 2^26; see `next_size`.
    p : int
    weights : (p,), optional
        Product weights gamma_j > 0: how much the j-th input matters. ``product_weights(p)`` where not given.
    smoothness : {1, 2, 3}
        As for `worst_case_error`.

    Raises
    ------
    InputError, ShapeError
        n is neither, or the weights are not p positive numbers.

    Examples
    --------
    >>> lattice(13, 2)
    array([1, 5])
    """
    gamma, omega = _checked(n, p, weights, smoothness)
    if n < 3:
        return np.ones(p, dtype=np.int64)
    blocks = _blocks(n)
    return _construct(blocks, gamma, omega, lambda sums: sums.sum(axis=0))


def embedded(n: int, p: int, weights: ArrayLike | None = None, *, start: int | None = None,
             smoothness: int = 1) -> Integers:
    """Generating vector z (p,) that is good for n = 2^m points and for its first 2^l, start <= 2^l <= n, alike.

    Each component minimises the largest ratio, over the sizes 2^l, of its worst-case error to that of a rule made for
    this size alone (Cools, Kuo and Nuyens, SIAM J. Sci. Comput. 28, 2006, section 4). With ``points(..., nested=True)``
    it is a sequence: more points keep those that are there.

    Parameters
    ----------
    n : int
        A power of two.
    p, weights, smoothness
        As for `lattice`.
    start : int, optional
        Smallest size that counts, a power of two; 16 or n where not given.

    Raises
    ------
    InputError, ShapeError
        As for `lattice`.

    Examples
    --------
    >>> embedded(64, 3)[0]
    np.int64(1)
    """
    gamma, omega = _checked(n, p, weights, smoothness)
    start = min(16, n) if start is None else start
    if not (_power_of_two(n) and _power_of_two(start) and start <= n):
        raise InputError(f"a lattice sequence of n = {n} from start = {start} points; both are powers of two, and "
                         "start <= n.")
    if n < 4:
        return np.ones(p, dtype=np.int64)
    levels = range(max(2, start.bit_length() - 1), n.bit_length())
    best = np.array([_errors_by_size(2**level, gamma, omega) for level in levels])
    which = iter(range(p))

    def worst(sums: Array) -> Array:
        sizes = 2.0 ** np.array(levels)
        errors = np.cumsum(sums, axis=0)[list(levels)] / sizes[:, None]
        return np.asarray(np.max(errors / best[:, next(which)][:, None], axis=0))

    return _construct(_blocks(n), gamma, omega, worst)


def points(z: ArrayLike, n: int, start: int = 0, stop: int | None = None, shift: ArrayLike | None = None, *,
           nested: bool = False) -> Array:
    """Points start <= k < stop of the shifted rule, ``{k z / n + shift}`` (stop - start, p), each in [0, 1).

    Parameters
    ----------
    z : (p,) int
        Generating vector.
    n : int
    start, stop : int
        Which points; all where not given.
    shift : (p,), optional
        Added to each point, modulo 1. Uniform random numbers make the mean over the points unbiased.
    nested : bool
        In the order of the radical inverse (n a power of two): the first 2^l points are a lattice for every l.

    Raises
    ------
    InputError, ShapeError
        An index is not within 0 .. n, or z and shift do not fit.

    Examples
    --------
    >>> points([1, 2], 4, 1, 3)
    array([[0.25, 0.5 ],
           [0.5 , 0.  ]])
    """
    vector = np.asarray(z)
    if vector.ndim != 1 or vector.dtype.kind not in "iu":
        raise ShapeError(f"z has shape {vector.shape} and type {vector.dtype}; the rule is (p,) whole numbers.")
    stop = n if stop is None else stop
    if not 0 <= start <= stop <= n <= MAX_POINTS:
        raise InputError(f"points {start} to {stop} of {n} are asked for; the rule is 0 <= start <= stop <= n <= "
                         f"{MAX_POINTS}.")
    if nested and not _power_of_two(n):
        raise InputError(f"a nested lattice has n = {n} points; n must be a power of two.")
    k = np.arange(start, stop, dtype=np.int64)
    if nested:
        k = _reversed_bits(k, n.bit_length() - 1)
    unit: Array = (k[:, None] * np.mod(vector.astype(np.int64), n) % n) / n
    if shift is None:
        return unit
    moved = np.asarray(shift, dtype=np.float64)
    if moved.shape != vector.shape or not np.isfinite(moved).all():
        raise ShapeError(f"shift has shape {moved.shape}; the rule is {vector.shape} finite numbers.")
    unit += np.mod(moved, 1.0)
    unit[unit >= 1.0] -= 1.0
    return unit


def baker(unit: ArrayLike) -> Array:
    """Baker's transform 1 - |2 u - 1|: with it a randomly shifted lattice converges like n^-2 for smooth integrands.

    Hickernell (2002): the folded integrand is periodic, so that its Fourier coefficients fall as fast as its second
    derivatives allow, not its jumps at the boundary.

    Examples
    --------
    >>> baker([0.0, 0.25, 0.75, 1.0])
    array([0. , 0.5, 0.5, 0. ])
    """
    return np.asarray(1.0 - np.abs(2.0 * np.asarray(unit, dtype=np.float64) - 1.0))


def product_weights(p: int, decay: float = 2.0, scale: float = 1.0) -> Array:
    """gamma_j = scale j^-decay (p,): inputs that matter less and less; decay = 0 for inputs that matter alike.

    Raises
    ------
    InputError
        p < 1, decay < 0 or scale <= 0.

    Examples
    --------
    >>> product_weights(3)
    array([1.        , 0.25      , 0.11111111])
    """
    if p < 1 or not (0.0 <= decay < np.inf) or not (0.0 < scale < np.inf):
        raise InputError(f"weights of p = {p} inputs with decay = {shown(decay)}, scale = {shown(scale)}; the rule is "
                         "p >= 1, decay >= 0, scale > 0.")
    return np.asarray(scale * np.arange(1.0, p + 1.0) ** -decay)


def worst_case_error(z: ArrayLike, n: int, weights: ArrayLike | None = None, *, smoothness: int = 1) -> float:
    """Root of e^2(z) = (1 / n) sum_k prod_j (1 + gamma_j omega({k z_j / n})) - 1.

    With smoothness 1, omega = B_2: the root mean square over random shifts of the worst-case error in the weighted
    unanchored Sobolev space (Dick, Kuo and Sloan, Acta Numerica 22, 2013, section 5). With smoothness a = 2, 3,
    omega(x) = sum_{h != 0} exp(2 pi i h x) / |h|^2a: the worst-case error in the weighted Korobov space, which is right
    for periodic integrands and with `baker`.

    Examples
    --------
    >>> round(worst_case_error([1], 5, [1.0]), 10) == round((1 / 6) ** 0.5 / 5, 10)
    True
    """
    vector = np.asarray(z, dtype=np.int64)
    gamma, omega = _checked(n, vector.size, weights, smoothness, any_size=True)
    k = np.arange(n, dtype=np.int64)
    excess = np.zeros(n)
    for component, weight in zip(vector, gamma, strict=True):
        excess = _grown(excess, weight * omega((k * (component % n) % n) / n))
    return float(np.sqrt(max(float(np.mean(excess)), 0.0)))


def admissible(n: int) -> bool:
    """Whether `lattice` makes a rule of n points: n is prime or a power of two.

    Examples
    --------
    >>> [n for n in range(1, 12) if admissible(n)]
    [1, 2, 3, 4, 5, 7, 8, 11]
    """
    return _power_of_two(n) or _factors(n) == [n]


def next_size(n: int) -> int:
    """The smallest number of points from n on for which there is a rule.

    Examples
    --------
    >>> next_size(500), next_size(510)
    (503, 512)
    """
    while not admissible(n):
        n += 1
    return n


# --- construction -----------------------------------------------------------------------------------------------------

# Points of lattices of one size that are units up to sign: the size, powers of the generator, points for each of these.
_Block = tuple[int, Integers, int]
# Sums (blocks, candidates) of the excess -> what to minimise (candidates,).
_Merit = Callable[[Array], Array]


def _blocks(n: int) -> list[_Block]:
    """The points of a rule by the size of their lattice: [(size, powers of the generator modulo size, weight)]."""
    if not _power_of_two(n):
        return [(1, np.zeros(1, dtype=np.int64), 1), (n, _powers(_primitive_root(n), n, (n - 1) // 2), 2)]
    blocks = [(1, np.zeros(1, dtype=np.int64), 1), (2, np.ones(1, dtype=np.int64), 1)]
    return blocks + [(2**level, _powers(5, 2**level, 2 ** (level - 2)), 2) for level in range(2, n.bit_length())]


def _construct(blocks: Sequence[_Block], gamma: Array, omega: _Kernel, merit: _Merit) -> Integers:
    """Component by component; `merit` (candidates,) of the sums (blocks, candidates) of the excess is minimised."""
    size, powers, _ = blocks[-1]
    values = [omega(group / order) for order, group, _ in blocks]
    transforms = [fft.rfft(v) for v in values]
    excess = [np.zeros(len(group)) for _, group, _ in blocks]
    chosen = np.empty(len(gamma), dtype=np.int64)
    for j, weight in enumerate(gamma):
        sums = np.array([_candidates(e, v, t, weight, count, len(powers))
                         for e, v, t, (_, _, count) in zip(excess, values, transforms, blocks, strict=True)])
        scores = merit(sums)
        best = int(np.argmax(scores <= scores.min() + 1e-14 * max(1.0, abs(scores.min()))))
        chosen[j] = min(powers[best], size - powers[best])
        # A point g^b of a block times z = g^a is g^(a + b): the values, rolled.
        excess = [_grown(e, weight * np.roll(v, -best % len(v))) for e, v in zip(excess, values, strict=True)]
    return chosen


def _candidates(excess: Array, values: Array, transform: NDArray[np.complex128], weight: float, count: int,
                total: int) -> Array:
    """Sum over a block of the new excess for each candidate (total,): a circular correlation."""
    length = len(values)
    cross = fft.irfft(np.conj(fft.rfft(1.0 + excess)) * transform, n=length)
    return np.asarray(np.tile(count * (excess.sum() + weight * cross), total // length))


def _errors_by_size(n: int, gamma: Array, omega: _Kernel) -> Array:
    """Squared worst-case errors (p,) of the first 1, 2 .. p components of the rule made for n alone."""
    found: list[float] = []

    def merit(sums: Array) -> Array:
        total: Array = sums.sum(axis=0)
        found.append(max(float(total.min()) / n, 1e-300))
        return total

    _construct(_blocks(n), gamma, omega, merit)
    return np.array(found)


def _grown(excess: Array, term: Array) -> Array:
    """prod (1 + t) - 1 with one more factor, without the loss of the small difference."""
    return excess * (1.0 + term) + term


class _Kernel:
    """omega of a smoothness, for x in [0, 1)."""

    def __init__(self, smoothness: int) -> None:
        factor, self._coefficients = _BERNOULLI[smoothness]
        self._factor = 1.0 if smoothness == 1 else factor

    def __call__(self, x: Array) -> Array:
        return np.asarray(self._factor * np.polyval(self._coefficients, x))


# --- whole numbers ----------------------------------------------------------------------------------------------------


def _checked(n: int, p: int, weights: ArrayLike | None, smoothness: int,
             any_size: bool = False) -> tuple[Array, _Kernel]:
    for name, value in (("n", n), ("p", p)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"a lattice has {name} = {shown(value)}; {name} must be a whole number from 1.")
    if n > MAX_POINTS:
        raise InputError(f"a lattice has n = {n} points; at most {MAX_POINTS} are made.")
    if not any_size and not admissible(n):
        raise InputError(f"a lattice has n = {n} points; n must be prime or a power of two, such as {next_size(n)}.")
    if smoothness not in _BERNOULLI:
        raise InputError(f"smoothness = {shown(smoothness)} is none of {', '.join(map(str, _BERNOULLI))}.")
    gamma = product_weights(p) if weights is None else np.asarray(weights, dtype=np.float64)
    if gamma.shape != (p,):
        raise ShapeError(f"weights have shape {gamma.shape}; the rule is one for each of the {p} inputs.")
    if not (np.isfinite(gamma).all() and (gamma > 0.0).all()):
        raise InputError(f"weights {shown(gamma.tolist())} are not all positive and finite; give such numbers.")
    return gamma, _Kernel(smoothness)


def _power_of_two(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


def _factors(n: int) -> list[int]:
    """Prime factors, each once."""
    found, d = [], 2
    while d * d <= n:
        if n % d == 0:
            found.append(d)
            while n % d == 0:
                n //= d
        d += 1
    return found + [n] * (n > 1)


def _primitive_root(n: int) -> int:
    parts = _factors(n - 1)
    return next(g for g in range(2, n + 1) if all(pow(g, (n - 1) // q, n) != 1 for q in parts))


def _powers(g: int, n: int, count: int) -> Integers:
    """g^0 .. g^(count - 1) modulo n."""
    found = np.ones(1, dtype=np.int64)
    while len(found) < count:
        found = np.concatenate([found, found * pow(g, len(found), n) % n])
    return found[:count]


def _reversed_bits(k: Integers, bits: int) -> Integers:
    found = np.zeros_like(k)
    for bit in range(bits):
        found |= (k >> bit & 1) << (bits - 1 - bit)
    return found
