"""What the page says of a model of mechanics: pictures and tables of its sections, empty for other models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from romflow.materials.protocol import PLASTIC
from romflow.report import mechanics_fields as bodies
from romflow.report import mechanics_tables as tables
from romflow.report import mechanics_time as curves
from romflow.report.data import ReportData
from romflow.report.style import Picture
from romflow.report.tables import Table
from romflow.rom.dictionary.model import RomDictionary, is_mechanics
from romflow.rom.mechanics.model import MechanicsReducedModel

__all__ = ["adaptive_parts", "cubature_parts", "fields_parts", "history_parts"]

Parts = tuple[list[Picture], list[Table]]
Part = TypeVar("Part", Picture, Table)


def cubature_parts(data: ReportData) -> Parts:
    """Where the law is evaluated, and how many points and modes there are."""
    rom, models = data.rom, _models(data)
    if rom is None or not models:
        return [], []
    picture = None
    if data.points is not None and rom.mesh is not None:
        picture = bodies.points_picture(data.points, rom.mesh)
    return [picture] if picture is not None else [], [_numbered(tables.cubature_table(model), k, len(models))
                                                      for k, model in enumerate(models)]


def history_parts(data: ReportData, columns: Sequence[str]) -> tuple[str, list[Picture]]:
    """The lead and the curves of the worst run, and what the indicator was calibrated with."""
    rom, run = data.rom, data.run
    lead, measured = "", PLASTIC
    shown: list[Picture | None] = []
    if is_mechanics(rom):
        measured = getattr(rom, "measure", PLASTIC)
    if run is not None:
        lead = curves.history_lead(run, columns)
        shown = [curves.errors_over_time(run), curves.indicator_over_time(run, measured),
                 curves.outputs_in_time(run, rom.output_names if rom is not None else ())]
    models = _models(data)
    shown += [_numbered(curves.calibration_picture(model.calibration, model.measure), k, len(models))
              for k, model in enumerate(models) if model.calibration is not None]
    return lead, [picture for picture in shown if picture is not None]


def fields_parts(data: ReportData, columns: Sequence[str]) -> list[Picture]:
    """Fields on the deformed mesh."""
    if data.body is None or data.rom is None or data.rom.mesh is None:
        return []
    return bodies.body_pictures(data.body, columns, data.rom.mesh)


def adaptive_parts(data: ReportData, columns: Sequence[str]) -> Parts:
    """Runs that took full-order steps."""
    if data.adaptive is None:
        return [], []
    picture = curves.adaptive_picture(data.adaptive, columns)
    table = tables.adaptive_table(data.adaptive, columns)
    return [picture] if picture is not None else [], [table] if table is not None else []


def _models(data: ReportData) -> list[MechanicsReducedModel]:
    """The model of mechanics, or all local ones of a dictionary."""
    found = data.rom.models if isinstance(data.rom, RomDictionary) else (data.rom,)
    return [model for model in found if isinstance(model, MechanicsReducedModel)]


def _numbered(part: Part, k: int, count: int) -> Part:
    """The table or picture with the number of its cluster in its title where there are several."""
    return part if count == 1 else replace(part, title=f"{part.title}, cluster {k}")
