"""The random inputs of a study: a distribution a column, and how the columns depend on each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from romflow.core.errors import ParameterError, ShapeError
from romflow.core.names import nearest, shown
from romflow.parameters.copulas import Copula, Independent, copula_from_spec
from romflow.parameters.distribution import Distribution
from romflow.parameters.distributions import from_spec
from romflow.parameters.space import ParameterSpace

__all__ = ["RandomInputs"]

Array = NDArray[np.float64]

_ROWS = 4096  # a block of rows stays in the cache


class RandomInputs:
    """Random parameters: rows mu (k, p) from points of the unit cube, and their density.

    Parameters
    ----------
    space : ParameterSpace
        The range for which the model was built; its distributions hold for the columns without another one.
    marginals : mapping of str to Distribution
        Name of a column or of a table (then of all its columns) -> its distribution.
    copula : Copula, optional
        Independent by default.

    Attributes
    ----------
    columns : tuple of str
        Names of the p columns.
    size : int
        p.
    marginals : tuple of Distribution
        Of each column.
    copula : Copula

    Raises
    ------
    ParameterError
        An unknown name, no distribution, no copula, or a copula of another size.

    Examples
    --------
    >>> from romflow.parameters.copulas import Gaussian
    >>> from romflow.parameters.distributions import Normal, Uniform
    >>> from romflow.parameters.space import Parameter
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 2.0)), Parameter("b", Uniform(0.0, 1.0))])
    >>> inputs = RandomInputs(space, {"b": Normal(0.5, 0.1)}, Gaussian([[1.0, 0.6], [0.6, 1.0]]))
    >>> inputs.ppf([[0.5, 0.5]])
    array([[1. , 0.5]])
    """

    def __init__(
        self, space: ParameterSpace, marginals: Mapping[str, Distribution] | None = None, copula: Copula | None = None
    ) -> None:
        if not isinstance(space, ParameterSpace):
            raise ParameterError(f"random inputs: space = {shown(space)} is no ParameterSpace; give the model's.")
        self.space = space
        self.columns, self.size = space.columns, space.size
        self._changed = dict(marginals or {})
        self.marginals = _per_column(space, self._changed)
        self.copula = Independent(self.size) if copula is None else copula
        if not isinstance(self.copula, Copula):
            raise ParameterError(f"random inputs: copula = {shown(copula)} is no Copula; give one.")
        if self.copula.size != self.size:
            raise ParameterError(f"random inputs: the copula has {self.copula.size} columns and the space {self.size} "
                                 f"({', '.join(self.columns[:20])}); give one row and column each, in this order.")
        self._blocks = _blocks(self.marginals)

    @property
    def independent(self) -> bool:
        """Whether all columns are independent."""
        return all(len(group) == 1 for group in self.copula.groups)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Indices of columns that depend on each other; different groups are independent."""
        return self.copula.groups

    def ppf(self, unit: ArrayLike) -> Array:
        """Parameters (k, p), finite, at independent uniform points `unit` (k, p) in [0, 1].

        Raises
        ------
        ShapeError
            Not p columns.
        ParameterError
            An entry is NaN or outside [0, 1].
        """
        points = self._unit(unit)
        mu = np.empty_like(points)
        for start in range(0, len(points), _ROWS):
            rows = slice(start, start + _ROWS)
            u = points[rows] if isinstance(self.copula, Independent) else self.copula.transform(points[rows])
            for columns, distribution in self._blocks:
                mu[rows, columns] = distribution.ppf(u[:, columns])
        return mu

    def unit(self, mu: ArrayLike) -> Array:
        """The points (k, p) of the unit cube whose :meth:`ppf` is `mu` (k, p); not for discrete columns.

        Raises
        ------
        ShapeError
            Not p columns.
        ParameterError
            A value is not finite, or a column is discrete.
        """
        for column, distribution in zip(self.columns, self.marginals, strict=True):
            if distribution.discrete:
                raise ParameterError(f"random inputs: {column} is discrete, so that no point of the cube belongs to a "
                                     "value; give it a distribution with a density.")
        return self.copula.inverse(self._cdf(self._mu(mu)))

    def from_normal(self, z: ArrayLike) -> Array:
        """Parameters (k, p) at independent standard normal numbers z (k, p)."""
        return self.ppf(special.ndtr(self._numbers(z, "z")))

    def to_normal(self, mu: ArrayLike) -> Array:
        """The standard normal numbers (k, p) whose :meth:`from_normal` is `mu`; not for discrete columns."""
        return np.asarray(special.ndtri(self.unit(mu)))

    def log_density(self, mu: ArrayLike) -> Array:
        """Logarithm of the joint density (k,) at mu (k, p); -inf where it is 0.

        Raises
        ------
        ShapeError
            Not p columns.
        ParameterError
            A value is not finite.
        """
        rows = self._mu(mu)
        density = np.zeros(len(rows))
        for columns, distribution in self._blocks:
            density += distribution.log_density(rows[:, columns]).sum(axis=1)
        if not isinstance(self.copula, Independent):
            density += self.copula.log_density(self._cdf(rows))
        return density

    def outside(self, mu: ArrayLike) -> NDArray[np.bool_]:
        """Which rows of mu (k, p) are outside the space, the range for which the model was built: (k,).

        Raises
        ------
        ShapeError
            Not p columns.
        ParameterError
            A value is not finite.
        """
        rows = self._mu(mu)
        out = np.zeros(len(rows), dtype=bool)
        for column in range(self.size):
            values = rows[:, column]
            out |= (values < self.space.low[column]) | (values > self.space.high[column])
        return out

    def sample(self, size: int, rng: np.random.Generator) -> Array:
        """Random parameters (size, p): ``ppf(rng.random((size, p)))``."""
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 0:
            raise ParameterError(f"random inputs: size = {shown(size)} is not a whole number from 0; give one.")
        return self.ppf(rng.random((int(size), self.size)))

    def spec(self) -> dict[str, Any]:
        """JSON form: the space, the marginals that differ from it, the copula; :meth:`from_spec` reads it."""
        return {
            "space": self.space.to_spec(),
            "marginals": {name: distribution.spec() for name, distribution in self._changed.items()},
            "copula": self.copula.spec(),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> RandomInputs:
        """The inputs whose :meth:`spec` is `spec`.

        Raises
        ------
        ParameterError
            A key is missing or its content is wrong.
        """
        for key in ("space", "marginals", "copula"):
            if key not in spec:
                raise ParameterError(f"the specification of random inputs needs the key {key!r}; give it.")
        marginals = {str(name): from_spec(content) for name, content in spec["marginals"].items()}
        return cls(ParameterSpace.from_spec(spec["space"]), marginals, copula_from_spec(spec["copula"]))

    def _cdf(self, rows: Array) -> Array:
        u = np.empty_like(rows)
        for columns, distribution in self._blocks:
            u[:, columns] = distribution.cdf(rows[:, columns])
        return u

    def _unit(self, unit: ArrayLike) -> Array:
        points = self._shaped(unit, "unit")
        if points.size and not (points.min() >= 0.0 and points.max() <= 1.0):
            wrong = ~((points >= 0.0) & (points <= 1.0))
            raise ParameterError(self._complaint("unit", points, wrong, "is outside [0, 1]; give probabilities"))
        return points

    def _mu(self, mu: ArrayLike) -> Array:
        return self._numbers(mu, "mu")

    def _numbers(self, values: ArrayLike, name: str) -> Array:
        rows = self._shaped(values, name)
        if not np.isfinite(rows).all():
            raise ParameterError(self._complaint(name, rows, ~np.isfinite(rows), "is not finite; give finite numbers"))
        return rows

    def _complaint(self, name: str, rows: Array, wrong: NDArray[np.bool_], rule: str) -> str:
        row, column = (int(index) for index in np.argwhere(wrong)[0])
        value = shown(float(rows[row, column]))
        return f"{name}[{row}, {column}] ({self.columns[column]}) = {value} {rule} ({int(wrong.sum())} such)."

    def _shaped(self, values: ArrayLike, name: str) -> Array:
        rows = np.asarray(values, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.size:
            listed = ", ".join(self.columns[:20])
            raise ShapeError(f"{name} has shape {rows.shape}; it must be (k, {self.size}) with the columns {listed}.")
        return rows


def _per_column(space: ParameterSpace, changed: Mapping[str, Distribution]) -> tuple[Distribution, ...]:
    """The distribution of each column: its own, else that of its table, else that of the space."""
    for name, distribution in changed.items():
        if name not in space.columns and name not in space.names:
            known = dict.fromkeys([*space.names, *space.columns])
            raise ParameterError(f"random inputs: no parameter is called {shown(name)}{nearest(str(name), known)}")
        if not isinstance(distribution, Distribution):
            raise ParameterError(f"random inputs: {name} = {shown(distribution)} is no Distribution; give one.")
    return tuple(
        changed.get(column, changed.get(table.name, table.distribution))
        for table in space.tables
        for column in table.columns
    )


def _blocks(marginals: tuple[Distribution, ...]) -> list[tuple[slice, Distribution]]:
    """Neighbouring columns with one distribution, and that."""
    blocks: list[tuple[slice, Distribution]] = []
    for column, distribution in enumerate(marginals):
        if blocks and blocks[-1][1] == distribution:
            blocks[-1] = (slice(blocks[-1][0].start, column + 1), distribution)
        else:
            blocks.append((slice(column, column + 1), distribution))
    return blocks
