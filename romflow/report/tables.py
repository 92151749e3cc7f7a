"""Tables of the page: parameters, options, errors, outputs, failures, provenance."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.parameter_rules import columns_of
from romflow.report.data import ErrorTable, ReportData
from romflow.report.headline import Facts, in_norm, section
from romflow.report.words import MISSING, estimate_noun, number, plural, seconds, text

Array = NDArray[np.float64]

MAX_FAILURES, MAX_LINES, MAX_LINE = 50, 14, 400
_LONG_CHOICE = 500
_FIXED_KEYS = ("name", "distribution", "low", "high", "size", "unit")


@dataclass(frozen=True)
class Block:
    """A cell of fixed-width text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head, `numeric` columns aligned right; without a head the first column takes its place."""

    rows: Sequence[Sequence[str | Block]]
    head: Sequence[str] = ()
    title: str = ""
    note: str = ""
    numeric: frozenset[int] = field(default_factory=frozenset)
    wide: bool = True


def study_of(data: ReportData) -> dict[str, Any]:
    """The study file as nested dictionaries; empty if there is none or it is not TOML."""
    try:
        return tomllib.loads(data.study_text)
    except tomllib.TOMLDecodeError:
        return {}


def parameters_of(data: ReportData) -> list[dict[str, Any]]:
    """Specification of every parameter, from the model or else from the study file."""
    if data.rom is not None:
        return data.rom.parameters.to_spec()
    tables = study_of(data).get("parameters")
    named = tables.items() if isinstance(tables, dict) else ()
    return [{"name": name, **table} for name, table in named if isinstance(table, dict)]


def parameter_columns(data: ReportData) -> list[str]:
    """Names of the columns of mu, as far as they are known."""
    return [column for table in parameters_of(data) for column in columns_of(table["name"], table.get("size", 1))]


def parameter_table(data: ReportData) -> Table | None:
    """Name, distribution, range and unit of every parameter."""
    specifications = parameters_of(data)
    if not specifications:
        return None
    rows = [_parameter_row(specification) for specification in specifications]
    head = ("Parameter", "Entries", "Distribution", "Range", "Unit", "Further")
    keep = [i for i in range(len(head)) if i < 2 or any(row[i] not in ("", MISSING) for row in rows)]
    return Table(
        [[row[i] for i in keep] for row in rows],
        [head[i] for i in keep],
        "Parameters",
        numeric=frozenset({1}),
        wide=False,
    )


def _parameter_row(table: Mapping[str, Any]) -> tuple[str, ...]:
    further = ", ".join(f"{key} = {text(value)}" for key, value in table.items() if key not in _FIXED_KEYS)
    return (
        str(table["name"]),
        text(table.get("size", 1)),
        str(table.get("distribution", "uniform")),
        _interval(table.get("low"), table.get("high")),
        str(table.get("unit") or MISSING),
        further,
    )


def _interval(low: Any, high: Any) -> str:
    unbounded = (low is None or not np.isfinite(low)) and (high is None or not np.isfinite(high))
    return MISSING if unbounded else f"{number(low)} to {number(high)}"


def choices_table(data: ReportData) -> Table | None:
    """What the study file chose, a row a section other than the parameters."""
    rows: list[list[str | Block]] = []
    for name, options in study_of(data).items():
        entries = options if isinstance(options, list) else [options]
        if name not in ("parameters", "study"):
            rows.extend([name, _options(entry)] for entry in entries if isinstance(entry, dict))
    long = any(len(str(cell)) > _LONG_CHOICE for row in rows for cell in row)
    return Table(rows, title="Choices of the study", wide=long) if rows else None


def _options(entry: Mapping[str, Any]) -> str:
    """Options, and after them the lists of tables, each in a sentence of its own."""
    flat = list(_flat(entry))
    plain = ", ".join(_option(*item) for item in flat if not _tables(item[1]))
    return ". ".join(part for part in (plain, *(_option(*item) for item in flat if _tables(item[1]))) if part)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _option(key: str, value: Any) -> str:
    if _tables(value):
        return f"{key}: " + "; ".join(", ".join(_option(*part) for part in _flat(item)) for item in value)
    return f"{key} = {value}" if isinstance(value, str) else f"{key} = {text(value)}"


def facts_table(title: str, facts: Mapping[str, Any], note: str = "") -> Table | None:
    """A row a fact; nested facts are named by their path."""
    rows = [[key if key != key.lower() else key.replace("_", " "), text(value)] for key, value in _flat(facts)]
    return Table(rows, title=title, note=note, wide=False) if rows else None


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key} / ")
        else:
            yield f"{before}{key}", value


def error_table(data: ReportData, facts: Facts) -> Table | None:
    """Relative errors at training and at independent parameters, side by side."""
    noun = estimate_noun(facts.kind)
    rows = []
    for name, table, largest in (
        ("training", data.training, None),
        ("validation, independent", data.validation, facts.max_error),
    ):
        if table is not None and len(table.mu):
            rows.append([name, number(len(table.mu)), *_statistics(table, largest)])
    note = f"All relative{in_norm(facts)}."
    if facts.training_error is not None:
        if data.history:
            largest_estimate = number(facts.training_error)
            rows.insert(0, [f"training, largest {noun}", MISSING, MISSING, MISSING, MISSING, largest_estimate])
        else:
            note += f" {_training_error(data)} {number(facts.training_error)}.{_compression(data)}"
    if not any("validation" in str(row[0]) for row in rows) and facts.max_error is not None:
        validation = section(data, "validation")
        rows.append(
            [
                "validation, independent",
                number(facts.validated),
                number(facts.max_error),
                number(facts.mean_error),
                MISSING,
                number(validation.get("max_error_estimate")),
            ]
        )
    head = ("Parameters", "Number", "Largest true error", "Mean", "Median", f"Largest {noun}")
    return Table(rows, head, "Errors", note, frozenset(range(1, 6))) if rows else None


def _training_error(data: ReportData) -> str:
    """What the training error of a run without a greedy is."""
    about = data.rom.metadata if data.rom is not None else {}
    if "leave_one_out_error" in about:
        return "Leave-one-out error of the training snapshots:"
    return "Projection error of the training snapshots:" if "projection_error" in about else "Training error:"


def _compression(data: ReportData) -> str:
    """By which route the snapshots were compressed, and what error that left."""
    about = (data.rom.metadata if data.rom is not None else {}).get("compression")
    if not isinstance(about, dict) or not {"route", "why", "error"} <= about.keys():
        return ""
    return (f" Snapshots compressed by the route '{about['route']}' ({about['why']}): "
            f"relative projection error {number(about['error'])}.")


def _statistics(table: ErrorTable, largest: float | None) -> tuple[str, str, str, str]:
    error = table.relative_error[np.isfinite(table.relative_error)]
    estimate = table.relative_estimate[~np.isnan(table.relative_estimate)]
    top = largest if largest is not None else (float(error.max()) if len(error) else None)
    mean, median = (float(error.mean()), float(np.median(error))) if len(error) else (None, None)
    return number(top), number(mean), number(median), number(float(estimate.max()) if len(estimate) else None)


def output_table(table: ErrorTable | None, names: Sequence[str], kind: str | None) -> Table | None:
    """Largest error of each output at the validation parameters, and what was estimated of it."""
    if table is None or table.outputs_true is None or table.outputs_reduced is None or not len(table.outputs_true):
        return None
    estimates = table.output_estimate
    rows = []
    for i, (truth, reduced) in enumerate(zip(table.outputs_true, table.outputs_reduced, strict=True)):
        error, scale = np.abs(truth - reduced), _largest(np.abs(truth))
        largest = _largest(error)
        bound = _largest(estimates[i]) if estimates is not None and i < len(estimates) else None
        name = names[i] if i < len(names) else f"output {i}"
        relative = largest / scale if largest is not None and scale else None
        rows.append(
            [
                name,
                f"{number(_least(truth))} to {number(_largest(truth))}",
                number(largest),
                number(relative),
                number(bound),
            ]
        )
    head = ("Output", "Range", "Largest error", "… of largest value", f"Largest {estimate_noun(kind)}")
    return Table(rows, head, "Outputs", "At the validation parameters.", frozenset(range(1, 5)))


def _largest(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None


def _least(values: Array) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else None


def time_table(data: ReportData) -> Table | None:
    """Totals of the run, one solve against one evaluation, and when the offline stage has paid for itself."""
    offline, online = section(data, "offline"), section(data, "online")
    full, reduced = online.get("full_order_seconds"), online.get("seconds_per_evaluation")
    rows = [
        ["offline, processor time", seconds(offline.get("cpu_seconds"))],
        ["offline, wall-clock time", seconds(offline.get("wall_seconds"))],
        ["one full-order solve", seconds(full)],
        [
            "one reduced evaluation",
            seconds(reduced) + (f" (batch of {number(online['batch'])})" if online.get("batch") else ""),
        ],
    ]
    rows = [row for row in rows if not row[1].startswith(MISSING)]
    spent = offline.get("cpu_seconds")
    if spent and full and reduced is not None and full > reduced:
        count = int(np.ceil(spent / (full - reduced)))
        rows.append(["offline time is repaid after", plural(count, "evaluation")])
    return Table(rows, title="Times", wide=False) if rows else None


def solver_table(data: ReportData) -> Table | None:
    """How the linear systems were solved; None where the model solves by itself or factorises each anew."""
    ways = section(data, "offline").get("solver")
    if not isinstance(ways, list) or not ways:
        return None
    rows = [[text(way.get("with")), number(way.get("solves")), number(way.get("mean_iterations")),
             seconds(way["seconds"] / way["solves"]), number(way.get("max_residual"))] for way in ways]
    head = ("Solved with", "Systems", "Mean iterations", "Processor time each", "Largest relative residual")
    return Table(rows, head, "Linear systems", numeric=frozenset({1, 2, 3, 4}), wide=False)


def interpolation_table(data: ReportData) -> Table | None:
    """How coefficients were interpolated; None where there are none."""
    found = section(data, "offline").get("interpolation")
    if not isinstance(found, Mapping) or not found:
        return None
    ends = {"tolerance": "tolerance reached", "max_terms": "max_terms reached", "rounding": "rounding reached"}
    rows: list[list[str | Block]] = [
        [name, number(about["terms"]), ends.get(about["stopped"], text(about["stopped"])),
         number(about["training_error"]), number(about["unseen_error"]), number(about["lebesgue_constant"])]
        for name, about in found.items()]
    head = ("Coefficient", "Terms", "Ended by", "Largest error, training", "Largest error, other parameters",
            "Lebesgue constant")
    return Table(rows, head, "Empirical interpolation", "Errors relative to the coefficient's largest value.",
                 frozenset({1, 3, 4, 5}))


def hyper_table(data: ReportData) -> Table | None:
    """How a nonlinear term is evaluated, and the local bases of time windows; None where there is neither."""
    offline = section(data, "offline")
    found, windows = offline.get("hyper_reduction"), offline.get("windows")
    rows: list[list[str | Block]] = []
    if isinstance(found, Mapping) and found:
        rows += [["rows of the nonlinear term", f"{number(found['points'])}, by {text(found['interpolation'])}"],
                 ["points that they need", f"{number(found['evaluation_points'])} of "
                                           f"{number(found['evaluation_points_of_the_model'])}"],
                 ["relative error of its basis on the snapshots", number(found["interpolation_error"])],
                 ["why so many", text(found["why"])]]
    if isinstance(windows, Mapping) and windows:
        rows += [["time windows end at", ", ".join(number(t) for t in windows["times"])],
                 ["vectors in them", ", ".join(number(size) for size in windows["sizes"])]]
    return Table(rows, title="What is evaluated online", wide=False) if rows else None


def failure_table(failures: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table | None:
    """Failed solves: where, why, and the end of what the program wrote to its standard error."""
    rows: list[list[str | Block]] = []
    for failure in failures[:MAX_FAILURES]:
        report = {**(failure.get("report") or {}), **failure}
        attempts, when = report.get("attempts"), report.get("when")
        message = str(report.get("message") or MISSING)
        extra = "; ".join(
            part for part in (plural(attempts, "attempt") if attempts else "", str(when) if when else "") if part
        )
        rows.append(
            [
                _place(report.get("mu"), columns),
                f"{message}" + (f" ({extra})" if extra else ""),
                text(report.get("exit_code")),
                Block(_tail(report.get("stderr"))),
            ]
        )
    if not rows:
        return None
    head = ("Parameters", "Message", "Exit code", "End of the standard error")
    keep = [i for i in range(4) if i < 2 or any(_cell(row[i]) not in ("", MISSING) for row in rows)]
    left = len(failures) - len(rows)
    note = f"{plural(left, 'further failure')} not shown; they are in the store." if left > 0 else ""
    return Table([[row[i] for i in keep] for row in rows], [head[i] for i in keep], note=note)


def _cell(value: str | Block) -> str:
    return value.text if isinstance(value, Block) else value


def _place(mu: Any, columns: Sequence[str]) -> str:
    if isinstance(mu, Mapping):
        return ", ".join(f"{name}\u00a0=\u00a0{text(value)}" for name, value in mu.items())
    values = np.ravel(mu).tolist() if mu is not None else []
    names = columns if len(columns) == len(values) else [f"mu[{i}]" for i in range(len(values))]
    return ", ".join(f"{name}\u00a0=\u00a0{text(value)}" for name, value in zip(names, values, strict=True)) or MISSING


def _tail(stderr: Any) -> str:
    lines = str(stderr or "").rstrip().splitlines()[-MAX_LINES:]
    return "\n".join(line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…" for line in lines)
