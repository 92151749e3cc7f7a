"""Tables of mechanics: the rule and the modes online, errors of the fields, adaptive runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from romflow.materials.protocol import PLASTIC
from romflow.report.data import ReportData
from romflow.report.headline import section
from romflow.report.mechanics_data import AdaptiveRuns
from romflow.report.tables import Block, Table
from romflow.report.words import MISSING, field_words, number, plural
from romflow.rom.mechanics.model import MechanicsReducedModel

MAX_RUN_ROWS = 40
_FIELDS = (PLASTIC, "mises", "displacement")


def cubature_table(rom: MechanicsReducedModel) -> Table:
    """Points, weights and modes of the model, and how the rule was selected where that is known."""
    total, volume = len(rom.volume), float(rom.volume.sum())
    error = abs(float(rom.weights.sum()) - volume) / volume
    about = rom.metadata.get("cubature") or {}
    rows: list[list[str | Block]] = [["modes of displacement", number(rom.size)]]
    rows += [[f"modes of {field_words(name)}", number(dual.size)] for name, dual in rom.dual.items()]
    rows += [
        ["cubature points", f"{number(len(rom.weights))} of {number(total)} Gauss points "
                            f"({number(100 * len(rom.weights) / total)} %)"],
        ["points of the gappy fields alone", number(len(rom.points) - len(rom.weights))],
        ["error of the volume by the weights", number(error)],
    ]
    if "residual" in about:
        rows.append(["residual of the rule", f"{number(about['residual'])}, "
                                             f"tolerance {number(about.get('tolerance'))}"])
    if "subdomains" in about:
        rows.append(["subdomains in its selection", f"{number(about['subdomains'])}, with "
                                                    f"{plural(about.get('candidates', 0), 'candidate point')}"])
    if "independent_rows" in about:
        rows.append(["integrals that it satisfies", f"{number(about['rows'])}, combined to "
                                                    f"{number(about['independent_rows'])}"])
    return Table(rows, title="Cubature and modes", wide=False)


def field_error_table(data: ReportData) -> Table | None:
    """Largest errors of the fields over the validation parameters; None where they were not measured."""
    found = section(data, "validation").get("fields")
    if not isinstance(found, dict):
        return None
    rows: list[list[str | Block]] = [
        [field_words(name), number(found[f"max_relative_{name}_error"]),
         number(found.get(f"max_relative_{name}_error_in_time"))]
        for name in _FIELDS if f"max_relative_{name}_error" in found]
    head = ("Field", "At the last time", "At any time")
    note = ("Largest over the validation parameters, L2 over the body. At the last time relative to the field then, "
            "which is small where loads are gone; at any time relative to its largest norm in the run.")
    return Table(rows, head, "True errors of the fields", note, frozenset({1, 2})) if rows else None


def adaptive_table(runs: AdaptiveRuns, columns: Sequence[str]) -> Table | None:
    """A row a run: parameters, full-order steps, share, largest indicator that was let pass, sizes, true error."""
    rows = [_run_row(runs, j) for j in range(min(len(runs.mu), MAX_RUN_ROWS))]
    if not rows:
        return None
    head = (*columns, "Full-order steps", "Share of steps", "Largest indicator", "… after enrichment", "Modes",
            "Points", "True error")
    known = any(row[-1] != MISSING for row in rows)
    left = len(runs.mu) - len(rows)
    note = ("Largest indicator of the reduced steps, and of those that stood. True error: that of the measured field "
            "at the last time, relative." if known else "Largest indicator of the reduced steps, and of those that "
            "stood.")
    note += f" {plural(left, 'further run')} not shown." if left else ""
    end = len(head) if known else len(head) - 1
    return Table([row[:end] for row in rows], head[:end], "Full-order steps of adaptive runs", note,
                 frozenset(range(end)))


def _run_row(runs: AdaptiveRuns, j: int) -> list[str]:
    one = runs.of(j)
    stood = one.indicator[(one.triggered == 0) & (one.turn == one.turn.max(initial=0.0))]
    return [*(number(float(value)) for value in runs.mu[j]), number(one.full_order_steps),
            f"{number(100 * one.share)} %", _largest(one.indicator), _largest(stood),
            number(float(one.modes[-1])) if one.modes.size else MISSING,
            number(float(one.points[-1])) if one.points.size else MISSING, number(float(runs.true_error[j]))]


def _largest(values: np.ndarray) -> str:
    return number(float(values.max())) if values.size else MISSING
