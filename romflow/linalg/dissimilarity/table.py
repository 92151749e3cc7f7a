"""The dissimilarities by the names that studies use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from romflow.linalg.dissimilarity.fields import euclidean, sine
from romflow.linalg.dissimilarity.subspaces import chordal, grassmann, largest_sine

__all__ = ["DISSIMILARITIES", "Dissimilarity"]


class Dissimilarity(NamedTuple):
    """What a dissimilarity compares, and the function that does it.

    Attributes
    ----------
    kind : {"field", "subspace"}
        Fields are the columns of one array (n, a); subspaces a sequence of a orthonormal bases (n, k_i).
    function : callable
        function(U, V, product) -> D (a, b).
    """

    kind: Literal["field", "subspace"]
    function: Callable[..., np.ndarray]


#: Name in a study file -> kind and function.
DISSIMILARITIES: dict[str, Dissimilarity] = {
    "sine": Dissimilarity("field", sine), "euclidean": Dissimilarity("field", euclidean),
    "chordal": Dissimilarity("subspace", chordal), "grassmann": Dissimilarity("subspace", grassmann),
    "largest-sine": Dissimilarity("subspace", largest_sine)}
