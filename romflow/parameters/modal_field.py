"""Random fields at points: sums of given modes with parameters as coordinates, or exponentials of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.core.names import nearest, shown

__all__ = ["TRANSFORMS", "ModalField"]

Array = NDArray[np.float64]

#: Name -> what becomes of mean + sum_m mode_m xi_m.
TRANSFORMS = ("affine", "lognormal")


class ModalField:
    """g(x; xi) = h(a_0(x) + sum_m a_m(x) xi_m), h the identity ("affine") or exp ("lognormal").

    It answers what `romflow.parameters.fields.ParametricField` answers; its "points" are the rows (a_0, ..., a_p)(x)
    behind `skipped` further columns, such as the coordinates, that it does not look at.

    Parameters
    ----------
    transform : str
        One of :data:`TRANSFORMS`.
    columns : sequence of p str
        Names of the parameters xi.
    skipped : int

    Raises
    ------
    ConfigError
        No transform of this name.

    Examples
    --------
    >>> field = ModalField("affine", ["a"])
    >>> field.values(np.array([[1.0, 0.5]]), np.array([[2.0], [4.0]])), field.at(np.array([1.0, 0.5]))
    (array([[[2., 3.]]]), '1.0 + 0.5 * a')
    """

    size = 1
    varies_in_space = True
    varies_with_parameters = True

    def __init__(self, transform: str, columns: Sequence[str], skipped: int = 0) -> None:
        if transform not in TRANSFORMS:
            raise ConfigError(f"no random field is called {shown(transform)}{nearest(str(transform), TRANSFORMS)}")
        self.transform, self.columns, self.skipped = transform, tuple(columns), skipped

    @property
    def dimension(self) -> int:
        """Columns of its points."""
        return self.skipped + 1 + len(self.columns)

    @property
    def expressions(self) -> tuple[str, ...]:
        """Its name, for messages."""
        return (f"{self.transform} random field",)

    def values(self, points: Array, mu: Array) -> Array:
        """g (1, P, b) at points (P, dimension) and parameters mu (b, p).

        Raises
        ------
        ShapeError
            Points or parameters have other columns.
        ParameterError
            A value is not finite.
        """
        found = self.component(0, points, mu)
        if not np.isfinite(found).all():
            j = int(np.argwhere(~np.isfinite(found))[0, 1])
            raise ParameterError(f"the {self.expressions[0]} is not finite for mu = {mu[j].tolist()}; narrow the "
                                 "ranges, or lower its standard deviation")
        return found[None]

    def component(self, c: int, points: Array, mu: Array) -> Array:
        """g (P, b), whether finite or not."""
        if points.ndim != 2 or points.shape[1] != self.dimension:
            raise ShapeError(f"the points of a random field have shape {points.shape}; the rule is "
                             f"(P, {self.dimension})")
        if mu.ndim != 2 or mu.shape[1] != len(self.columns):
            raise ShapeError(f"mu has shape {mu.shape}; the rule is (b, {len(self.columns)})")
        modes = points[:, self.skipped:]
        with np.errstate(over="ignore"):
            total = modes[:, :1] + modes[:, 1:] @ mu.T
            return np.asarray(np.exp(total) if self.transform == "lognormal" else total)

    def at(self, point: Array, c: int = 0) -> str:
        """The text of g at one point (dimension,): arithmetic of the parameters."""
        mean, *rest = (float(value) for value in point[self.skipped:])
        text = " ".join([repr(mean), *(f"{'-' if a < 0.0 else '+'} {abs(a)!r} * {name}"
                                       for a, name in zip(rest, self.columns, strict=True) if a != 0.0)])
        return f"exp({text})" if self.transform == "lognormal" else text

    def to_spec(self) -> dict[str, Any]:
        """JSON from which `from_spec` makes the field again."""
        return {"transform": self.transform, "columns": list(self.columns), "skipped": self.skipped}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> ModalField:
        """The field that `to_spec` described."""
        return cls(spec["transform"], spec["columns"], int(spec["skipped"]))
