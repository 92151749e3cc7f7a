"""What a task does on the files of one part: reads its rows, answers with small arrays, and leaves the rest there.

Every kernel is called as ``kernel(part, **shared)``, with `shared` from JSON; KERNELS holds them by name for executors,
which call ``KERNELS[name](fom, store_folder, number, **shared)``. Arrays of a part are named; a list of blocks
``[[name, width], ...]`` stands for their first columns side by side. Answers named "largest ..." are to be compared
over the parts, all others to be summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.sweeps import Check
from romflow.reduction.distributed.part import Part, column_blocks

Answer = dict[str, np.ndarray]
Blocks = Sequence[Sequence[Any]]
Rows = Sequence[Sequence[float]]


def decompose(part: Part) -> Answer:
    """Decompose the mesh, which is whole in the memory of this task alone; the number of parts."""
    return {"parts": np.array(part.fom.decompose(part.store_folder).parts)}


def layout(part: Part) -> Answer:
    """Start, owned unknowns and closure; numbers of terms Q, Qf, and outputs (Ql, o)."""
    terms = part.terms
    outputs = (0, 0) if terms.outputs is None else terms.outputs.shape[:2]
    return {"rows": np.array([*part.rows, part.n]),
            "terms": np.array([len(terms.operator), terms.rhs.shape[1], *outputs])}


# -- vectors ---------------------------------------------------------------------------------------------------------

def take(part: Part, mu: Rows, out: str) -> Answer:
    """Keep the rows of the snapshots at mu (k, p) under a name; S^T X S."""
    return _kept(part, out, part.snapshots(np.array(mu)), [])


def combine(part: Part, out: str, terms: Sequence[tuple[Blocks, Rows]], against: Blocks, width: int) -> Answer:
    """W = sum of B_i M_i under a name; W^T X W, U^T X W with the blocks `against`, and the largest entries of W."""
    W = np.zeros((part.n, width))
    for blocks, matrix in terms:
        B = part.read_all(blocks)
        W += B @ _matrix(matrix, B.shape[1], width)
    return _kept(part, out, W, against)


def inner(part: Part, left: Blocks, right: Blocks) -> Answer:
    """U^T X W of two lists of blocks."""
    return {"cross": part.product.gram(part.read_all(left), part.read_all(right))}


def _kept(part: Part, out: str, W: np.ndarray, against: Blocks) -> Answer:
    part.write(out, W)
    XW = part.product.apply(W)
    return {"gram": W.T @ XW, "cross": part.read_all(against).T @ XW, "largest": _peaks(W[:part.rows[1]])}


def _peaks(W: np.ndarray) -> np.ndarray:
    """The entry (j,) of largest size of each column, with its sign."""
    if not len(W):
        return np.zeros(W.shape[1])
    return W[np.argmax(np.abs(W), axis=0), np.arange(W.shape[1])]


# -- proper orthogonal decomposition ---------------------------------------------------------------------------------

def pod_gram(part: Part, mu: Rows, modes: str | None, Z: Rows) -> Answer:
    """S'^T X S' of the remainder S' = S - V Z."""
    V = _modes(part, modes)
    return {"gram": part.sweep(np.array(mu)).gram(V, _matrix(Z, V.r, len(mu)))}


def pod_extend(part: Part, mu: Rows, modes: str | None, Z: Rows, M: Rows, out: str, coordinates: bool,
               fit: Rows | None, width: int) -> Answer:
    """[V, Y] under a name with Y = S' M; Y^T X Y, V^T X Y, and where asked for Y^T X S' and ||S' - Y K||_X^2."""
    V, k = _modes(part, modes), len(mu)
    check = None if fit is None else Check(_matrix(fit, width, k))
    found = part.sweep(np.array(mu)).extend(V, _matrix(Z, V.r, k), _matrix(M, k, width), coordinates, check)
    part.write(out, V.V)
    answer = {"gram": found.gram, "cross": found.cross}
    if found.coordinates is not None:
        answer["coordinates"] = found.coordinates
    if found.left is not None:
        answer["left"] = np.array(found.left)
    return answer


def coordinates(part: Part, mu: Rows, basis: Blocks) -> Answer:
    """V^T X S (r, k) and the squares ||s||_X^2 (k,)."""
    rows, V = np.array(mu), part.read_all(basis)
    Z, squares = np.empty((V.shape[1], len(rows))), np.empty(len(rows))
    for columns in column_blocks(len(rows), part.n):
        S = part.snapshots(rows[columns])
        XS = part.product.apply(S)
        Z[:, columns], squares[columns] = V.T @ XS, np.einsum("ij,ij->j", S, XS)
    return {"coordinates": Z, "squares": squares}


def errors(part: Part, mu: Rows, basis: Blocks, coefficients: Rows) -> Answer:
    """Squares ||s - V x||_X^2 and ||s||_X^2 (k,) of the snapshots at mu (k, p) with coefficients x (r, k)."""
    rows, V = np.array(mu), part.read_all(basis)
    x = _matrix(coefficients, V.shape[1], len(rows))
    gap, norm = np.empty(len(rows)), np.empty(len(rows))
    for columns in column_blocks(len(rows), part.n):
        S = part.snapshots(rows[columns])
        E = S - V @ x[:, columns]
        gap[columns] = np.einsum("ij,ij->j", E, part.product.apply(E))
        norm[columns] = np.einsum("ij,ij->j", S, part.product.apply(S))
    return {"error": gap, "norm": norm}


def _modes(part: Part, name: str | None) -> Modes:
    return Modes(part.n) if name is None else Modes.of(part.read(name))


# -- projections and residual ----------------------------------------------------------------------------------------

def project(part: Part, basis: Blocks, grown: Blocks, terms: Sequence[int], out: str, symmetric: bool,
            functionals: Sequence[int] | None) -> Answer:
    """[V, W]^T A_q W, W^T A_q V, f^T W and l W; under a name A_q w of the terms q listed, vector by vector.

    Behind them, where `functionals` lists outputs, the columns of :func:`functionals`.
    """
    V, W, own = part.read_all(basis), part.read_all(grown), part.terms
    AW = [A @ W for A in own.operator]
    columns = np.stack([AW[q] for q in terms], axis=2).reshape(part.n, -1) if terms else np.empty((part.n, 0))
    more = [] if functionals is None else _functionals(part, functionals)
    part.write(out, np.hstack([columns, *more]), sealed=True)
    both = np.hstack([V, W])
    answer = {"operator": np.stack([both.T @ product for product in AW]), "rhs": own.rhs.T @ W}
    if not symmetric:
        answer["lower"] = np.stack([(A.T @ W).T @ V for A in own.operator])
    if own.outputs is not None:
        answer["output"] = own.outputs @ W
    return answer


def functionals(part: Part, outputs: Sequence[int], out: str) -> Answer:
    """Under a name the right-hand side's terms and those of the outputs listed, as columns (n_c, Qf + i Ql)."""
    part.write(out, np.hstack(_functionals(part, outputs)), sealed=True)
    return {}


def _functionals(part: Part, outputs: Sequence[int]) -> list[np.ndarray]:
    own = part.terms
    return [own.rhs] + ([] if own.outputs is None else [own.outputs[:, index].T for index in outputs])


def compliance(part: Part) -> Answer:
    """l . f (o,), f . f and the largest entries of l (o,): the products of each output's terms with those of f."""
    own = part.terms
    L, F = own.outputs, own.rhs.T
    if L is None:
        raise ValueError("a model without outputs has no compliance")
    return {"cross": np.einsum("qon,qn->o", L, F), "square": np.array(np.sum(F * F)), "largest": _largest(L)}


def mismatch(part: Part, scale: Sequence[float]) -> Answer:
    """The largest entries of l - c f (o,)."""
    own = part.terms
    if own.outputs is None:
        raise ValueError("a model without outputs has no compliance")
    return {"largest": _largest(own.outputs - np.multiply.outer(own.rhs.T, np.array(scale)).transpose(0, 2, 1))}


def _largest(L: np.ndarray) -> np.ndarray:
    return np.abs(L).max(axis=(0, 2), initial=0.0)


def _matrix(values: Any, rows: int, columns: int) -> np.ndarray:
    """Numbers from JSON as an array; lists of no numbers have lost their shape on the way."""
    return np.array(values, dtype=np.float64).reshape(rows, columns)


def _entry(kernel: Callable[..., Answer]) -> Callable[..., Answer]:
    def called(fom: Any, store_folder: str, part: int, **shared: Any) -> Answer:
        return kernel(Part(fom, store_folder, part), **shared)
    return called


#: Kernels by name: ``KERNELS[name](fom, store_folder, part, **shared) -> dict of small arrays``.
KERNELS: dict[str, Callable[..., Answer]] = {kernel.__name__: _entry(kernel) for kernel in (
    decompose, layout, take, combine, inner, pod_gram, pod_extend, coordinates, errors, project, functionals,
    compliance, mismatch)}
