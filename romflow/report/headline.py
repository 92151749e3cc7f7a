"""The top of the page: one sentence that says what was reached, and the headline figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from romflow.report.data import ReportData
from romflow.report.words import MISSING, estimate_noun, number, plural, seconds
from romflow.rom.dictionary.model import RomDictionary, is_mechanics


@dataclass(frozen=True)
class Tile:
    """One headline figure: what, how much, and a line of explanation; `tone` is "", "good" or "warning"."""

    label: str
    value: str
    note: str
    tone: str = ""


@dataclass(frozen=True)
class Facts:
    """The figures that several parts of the page share; None where a figure was not measured.

    `comparable` says whether the tolerance is one of the error that the validation measures: that of a cubature is one
    of displacements, and plastic strain has another error. `local` has the sizes of the local models of a dictionary.
    """

    name: str
    size: int | None
    unknowns: int | None
    kind: str | None
    norm: str | None
    tolerance: float | None
    training_error: float | None
    max_error: float | None
    mean_error: float | None
    validated: int
    underestimated: int
    estimated: int
    comparable: bool = True
    local: tuple[int, ...] = ()


def section(data: ReportData, name: str) -> dict[str, Any]:
    """A section of the summary, empty if it is missing."""
    value = data.summary.get(name)
    return value if isinstance(value, dict) else {}


def estimate_kind(data: ReportData) -> str | None:
    """What the estimate may be called: of two sources that disagree the weaker claim counts."""
    kinds = [data.rom.error_kind] if data.rom is not None else []
    if "error_kind" in section(data, "validation"):
        kinds.append(section(data, "validation")["error_kind"])
    if "indicator" in kinds:
        return "indicator"
    return "bound" if kinds and all(kind == "bound" for kind in kinds) else None


def facts_of(data: ReportData) -> Facts:
    """Collect the shared figures from the summary, the model and the validation table."""
    offline, validation, table = section(data, "offline"), section(data, "validation"), data.validation
    relative = table.relative_error if table is not None else np.zeros(0)
    relative = relative[np.isfinite(relative)]
    effectivity = table.effectivity if table is not None else np.zeros(0)
    effectivity = effectivity[np.isfinite(effectivity)]
    return Facts(
        name=str(section(data, "study").get("name") or "unnamed study"),
        size=_first(data.rom.size if data.rom is not None else None, offline.get("basis_size")),
        unknowns=_first(data.rom.n if data.rom is not None else None, data.plan.get("unknowns")),
        kind=estimate_kind(data),
        norm=_first(data.rom.norm_name if data.rom is not None else None, validation.get("norm")),
        tolerance=offline.get("tolerance"),
        training_error=offline.get("training_error"),
        max_error=_first(validation.get("max_relative_error"), float(relative.max()) if len(relative) else None),
        mean_error=_first(validation.get("mean_relative_error"), float(relative.mean()) if len(relative) else None),
        validated=int(_first(validation.get("size"), len(table.mu) if table is not None else None) or 0),
        underestimated=int(np.sum(effectivity < 1.0)),
        estimated=len(effectivity),
        comparable=not is_mechanics(data.rom),
        local=tuple(model.size for model in data.rom.models) if isinstance(data.rom, RomDictionary) else (),
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def in_norm(facts: Facts) -> str:
    """`` in the X norm``, or nothing if the norm is unknown; of a field, as in ``L2 of stress``, its norm."""
    if not facts.norm:
        return ""
    if " of " in facts.norm:
        norm, field = facts.norm.split(" of ", 1)
        return f" in the {norm} norm of the {field}"
    return f" in the {facts.norm}" if "norm" in facts.norm.lower() else f" in the {facts.norm} norm"


def sentence(data: ReportData, facts: Facts) -> str:
    """What the run reached, in words."""
    if facts.size is None:
        failed = section(data, "offline").get("snapshots_failed") or len(data.failures)
        return "No reduced model was built." + (f" {plural(failed, 'full-order solve')} failed." if failed else "")
    full = f" of a model with {plural(facts.unknowns, 'unknown')}" if facts.unknowns is not None else ""
    model = f"A reduced model with {plural(facts.size, 'basis function')}"
    if facts.local:
        model = f"A dictionary of {plural(len(facts.local), 'local model')} with {_sizes(facts)}"
    text = f"{model} takes the place{full}."
    if facts.max_error is not None:
        text += (
            f" On {plural(facts.validated, 'independent parameter')} its largest relative error"
            f"{in_norm(facts)} is {number(facts.max_error)}."
        )
    else:
        text += f" {_unvalidated(data)}."
    refused = section(data, "validation").get("refused")
    if refused and facts.max_error is not None:
        text += f" It refused {plural(refused, 'further one')}."
    return text + _adaptive(data)


def _unvalidated(data: ReportData) -> str:
    """Why no error is known."""
    validation = section(data, "validation")
    refused, lost = validation.get("refused") or 0, validation.get("not_converged") or 0
    if not refused + lost:
        return "It was not validated on independent parameters"
    what = "answered none of" if lost else "refused all"
    return f"It {what} {plural(refused + lost, 'validation parameter')}, so that nothing is known of its errors"


def _sizes(facts: Facts) -> str:
    """The sizes of the local models of a dictionary."""
    low, high = min(facts.local), max(facts.local)
    words = plural(high, "basis function") + (" each" if len(facts.local) > 1 else "")
    return words if low == high else f"{low} to {words}"


def _adaptive(data: ReportData) -> str:
    """What runs that took full-order steps reached."""
    found = section(data, "adaptive")
    if not found.get("runs"):
        return ""
    error, share = found.get("max_relative_error"), number(100 * (found.get("max_full_order_share") or 0.0))
    took = "took" if error is None else f"end with an error of at most {number(error)}, with"
    return (f" {plural(found['runs'], 'adaptive run')} {took} at most {share} % of their steps by the full-order "
            "model.")


def tiles(data: ReportData, facts: Facts) -> list[Tile]:
    """The headline figures that are known."""
    shown = [_basis(facts), _error(data, facts), _certificate(data, facts), _speedup(data), _solves(data)]
    return [tile for tile in shown if tile is not None]


def _basis(facts: Facts) -> Tile | None:
    if facts.size is None:
        return None
    if facts.local:
        whole = f" for {plural(facts.unknowns, 'unknown')}" if facts.unknowns is not None else ""
        return Tile("Size of the dictionary", plural(len(facts.local), "model"), f"of {_sizes(facts)}{whole}")
    note = (
        f"basis functions for {plural(facts.unknowns, 'unknown')}" if facts.unknowns is not None else "basis functions"
    )
    return Tile("Size of the reduced model", number(facts.size), note)


def _error(data: ReportData, facts: Facts) -> Tile | None:
    if facts.size is None:
        return None
    if facts.max_error is None:
        refused = section(data, "validation").get("refused")
        reason = f"all {plural(refused, 'validation parameter')} refused" if refused else "not validated"
        training = (
            f"training {estimate_noun(facts.kind)} {number(facts.training_error)}"
            if facts.training_error is not None
            else ""
        )
        return Tile("Largest validation error", MISSING, reason + (f"; {training}" if training else ""), "warning")
    if facts.tolerance is None or facts.tolerance <= 0 or not facts.comparable:
        return Tile("Largest validation error", number(facts.max_error), f"relative{in_norm(facts)}")
    met = facts.max_error <= facts.tolerance
    relation = "within" if met else "above"
    return Tile(
        "Largest validation error",
        number(facts.max_error),
        f"relative{in_norm(facts)}; {relation} the tolerance {number(facts.tolerance)}",
        "good" if met else "warning",
    )


def _certificate(data: ReportData, facts: Facts) -> Tile | None:
    if facts.size is None:
        return None
    validation = section(data, "validation")
    low, high = validation.get("min_effectivity"), validation.get("max_effectivity")
    measured = f"effectivity {number(low)} to {number(high)}" if low is not None and high is not None else ""
    if facts.kind == "bound":
        value, note = "Bound", measured or "guaranteed: the true error is no larger"
        return Tile("Error estimate", value, note, "warning" if _violated(facts) else "good")
    if facts.kind == "indicator":
        return Tile("Error estimate", "Indicator", f"no guarantee; {measured}" if measured else "no guarantee")
    return Tile("Error estimate", "None", "accuracy known only where validated")


def _violated(facts: Facts) -> bool:
    return facts.kind == "bound" and facts.underestimated > 0


def _speedup(data: ReportData) -> Tile | None:
    online = section(data, "online")
    if online.get("speedup") is None:
        return None
    full, reduced = online.get("full_order_seconds"), online.get("seconds_per_evaluation")
    note = (
        f"{seconds(full)} per solve to {seconds(reduced)} per evaluation"
        if full and reduced
        else "full order to reduced"
    )
    if online.get("batch"):
        note += f" (batch of {number(online['batch'])})"
    speedup = float(online["speedup"])
    return Tile("Speed-up", f"{number(float(f'{speedup:.3g}'))} ×", note)


def _solves(data: ReportData) -> Tile | None:
    offline = section(data, "offline")
    solved, reused = offline.get("snapshots_solved"), offline.get("snapshots_reused")
    failed = offline.get("snapshots_failed")
    if failed is None and data.failures:
        failed = len(data.failures)
    if solved is None and reused is None and not failed:
        return None
    note = f"solved; {number(reused or 0)} reused from the store; {number(failed or 0)} failed"
    return Tile("Full-order solves", number(solved or 0), note, "warning" if failed else "")
