"""Numbers that are asked of a reduced mechanics model: displacements, reactions, means and maxima of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, ShapeError
from romflow.materials.tensors import mises

__all__ = ["ReducedOutput"]


@dataclass(frozen=True, eq=False)
class ReducedOutput:
    """One number a state: weights . v, or max v, of the values v at P places.

    v = rows c with the coefficients c of `source`: those of displacements, r modes and then L liftings, or those of a
    dual field. With `equivalent` the rows are 6 components of P places and v is von Mises' stress of them.
    A mean of a linear field over a region needs one row; its cost online is then k multiplications.

    Attributes
    ----------
    name : str
    source : str
        "displacement" or the name of a dual field.
    rows : (P, k), or (6 P, k) with `equivalent`
        Components first.
    weights : (P,)
        Of the sum; not used by a maximum.
    maximum : bool
    equivalent : bool
    load : (Q,) or None
        What each of the Q loads takes off: a reaction is that of the stress less that of the loads.

    Examples
    --------
    >>> ReducedOutput("tip", "displacement", np.array([[2.0, 0.5]]), np.ones(1)).values(np.array([[1.0], [4.0]]))
    array([4.])
    """

    name: str
    source: str
    rows: np.ndarray
    weights: np.ndarray
    maximum: bool = False
    equivalent: bool = False
    load: np.ndarray | None = None

    def __post_init__(self) -> None:
        places = len(self.weights) * (6 if self.equivalent else 1)
        if self.rows.ndim != 2 or len(self.rows) != places:
            raise ShapeError(f"rows of output {self.name} have shape {self.rows.shape}; the rule is ({places}, k) for "
                             f"{len(self.weights)} weights")

    def values(self, coefficients: np.ndarray, load: np.ndarray | None = None) -> np.ndarray:
        """Values (b,) for coefficients (k, b) of the source and coefficients (b, Q) of the loads."""
        found = self.rows @ coefficients
        if self.equivalent:
            found = mises(found.reshape(6, -1, coefficients.shape[1]))
        total = found.max(axis=0) if self.maximum else self.weights @ found
        return np.asarray(total if self.load is None or load is None else total - load @ self.load)

    def to_spec(self) -> dict[str, Any]:
        """JSON beside the arrays `rows`, `weights` and `load`."""
        return {"name": self.name, "source": self.source, "maximum": self.maximum, "equivalent": self.equivalent}

    @classmethod
    def from_arrays(cls, spec: Mapping[str, Any], rows: np.ndarray, weights: np.ndarray,
                    load: np.ndarray | None = None) -> ReducedOutput:
        """The output whose `to_spec` and arrays these are.

        Raises
        ------
        ConfigError
            The source is no text.
        """
        if not isinstance(spec["source"], str):
            raise ConfigError(f"output {spec['name']!r} has source {spec['source']!r}; the rule is the name of a field")
        return cls(spec["name"], spec["source"], rows, weights, bool(spec["maximum"]), bool(spec["equivalent"]), load)
