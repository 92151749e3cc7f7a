"""Points of the unit cube for random inputs: any block of them at any time, the same ones every time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.lattice_rule import baker, embedded, lattice, points, product_weights

__all__ = ["KINDS", "Draws"]

Array = NDArray[np.float64]

KINDS = ("monte-carlo", "sobol", "latin-hypercube", "lattice")
MAX_SIZE = 10**10
# Points of a Sobol' sequence are made in chunks of this many; a power of two, for the sequence to be balanced.
_CHUNK = 1 << 14
# Largest number of bytes that the permutations of one Latin hypercube may take.
_PERMUTATIONS = 4 * 10**8
# Up to this many points the lattice is good for each power of two of its first points.
_NESTED = 1 << 14


class Draws:
    """`size` points of (0, 1)^p, or a few more, in independent repetitions; `block` makes any of them.

    "monte-carlo"
        Independent points, one repetition; Philox counters (Salmon et al. 2011), so that any point can be made alone.
    "sobol"
        Scrambled Sobol' points (`scipy.stats.qmc`), a power of two of them in each repetition.
    "latin-hypercube"
        A Latin hypercube for each repetition.
    "lattice"
        A rank-1 lattice folded by baker's transform, shifted at random in each repetition, a power of two of points.

    The repetitions of all but Monte Carlo differ in their randomisation alone and are independent of each other: how
    much their means differ says how good they are.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    size : int
        Number of points wanted, of all repetitions together; at least 2 for each.
    p : int
        Dimension.
    seed : int
    repetitions : int
        Of everything but Monte Carlo; 2 or more, for there is no error bar otherwise.
    stream : int
        Points of different streams are independent.
    weights : (p,), optional
        Of the lattice: how much each input matters; 1 / j for the j-th where not given.

    Attributes
    ----------
    repetitions : int
    each : int
        Number of points of a repetition.
    size : int
        repetitions * each.

    Raises
    ------
    InputError, ShapeError
        An argument breaks its rule.

    Examples
    --------
    >>> draws = Draws("sobol", 60, 2, repetitions=4)
    >>> draws.each, draws.size
    (16, 64)
    >>> bool((draws.block(1, 0, 16)[4:9] == draws.block(1, 4, 9)).all())
    True
    """

    def __init__(self, kind: str, size: int, p: int, seed: int = 0, repetitions: int = 16, *, stream: int = 0,
                 weights: Sequence[float] | None = None) -> None:
        if kind not in KINDS:
            raise InputError(f"no kind of draws is called {shown(kind)}{nearest(str(kind), KINDS)}")
        self.kind, self.p = kind, _whole("the dimension p", p, 1, qmc.Sobol.MAXDIM)
        self.seed, self._stream = _whole("the seed of draws", seed, 0, 2**63 - 1), _whole("stream", stream, 0, 2**31)
        wanted = _whole("the number of draws", size, 1, MAX_SIZE)
        self.repetitions = 1 if kind == "monte-carlo" else _whole("repetitions", repetitions, 2, 1000)
        self.each = max(1 if self.repetitions == 1 else 2, -(-wanted // self.repetitions))
        if kind in ("sobol", "lattice"):
            self.each = 1 << (self.each - 1).bit_length()
        self.size = self.each * self.repetitions
        self._points = _POINTS[kind](self.each, self.p, weights)
        self._current = -1

    @property
    def independent(self) -> bool:
        """Whether the points of a repetition are independent of each other."""
        return self.kind == "monte-carlo"

    def block(self, repetition: int, start: int, stop: int) -> Array:
        """Points start <= k < stop of a repetition (stop - start, p), in [0, 1].

        Raises
        ------
        InputError
            There is no such repetition or point.
        """
        if not 0 <= repetition < self.repetitions:
            raise InputError(f"repetition {shown(repetition)} of draws is asked for; there are {self.repetitions}, "
                             "counted from 0.")
        if not 0 <= start <= stop <= self.each:
            raise InputError(f"points {start} to {stop} of a repetition are asked for; it has {self.each} points.")
        if repetition != self._current:
            self._points.begin(np.random.SeedSequence(self.seed, spawn_key=(self._stream, repetition)))
            self._current = repetition
        return self._points.block(start, stop)


class _Points(Protocol):
    """Points of one repetition at a time."""

    def __init__(self, each: int, p: int, weights: Sequence[float] | None) -> None: ...

    def begin(self, seed: np.random.SeedSequence) -> None: ...

    def block(self, start: int, stop: int) -> Array: ...


def _uniform(seed: np.random.SeedSequence, p: int, start: int, stop: int) -> Array:
    """Rows of independent uniform numbers: a counter of Philox gives four numbers."""
    source = np.random.Philox(seed)
    source.advance(start * p // 4)
    ahead = start * p % 4
    values = np.random.Generator(source).random(ahead + (stop - start) * p)
    return values[ahead:].reshape(-1, p)


class _MonteCarlo:
    def __init__(self, each: int, p: int, weights: Sequence[float] | None) -> None:
        del each, weights
        self._p = p

    def begin(self, seed: np.random.SeedSequence) -> None:
        self._seed = seed

    def block(self, start: int, stop: int) -> Array:
        return _uniform(self._seed, self._p, start, stop)


class _Sobol:
    """The sequence is read forwards; a block before the last chunk starts it anew."""

    def __init__(self, each: int, p: int, weights: Sequence[float] | None) -> None:
        del weights
        self._p, self._chunk = p, min(each, _CHUNK)

    def begin(self, seed: np.random.SeedSequence) -> None:
        # SciPy spawns from the seed it is given, which changes it.
        fresh = np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
        self._seed, self._index, self._values = seed, -1, np.empty((0, self._p))
        self._sequence = qmc.Sobol(self._p, scramble=True, bits=52, rng=np.random.default_rng(fresh))

    def block(self, start: int, stop: int) -> Array:
        chunks = range(start // self._chunk, -(-stop // self._chunk))
        parts = [self._take(chunk)[max(0, start - chunk * self._chunk):stop - chunk * self._chunk] for chunk in chunks]
        return np.concatenate(parts) if parts else np.empty((0, self._p))

    def _take(self, chunk: int) -> Array:
        if chunk < self._index:
            self.begin(self._seed)
        while self._index < chunk:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._values = np.asarray(self._sequence.random(self._chunk))
            self._index += 1
        return self._values


class _LatinHypercube:
    def __init__(self, each: int, p: int, weights: Sequence[float] | None) -> None:
        del weights
        if 4 * each * p > _PERMUTATIONS:
            raise InputError(f"a Latin hypercube of {each} points in {p} dimensions keeps {4e-9 * each * p:.2g} GB of "
                             "permutations; ask for more repetitions, or for \"sobol\" or \"monte-carlo\".")
        self._each, self._p = each, p

    def begin(self, seed: np.random.SeedSequence) -> None:
        key = seed.spawn_key
        self._places = np.random.SeedSequence(seed.entropy, spawn_key=(*key, 0))
        rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*key, 1)))
        order = np.arange(self._each, dtype=np.uint32)
        self._parts = np.stack([rng.permutation(order) for _ in range(self._p)], axis=1)

    def block(self, start: int, stop: int) -> Array:
        return np.asarray((self._parts[start:stop] + _uniform(self._places, self._p, start, stop)) / self._each)


class _Lattice:
    def __init__(self, each: int, p: int, weights: Sequence[float] | None) -> None:
        gamma = product_weights(p, 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
        if gamma.shape != (p,):
            raise ShapeError(f"weights have shape {gamma.shape}; the rule is one for each of the {p} inputs.")
        self._each, self._p = each, p
        make = embedded if 16 <= each <= _NESTED else lattice
        self._vector = make(each, p, gamma)

    def begin(self, seed: np.random.SeedSequence) -> None:
        self._shift = np.random.default_rng(seed).random(self._p)

    def block(self, start: int, stop: int) -> Array:
        return baker(points(self._vector, self._each, start, stop, self._shift, nested=True))


_POINTS: dict[str, type[_Points]] = {"monte-carlo": _MonteCarlo, "sobol": _Sobol, "latin-hypercube": _LatinHypercube,
                                     "lattice": _Lattice}


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise InputError(f"{name} = {shown(value)} is not a whole number from {least} to {most}.")
    return int(value)
