"""Random embeddings by name, their size, their distortion, and embeddings with respect to an inner product."""

from __future__ import annotations

from math import ceil, log, sqrt

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, NotSupported, ShapeError
from romflow.core.names import nearest
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embedding_kinds import KINDS, Embedding

__all__ = ["Embedding", "ProductEmbedding", "distortion", "embedding", "embedding_rows"]

_ORTHONORMAL = 1e-6
_FACTOR = 1e-8


def embedding(kind: str, rows: int, n: int, seed: int = 0) -> Embedding:
    """The embedding Theta (rows, n) of this kind and seed; the same arguments give the same matrix everywhere.

    Parameters
    ----------
    kind : {"gaussian", "srht", "sparse-sign", "countsketch"}
        "sparse-sign" where in doubt; "countsketch" for speed, with more rows; "srht" where a guarantee on each entry
        is needed; "gaussian" for exact constants on small n.
    rows : int
        s; see `embedding_rows`.
    n : int
        Rows of what is sketched.
    seed : int

    Returns
    -------
    Embedding

    Raises
    ------
    InputError
        No kind is called so; sizes below 1; an srht of more rows than n.

    Notes
    -----
    Processor seconds for (1e6, 300) on one core, s = 1000: countsketch 0.5, sparse-sign 1.7, srht 7; blocks of at
    least 10,000 rows keep this cost.

    Examples
    --------
    >>> import numpy as np
    >>> theta = embedding("sparse-sign", rows=20, n=1000, seed=1)
    >>> U = np.ones((1000, 2))
    >>> parts = theta.apply_rows(U[:300], 0) + theta.apply_rows(U[300:], 300)
    >>> bool(np.allclose(theta.apply(U), parts))
    True
    """
    return _kind(kind)(rows, n, seed)


def embedding_rows(r: int, epsilon: float, delta: float, kind: str = "sparse-sign", *, n: int | None = None,
                   proven: bool = False) -> int:
    """Rows s with which max |sigma(Theta V)^2 - 1| <= epsilon for an r-dimensional space, but for probability delta.

    * gaussian: s = ((sqrt(r) + sqrt(2 log(2/delta))) / (sqrt(1 + epsilon) - 1))^2, a theorem (Davidson and Szarek 2001,
      Theorem II.13).
    * countsketch: s = r (r + 1) / (epsilon^2 delta), a theorem (second moment of V^T Theta^T Theta V - I, and Markov).
    * srht and sparse-sign: the gaussian size, which is what they need in practice (Martinsson and Tropp 2020, section
      9). With `proven`, srht takes 2 (sqrt(r) + sqrt(8 log(6 n / delta)))^2 log(3 r / delta)
      / (epsilon^2 - epsilon^3 / 3) (Balabanov and Nouy 2019, Proposition 3.9); sparse-sign has no theorem with stated
      constants.

    Parameters
    ----------
    r : int
        Dimension; 1 for single vectors (then delta is for one vector: divide it by their number).
    epsilon, delta : float
        In (0, 1).
    kind : str
    n : int, optional
        Rows of what is sketched; needed by a proven srht.
    proven : bool
        Only sizes that a theorem with stated constants gives.

    Returns
    -------
    int

    Raises
    ------
    InputError
        Values out of range, or a kind that does not exist.
    NotSupported
        `proven` for sparse-sign.

    Examples
    --------
    >>> embedding_rows(20, 0.5, 0.01)
    1183
    >>> embedding_rows(20, 0.5, 0.01, "countsketch")
    168000
    """
    name = _kind(kind).kind
    _check_size(r, epsilon, delta)
    if name == "countsketch":
        return ceil(r * (r + 1) / (epsilon**2 * delta))
    if proven and name == "sparse-sign":
        raise NotSupported("no theorem gives the rows of a sparse-sign embedding with stated constants; take the kind "
                           "'gaussian', 'srht' or 'countsketch', or leave `proven` out and check with `distortion`")
    if proven and name == "srht":
        if n is None:
            raise InputError("the proven rows of an srht embedding depend on n, which was not given; give n = the rows "
                             "of what is sketched")
        spread = (sqrt(r) + sqrt(8.0 * log(6.0 * n / delta))) ** 2
        return ceil(2.0 * spread * log(3.0 * r / delta) / (epsilon**2 - epsilon**3 / 3.0))
    return ceil(((sqrt(r) + sqrt(2.0 * log(2.0 / delta))) / (sqrt(1.0 + epsilon) - 1.0)) ** 2)


def distortion(theta: Embedding | ProductEmbedding, V: np.ndarray, product: InnerProduct | None = None) -> float:
    """max |sigma(Theta Q V)^2 - 1|: the largest relative error of a sketched squared norm on the range of V.

    Parameters
    ----------
    theta : Embedding or ProductEmbedding
    V : (n, r)
        Orthonormal columns, in X where `product` (or the embedding's) is given.
    product : InnerProduct, optional
        X = Q^T Q; without it the Euclidean product. A `ProductEmbedding` brings its own.

    Returns
    -------
    float

    Raises
    ------
    InputError
        The columns of V are not orthonormal to 1e-6.

    Examples
    --------
    >>> import numpy as np
    >>> V = np.linalg.qr(np.random.default_rng(0).standard_normal((5000, 10)))[0]
    >>> 0.1 < distortion(embedding("sparse-sign", 400, 5000), V) < 0.5
    True
    """
    V = np.asarray(V, dtype=float)
    if V.ndim != 2:
        raise ShapeError(f"the distortion is that of a basis (n, r); this one has shape {V.shape}")
    both = theta if isinstance(theta, ProductEmbedding) else ProductEmbedding(theta, product)
    S = both.apply(V)
    defect = float(np.abs(both.product.gram(V, V) - np.eye(V.shape[1])).max(initial=0.0))
    if defect > _ORTHONORMAL:
        raise InputError(f"the columns of V are not orthonormal in '{both.product.name}': |V^T X V - I| = "
                         f"{defect:.3g}; the rule is at most {_ORTHONORMAL:g}: orthonormalise V in this product")
    # With fewer rows than columns part of the space is lost altogether: those singular values are zero.
    lost = V.shape[1] > S.shape[0]
    squared = np.linalg.svd(S, compute_uv=False) ** 2
    return max(float(np.abs(squared - 1.0).max(initial=0.0)), 1.0 if lost else 0.0)


class ProductEmbedding:
    """Embedding with respect to X = Q^T Q: ||apply(u)|| ~ ||u||_X and ||apply_dual(f)|| ~ ||f||_{X^{-1}}.

    Without `factor`, Q is the Cholesky factor D^{1/2} L^T P of X and never formed: Q u = Q^{-T} (X u) takes one forward
    substitution, as Q^{-T} f does. With an assembled rectangular Q (m, n) (stacked element contributions), Q u is a
    sparse product and the dual takes Q X^{-1} f. The X inner product is kept too: apply(u)^T apply(v) ~ u^T X v, and
    apply(riesz(f)) = apply_dual(f).

    Parameters
    ----------
    theta : Embedding
        For arrays of n rows, or of the rows of `factor`.
    product : InnerProduct, optional
        X; without it Q^T Q of the factor, and without both the Euclidean product.
    factor : sparse (m, n), optional
        Q with Q^T Q = X.

    Raises
    ------
    ShapeError, InputError
        theta is for another number of rows; Q^T Q is not X.

    Notes
    -----
    Q may also stay with the subdomains: the sum over elements or subdomains e of
    ``theta.apply_rows(Q_e @ U_e, start_e)`` equals ``apply(U)``, where Q stacks the blocks Q_e from rows start_e on.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> product = InnerProduct(sp.diags_array(np.full(2000, 4.0)))
    >>> sketched = ProductEmbedding(embedding("srht", 500, 2000), product)
    >>> u = np.ones(2000)
    >>> bool(abs(np.linalg.norm(sketched.apply(u)) / product.norm(u[:, None])[0] - 1) < 0.1)
    True
    """

    def __init__(self, theta: Embedding, product: InnerProduct | None = None,
                 factor: sp.sparray | None = None) -> None:
        self.theta = theta
        self.factor = None if factor is None else sp.csr_array(factor)
        if product is None:
            product = InnerProduct(None, "Euclidean") if factor is None else InnerProduct(factor.T @ factor, "Q^T Q")
        self.product = product
        if product.X is not None:
            n = product.X.shape[0]
        else:
            n = theta.n if self.factor is None else self.factor.shape[1]
        rows = n if self.factor is None else self.factor.shape[0]
        if theta.n != rows:
            raise ShapeError(f"the embedding is for {theta.n} rows, the factor of the inner product "
                             f"'{self.product.name}' has {rows}; make the embedding with n = {rows}")
        if self.factor is not None:
            self._check_factor(self.factor, n)
        self.n = n

    @property
    def rows(self) -> int:
        """s, the size of a sketch."""
        return self.theta.rows

    def apply(self, U: np.ndarray) -> np.ndarray:
        """Theta Q U (s, j) or (s,) for states U (n, j) or (n,)."""
        return self._through(U, self._square_root)

    def apply_dual(self, F: np.ndarray) -> np.ndarray:
        """Theta Q^{-T} F (s, j) or (s,) for functionals F (n, j) or (n,)."""
        return self._through(F, self._dual_root)

    def _through(self, U: np.ndarray, root: object) -> np.ndarray:
        U = np.asarray(U, dtype=float)
        if U.ndim not in (1, 2) or U.shape[0] != self.n:
            raise ShapeError(f"this embedding in '{self.product.name}' is for ({self.n}, j) or ({self.n},) arrays; "
                             f"this one has shape {U.shape}")
        if not np.isfinite(U).all():
            raise InputError(f"the array to sketch in '{self.product.name}' has entries that are not finite (NaN or "
                             "infinity); check the solves that made it")
        S = self.theta.apply(root(U[:, None] if U.ndim == 1 else U))  # type: ignore[operator]
        return S[:, 0] if U.ndim == 1 else S

    def _square_root(self, U: np.ndarray) -> np.ndarray:
        if self.factor is not None:
            return self.factor @ U
        return self.product.whiten(self.product.apply(U))

    def _dual_root(self, F: np.ndarray) -> np.ndarray:
        if self.factor is not None:
            return self.factor @ self.product.riesz(F)
        return self.product.whiten(F)

    def _check_factor(self, Q: sp.csr_array, n: int) -> None:
        if Q.shape[1] != n:
            raise ShapeError(f"the factor Q has {Q.shape[1]} columns, the inner product '{self.product.name}' {n} "
                             "dofs; the rule is Q (m, n) with Q^T Q = X")
        v = np.random.default_rng(0).standard_normal((n, 1))
        image = self.product.apply(v)
        error = float(np.linalg.norm(Q.T @ (Q @ v) - image) / np.linalg.norm(image))
        if not error <= _FACTOR:
            raise InputError(f"Q^T Q differs from the inner product '{self.product.name}' by {error:.3g} relative; the "
                             f"rule is Q^T Q = X to {_FACTOR:g}: assemble both on the same mesh and constraints")


def _kind(kind: str) -> type[Embedding]:
    if kind not in KINDS:
        raise InputError(f"no embedding is called {kind!r}" + nearest(str(kind), KINDS))
    return KINDS[kind]


def _check_size(r: int, epsilon: float, delta: float) -> None:
    if r < 1:
        raise InputError(f"the rows of an embedding were asked for a space of dimension {r}; the rule is r >= 1")
    for name, value in (("epsilon", epsilon), ("delta", delta)):
        if not 0.0 < value < 1.0:
            raise InputError(f"the rows of an embedding were asked for with {name} = {value}; the rule is "
                             f"0 < {name} < 1")
