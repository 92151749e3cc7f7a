"""The part of the page about random inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from romflow.report import uncertainty, uncertainty_draws, uncertainty_posterior, uncertainty_studies
from romflow.report.data import ReportData
from romflow.report.style import Picture
from romflow.report.tables import Table
from romflow.report.uncertainty_tables import answer_table, index_table
from romflow.report.words import number, plural

__all__ = ["lead", "pictures", "tables", "warning"]

#: Outputs that are shown; the others are in uq.json.
MAX_OUTPUTS = 6


def lead(data: ReportData) -> str:
    """How many draws of what were made."""
    answers = _part(data, "answers")
    if not answers:
        return ""
    full = data.uq.get("model") == "full-order"
    model = "full-order" if full else "reduced"
    words = (f"{plural(answers['size'], 'draw')} ({answers['method']}) of the {model} model, "
             f"{plural(answers['evaluations'], 'evaluation')} in all. Every number has a statistical interval")
    words += "." if full else " and, kept apart from it, what the error of the reduced model may add."
    left = len(answers["outputs"]) - MAX_OUTPUTS
    return words + (f" {plural(left, 'further output')} in uq.json." if left > 0 else "")


def warning(data: ReportData) -> str:
    """Draws that are extrapolated or missing."""
    answers = _part(data, "answers")
    words = []
    if answers.get("outside"):
        words.append(f"{number(100 * answers['outside_share'])} % of the draws are outside the range for which the "
                     "model was built; its answers there, and the errors that it states, are extrapolated.")
    if answers.get("failed"):
        words.append(f"{number(100 * answers['failed_share'])} % of the evaluations have no answer and are left out.")
    if (answers.get("draws") or {}).get("refused"):
        who = "the dictionary of reduced models refuses" if data.dictionary else "the reduced model cannot solve"
        words.append(f"Draws that {who} are among those without an answer: what is told holds for the others, and "
                     "nothing is known of these.")
    return " ".join(words)


def pictures(data: ReportData) -> Iterator[Picture | None]:
    """Distributions, sensitivities and convergence of each output; budgets and split errors."""
    answers = _part(data, "answers")
    for name, found in _shown(answers):
        yield uncertainty.density(name, found)
        yield uncertainty.sensitivity(name, found)
        yield uncertainty.convergence(name, found, answers["confidence"])
    yield uncertainty_studies.budget_picture(_part(data, "control"))
    for name, found in _shown(_part(data, "levels")):
        yield uncertainty_studies.levels_picture(name, found)
    yield uncertainty_posterior.posterior_picture(_part(data, "calibration"))


def tables(data: ReportData) -> Iterator[Table | None]:
    """All numbers with their errors."""
    answers = _part(data, "answers")
    yield uncertainty_draws.chain_table(answers) if data.dictionary else None
    for name, found in _shown(answers):
        yield answer_table(name, found, answers["confidence"])
        yield uncertainty_draws.bootstrap_table(answers, name)
        yield index_table(name, found)
    control = _part(data, "control")
    yield uncertainty_studies.control_table(control)
    yield uncertainty_draws.bias_table(control)
    yield uncertainty_studies.budget_table(control)
    yield uncertainty_studies.distance_table(control)
    yield uncertainty_studies.rare_table(_part(data, "rare"))
    yield uncertainty_studies.levels_table(_part(data, "levels"))
    yield uncertainty_posterior.column_table(_part(data, "calibration"))
    yield uncertainty_posterior.fit_table(_part(data, "calibration"))


def _part(data: ReportData, name: str) -> Mapping[str, Any]:
    return data.uq.get(name) or {}


def _shown(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list((found.get("outputs") or {}).items())[:MAX_OUTPUTS]
