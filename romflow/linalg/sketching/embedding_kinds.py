"""The four kinds of random embeddings; `romflow.linalg.sketching.embeddings.embedding` makes them by name.

Every column of an embedding is a function of (seed, row index) alone: columns are drawn by aligned panels of rows, each
panel with a generator of its own. Whoever holds some of the rows can therefore sketch them alone, in any chunking.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError

NONZEROS = 8
_KEPT_PANELS = 4
_WIDE = 1 << 14

Local = slice | np.ndarray


class Embedding:
    """A random map Theta (s, n) with E[Theta^T Theta] = I, applied to whole arrays or to blocks of their rows.

    Parameters
    ----------
    rows : int
        s, the size of a sketch.
    n : int
        Rows of what is sketched.
    seed : int

    Attributes
    ----------
    kind : str
    rows, n, seed : int

    Raises
    ------
    InputError
        `rows` or `n` below 1, or a negative seed.

    Examples
    --------
    >>> import numpy as np
    >>> theta = CountSketch(rows=50, n=1000, seed=1)
    >>> theta.apply(np.ones((1000, 3))).shape
    (50, 3)
    """

    kind = ""
    panel = 1 << 15
    _tag = 0

    def __init__(self, rows: int, n: int, seed: int = 0) -> None:
        self.rows, self.n, self.seed = _whole("rows", rows, 1), _whole("n", n, 1), _whole("seed", seed, 0)
        self._drawn: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rows={self.rows}, n={self.n}, seed={self.seed})"

    def apply(self, U: np.ndarray) -> np.ndarray:
        """Theta U.

        Parameters
        ----------
        U : (n, j) or (n,)

        Returns
        -------
        (s, j) or (s,)

        Raises
        ------
        ShapeError, InputError
            U has not n rows; U has entries that are not finite.
        """
        U = _numbers(U)
        if U.shape[0] != self.n:
            raise ShapeError(f"the {self.kind} embedding is for arrays of {self.n} rows; this one has shape {U.shape}; "
                             "make the embedding with n = the number of rows, or use apply_rows for a part of them")
        return self.apply_rows(U, 0)

    def apply_rows(self, U: np.ndarray, start: int) -> np.ndarray:
        """What rows start .. start + m of an array add to its sketch; the parts of all rows sum up to `apply`.

        Parameters
        ----------
        U : (m, j) or (m,)
            The rows, in C or Fortran order.
        start : int

        Returns
        -------
        (s, j) or (s,)

        Raises
        ------
        ShapeError, InputError
            The rows go beyond n, or are not finite.
        """
        U = _numbers(U)
        if start < 0 or start + U.shape[0] > self.n:
            raise ShapeError(f"rows {start} to {start + U.shape[0]} were given to an embedding of {self.n} rows; "
                             "the rule is 0 <= start and start + len(U) <= n")
        return self._sum(U, _contiguous(start, start + U.shape[0], self.panel))

    def apply_at(self, U: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """What the rows with these indices add to the sketch: for subdomains, whose rows are not neighbours.

        Parameters
        ----------
        U : (m, j) or (m,)
        indices : (m,) int
            Row i of U is row indices[i] of the whole; each in 0 .. n - 1.

        Returns
        -------
        (s, j) or (s,)

        Raises
        ------
        ShapeError, InputError
            As many indices as rows are needed, within n; U must be finite.
        """
        U, indices = _numbers(U), np.asarray(indices)
        if indices.shape != U.shape[:1] or indices.dtype.kind not in "iu":
            raise ShapeError(f"{U.shape[0]} rows came with indices of shape {indices.shape} ({indices.dtype}); "
                             "give one whole number for each row")
        if indices.size and not (0 <= indices.min() and indices.max() < self.n):
            raise ShapeError(f"row indices {indices.min()} to {indices.max()} were given to an embedding of "
                             f"{self.n} rows; the rule is 0 <= index < n")
        order = np.argsort(indices, kind="stable")
        return self._sum(U[order], _scattered(indices[order].astype(np.int64), self.panel))

    def _sum(self, U: np.ndarray, pieces: Iterator[tuple[int, Local, slice]]) -> np.ndarray:
        V = U[:, None] if U.ndim == 1 else U
        S = np.zeros((self.rows, V.shape[1]))
        # Non-finite rows are found in the small result, which spares a pass over the large array.
        with np.errstate(invalid="ignore", over="ignore"):
            for panel, local, part in pieces:
                S += self._panel_product(panel, local, V[part])
        if not np.isfinite(S).all():
            raise InputError("the array to sketch has entries that are not finite (NaN, infinity or an overflow); "
                             "check the solves that made it")
        return S[:, 0] if U.ndim == 1 else S

    def _panel_product(self, panel: int, local: Local, U: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _generator(self, panel: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self._tag, panel))
        return np.random.Generator(np.random.Philox(sequence))

    def _length(self, panel: int) -> int:
        return min(self.panel, self.n - panel * self.panel)

    def _known(self, panel: int) -> Any:
        """The panel's random numbers; the last few are kept, which covers repeated use on arrays of 1e5 rows."""
        found = self._drawn.get(panel)
        if found is None:
            found = self._draw(panel)
            if len(self._drawn) >= _KEPT_PANELS:
                self._drawn = {}
            self._drawn = self._drawn | {panel: found}
        return found

    def _draw(self, panel: int) -> Any:
        raise NotImplementedError


class Gaussian(Embedding):
    """Independent N(0, 1/s) entries; the only kind whose guarantees hold with exact constants. Cost: 2 s n j flops."""

    kind = "gaussian"
    panel = 1 << 8
    _tag = 1

    def _draw(self, panel: int) -> np.ndarray:
        return self._generator(panel).standard_normal((self._length(panel), self.rows)) / np.sqrt(self.rows)

    def _panel_product(self, panel: int, local: Local, U: np.ndarray) -> np.ndarray:
        return self._known(panel)[local].T @ U


class SparseSign(Embedding):
    """Eight entries +-1/sqrt(8) a column, one in each of eight bands of rows. Cost: 16 n j flops.

    The block construction of Kane and Nelson (2014); the bands make the rows of a column distinct without a search.
    """

    kind = "sparse-sign"
    nonzeros = NONZEROS
    _tag = 2

    def __init__(self, rows: int, n: int, seed: int = 0) -> None:
        super().__init__(rows, n, seed)
        self._bands = np.linspace(0, self.rows, min(self.nonzeros, self.rows) + 1).astype(np.int64)

    def _draw(self, panel: int) -> sp.csc_array:
        random, length = self._generator(panel), self._length(panel)
        width, count = np.diff(self._bands), self._bands.size - 1
        place = (random.random((length, count), dtype=np.float32) * width).astype(np.int32)
        place = np.minimum(place, width - 1).astype(np.int32) + self._bands[:-1].astype(np.int32)
        sign = random.integers(0, 2, (length, count), dtype=np.int8) * (2.0 / np.sqrt(count)) - 1.0 / np.sqrt(count)
        indptr = np.arange(0, length * count + 1, count, dtype=np.int32)
        return sp.csc_array((sign.ravel(), place.ravel(), indptr), shape=(self.rows, length))

    def _panel_product(self, panel: int, local: Local, U: np.ndarray) -> np.ndarray:
        columns = self._known(panel)
        if not (isinstance(local, slice) and local == slice(0, columns.shape[1])):
            columns = columns[:, local]
        if self.nonzeros > 1 or U.flags.c_contiguous or U.shape[0] < _WIDE:
            return columns @ U
        # With one entry a column the copy to C order would cost more than the sketch: columns are read in place.
        return np.stack([columns @ U[:, j] for j in range(U.shape[1])], axis=1)


class CountSketch(SparseSign):
    """One entry +-1 a column: the sketch costs one pass over the array, 2 n j flops."""

    kind = "countsketch"
    nonzeros = 1
    _tag = 3


class Srht(Embedding):
    """sqrt(N/s) times s rows, drawn without repetition, of the Walsh-Hadamard transform of n rows padded to N = 2^p.

    Entry (i, j) is (-1)^popcount(i & j) d_j / sqrt(s) with random signs d. As H_N = H_{N/b} (x) H_b, a panel of b rows
    needs its own transform, a gather and a sign for each row i: log2(b) n j flops, as two small dense products.

    Raises
    ------
    InputError
        More rows than n.
    """

    kind = "srht"
    _tag = 4

    def __init__(self, rows: int, n: int, seed: int = 0) -> None:
        super().__init__(rows, n, seed)
        if self.rows > self.n:
            raise InputError(f"an srht embedding draws {self.rows} different rows of a transform of {self.n}; the rule "
                             "is rows <= n: take fewer rows, or the kind 'sparse-sign'")
        bits = max(self.n - 1, 1).bit_length()
        self.panel = 1 << min(bits, 12)
        random = self._generator(-1 % (1 << 32))
        sampled = random.choice(1 << bits, self.rows, replace=False, shuffle=False)
        self._high, self._low = np.divmod(np.sort(sampled).astype(np.int64), self.panel)
        left = self.panel.bit_length() // 2
        self._left, self._right = _hadamard(left), _hadamard(self.panel.bit_length() - 1 - left)

    def _draw(self, panel: int) -> np.ndarray:
        return self._generator(panel).integers(0, 2, self.panel, dtype=np.int8) * 2.0 - 1.0

    def _panel_product(self, panel: int, local: Local, U: np.ndarray) -> np.ndarray:
        parity = np.where(np.bitwise_count(self._high & panel) % 2, -1.0, 1.0) / np.sqrt(self.rows)
        signed = U * self._known(panel)[local][:, None]
        if U.shape[0] * 16 < self.panel:
            columns = np.arange(self.panel)[local]
            return parity[:, None] * (_signs(self._low[:, None] & columns) @ signed)
        if U.shape[0] < self.panel:
            padded = np.zeros((self.panel, U.shape[1]))
            padded[local] = signed
            signed = padded
        return parity[:, None] * self._transform(signed)[self._low]

    def _transform(self, U: np.ndarray) -> np.ndarray:
        p, q, j = self._left.shape[0], self._right.shape[0], U.shape[1]
        half = self._left @ np.ascontiguousarray(U).reshape(p, q * j)
        return np.matmul(self._right, half.reshape(p, q, j)).reshape(p * q, j)


KINDS: dict[str, type[Embedding]] = {kind.kind: kind for kind in (Gaussian, Srht, SparseSign, CountSketch)}


def _hadamard(bits: int) -> np.ndarray:
    index = np.arange(1 << bits)
    return _signs(index[:, None] & index)


def _signs(index: np.ndarray) -> np.ndarray:
    return 1.0 - 2.0 * (np.bitwise_count(index) % 2)


def _whole(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"an embedding got {name} = {value!r}; the rule is a whole number of at least {least}")
    return int(value)


def _numbers(U: np.ndarray) -> np.ndarray:
    if np.iscomplexobj(U):
        raise InputError("an embedding acts on arrays of real numbers; got complex ones: sketch both parts on their "
                         "own")
    try:
        U = np.asarray(U, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"an embedding acts on arrays of real numbers; got {type(U).__name__}") from None
    if U.ndim not in (1, 2):
        raise ShapeError(f"an embedding acts on (n, j) or (n,) arrays; this one has shape {U.shape}")
    return U


def _contiguous(start: int, stop: int, panel: int) -> Iterator[tuple[int, Local, slice]]:
    for number in range(start // panel, -(-stop // panel)):
        first, last = max(start, number * panel), min(stop, (number + 1) * panel)
        yield number, slice(first - number * panel, last - number * panel), slice(first - start, last - start)


def _scattered(indices: np.ndarray, panel: int) -> Iterator[tuple[int, Local, slice]]:
    numbers, starts = np.unique(indices // panel, return_index=True)
    for number, first, last in zip(numbers, starts, np.append(starts[1:], indices.size), strict=True):
        yield int(number), indices[first:last] - number * panel, slice(first, last)
