"""Kinds of reduced models by the names in their files; dictionaries of them aside."""

from __future__ import annotations

from typing import Any

from romflow.rom.affine import AffineReducedModel
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.nonlinear import NonlinearReducedModel
from romflow.rom.regression import RegressionReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.rom.windows import WindowedReducedModel

__all__ = ["LOCAL_KINDS"]

LOCAL_KINDS: dict[str, Any] = {
    "affine": AffineReducedModel, "evolution": EvolutionReducedModel, "mechanics": MechanicsReducedModel,
    "nonlinear": NonlinearReducedModel, "regression": RegressionReducedModel, "sketched": SketchedReducedModel,
    "windowed": WindowedReducedModel}
