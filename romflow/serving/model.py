"""What a server offers: a model with sizes, values and, where it has them, derivatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import NotSupported
from romflow.parameters.space import ParameterSpace
from romflow.rom.model import ReducedModel

__all__ = ["Served", "serve_reduced"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Served:
    """A model under a name.

    Attributes
    ----------
    name : str
    parameters : ParameterSpace
        The range that requests must keep.
    outputs : tuple of str
    values : callable
        mu (1, p) -> list of vectors: outputs (o,), their errors (o,), the error of the state (1,); the latter two may
        be left out.
    jacobian : callable or None
        mu (1, p) -> (o, p).
    """

    name: str
    parameters: ParameterSpace
    outputs: tuple[str, ...]
    values: Callable[[Array], list[Array]]
    jacobian: Callable[[Array], Array] | None = None

    def sizes(self, errors: bool) -> list[int]:
        """Lengths of the output vectors, with those of the errors where asked for."""
        return [len(self.outputs), len(self.outputs), 1] if errors else [len(self.outputs)]


def serve_reduced(rom: ReducedModel, name: str = "reduced") -> Served:
    """A reduced model with its errors, and with derivatives where it has them.

    Raises
    ------
    NotSupported
        The model has no outputs.
    """
    if not rom.output_names:
        raise NotSupported("this model has no outputs that could be served; give the full-order model outputs")

    def values(mu: Array) -> list[Array]:
        answer = rom.solve(mu, check=False)
        unknown = np.full(len(rom.output_names), np.nan)
        errors = unknown if answer.output_error is None else answer.output_error[:, 0]
        return [answer.output[:, 0], errors, answer.error[:1]]

    found = getattr(rom, "sensitivity", None)
    jacobian = None if found is None or not _differentiable(rom, found) else lambda mu: _jacobian(found, mu)
    return Served(name, rom.parameters, rom.output_names, values, jacobian)


def _jacobian(sensitivity: Callable[..., Any], mu: Array) -> Array:
    return np.asarray(sensitivity(mu, check=False)[:, :, 0])


def _differentiable(rom: ReducedModel, sensitivity: Callable[..., Any]) -> bool:
    """Whether derivatives exist: some kinds of models refuse them."""
    try:
        sensitivity(rom.parameters.centre()[None])
    except NotSupported:
        return False
    return True
