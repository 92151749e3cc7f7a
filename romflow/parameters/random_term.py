"""Random terms of fields: nodal modes with parameters as coordinates, transformed, clipped, and scaled by a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.modal_field import TRANSFORMS

__all__ = ["RandomTerm", "clip_bounds"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """text(x, y, z, columns) * clip(h(sum_m modes_m xi_m), low, high) at nodes, h the identity or exp.

    Attributes
    ----------
    text : str
        Factor of the term.
    modes : (N, M)
        Square roots of the eigenvalues times eigenfunctions, at the nodes.
    coordinates : tuple of M str
        Columns xi.
    transform : str
        One of :data:`romflow.parameters.modal_field.TRANSFORMS`.
    low, high : float or None
        What h is clipped to; None for no bound.
    share : float
        Of the variance that the M modes capture.

    Raises
    ------
    ShapeError, InputError
        The modes are not finite or not (N, M).
    ConfigError
        No transform of this name; bounds in the wrong order.

    Examples
    --------
    >>> term = RandomTerm("10", np.array([[1.0, 0.5]]), ("a", "b"), "affine", None, 1.2)
    >>> term.values(np.array([[1.0, 1.0], [0.0, 1.0]]))
    array([[1.2, 0.5]])
    """

    text: str
    modes: Array
    coordinates: tuple[str, ...]
    transform: str = "affine"
    low: float | None = None
    high: float | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "coordinates", tuple(self.coordinates))
        if self.transform not in TRANSFORMS:
            raise ConfigError(f"no random field is called {shown(self.transform)}"
                              f"{nearest(str(self.transform), TRANSFORMS)}")
        if self.modes.ndim != 2 or self.modes.shape[1] != len(self.coordinates):
            raise ShapeError(f"modes of a random term have shape {self.modes.shape}; the rule is "
                             f"(N, {len(self.coordinates)}): a column a coordinate")
        if not np.isfinite(self.modes).all():
            raise InputError("modes of a random term are not all finite; give finite numbers")
        clip_bounds((self.low, self.high))

    def values(self, xi: Array, nodes: Any = None) -> Array:
        """clip(h(sum_m modes_m xi_m)) (N, b), or (k, b) at the nodes (k,), for coordinates xi (b, M).

        A sum so large that its exponential is infinite becomes `high`, where there is one.
        """
        modes = self.modes if nodes is None else self.modes[np.asarray(nodes, dtype=np.int64)]
        with np.errstate(over="ignore"):
            found = modes @ xi.T
            found = np.exp(found) if self.transform == "lognormal" else found
        bounded = self.low is not None or self.high is not None
        return np.asarray(np.clip(found, self.low, self.high) if bounded else found)

    def restrict(self, nodes: NDArray[np.int64]) -> RandomTerm:
        """The term at some nodes alone."""
        return replace(self, modes=self.modes[nodes])

    def to_spec(self) -> dict[str, Any]:
        """JSON beside the modes."""
        return {"text": self.text, "random": list(self.coordinates), "transform": self.transform,
                "clip": [self.low, self.high], "share": self.share}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], modes: Array) -> RandomTerm:
        """The term that `to_spec` described."""
        low, high = spec["clip"]
        return cls(spec["text"], np.asarray(modes), tuple(spec["random"]), spec["transform"], low, high,
                   float(spec["share"]))


def clip_bounds(given: Sequence[float | None] | None) -> tuple[float | None, float | None]:
    """(low, high) of `clip`, None for no bound.

    Raises
    ------
    ConfigError
        Not two finite numbers, rising.

    Examples
    --------
    >>> clip_bounds([-2, 2.5])
    (-2.0, 2.5)
    """
    if given is None:
        return None, None
    right = isinstance(given, list | tuple) and len(given) == 2 and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value))
        for value in given)
    if not right:
        raise ConfigError(f"clip = {shown(given)} of a random field; the rule is [low, high], two finite numbers")
    low, high = (None if value is None else float(value) for value in given)
    if low is not None and high is not None and low >= high:
        raise ConfigError(f"clip = {shown(given)} of a random field; the rule is low < high")
    return low, high
