"""What the a-priori criterion found: one row a number of clusters, the choice, and the reasons in sentences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from romflow.core.errors import InputError

__all__ = ["Assessment", "Costs", "Row", "cube"]


def cube(modes: int) -> float:
    """Seconds of an online solve with this many modes if nothing was measured: 1e-5 (1 + n^3 / 1000)."""
    return 1e-5 * (1.0 + modes**3 / 1000.0)


@dataclass(frozen=True)
class Costs:
    """Measured seconds of what a dictionary is made of.

    Parameters
    ----------
    full_order, cheap : float
        One solve of the full-order and of the simplified model.
    pair : float
        The dissimilarity of one pair.
    training : float
        Training of the recommender, once.
    recommend : float
        One recommendation online.
    online : callable n -> seconds
        One reduced solve with n modes; by default :func:`cube`.

    Raises
    ------
    InputError
        A value is negative or not finite.
    """

    full_order: float
    cheap: float
    pair: float = 0.0
    training: float = 0.0
    recommend: float = 0.0
    online: Callable[[int], float] = cube

    def __post_init__(self) -> None:
        for name in ("full_order", "cheap", "pair", "training", "recommend"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"the cost '{name}' is {value}; the rule is seconds, finite and not negative")


@dataclass(frozen=True)
class Row:
    """All numbers of one number of clusters; None is what cannot be told.

    The errors are means over held-out samples of the relative projection error with the same number of modes.
    """

    clusters: int
    sizes: list[int]
    #: why this number is out of the question, or None
    refused: str | None
    #: full-order runs a cluster, and in all
    snapshots: int
    runs: int
    #: e_global, e_right, e_wrong and a e_right + (1 - a) e_wrong
    global_error: float | None = None
    right_error: float | None = None
    wrong_error: float | None = None
    expected_error: float | None = None
    #: cross-validated accuracy a of the recommender, and the one above which the dictionary wins
    accuracy: float | None = None
    break_even_accuracy: float | None = None
    #: e_global / e_right; e_global / expected error, with its 90 % interval over the folds
    gain: float | None = None
    expected_gain: float | None = None
    gain_interval: list[float] | None = None
    #: modes with which the expected error meets the tolerance
    modes_needed: int | None = None
    offline_seconds: float | None = None
    online_seconds: float | None = None
    #: queries from which the dictionary has paid for itself
    break_even_queries: float | None = None
    #: expected and right-cluster error for n = 1, 2, ... modes
    expected_curve: list[float] = field(default_factory=list)
    right_curve: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {entry.name: _plain(getattr(self, entry.name)) for entry in fields(self)}


@dataclass(frozen=True)
class Assessment:
    """Which dictionary to build, and why.

    Parameters
    ----------
    rows : tuple of Row
        In increasing K; the first is K = 1, one global model.
    clusters : int
        The recommended K; 1 says: do not cluster.
    snapshots : int
        Full-order runs for each cluster (for K = 1: in all); a smaller cluster gives all its members.
    modes : int
        Modes of each local model.
    why : tuple of str
        Sentences for the report.
    facts : dict
        Samples, folds, budget, tolerance, modes at which errors are compared, and what the angle gains.
    """

    rows: tuple[Row, ...]
    clusters: int
    snapshots: int
    modes: int
    why: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self, clusters: int) -> Row:
        """The row of this number of clusters.

        Raises
        ------
        InputError
            That number was not tried.
        """
        for row in self.rows:
            if row.clusters == clusters:
                return row
        raise InputError(f"{clusters} clusters were not tried; tried: {', '.join(str(r.clusters) for r in self.rows)}")

    def plain(self) -> dict[str, Any]:
        """As JSON: {"rows", "clusters", "snapshots", "modes", "why", "facts"}, without NaN."""
        return {"rows": [row.plain() for row in self.rows], "clusters": self.clusters, "snapshots": self.snapshots,
                "modes": self.modes, "why": list(self.why), "facts": _plain(self.facts)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
