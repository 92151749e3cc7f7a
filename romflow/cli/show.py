"""What the commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from romflow.dd.prediction import Prediction
from romflow.study import Plan

_OUTPUTS = 6
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
    if plan.times > 1:
        rows.append(("times", f"{plan.times:,} stored states a trajectory"))
    if plan.terms is not None:
        rows.append(("affine terms", str(plan.terms)))
    draws = f", {plan.uncertainty_solves} for [uq]" if plan.uncertainty_solves else ""
    if plan.simplified_solves:
        rows.append(("simplified solves", f"{plan.simplified_solves} for the dictionary"))
    rows += [("full-order solves", f"at most {plan.solves} ({plan.training_solves} for the model, "
                                   f"{plan.validation_solves} for its validation{draws})"),
             ("store", f"at most {bytes_text(plan.store_bytes)} ({bytes_text(plan.snapshot_bytes)} a snapshot)")]
    if plan.seconds_per_solve is not None and plan.core_seconds is not None:
        rows.append(("core-seconds", f"about {seconds_text(plan.core_seconds)} for the solves, from one timed solve of "
                                     f"{seconds_text(plan.seconds_per_solve)}"))
    elif plan.prediction is None:
        rows.append(("core-seconds", "not estimated; --time solves once to tell"))
    _print_rows(rows)
    if plan.prediction is not None:
        print_prediction(plan.prediction)


def print_prediction(found: Prediction) -> None:
    """What the solves of a study on MPI ranks will take."""
    plan, rows = found.plan, _sizes(found)
    rows += [("first solve", f"{seconds_text(found.seconds)} on {plan.ranks} cores: assembly "
                             f"{seconds_text(found.assembly)}, factors {seconds_text(found.factorisation)}, coarse "
                             f"space {seconds_text(found.coarse_space)}, {plan.iterations} iterations (assumed) "
                             f"{seconds_text(found.iteration)}, messages {seconds_text(found.exchange)}"),
             ("further solves", f"{seconds_text(found.seconds_again)} each while factors and coarse vectors are kept"),
             ("all solves", f"at most {seconds_text(found.wall_seconds)} with {plan.workers} at a time, "
                            f"{seconds_text(found.core_seconds)} of processors" +
              (f"; {found.contention:.3g} ranks share a core" if found.contention > 1.0 else "")),
             ("memory", f"{bytes_text(found.memory_rank)} a rank, {bytes_text(found.memory_all)} in all; "
                        f"{bytes_text(found.memory_decomposition)} to cut the mesh, once, in "
                        f"{seconds_text(found.decomposition)}"),
             ("traffic", "none between ranks" if plan.ranks == 1 else
              f"{bytes_text(found.bytes_iteration)} an iteration, {bytes_text(found.bytes_solve)} a solve, "
              f"{bytes_text(found.bytes_solve * plan.solves)} in all"),
             ("rates", _rates(found))]
    print("predicted from rates measured now on one core of this machine:")
    _print_rows(rows)


def _sizes(found: Prediction) -> list[tuple[str, str]]:
    plan, size = found.plan, found.size
    return [("split", f"{plan.ranks} ranks, {plan.parts} parts, {plan.subdomains} subdomains of "
                      f"{found.subdomain:,.0f} unknowns ({found.overlapped:,.0f} with overlap), "
                      f"{found.ghosts:,.0f} ghosts a rank"),
            ("matrix", f"{size.cells:,} cells, {found.entries:.3g} entries, {found.factors:.3g} in the local factors; "
                       f"about {found.coarse:,} coarse vectors")]


def _rates(found: Prediction) -> str:
    rates = found.rates
    exchange = "measured between two processes" if rates.exchange_measured else "assumed"
    return (f"factorisation {rates.factorisation:.2g}/s, substitution {rates.substitution:.2g}/s, product "
            f"{rates.product:.2g}/s, assembly {rates.assembly:.2g}/s; a message {seconds_text(rates.latency)} and "
            f"{bytes_text(rates.bandwidth)}/s ({exchange})")


def print_result(summary: dict[str, Any], folder: Path) -> None:
    """The headline figures of a finished run."""
    offline, validation, online = summary["offline"], summary["validation"], summary["online"]
    rows = [("snapshots", f"{offline['snapshots_solved']} solved, {offline['snapshots_reused']} taken from the store, "
                          f"{offline['snapshots_failed']} failed"),
            *_solver_rows(offline.get("solver", [])), *_interpolation_rows(offline.get("interpolation", {})),
            *_hyper_rows(offline.get("hyper_reduction")), *_window_rows(offline.get("windows")),
            *_dictionary_rows(summary.get("dictionary")),
            ("reduced model", f"size {offline['basis_size']}, training error {_number(offline['training_error'])} "
                              f"(tolerance {_number(offline['tolerance'])})")]
    if validation["max_relative_error"] is not None:
        rows.append(("validation", f"{validation['size']} new parameters: largest relative error "
                                   f"{_number(validation['max_relative_error'])}, its {validation['error_kind']} "
                                   f"{_number(validation['max_error_estimate'])} ({validation['norm']})"))
    elif validation.get("refused"):
        rows.append(("validation", f"all {validation['refused']} new parameters were refused, so that nothing is known "
                                   "of its errors"))
    if validation["min_effectivity"] is not None:
        rows.append(("effectivity", f"{_number(validation['min_effectivity'])} to "
                                    f"{_number(validation['max_effectivity'])}"))
    speed = "" if online["speedup"] is None else f", {online['speedup']:,.0f} times faster than the full-order solve"
    each = online["seconds_per_evaluation"]
    rows.append(("online", "no answer at random parameters, so that nothing was timed" if each is None else
                 f"{seconds_text(each)} an evaluation{speed}"))
    rows += _uncertainty_rows(summary.get("uq"))
    rows += [("model", str(folder / "model.h5")), ("report", str(folder / "report.html"))]
    _print_rows(rows)


def _dictionary_rows(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """How many local models there are, of what, and how often the right one is recommended."""
    if not found:
        return []
    runs, sizes = ([str(model[key]) for model in found["models"]] for key in ("snapshots", "size"))
    if found["clusters"] == 1:
        reason = ", for more would not pay" if found["recommended_clusters"] == 1 else ""
        return [("dictionary", f"one model of {runs[0]} full-order runs{reason}")]
    return [("dictionary", f"{found['clusters']} local models of {', '.join(runs)} full-order runs and "
                           f"{', '.join(sizes)} vectors; {100 * found['accuracy']:.3g} % of the samples are "
                           "recommended rightly when held out")]


def _uncertainty_rows(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Mean and standard deviation of each output, half of their intervals, and the model's own error."""
    if not found:
        return []
    return [(name, f"{_with_errors('mean', one['mean'])}; {_with_errors('standard deviation', one['std'])}")
            for name, one in list(found["answers"]["outputs"].items())[:_OUTPUTS]]


def _with_errors(words: str, found: dict[str, Any] | None) -> str:
    if found is None or None in (found["value"], found["low"], found["high"]):
        return f"{words} unknown"
    half, model = 0.5 * (found["high"] - found["low"]), found["model_error"]
    own = ", unknown from the model" if model is None else f", {_number(model)} from the model" if model else ""
    return f"{words} {found['value']:.6g} ({half:.2g} from the draws{own})"


def _solver_rows(ways: list[dict[str, Any]]) -> list[tuple[str, str]]:
    if not ways:
        return []
    return [("solved with", "; ".join(f"{way['with']}: {way['solves']} ({way['mean_iterations']:.3g} iterations, "
                                      f"{seconds_text(way['seconds'] / way['solves'])} each)" for way in ways))]


def _interpolation_rows(coefficients: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    if not coefficients:
        return []
    return [("interpolation", "; ".join(f"{name} {about['terms']} terms, off by {about['unseen_error']:.2g}"
                                        for name, about in coefficients.items()))]


def _hyper_rows(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not found:
        return []
    return [("nonlinear term", f"{found['points']} rows by {found['interpolation']}, off by "
                               f"{found['interpolation_error']:.2g}; {found['evaluation_points']:,} of "
                               f"{found['evaluation_points_of_the_model']:,} points")]


def _window_rows(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    if not found:
        return []
    ends = ", ".join(f"{t:.3g}" for t in found["times"])
    return [("time windows", f"{len(found['sizes'])} with at most {max(found['sizes'])} vectors, ending at t = {ends}")]


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
