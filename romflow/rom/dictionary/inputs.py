"""What a recommender looks at: the parameters themselves, or a field that they make at chosen nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.parameters.loading import Loading
from romflow.parameters.spatial_field import SpatialField

__all__ = ["InputField"]

KINDS = ("parameters", "temperature")


@dataclass(frozen=True, eq=False)
class InputField:
    """Values (b, f) of the input field for parameters (b, p), at the entries that are looked at only.

    Made by :meth:`parameters` or :meth:`temperature`; :meth:`restrict` leaves the chosen entries, so that the cost
    online does not depend on the mesh.

    Attributes
    ----------
    kind : {"parameters", "temperature"}
    size : int
        F, the entries of the whole field: columns of mu, or nodes of the mesh.
    numbers : (f,) int
        The entries that `values` gives.
    field : SpatialField or None
        Its nodal numbers are those of `nodes` alone.
    loading : Loading or None
    nodes : (f, d) or None
        Coordinates of the entries.
    time : float
        At which the field is looked at.

    Examples
    --------
    >>> loading = Loading(("heat",))
    >>> nodes = np.array([[0.0], [1.0], [2.0]])
    >>> whole = InputField.temperature(SpatialField(["20 + heat * x"], loading.columns), loading, nodes, 0.0)
    >>> whole.values(np.array([[3.0]])), whole.restrict([2]).values(np.array([[3.0]]))
    (array([[20., 23., 26.]]), array([[26.]]))
    """

    kind: str
    size: int
    numbers: np.ndarray
    field: SpatialField | None = None
    loading: Loading | None = None
    nodes: np.ndarray | None = None
    time: float = 0.0

    @classmethod
    def parameters(cls, p: int) -> InputField:
        """The p parameters themselves.

        Raises
        ------
        InputError
            p is below 1.
        """
        if p < 1:
            raise InputError(f"an input field of {p} parameters has nothing to look at; the rule is one at least")
        return cls("parameters", int(p), np.arange(int(p)))

    @classmethod
    def temperature(cls, field: SpatialField, loading: Loading, nodes: ArrayLike, time: float) -> InputField:
        """The field at the nodes (F, d) of a mesh at one time.

        Raises
        ------
        ShapeError
            The nodes are no table of coordinates, or a term of the field knows other than F of them.
        InputError
            A coordinate or the time is not finite.
        """
        places = np.asarray(nodes, dtype=np.float64)
        if places.ndim != 2 or not 1 <= places.shape[1] <= 3 or not len(places):
            raise ShapeError(f"nodes of an input field have shape {np.shape(nodes)}; the rule is (F, d), d = 1, 2, 3")
        if not np.isfinite(places).all() or not np.isfinite(time):
            raise InputError(f"the nodes of an input field, or its time {time}, are not finite; give finite numbers")
        return cls("temperature", len(places), np.arange(len(places)), field, loading, places, float(time))

    def values(self, mu: ArrayLike) -> np.ndarray:
        """Values (b, f) at parameters mu (b, p). Cost: b f values of the field.

        Raises
        ------
        ShapeError
            mu has another number of columns.
        ParameterError
            The field is not finite.
        """
        given = np.atleast_2d(np.asarray(mu, dtype=np.float64))
        if self.field is not None and self.loading is not None and self.nodes is not None:
            return np.ascontiguousarray(self.field.values(self.nodes.T, self.loading.rows(given, self.time)).T)
        if given.ndim != 2 or given.shape[1] != self.size:
            raise ShapeError(f"mu has shape {np.shape(mu)}; this input field reads (b, {self.size})")
        return np.ascontiguousarray(given[:, self.numbers])

    def known_values(self, mu: ArrayLike) -> np.ndarray:
        """Values (b, f) as `values` gives them, but NaN for draws at which the field has none."""
        given = np.atleast_2d(np.asarray(mu, dtype=np.float64))
        try:
            return self.values(given)
        except ParameterError:
            # One draw fails a batch, which is halved until the others have their values.
            half = len(given) // 2
            if not half:
                return np.full((1, self.numbers.size), np.nan)
            return np.concatenate([self.known_values(given[:half]), self.known_values(given[half:])])

    def restrict(self, numbers: ArrayLike) -> InputField:
        """The same field at some entries of the whole one, which must be among those that it still has.

        Raises
        ------
        InputError
            An entry is not there.
        """
        chosen = np.asarray(numbers, dtype=np.int64).ravel()
        place = np.full(self.size, -1)
        place[self.numbers] = np.arange(self.numbers.size)
        outside = (chosen < 0) | (chosen >= self.size)
        known = np.where(outside, -1, place[np.where(outside, 0, chosen)])
        if (known < 0).any() or not chosen.size:
            raise InputError(f"entries {chosen[known < 0][:3].tolist()} are not among the {self.numbers.size} of an "
                             f"input field of size {self.size}; choose of those, and one at least")
        if self.field is None or self.nodes is None:
            return replace(self, numbers=chosen)
        return replace(self, numbers=chosen, field=self.field.restrict(known), nodes=self.nodes[known])

    def to_arrays(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and JSON metadata: all that the field is."""
        arrays, about = {"numbers": self.numbers}, {"kind": self.kind, "size": self.size, "time": self.time}
        if self.field is None or self.loading is None or self.nodes is None:
            return arrays, about
        arrays |= {"nodes": self.nodes, **{f"field/{name}": v for name, v in self.field.to_arrays().items()}}
        return arrays, {**about, "field": self.field.to_spec(), "loading": self.loading.to_spec()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> InputField:
        """The field whose `to_arrays` gave these."""
        whole = cls(metadata["kind"], int(metadata["size"]), np.asarray(arrays["numbers"], dtype=np.int64),
                    time=float(metadata["time"]))
        if "field" not in metadata:
            return whole
        own = {name.removeprefix("field/"): v for name, v in arrays.items() if name.startswith("field/")}
        return replace(whole, field=SpatialField.from_arrays(metadata["field"], own),
                       loading=Loading.from_spec(metadata["loading"]), nodes=np.asarray(arrays["nodes"]))
