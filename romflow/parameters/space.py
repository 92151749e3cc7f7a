"""The parameter space: named, bounded, distributed columns of mu."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.core.parameter_rules import MAX_SIZE, columns_of, name_fault, twice
from romflow.parameters.configured import configured_distribution
from romflow.parameters.distributions import Distribution, from_spec

if TYPE_CHECKING:
    from romflow.core.parameter_section import ParameterConfig

__all__ = ["Parameter", "ParameterSpace"]

Array = NDArray[np.float64]

MAX_GRID = 10_000_000


@dataclass(frozen=True)
class Parameter:
    """One table of parameters: a scalar (size 1) or a vector whose entries are independent and alike.

    Parameters
    ----------
    name : str
        Letters, digits and underscores.
    distribution : Distribution
        Of each entry.
    size : int
        Number of entries.
    unit : str
        For people; not used in any calculation.

    Raises
    ------
    ParameterError
        The name or the size is not allowed.
    """

    name: str
    distribution: Distribution
    size: int = 1
    unit: str = ""

    def __post_init__(self) -> None:
        fault = name_fault(self.name)
        if fault is not None:
            raise ParameterError(fault)
        if isinstance(self.size, bool) or not isinstance(self.size, int) or not 1 <= self.size <= MAX_SIZE:
            raise ParameterError(f"{self.name}: size = {shown(self.size)} is not a whole number from 1 to {MAX_SIZE}.")
        if not isinstance(self.distribution, Distribution):
            raise ParameterError(
                f"{self.name}: distribution = {shown(self.distribution)} is no Distribution; give one."
            )

    @property
    def columns(self) -> list[str]:
        """Names of its columns: `name` if the size is 1, else ``name_0 ..``."""
        return columns_of(self.name, self.size)


class ParameterSpace:
    """Independent parameters with names, units, supports and distributions; parameters are rows (k, p).

    Parameters
    ----------
    tables : sequence of Parameter
        In the order of the columns.

    Attributes
    ----------
    tables : tuple of Parameter
    names : dict of str to tuple of str
        Name of a table -> names of its columns.
    columns : tuple of str
        Names of the p columns.
    units : tuple of str
        Units of the p columns.
    size : int
        p.
    low, high : (p,) array
        Ends of the supports, infinite where there is none.

    Raises
    ------
    ParameterError
        No table, or two columns of one name.

    Examples
    --------
    >>> from romflow.parameters.distributions import Uniform
    >>> space = ParameterSpace([Parameter("conductivity", Uniform(0.1, 10.0), size=2)])
    >>> space.columns
    ('conductivity_0', 'conductivity_1')
    >>> space.validate([1.0, 99.0])
    Traceback (most recent call last):
        ...
    romflow.core.errors.ParameterError: mu[0, 1] (conductivity_1) = 99 is outside [0.1, 10] (1 such entry).
    """

    def __init__(self, tables: Sequence[Parameter]) -> None:
        self.tables = tuple(tables)
        if not self.tables:
            raise ParameterError("a parameter space has no parameters; give at least one.")
        fault = twice([(table.name, table.size) for table in self.tables])
        if fault is not None:
            raise ParameterError(fault)
        self.names = {table.name: tuple(table.columns) for table in self.tables}
        self.columns = tuple(column for table in self.tables for column in table.columns)
        self.units = tuple(table.unit for table in self.tables for _ in range(table.size))
        self.size = len(self.columns)
        supports = np.array([table.distribution.support for table in self.tables for _ in range(table.size)])
        self.low, self.high = _fixed(supports[:, 0]), _fixed(supports[:, 1])

    def __repr__(self) -> str:
        return f"ParameterSpace({list(self.tables)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParameterSpace) and self.tables == other.tables

    def __hash__(self) -> int:
        return hash(self.tables)

    def validate(self, mu: ArrayLike | Mapping[str, ArrayLike]) -> Array:
        """Parameters as rows (k, p), C-contiguous float64, all finite and inside the space.

        Parameters
        ----------
        mu : (p,), (k, p) or mapping
            One parameter, k parameters, or columns by name: (k,) for a column, (k, size) for a vector, or numbers.

        Raises
        ------
        ShapeError
            Wrong number of columns or dimensions.
        ParameterError
            A value is not a real number, not finite or outside; a column is unknown or missing.
        """
        rows = self._rows(mu)
        if not np.isfinite(rows).all():
            raise ParameterError(self._complaint(rows, ~np.isfinite(rows), lambda column: "is not finite"))
        outside = (rows < self.low) | (rows > self.high)
        if outside.any():
            raise ParameterError(self._complaint(rows, outside, self._outside))
        return rows

    def one(self, mu: ArrayLike | Mapping[str, ArrayLike], who: str) -> Array:
        """One parameter (p,), checked as by `validate`.

        Parameters
        ----------
        mu : (p,), (1, p) or mapping
        who : str
            What takes one, for the message.

        Raises
        ------
        ShapeError, ParameterError
            As for `validate`; mu has several rows.
        """
        rows = self.validate(mu)
        if len(rows) != 1:
            raise ShapeError(f"mu has {len(rows)} rows; {who} takes one parameter (p,)")
        first: Array = rows[0]
        return first

    def contains(self, mu: ArrayLike | Mapping[str, ArrayLike]) -> NDArray[np.bool_]:
        """Which rows of mu are finite and inside the space: (k,) of bool.

        Raises
        ------
        ShapeError, ParameterError
            Wrong shape, or values that are not real numbers.
        """
        rows = self._rows(mu)
        inside = np.isfinite(rows) & (rows >= self.low) & (rows <= self.high)
        return np.asarray(inside.all(axis=1))

    def ppf(self, unit: ArrayLike) -> Array:
        """Parameters (k, p) whose distribution functions are `unit` (k, p) or (p,) in [0, 1]; finite and inside.

        Raises
        ------
        ShapeError
            `unit` does not have p columns.
        ParameterError
            An entry is outside [0, 1] or NaN.
        """
        points = self._shaped(unit, "unit")
        outside = ~((points >= 0.0) & (points <= 1.0))
        if outside.any():
            raise ParameterError(self._complaint(points, outside, lambda column: "is outside [0, 1]", "unit"))
        mu = np.empty_like(points)
        start = 0
        for table in self.tables:
            block = slice(start, start + table.size)
            mu[:, block] = table.distribution.ppf(points[:, block])
            start += table.size
        return mu

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """Independent parameters (size, p): ``ppf(rng.random((size, p)))``.

        For uniform distributions these are ``rng.uniform(low, high, (size, p))`` to round-off.
        """
        return self.ppf(rng.random((size, self.size)))

    def grid(self, per_axis: int | Sequence[int]) -> Array:
        """Tensor grid (k, p), the last column changing fastest; equidistant in the distribution function.

        An axis with m > 1 points goes from end to end of its support (without the ends where these are infinite: then
        the middles of m equal parts); one point is the median.

        Parameters
        ----------
        per_axis : int or sequence of p int
            Points an axis.

        Raises
        ------
        ParameterError
            A number below 1, or more than 10 million points.
        ShapeError
            Not p numbers.
        """
        counts = [per_axis] * self.size if isinstance(per_axis, int) else list(per_axis)
        if len(counts) != self.size:
            raise ShapeError(f"per_axis has {len(counts)} numbers; this space has {self.size} columns.")
        for count in counts:
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ParameterError(f"per_axis = {shown(count)} is not a whole number from 1; give one.")
        if math.prod(counts) > MAX_GRID:
            points = shown(math.prod(counts), 20)
            raise ParameterError(f"per_axis asks for {points} points; at most {MAX_GRID} are made, ask for fewer.")
        unit = np.empty((math.prod(counts), self.size))
        for column, count in enumerate(counts):
            repeats = math.prod(counts[column + 1 :])
            unit[:, column] = np.tile(np.repeat(self._axis(column, count), repeats), math.prod(counts[:column]))
        return self.ppf(unit)

    def centre(self) -> Array:
        """The medians (p,) of all columns."""
        return np.asarray(self.ppf(np.full(self.size, 0.5))[0])

    def to_spec(self) -> list[dict[str, Any]]:
        """JSON form: one dictionary a table, with its name, size, unit, distribution and numbers."""
        return [
            {"name": table.name, "size": table.size, "unit": table.unit, **table.distribution.spec()}
            for table in self.tables
        ]

    @classmethod
    def from_spec(cls, spec: Sequence[Mapping[str, Any]]) -> ParameterSpace:
        """The space whose :meth:`to_spec` is `spec`.

        Raises
        ------
        ParameterError
            `spec` is not such a list.
        """
        tables = []
        for entry in spec:
            if not isinstance(entry, Mapping) or "name" not in entry:
                raise ParameterError(f"a parameter's specification is {shown(entry)}; it needs the key 'name'.")
            numbers = {key: value for key, value in entry.items() if key not in ("name", "size", "unit")}
            tables.append(Parameter(entry["name"], from_spec(numbers), entry.get("size", 1), entry.get("unit", "")))
        return cls(tables)

    @classmethod
    def from_config(cls, config: Mapping[str, ParameterConfig], base: str | Path = ".") -> ParameterSpace:
        """The space of the [parameters.NAME] tables of a study.

        Parameters
        ----------
        config : mapping
        base : path
            Folder of the study file, to which the files of tables are relative.
        """
        return cls([
            Parameter(name, configured_distribution(name, table, base), table.size, table.unit)
            for name, table in config.items()
        ])

    def _axis(self, column: int, count: int) -> Array:
        if count == 1:
            return np.array([0.5])
        if np.isfinite(self.low[column]) and np.isfinite(self.high[column]):
            return np.linspace(0.0, 1.0, count)
        return (np.arange(count) + 0.5) / count

    def _rows(self, mu: ArrayLike | Mapping[str, ArrayLike]) -> Array:
        return self._shaped(self._from_columns(mu) if isinstance(mu, Mapping) else mu, "mu")

    def _shaped(self, values: ArrayLike, name: str) -> Array:
        try:
            array = np.asarray(values)
        except ValueError as error:
            raise ShapeError(f"{name} has rows of different lengths; it must be (k, {self.size}).") from error
        if array.dtype.kind not in "iuf" and array.size:
            raise ParameterError(f"{name} holds values of type {array.dtype}; it must hold real numbers.")
        if array.ndim == 1:
            array = array[np.newaxis]
        if array.ndim != 2 or array.shape[1] != self.size:
            raise ShapeError(
                f"{name} has shape {np.shape(values)}; it must be (k, {self.size}) with the columns {self._listed()}."
            )
        return np.ascontiguousarray(array, dtype=np.float64)

    def _listed(self) -> str:
        return ", ".join(self.columns[:20]) + (" ..." if self.size > 20 else "")

    def _from_columns(self, mu: Mapping[str, ArrayLike]) -> Array:
        parts: dict[str, NDArray[Any]] = {}
        for name, values in mu.items():
            array = np.asarray(values)
            if name in self.columns:
                parts[name] = array.reshape(-1) if array.ndim < 2 else array
            elif name in self.names:
                block = array.reshape(1, -1) if array.ndim < 2 else array
                if block.ndim != 2 or block.shape[1] != len(self.names[name]):
                    raise ShapeError(f"mu[{name!r}] has shape {array.shape}; it must be (k, {len(self.names[name])}).")
                parts.update(zip(self.names[name], block.T, strict=True))
            else:
                raise ParameterError(f"no parameter is called {shown(name)}{nearest(str(name), self.columns)}")
        missing = [column for column in self.columns if column not in parts]
        if missing:
            raise ParameterError(f"mu lacks the column {missing[0]!r} ({len(missing)} such); give all {self.size}.")
        try:
            return np.stack(np.broadcast_arrays(*(parts[column] for column in self.columns)), axis=1)
        except ValueError as error:
            raise ShapeError("the columns of mu have different lengths; give each the same number of rows.") from error

    def _outside(self, column: int) -> str:
        return f"is outside [{shown(float(self.low[column]))}, {shown(float(self.high[column]))}]"

    def _complaint(self, rows: Array, bad: NDArray[np.bool_], rule: Any, name: str = "mu") -> str:
        count = int(np.count_nonzero(bad))
        row, column = (int(index) for index in np.argwhere(bad)[0])
        value = shown(float(rows[row, column]))
        entries = "1 such entry" if count == 1 else f"{count} such entries"
        return f"{name}[{row}, {column}] ({self.columns[column]}) = {value} {rule(column)} ({entries})."


def _fixed(values: Array) -> Array:
    """A copy that cannot be written to."""
    copy = np.array(values, dtype=np.float64)
    copy.flags.writeable = False
    return copy
