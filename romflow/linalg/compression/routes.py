"""Which route a POD takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest
from romflow.linalg.compression.blocks import diagonal_of
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct

__all__ = ["GRAM_LIMIT", "ROUTES", "Choice", "check_route", "choose", "sketch_rows"]

ROUTES = ("auto", "gram", "two-pass", "sketched", "randomised", "streaming", "hapod")
#: Below this relative tolerance the eigenvalues of the Gram matrix are rounding noise.
GRAM_LIMIT = 1e-7
#: Below this relative tolerance a sketch knows the singular values to no digit.
SKETCH_LIMIT = 1e-12
_ROWS, _ROWS_PER_SNAPSHOT = 1000, 3
_FEW = 64
_TALL = 20


@dataclass(frozen=True)
class Choice:
    """A route and the reason for it."""

    route: str
    why: str


def sketch_rows(k: int) -> int:
    """Rows of the sketch of k snapshots: 1000, or 3 k for more than 333.

    Examples
    --------
    >>> sketch_rows(300), sketch_rows(1000)
    (1000, 3000)
    """
    return max(_ROWS, _ROWS_PER_SNAPSHOT * k)


def check_route(route: str) -> None:
    """Raise ConfigError, which names the nearest route, where there is none of this name."""
    if route not in ROUTES:
        raise ConfigError(f"no POD route is called {route!r}{nearest(str(route), ROUTES)}")


def choose(route: str, source: SnapshotSource, product: InnerProduct, tolerance: float, max_size: int | None,
           memory: int) -> Choice:
    """The route asked for, or where it is "auto" the first of these that applies.

    1. "hapod": the k x k matrices of the others exceed the memory.
    2. "sketched": at least 64 snapshots of at least 20 rows of its sketch, X the identity or diagonal (so that no
       factorisation of X is needed), and a tolerance of 1e-12 or more, or a `max_size`.
    3. "gram": a tolerance of 1e-7 or more.
    4. "two-pass".

    Raises
    ------
    InputError
        Tolerance not in [0, 1), or route "gram" with one that it cannot keep.
    ConfigError
        No such route.

    Examples
    --------
    >>> import numpy as np
    >>> from romflow.linalg.compression.source import ArraySource
    >>> choose("auto", ArraySource(np.zeros((50, 5))), InnerProduct(None), 1e-9, None, 1 << 20).route
    'two-pass'
    """
    check_route(route)
    if not 0.0 <= tolerance < 1.0:
        raise InputError(f"the POD tolerance is {tolerance}; the rule is 0 <= tolerance < 1")
    if max_size is not None and max_size < 0:
        raise InputError(f"the POD got max_size = {max_size}; the rule is a whole number of at least 0")
    if route == "gram" and tolerance < GRAM_LIMIT:
        raise InputError(f"the POD tolerance {tolerance:g} is below {GRAM_LIMIT:g}, where the Gram matrix holds only "
                         "rounding noise; use route = \"two-pass\" or a larger tolerance")
    if route != "auto":
        return Choice(route, "asked for")
    n, k = source.n, source.k
    if 8 * k * k > memory:
        return Choice("hapod", f"matrices of {k} x {k} exceed the {memory >> 20} MiB for blocks")
    rows = sketch_rows(k)
    local = product.X is None or diagonal_of(product) is not None
    if k >= _FEW and n >= _TALL * rows and local and (tolerance >= SKETCH_LIMIT or max_size is not None):
        return Choice("sketched", f"{k} snapshots of {n} unknowns: a sketch of {rows} rows and one more pass cost less "
                                  "than a Gram matrix")
    if tolerance >= GRAM_LIMIT:
        return Choice("gram", f"few or short snapshots ({n} x {k}) or a coupling inner product, and a tolerance of "
                              f"{GRAM_LIMIT:g} or more, which the Gram matrix resolves")
    return Choice("two-pass", f"the tolerance {tolerance:g} is below {GRAM_LIMIT:g}, what one Gram matrix resolves")
