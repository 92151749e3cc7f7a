"""Coordinated sampling of rows: workers that share only a seed estimate A^T B from small samples of their operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.core.names import nearest

METHODS = ("priority", "threshold")
# Constants of the splitmix64 generator (Steele, Lea and Flood 2014).
_GOLDEN, _FIRST, _SECOND = (np.uint64(value) for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_ARRAYS = ("indices", "probability", "indptr", "columns", "values", "facts")


@dataclass(frozen=True)
class RowSample:
    """Rows of an operand (n, d) kept by coordinated sampling, with the probability with which each was kept.

    Attributes
    ----------
    indices : (m,) int
        Rows kept, increasing.
    values : sparse (m, d)
    probability : (m,)
        min(1, threshold ||row||^2).
    n, seed : int
    method : {"priority", "threshold"}

    Examples
    --------
    >>> import numpy as np
    >>> sample = coordinated_sketch(np.eye(5), rows=2, seed=3)
    >>> bool((RowSample.from_arrays(sample.to_arrays()).indices == sample.indices).all())
    True
    """

    indices: np.ndarray
    values: sp.csr_array
    probability: np.ndarray
    n: int
    seed: int
    method: str

    @property
    def nbytes(self) -> int:
        """Bytes of the sample as it is sent."""
        return sum(array.nbytes for array in self.to_arrays().values())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The sample as plain arrays, e.g. for ``np.savez`` or a message."""
        facts = np.array([self.n, self.values.shape[1], self.seed, METHODS.index(self.method)], dtype=np.int64)
        narrow = np.int32 if max(self.n, self.values.nnz, self.values.shape[1]) < 2**31 else np.int64
        indices, indptr, columns = (part.astype(narrow) for part in (self.indices, self.values.indptr,
                                                                     self.values.indices))
        return dict(zip(_ARRAYS, (indices, self.probability, indptr, columns, self.values.data, facts), strict=True))

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray]) -> RowSample:
        """The sample from the arrays of `to_arrays`.

        Raises
        ------
        InputError
            Arrays are missing or do not fit one another.
        """
        lacking = [name for name in _ARRAYS if name not in arrays]
        if lacking:
            raise InputError(f"a row sample lacks the arrays {', '.join(lacking)}; give what RowSample.to_arrays made")
        indices, probability, indptr, columns, values, facts = (np.asarray(arrays[name]) for name in _ARRAYS)
        if facts.shape != (4,) or not 0 <= facts[3] < len(METHODS) or probability.shape != indices.shape:
            raise InputError("the arrays of a row sample do not fit one another; give what RowSample.to_arrays made")
        n, d, seed, method = (int(fact) for fact in facts)
        try:
            rows = sp.csr_array((values, columns, indptr), shape=(indices.size, d))
            rows.check_format()
        except ValueError as error:
            raise InputError(f"the arrays of a row sample do not fit one another ({error}); give what "
                             "RowSample.to_arrays made") from None
        return RowSample(indices.astype(np.int64), rows, probability, n, seed, METHODS[method])


def coordinated_sketch(A: sp.sparray | np.ndarray, rows: int, seed: int, method: str = "priority") -> RowSample:
    """A sample of about `rows` rows of A, likely those of large norm, made with hashes that all workers share.

    Row i has a hash h(i) in (0, 1), a function of the seed and i alone. "threshold" keeps it where
    h(i) <= tau ||A_i||^2, with tau such that `rows` are expected; "priority" keeps the `rows` smallest
    h(i) / ||A_i||^2, and takes the next one as tau (Daliri, Freire, Musco, Santos and Zhang 2024, Algorithms 1 and 3).
    The row is then known to be kept with probability min(1, tau ||A_i||^2). Rows that weigh much in both operands are
    kept by both, which independent samples do not achieve. Cost: one pass over A.

    Parameters
    ----------
    A : sparse or dense (n, d)
        Row i means the same to all workers.
    rows : int
        Rows kept ("priority": exactly, unless fewer are non-zero; "threshold": in the mean, with a standard deviation
        of at most sqrt(rows)).
    seed : int
    method : {"priority", "threshold"}

    Returns
    -------
    RowSample

    Raises
    ------
    InputError, ShapeError
        Entries that are not finite; `rows` below 1; unknown method.

    Examples
    --------
    >>> import numpy as np
    >>> coordinated_sketch(np.diag([1.0, 2.0, 0.0]), rows=2, seed=0).indices
    array([0, 1])
    """
    if method not in METHODS:
        raise InputError(f"no coordinated sampling is called {method!r}" + nearest(str(method), METHODS))
    if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 1:
        raise InputError(f"a coordinated sample of {rows!r} rows was asked for; the rule is a whole number of at least "
                         "1")
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise InputError(f"a coordinated sample got the seed {seed!r}; the rule is a whole number from 0 to 2^63 - 1")
    if np.ndim(A) != 2 and not sp.issparse(A):
        raise ShapeError(f"a coordinated sample is of an operand (n, d); this one has shape {np.shape(A)}")
    A = sp.csr_array(A, dtype=float)
    weight = np.asarray(A.multiply(A).sum(axis=1)).ravel()
    if not np.isfinite(weight).all():
        raise InputError("the operand to sample has entries that are not finite (NaN, infinity or an overflow)")
    hashes = _hashes(seed, A.shape[0])
    kept, tau = (_priority if method == "priority" else _threshold)(hashes, weight, int(rows))
    return RowSample(kept, A[kept], np.minimum(1.0, tau * weight[kept]), A.shape[0], int(seed), method)


def estimate_product(left: RowSample, right: RowSample) -> sp.csr_array:
    """Unbiased estimate sum_i A_i^T B_i / min(p_i, q_i) of A^T B over the rows that both samples kept.

    Its expected squared Frobenius error is at most 2 / rows ||A||_F^2 ||B||_F^2 (threshold; rows - 1 for priority), and
    far less where few rows are heavy in both. Cost: that of the sparse product of the common rows.

    Parameters
    ----------
    left, right : RowSample
        Of A (n, d) and B (n, e), by the same seed.

    Returns
    -------
    sparse (d, e)

    Raises
    ------
    InputError
        The samples have different seeds or are of operands with different numbers of rows.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.arange(6.0).reshape(3, 2)
    >>> whole = coordinated_sketch(A, rows=3, seed=0)
    >>> bool(np.allclose(estimate_product(whole, whole).toarray(), A.T @ A))
    True
    """
    for name, one, other in (("seed", left.seed, right.seed), ("number of rows", left.n, right.n)):
        if one != other:
            raise InputError(f"the left sample has the {name} {one}, the right one {other}; samples are coordinated "
                             f"only with the same {name}: sketch both operands with it")
    _, mine, theirs = np.intersect1d(left.indices, right.indices, assume_unique=True, return_indices=True)
    weight = 1.0 / np.minimum(left.probability[mine], right.probability[theirs])
    return sp.csr_array(left.values[mine].T @ (sp.diags_array(weight) @ right.values[theirs]))


def _hashes(seed: int, n: int) -> np.ndarray:
    """h (n,) in (0, 1): 53 bits of splitmix64 of the row index, from a start that mixes the seed."""
    start = _mixed(np.array([seed], dtype=np.uint64) * _GOLDEN + _FIRST)
    mixed = _mixed(start + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    return ((mixed >> np.uint64(11)).astype(float) + 0.5) * 2.0**-53


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def _priority(hashes: np.ndarray, weight: np.ndarray, rows: int) -> tuple[np.ndarray, float]:
    present = np.flatnonzero(weight > 0.0)
    if present.size <= rows:
        return present, np.inf
    rank = hashes[present] / weight[present]
    first = np.argpartition(rank, rows)
    return np.sort(present[first[:rows]]), float(rank[first[rows]])


def _threshold(hashes: np.ndarray, weight: np.ndarray, rows: int) -> tuple[np.ndarray, float]:
    present = np.flatnonzero(weight > 0.0)
    if present.size <= rows:
        return present, np.inf
    # Heavy rows are kept for certain; tau shares what is left of `rows` among the others.
    sorted_weight = np.sort(weight[present])[::-1]
    tails = np.cumsum(sorted_weight[::-1])[::-1]
    certain = np.arange(rows)
    tau = (rows - certain) / tails[:rows]
    i = int(np.argmax(tau * sorted_weight[:rows] <= 1.0)) if (tau * sorted_weight[:rows] <= 1.0).any() else rows - 1
    return np.flatnonzero(hashes <= tau[i] * weight), float(tau[i])
