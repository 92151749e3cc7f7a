"""CHOLMOD of SuiteSparse through scikit-sparse: one analysis for a pattern, supernodal Cholesky factors on it."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import ConfigError, SolveFailed
from romflow.linalg.solvers.optional import load
from romflow.linalg.solvers.protocol import Kind

__all__ = ["Cholmod"]


class Cholmod:
    """Supernodal Cholesky factorisation on a METIS ordering; symmetric positive definite matrices only.

    Parameters
    ----------
    kind : {"definite"}

    Raises
    ------
    ConfigError
        scikit-sparse is not there, has another interface, or the kind is not "definite".

    Notes
    -----
    Written for scikit-sparse 0.4 (`analyze`, `cholesky_inplace`); the interface of 0.5 keeps simplicial factors, whose
    substitutions are slower.

    Examples
    --------
    >>> from romflow.linalg.solvers.optional import problem
    >>> A = sp.csr_array(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> if not problem("cholmod"):
    ...     solver = Cholmod("definite")
    ...     solver.analyse(A)
    ...     solver.factorise(A)
    ...     bool(np.allclose(solver.solve(np.ones((2, 1))), 1.0))
    ... else:
    ...     True
    True
    """

    name = "cholmod"

    def __init__(self, kind: Kind) -> None:
        if kind != "definite":
            raise ConfigError(f"the back end 'cholmod' was given a {kind} matrix; the rule is symmetric positive "
                              "definite: take backend = \"pardiso\", \"mumps\" or \"superlu\"")
        self._module = load("cholmod")
        if not hasattr(self._module, "analyze"):
            raise ConfigError("the installed scikit-sparse has another interface than 0.4; take "
                              "pip install 'scikit-sparse<0.5', or another back end")

    def analyse(self, A: sp.csr_array) -> None:
        """Ordering and symbolic factorisation."""
        self._factor = self._module.analyze(_columns(A), mode="supernodal", ordering_method="metis")

    def factorise(self, A: sp.csr_array) -> None:
        """Numeric factorisation in place of the one before."""
        with warnings.catch_warnings(), self._named(A.shape[0]):
            warnings.simplefilter("ignore", self._module.CholmodWarning)
            self._factor.cholesky_inplace(_columns(A))

    def solve(self, B: np.ndarray) -> np.ndarray:
        """Substitutions for B (n, j)."""
        with self._named(B.shape[0]):
            return np.asarray(self._factor(np.asfortranarray(B, dtype=float)))

    @contextlib.contextmanager
    def _named(self, n: int):  # type: ignore[no-untyped-def]
        try:
            yield
        except self._module.CholmodNotPositiveDefiniteError:
            raise SolveFailed(f"CHOLMOD met a pivot that is not positive in a matrix of {n} rows, so it is not "
                              "positive definite; take method = \"minres\" or another direct back end",
                              {"backend": "cholmod"}) from None
        except self._module.CholmodError as error:
            raise SolveFailed(f"CHOLMOD failed on a matrix of {n} rows ({error}); take another back end",
                              {"backend": "cholmod"}) from None


def _columns(A: sp.csr_array) -> sp.csc_matrix:
    """A symmetric CSR matrix read as CSC: the same arrays."""
    return sp.csc_matrix((A.data, A.indices, A.indptr), shape=A.shape)
