"""What the interpolation of coefficients does to a reduced model: its terms and errors, and whether it rules them."""

from __future__ import annotations

from typing import Any

import numpy as np

from romflow.rom.model import ReducedModel

__all__ = ["interpolation_hint", "interpolation_summary"]

# The interpolation rules an estimate from this share of it on.
_RULES = 0.5
# Errors at further parameters this many times those of the training say that its parameters were too few.
_TOO_FEW = 10.0


def interpolation_summary(fom: Any, rom: ReducedModel) -> dict[str, Any]:
    """Parts of "offline" in summary.json: how coefficients and nonlinear terms were interpolated, and the time windows.

    "interpolation" has each coefficient, "hyper_reduction" the rows and points of the nonlinear term, "windows" the
    local bases; a part is missing where the model has none.
    """
    facts = getattr(getattr(fom, "nonaffine", None) or fom, "interpolation_facts", None)
    found = {} if facts is None else facts()
    parts = {"interpolation": found} if found else {}
    return parts | {name: rom.metadata[name] for name in ("hyper_reduction", "windows") if name in rom.metadata}


def interpolation_hint(rom: ReducedModel, fom: Any, mu: np.ndarray, tolerance: float) -> str | None:
    """What to change where the estimates at mu (k, p) miss the tolerance because of the interpolation; else None."""
    if not len(mu) or not rom.size or getattr(rom, "interpolation", None) is None:
        return None
    answer = rom.solve(mu)
    left = answer.interpolation_error
    relative = answer.error / np.where(answer.norm > 0.0, answer.norm, 1.0)
    worst = int(np.argmax(relative))
    if left is None or not tolerance < relative[worst] < np.inf or left[worst] < _RULES * answer.error[worst]:
        return None
    share = 100.0 * left[worst] / answer.error[worst]
    return (f"the interpolation of the coefficients makes {share:.0f} % of the error {rom.error_kind} "
            f"{relative[worst]:.2g}, which more snapshots do not lower to the tolerance {tolerance:g}: "
            f"{_advice(interpolation_summary(fom, rom).get('interpolation', {}))}")


def _advice(facts: dict[str, dict[str, Any]]) -> str:
    named: dict[str, list[str]] = {}
    for name, about in facts.items():
        if about["unseen_error"] >= 0.1 * _worst(facts):
            named.setdefault(_remedy(about), []).append(
                f"{name}: {about['terms']} terms, off by {about['unseen_error']:.1e} of its largest value")
    return "; ".join(f"{remedy} ({', '.join(those)})" for remedy, those in named.items()) or "lower [model] tolerance"


def _worst(facts: dict[str, dict[str, Any]]) -> float:
    return max(float(about["unseen_error"]) for about in facts.values())


def _remedy(about: dict[str, Any]) -> str:
    if about["stopped"] == "max_terms":
        few = " and training" if about["unseen_error"] > _TOO_FEW * about["training_error"] else ""
        return f"raise [model] max_terms{few}"
    if about["unseen_error"] > _TOO_FEW * max(about["training_error"], 1e-15):
        return "raise [model] training"
    return "lower [model] tolerance"
