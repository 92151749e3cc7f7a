"""Small bodies of mechanics: a plate with a hole under load and heat, and a bar."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.fom.mechanics.model import Mechanics
from romflow.materials.reference import REFERENCE
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

SPACE = ParameterSpace([Parameter("pull", Uniform(0.0, 1000.0))])
MU = np.array([110.0])
CYCLE = {"times": [0, 30, 50, 80, 100], "values": [0, 1, 1, -0.3, 0], "period": 100}
ELASTIC = {"kind": "thermoelastic", "young": 1000.0, "poisson": 0.25, "expansion": 1e-3}
# Perfectly plastic in the end: a bar of it carries 100 in tension.
SOFT = {"kind": "viscoplastic", "young": 1000.0, "poisson": 0.3, "expansion": 0.0, "isotropic": "100"}


def plate(**changes: Any) -> Mechanics:
    options: dict[str, Any] = {
        "law": REFERENCE, "mesh": {"shape": "plate-with-hole", "cells": [6, 8]},
        "supports": [{"on": "left", "symmetric": True}, {"on": "bottom", "symmetric": True}],
        "loads": [{"type": "traction", "on": "top", "value": [0, 1], "amplitude": "pull * cycle"}],
        "temperature": "20 + abs(cycle) * 500 * exp(-((x - 1)**2 + y**2) / 2.25)", "amplitudes": {"cycle": CYCLE},
        "outputs": [{"name": "top", "type": "displacement", "on": "top", "component": "y"},
                    {"name": "plastic", "type": "field", "field": "accumulated_plastic_strain"},
                    {"name": "hole", "type": "field", "field": "mises", "at": [1.0, 0.0]},
                    {"name": "held", "type": "reaction", "on": "bottom", "component": "y"}]}
    return Mechanics(SPACE, **{**options, **changes})


def bar(**changes: Any) -> Mechanics:
    """A unit square, or what `changes` say, held in x at x = 0 and in y at y = 0."""
    options: dict[str, Any] = {
        "law": ELASTIC, "mesh": {"shape": "box", "cells": [2, 2]}, "element": "quad4-bbar",
        "supports": [{"on": "x = 0", "components": ["x"]}, {"on": "y = 0", "components": ["y"]}],
        "loads": [{"type": "traction", "on": "x = max", "value": [1, 0], "amplitude": "pull * t"}]}
    return Mechanics(SPACE, **{**options, **changes})
