"""Matrices of PETSc from what one rank has: its owned rows, or the matrices of its cells; nothing is gathered."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from romflow.core.errors import InputError, ShapeError
from romflow.dd.communicator import agreed, gathered
from romflow.dd.layout import Layout

__all__ = ["Product", "RowEntries", "block_size", "communicator", "orthonormal_modes", "rounding", "same_everywhere"]


class RowEntries:
    """Places of all entries of a rank's owned rows in the global matrix, duplicates allowed, in the order of the input.

    Parameters
    ----------
    layout : Layout
    A : csr (local, local), or array (E, w, w)
        Assembled over all cells of the rank, so that its owned rows are exact; or the matrices of `Layout.cells`, which
        PETSc adds up itself.

    Attributes
    ----------
    rows, columns : (entries,) int64
        Global numbers.

    Raises
    ------
    ShapeError

    Notes
    -----
    Cost: two integers an entry in PETSc beside the matrix; new values take one pass, without a sort or a message.
    """

    def __init__(self, layout: Layout, A: Any) -> None:
        self._layout = layout
        if sp.issparse(A):
            self._from_rows(A)
        else:
            self._from_cells(np.asarray(A))

    def _from_rows(self, A: Any) -> None:
        self._check_rows(A)
        end = int(A.indptr[self._layout.owned])
        self._indptr, self._indices = A.indptr[:self._layout.owned + 1].copy(), A.indices[:end].copy()
        self.rows = self._layout.start + np.repeat(np.arange(self._layout.owned), np.diff(self._indptr))
        self.columns = self._layout.dofs[self._indices]

    def _from_cells(self, K: np.ndarray) -> None:
        self._check_cells(K)
        places = self._layout.cell_dofs
        rows = np.broadcast_to(places[:, :, None], K.shape)
        columns = np.broadcast_to(places[:, None, :], K.shape)
        self._inside = (rows >= 0) & (rows < self._layout.owned) & (columns >= 0)
        self.rows = self._layout.dofs[rows[self._inside]]
        self.columns = self._layout.dofs[columns[self._inside]]

    def fits(self, A: Any) -> bool:
        """Whether `values` can read A: the same kind of input, on the same pattern."""
        if not sp.issparse(A):
            return hasattr(self, "_inside") and np.shape(A) == self._inside.shape
        end = int(A.indptr[self._layout.owned])
        return (hasattr(self, "_indptr") and end == self._indices.size
                and np.array_equal(A.indptr[:self._layout.owned + 1], self._indptr)
                and np.array_equal(A.indices[:end], self._indices))

    def values(self, A: Any) -> np.ndarray:
        """The entries of A in the order of `rows` and `columns`.

        Raises
        ------
        ShapeError, InputError
            A has another shape; NaN or infinity.
        """
        if sp.issparse(A):
            self._check_rows(A)
            values = np.asarray(A.data[:self.rows.size], dtype=np.float64)
        else:
            K = np.asarray(A, dtype=np.float64)
            self._check_cells(K)
            values = K[self._inside]
        if not np.isfinite(values).all():
            raise InputError("the matrix of this rank has entries that are not finite; check the coefficients")
        return values

    def _check_rows(self, A: Any) -> None:
        if A.format != "csr" or A.shape != (self._layout.local, self._layout.local):
            raise ShapeError(f"the matrix of this rank is {A.format} of shape {A.shape}; the rule is csr of shape "
                             f"(local, local) = {(self._layout.local, self._layout.local)} in the order of Layout.dofs")

    def _check_cells(self, K: np.ndarray) -> None:
        count, width = self._layout.cell_dofs.shape
        if K.shape != (count, width, width):
            raise ShapeError(f"the matrices of this rank's cells have the shape {K.shape}; the rule is "
                             f"{(count, width, width)}, one for each of Layout.cells")


class Product:
    """``Product(A) @ X`` for a matrix of PETSc and the owned rows X (owned, j), one column after the other."""

    def __init__(self, A: Any) -> None:
        self._A, (self._x, self._y) = A, A.createVecs()

    def __matmul__(self, X: np.ndarray) -> np.ndarray:
        Y = np.empty(X.shape)
        for column in range(X.shape[1]):
            self._x.setArray(X[:, column])
            self._A.mult(self._x, self._y)
            Y[:, column] = self._y.getArray()
        return Y

    def destroy(self) -> None:
        """Free the two vectors."""
        self._x.destroy()
        self._y.destroy()


def rounding(layout: Layout, A: Any, x: np.ndarray) -> float:
    """||eps |A| |x||| for x (owned,): about what the rounding of x alone does to A x. Collective; one copy of A."""
    indptr, columns, values = A.getValuesCSR()
    size = sp.csr_array((np.abs(values), layout.places(columns.astype(np.int64)), indptr),
                        shape=(layout.owned, layout.local))
    return float(layout.norm(np.finfo(float).eps * (size @ layout.exchange.forward(np.abs(x[:, None]))))[0])


def communicator(PETSc: Any, comm: Any) -> Any:
    """The communicator as PETSc's own, after a look at its size.

    Raises
    ------
    InputError
        PETSc was built for another MPI library than mpi4py.
    """
    if not hasattr(comm, "Get_size"):
        return PETSc.COMM_SELF
    try:
        own = PETSc.Comm(comm)
        size = own.getSize()
    except (TypeError, PETSc.Error):
        size = -1
    if size != comm.size:
        raise InputError(f"PETSc does not know the communicator of mpi4py ({comm.size} ranks); the rule is one MPI "
                         "library for both: build petsc4py with the mpicc of mpi4py's library")
    return own


def same_everywhere(comm: Any, flag: bool) -> bool:
    """Whether a flag is true on every rank; collective."""
    return bool(np.concatenate(gathered(comm, np.array([flag], dtype=np.int64))).all())


def block_size(layout: Layout, modes: np.ndarray | None) -> int:
    """Unknowns a node, as the rigid-body modes show them: 2 or 3 where the first columns are translations, else 1.

    Multigrid by aggregation joins nodes, not unknowns, and needs this number. It is 1 too where some nodes have only a
    part of their unknowns free. Collective.
    """
    width = 0 if modes is None else {3: 2, 6: 3}.get(modes.shape[1], 0)
    regular = False
    if modes is not None and width and layout.owned % width == 0:
        first = modes[:layout.owned, :width].reshape(-1, width, width)
        regular = bool(np.array_equal(first, np.broadcast_to(np.eye(width), first.shape)))
    return width if same_everywhere(layout.comm, regular) else 1


def orthonormal_modes(layout: Layout, modes: np.ndarray) -> np.ndarray:
    """An orthonormal basis (owned, j') of the near-null-space (local or owned, j), without directions that vanish.

    Gram matrix summed over parts, eigenvectors above 1e-10 of the largest, a second pass by Cholesky. Collective.

    Raises
    ------
    ShapeError, InputError
        On all ranks: wrong rows, NaN, or nothing but zeros.
    """
    with agreed(layout.comm, "reading its near-nullspace"):
        if modes.ndim != 2 or modes.shape[0] not in (layout.local, layout.owned):
            raise ShapeError(f"the near-nullspace has the shape {modes.shape}; the rule is (local, j) with local = "
                             f"{layout.local}")
        if not np.isfinite(modes).all():
            raise InputError("the near-nullspace has entries that are not finite; leave it out or mend it")
    N = np.asarray(modes[:layout.owned], dtype=np.float64)
    values, vectors = sl.eigh(layout.dot(N, N))
    keep = values > 1e-10 * max(float(values[-1]), np.finfo(float).tiny)
    if not keep.any():
        raise InputError("the near-nullspace is zero; leave it out")
    N = N @ (vectors[:, keep] / np.sqrt(values[keep]))
    return np.asarray(sl.solve_triangular(sl.cholesky(layout.dot(N, N), lower=True), N.T, lower=True).T)
