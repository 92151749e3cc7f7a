"""Fields of place, parameters and time, such as a temperature: sums of texts, given nodal arrays and random terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ConfigError, InputError, ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.expressions import Theta, check_text
from romflow.parameters.fields import COORDINATES
from romflow.parameters.random_term import RandomTerm

__all__ = ["FieldTerm", "SpatialField"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FieldTerm:
    """One term of a field: nodal numbers times the text `amplitude`, or a text in x, y, z and the columns.

    Attributes
    ----------
    text : str
        Of the columns alone where there are numbers, else of x, y, z too.
    numbers : (N,) array or None
    """

    text: str
    numbers: Array | None = None


class SpatialField:
    """f(x; mu, t) = sum of its terms, at many points and parameters at once.

    Parameters
    ----------
    terms : sequence of FieldTerm, RandomTerm, mapping, text or number
        A mapping is {"value": text} or {"values": (N,) numbers, "amplitude": text ("1" where left out)}.
    columns : sequence of c str
        What texts may name beside x, y and z: those of a :class:`romflow.parameters.loading.Loading`.

    Raises
    ------
    ConfigError
        A term has other keys, or a text is no arithmetic of these names.
    InputError
        Nodal numbers are not finite.

    Examples
    --------
    >>> field = SpatialField(["20 + a * x", {"values": [1.0, 2.0], "amplitude": "t"}], ["a", "t"])
    >>> field.values(np.array([[0.0, 1.0]]), np.array([[10.0, 3.0]]))
    array([[23.],
           [36.]])
    """

    def __init__(self, terms: Sequence[FieldTerm | RandomTerm | Mapping[str, Any] | str | float],
                 columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        taken = [name for name in self.columns if name in COORDINATES]
        if taken:
            raise ConfigError(f"{shown(taken[0])} is the name of a coordinate; rename the parameter or amplitude")
        self.terms = tuple(_term(term) for term in terms)
        for term in self.terms:
            check_text("a term of a field is ", term.text, self._known(term))
            missing = [name for name in _coordinates(term) if name not in self.columns]
            if missing:
                raise ConfigError(f"a random term of a field needs the column {shown(missing[0])}, which is not there")

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that the field depends on."""
        names = (*COORDINATES, *self.columns)
        found = {names[j] for term in self.terms for j in Theta([term.text], names).used}
        found |= {name for term in self.terms for name in _coordinates(term)}
        return tuple(name for name in self.columns if name in found)

    def values(self, points: ArrayLike, rows: ArrayLike, nodes: ArrayLike | None = None) -> Array:
        """f (P, b) at points (d, P) for rows (b, c) of the columns, without a loop over points or rows.

        Parameters
        ----------
        points : (d, P) array
        rows : (b, c) array
        nodes : (P,) array of int, optional
            Which entries of nodal numbers belong to the points; all in order where left out.

        Raises
        ------
        ShapeError
            Shapes do not fit.
        ParameterError
            A value is not finite.
        """
        x, given = np.asarray(points, dtype=np.float64), np.atleast_2d(np.asarray(rows, dtype=np.float64))
        if x.ndim != 2 or not 1 <= len(x) <= 3 or given.shape[1] != len(self.columns):
            raise ShapeError(f"points of shape {x.shape} and rows of shape {given.shape} were given; a field needs "
                             f"(d, P) with d = 1, 2, 3 and (b, {len(self.columns)})")
        total = np.zeros((x.shape[1], len(given)))
        columns = {name: given[:, j] for j, name in enumerate(self.columns)}
        place = {name: x[i][:, None] if i < len(x) else np.zeros((1, 1)) for i, name in enumerate(COORDINATES)}
        for term, theta in zip(self.terms, self._thetas, strict=True):
            if isinstance(term, RandomTerm):
                xi = np.stack([columns[name] for name in term.coordinates], axis=1)
                total += self._fit(term.values(xi, nodes), x.shape[1]) * theta.broadcast({**place, **columns})[0]
            elif term.numbers is None:
                total += theta.broadcast({**place, **columns})[0]
            else:
                found = term.numbers if nodes is None else term.numbers[np.asarray(nodes, dtype=np.int64)]
                total += self._fit(found, x.shape[1])[:, None] * theta.broadcast(columns)[0]
        if not np.isfinite(total).all():
            j = int(np.argwhere(~np.isfinite(total))[0, 1])
            where = ", ".join(f"{name} = {value:g}" for name, value in zip(self.columns, given[j], strict=True))
            raise ParameterError(f"the field {' + '.join(shown(term.text) for term in self.terms)} is not finite at "
                                 f"{where}; it must be on the whole part and at all times")
        return total

    def restrict(self, nodes: ArrayLike) -> SpatialField:
        """The same field for some nodes alone: nodal numbers of the others are gone."""
        chosen = np.asarray(nodes, dtype=np.int64)
        return SpatialField([_restricted(term, chosen) for term in self.terms], self.columns)

    def to_spec(self) -> dict[str, Any]:
        """JSON beside the arrays of `to_arrays`."""
        return {"columns": list(self.columns),
                "terms": [term.to_spec() if isinstance(term, RandomTerm) else
                          {"text": term.text, "nodal": term.numbers is not None} for term in self.terms]}

    def to_arrays(self) -> dict[str, Array]:
        """Nodal numbers (N,) and modes (N, M) by the number of their term."""
        nodal = {str(i): term.modes if isinstance(term, RandomTerm) else term.numbers
                 for i, term in enumerate(self.terms)}
        return {key: numbers for key, numbers in nodal.items() if numbers is not None}

    @classmethod
    def from_arrays(cls, spec: Mapping[str, Any], arrays: Mapping[str, Array]) -> SpatialField:
        """The field whose `to_spec` and `to_arrays` gave these."""
        terms = [RandomTerm.from_spec(term, arrays[str(i)]) if "random" in term else
                 FieldTerm(term["text"], np.asarray(arrays[str(i)]) if term["nodal"] else None)
                 for i, term in enumerate(spec["terms"])]
        return cls(terms, spec["columns"])

    @cached_property
    def _thetas(self) -> list[Theta]:
        return [Theta([term.text], self._known(term)) for term in self.terms]

    def _known(self, term: FieldTerm | RandomTerm) -> tuple[str, ...]:
        """What the text of a term may name."""
        nodal = isinstance(term, FieldTerm) and term.numbers is not None
        return self.columns if nodal else (*COORDINATES, *self.columns)

    @staticmethod
    def _fit(numbers: Array, points: int) -> Array:
        if len(numbers) != points:
            raise ShapeError(f"a field known at {len(numbers)} nodes was asked for at {points} points; give the nodes "
                             "that the points are")
        return numbers


def _coordinates(term: FieldTerm | RandomTerm) -> tuple[str, ...]:
    return term.coordinates if isinstance(term, RandomTerm) else ()


def _restricted(term: FieldTerm | RandomTerm, nodes: NDArray[np.int64]) -> FieldTerm | RandomTerm:
    if isinstance(term, RandomTerm):
        return term.restrict(nodes)
    return term if term.numbers is None else FieldTerm(term.text, term.numbers[nodes])


def _term(term: FieldTerm | RandomTerm | Mapping[str, Any] | str | float) -> FieldTerm | RandomTerm:
    if isinstance(term, FieldTerm | RandomTerm):
        return term
    if isinstance(term, str | int | float) and not isinstance(term, bool):
        return FieldTerm(term if isinstance(term, str) else repr(float(term)))
    if not isinstance(term, Mapping) or ("value" in term) == ("values" in term):
        raise ConfigError(f"a term of a field is {shown(term)}; write a text, or a table with value (a text), with "
                          "values (a number a node) and amplitude (a text), or of a random temperature with covariance")
    keys = ("value",) if "value" in term else ("values", "amplitude")
    for key in term:
        if key not in keys:
            raise ConfigError(f"a term of a field has no key {shown(key)}{nearest(str(key), keys)}")
    if "value" in term:
        return _term(term["value"])
    numbers = np.array(term["values"], dtype=np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise InputError(f"nodal values of a field have shape {numbers.shape} or are not all finite; give one finite "
                         "number a node")
    return FieldTerm(str(term.get("amplitude", "1")), numbers)
