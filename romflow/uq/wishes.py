"""What is wanted of a study of random inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError
from romflow.core.names import nearest, shown
from romflow.uq.draws import KINDS, MAX_SIZE

__all__ = ["Wishes"]

LEAST_SIZE = 16
_OUTSIDE = ("flag", "refuse")
_SPARSE = "sparse-grid"


@dataclass(frozen=True)
class Wishes:
    """What is wanted of a study of random inputs: how many draws of which kind, and which answers.

    Attributes
    ----------
    draws : str
        "monte-carlo", "sobol", "latin-hypercube", "lattice" or "sparse-grid".
    size : int
        Number of draws, of all repetitions together; from 16. Rounded up to what the kind of draws can make.
    seed : int
    repetitions : int
        Independent randomisations of Sobol' points, Latin hypercubes and lattices, from which their intervals come.
    confidence : float
        Of all intervals, in (0, 1).
    outputs : sequence of str or None
        All where None.
    quantiles : sequence of float
        Levels in (0, 1).
    exceedance : mapping of str to sequence of float
        Output -> thresholds t: the probabilities that it is larger than t.
    density : bool
    sensitivity : bool
        Sobol' indices of all inputs.
    sensitivity_size : int or None
        Base points of the indices, each of which costs p + 2 evaluations; None spends about as many evaluations as
        there are draws, and at least 1024 base points.
    outside : "flag" or "refuse"
        Draws outside the range for which the model was built are counted, or are an error.
    batch : int
        Parameters in one call of the model; changes no answer.
    level : int
        Of a sparse grid.

    Raises
    ------
    ConfigError
        A value breaks its rule.

    Examples
    --------
    >>> Wishes(size=1000, quantiles=(0.5,), exceedance={"mean": [1.0]}).size
    1000
    """

    draws: str = "monte-carlo"
    size: int = 10_000
    seed: int = 0
    repetitions: int = 16
    confidence: float = 0.95
    outputs: Sequence[str] | None = None
    quantiles: Sequence[float] = (0.05, 0.5, 0.95)
    exceedance: Mapping[str, Sequence[float]] = field(default_factory=dict)
    density: bool = True
    sensitivity: bool = False
    sensitivity_size: int | None = None
    outside: str = "flag"
    batch: int = 2048
    level: int = 3

    def __post_init__(self) -> None:
        known = (*KINDS, _SPARSE)
        if self.draws not in known:
            raise ConfigError(f"[uq] draws = {shown(self.draws)} is unknown{nearest(str(self.draws), known)}")
        _whole("size", self.size, LEAST_SIZE, MAX_SIZE)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("repetitions", self.repetitions, 2, 1000)
        _whole("batch", self.batch, 1, 10**7)
        _whole("level", self.level, 1, 30)
        if self.sensitivity_size is not None:
            _whole("sensitivity_size", self.sensitivity_size, LEAST_SIZE, MAX_SIZE)
        _between("confidence", self.confidence)
        for level in _listed("quantiles", self.quantiles):
            _between("quantiles", level)
        for key in ("density", "sensitivity"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"[uq] {key} = {shown(getattr(self, key))} is neither true nor false.")
        if self.outside not in _OUTSIDE:
            raise ConfigError(f"[uq] outside = {shown(self.outside)} is unknown{nearest(str(self.outside), _OUTSIDE)}")
        self._check_outputs()
        if self.draws == _SPARSE:
            self._check_sparse()

    def _check_outputs(self) -> None:
        if self.outputs is not None:
            names = _listed("outputs", self.outputs)
            if not names or len(set(names)) < len(names):
                raise ConfigError(f"[uq] outputs = {shown(list(names))} names none or one twice; name each once.")
        if not isinstance(self.exceedance, Mapping):
            raise ConfigError(f"[uq] exceedance = {shown(self.exceedance)} is no table; write output = [thresholds].")
        for name, thresholds in self.exceedance.items():
            for value in _listed(f"exceedance of {shown(name)}", thresholds):
                if not _real(value):
                    raise ConfigError(f"[uq] exceedance of {shown(name)}: the threshold {shown(value)} is not a finite "
                                      "number.")

    def _check_sparse(self) -> None:
        if self.sensitivity or self.density or self.exceedance or len(self.quantiles):
            raise ConfigError("[uq] draws = \"sparse-grid\" gives means and variances alone, for some of its weights "
                              "are negative; ask for no quantiles, density, exceedance or sensitivity, or for "
                              "draws = \"sobol\".")

    def chosen(self, names: Sequence[str]) -> list[int]:
        """Indices, among these names of a model's outputs, of those that are wanted.

        Raises
        ------
        ConfigError
            An output that the model does not have.
        """
        wanted = list(names if self.outputs is None else self.outputs)
        for name in (*wanted, *self.exceedance):
            if name not in names:
                raise ConfigError(f"[uq] no output is called {shown(name)}{nearest(str(name), names)}")
        for name in self.exceedance:
            if name not in wanted:
                raise ConfigError(f"[uq] exceedance of {shown(name)} is asked for, but outputs = {shown(wanted)} lacks "
                                  "it; add it there.")
        return [list(names).index(name) for name in wanted]

    def thresholds(self, chosen: Sequence[str]) -> list[tuple[int, float]]:
        """(index among the chosen outputs, threshold), in the order of the wishes."""
        return [(list(chosen).index(name), float(value)) for name, values in self.exceedance.items()
                for value in values]

    def base_points(self, groups: int) -> int:
        """Base points of the Sobol' indices of this many groups of inputs."""
        if self.sensitivity_size is not None:
            return self.sensitivity_size
        return max(1024, -(-self.size // (groups + 2)))

    def identity(self) -> dict[str, Any]:
        """JSON of all that changes an answer."""
        return {"draws": self.draws, "size": int(self.size), "seed": int(self.seed),
                "repetitions": int(self.repetitions),
                "confidence": float(self.confidence), "outputs": None if self.outputs is None else list(self.outputs),
                "quantiles": [float(level) for level in self.quantiles],
                "exceedance": [[name, [float(t) for t in values]] for name, values in self.exceedance.items()],
                "density": self.density, "sensitivity": self.sensitivity,
                "sensitivity_size": None if self.sensitivity_size is None else int(self.sensitivity_size),
                "outside": self.outside, "level": int(self.level)}


def _real(value: object) -> bool:
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and math.isfinite(float(value))  # type: ignore[arg-type]


def _between(key: str, value: object) -> None:
    if not _real(value) or not 0.0 < float(value) < 1.0:  # type: ignore[arg-type]
        raise ConfigError(f"[uq] {key} holds {shown(value)}; the rule is a number between 0 and 1.")


def _listed(key: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise ConfigError(f"[uq] {key} = {shown(values)} is no list; write [...].")
    return list(values)


def _whole(key: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise ConfigError(f"[uq] {key} = {shown(value)} is not a whole number from {least} to {most}.")
