"""What the commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from romflow.study import Plan

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def _print_rows(rows: list[tuple[str, str]]) -> None:
    """Names and values in two columns; nothing is wrapped, so that paths can be copied."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")


def print_plan(plan: Plan) -> None:
    """The plan of a study."""
    rows = [("study", plan.name), ("model", plan.model), ("unknowns", f"{plan.unknowns:,}"),
            ("parameters", f"{len(plan.parameters)}: {', '.join(plan.parameters)}")]
    if plan.terms is not None:
        rows.append(("affine terms", str(plan.terms)))
    rows += [("full-order solves", f"at most {plan.solves} ({plan.training_solves} for the model, "
                                   f"{plan.validation_solves} for its validation)"),
             ("store", f"at most {bytes_text(plan.store_bytes)} ({bytes_text(plan.snapshot_bytes)} a snapshot)")]
    if plan.seconds_per_solve is not None and plan.core_seconds is not None:
        rows.append(("core-seconds", f"about {seconds_text(plan.core_seconds)} for the solves, from one timed solve of "
                                     f"{seconds_text(plan.seconds_per_solve)}"))
    else:
        rows.append(("core-seconds", "not estimated; --time solves once to tell"))
    _print_rows(rows)


def print_result(summary: dict[str, Any], folder: Path) -> None:
    """The headline figures of a finished run."""
    offline, validation, online = summary["offline"], summary["validation"], summary["online"]
    rows = [("snapshots", f"{offline['snapshots_solved']} solved, {offline['snapshots_reused']} taken from the store, "
                          f"{offline['snapshots_failed']} failed"),
            *_solver_rows(offline.get("solver", [])),
            ("reduced model", f"size {offline['basis_size']}, training error {_number(offline['training_error'])} "
                              f"(tolerance {_number(offline['tolerance'])})")]
    if validation["max_relative_error"] is not None:
        rows.append(("validation", f"{validation['size']} new parameters: largest relative error "
                                   f"{_number(validation['max_relative_error'])}, its {validation['error_kind']} "
                                   f"{_number(validation['max_error_estimate'])} ({validation['norm']})"))
    if validation["min_effectivity"] is not None:
        rows.append(("effectivity", f"{_number(validation['min_effectivity'])} to "
                                    f"{_number(validation['max_effectivity'])}"))
    speed = "" if online["speedup"] is None else f", {online['speedup']:,.0f} times faster than the full-order solve"
    rows.append(("online", f"{seconds_text(online['seconds_per_evaluation'])} an evaluation{speed}"))
    rows += [("model", str(folder / "model.h5")), ("report", str(folder / "report.html"))]
    _print_rows(rows)


def _solver_rows(ways: list[dict[str, Any]]) -> list[tuple[str, str]]:
    if not ways:
        return []
    return [("solved with", "; ".join(f"{way['with']}: {way['solves']} ({way['mean_iterations']:.3g} iterations, "
                                      f"{seconds_text(way['seconds'] / way['solves'])} each)" for way in ways))]


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def print_status(status: dict[str, Any]) -> None:
    """What a run folder holds."""
    _print_rows(status["rows"])
    for failure in status["failures"]:
        print(f"failed: {failure}")


def print_checks(outcome: Any) -> None:
    """The checks of a conformance suite."""
    for item in outcome.checks:
        print(item)
    print(outcome.headline)


def bytes_text(count: float) -> str:
    """A number of bytes as people write it.

    Examples
    --------
    >>> bytes_text(76800)
    '76.8 kB'
    """
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_UNITS[-1]}"


def seconds_text(seconds: float) -> str:
    """A duration as people write it.

    Examples
    --------
    >>> seconds_text(2.5e-6), seconds_text(90.0)
    ('2.5 us', '1.5 min')
    """
    for limit, scale, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms"), (60.0, 1.0, "s"), (3600.0, 1 / 60, "min")):
        if seconds < limit:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"
