"""Outputs of the full-order model as the reduced one finds them: from coefficients of modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.materials.protocol import PLASTIC
from romflow.reduction.mechanics.blocks import STRESS, components_of
from romflow.rom.mechanics.outputs import ReducedOutput

__all__ = ["reduced_outputs", "unsupported_output"]

_COMPONENTS = ("stress_xx", "stress_yy", "stress_zz", "stress_xy", "stress_yz", "stress_xz")


def unsupported_output(outputs: Sequence[Any]) -> str | None:
    """Why some output cannot be had from stress and accumulated plastic strain; None where all can."""
    for output in outputs:
        if output.kind == "field" and output.field not in (PLASTIC, "mises", *_COMPONENTS):
            return (f"the output {output.name!r} asks for {output.field}, and the reduced model knows stresses and the "
                    "accumulated plastic strain; leave it out, or use method = \"pod-regression\"")
    return None


def reduced_outputs(problem: Any, V: np.ndarray, modes: Mapping[str, np.ndarray]) -> tuple[ReducedOutput, ...]:
    """The problem's outputs in coefficients of [basis, lifting] V (n, r + L) and of the dual modes (c G, n_q).

    Raises
    ------
    NotSupported
        An output asks for another field.
    """
    reason = unsupported_output(problem.outputs)
    if reason is not None:
        raise NotSupported(reason)
    return tuple(_reduced(problem, output, V, modes) for output in problem.outputs)


def _reduced(problem: Any, output: Any, V: np.ndarray, modes: Mapping[str, np.ndarray]) -> ReducedOutput:
    one = np.ones(1)
    if output.kind == "displacement":
        return ReducedOutput(output.name, "displacement", (output.functional @ V)[None], one)
    if output.kind == "reaction":
        space = problem.space
        strain = (space.strain(output.functional) * space.weights).ravel()
        return ReducedOutput(output.name, STRESS, (strain @ modes[STRESS])[None], one,
                             load=output.functional @ problem.loads.forces)
    source = PLASTIC if output.field == PLASTIC else STRESS
    size, count = modes[source].shape
    components = components_of(source)
    rows = modes[source].reshape(components, size // components, count)[:, output.points]
    if output.field == "mises":
        weights = np.ones(len(output.points)) if output.weights is None else output.weights
        flat = rows.reshape(components * rows.shape[1], count)
        return ReducedOutput(output.name, STRESS, flat, weights, output.measure == "max", True)
    chosen = rows[0 if source == PLASTIC else _COMPONENTS.index(output.field)]
    if output.measure == "max":
        return ReducedOutput(output.name, source, chosen, np.ones(len(chosen)), True)
    return ReducedOutput(output.name, source, (output.weights @ chosen)[None], one)
