"""The page itself: sections filled with what the data holds, written as one HTML file without scripts or links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from romflow.core.files import write_atomic
from romflow.report import (
    accuracy,
    convergence,
    dictionary_section,
    evolution,
    fields,
    mechanics,
    tables,
    times,
    uncertainty_section,
)
from romflow.report.data import ReportData
from romflow.report.headline import Facts, facts_of, section, sentence, tiles
from romflow.report.mechanics_tables import field_error_table
from romflow.report.scene import scene_of
from romflow.report.style import Picture, styled
from romflow.report.tables import Block, Table
from romflow.report.words import estimate_claim, estimate_noun, number, plural
from romflow.rom.sketched import SketchedReducedModel
from romflow.rom.sketched_residual import SketchedResidual
from romflow.store.split_array import SplitArray

Array = NDArray[np.float64]
T = TypeVar("T")


@dataclass(frozen=True)
class Section:
    """A part of the page; empty ones are left out."""

    name: str
    title: str
    lead: str = ""
    warning: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    listing: str = ""

    @property
    def empty(self) -> bool:
        """Nothing to show."""
        return not (self.pictures or self.tables or self.listing or self.warning or self.lead)


def write_report(path: Path, data: ReportData) -> Path:
    """Write one self-contained HTML page: no network, no scripts; the same data give the same bytes.

    Parameters
    ----------
    path : path
        The file to write, whole or not at all.
    data : ReportData
        What is known; missing parts are left out of the page.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    StoreError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_report(Path(folder) / "report.html", ReportData()).read_text("utf-8")
    >>> "No reduced model was built" in page, "<script" in page
    (True, False)
    """
    path = Path(path)
    write_atomic(path, page(data).encode("utf-8"))
    return path


def page(data: ReportData) -> str:
    """The HTML text of the report."""
    facts = facts_of(data)
    with styled():
        sections = [part for part in _sections(data, facts) if not part.empty]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("romflow.report").joinpath("page.html").read_text("utf-8"))
    return (
        template.render(
            name=facts.name,
            sentence=sentence(data, facts),
            claim=estimate_claim(facts.kind) if facts.size else "",
            version=str(data.summary.get("romflow") or ""),
            fingerprint=str(section(data, "study").get("fingerprint") or ""),
            tiles=tiles(data, facts),
            sections=sections,
            is_block=lambda cell: isinstance(cell, Block),
        )
        + "\n"
    )


def _sections(data: ReportData, facts: Facts) -> Iterable[Section]:
    plan = "State of the run" if "state" in data.plan else "Plan"
    yield Section(
        "study",
        "What was run",
        tables=_present(tables.parameter_table(data), tables.choices_table(data), tables.facts_table(plan, data.plan)),
    )
    yield _dictionary(data)
    yield _basis(data, facts)
    yield _online(data)
    yield _accuracy(data, facts)
    yield _evolution(data, facts)
    yield _adaptive(data)
    yield _uncertainty(data)
    yield _fields(data)
    yield _times(data)
    yield _failures(data)
    yield Section(
        "provenance",
        "Provenance",
        tables=_present(tables.facts_table("", data.provenance or section(data, "environment"))),
    )
    yield Section("study-file", "Study file", listing=data.study_text.rstrip())


def _present(*parts: T | None) -> list[T]:
    return [part for part in parts if part is not None]


def _dictionary(data: ReportData) -> Section:
    part = dictionary_section
    return Section("dictionary", "Which local model answers", part.lead(data), part.warning(data),
                   _present(*part.pictures(data)), _present(*part.tables(data)))


def _basis(data: ReportData, facts: Facts) -> Section:
    values = data.singular_values
    return Section(
        "basis",
        "How the basis was built",
        pictures=_present(
            convergence.singular_value_decay(values, facts.size, facts.tolerance) if values is not None else None,
            convergence.error_against_size(data.history, facts.kind, facts.tolerance, facts.max_error),
        ),
        tables=_present(tables.interpolation_table(data), tables.hyper_table(data)),
    )


def _online(data: ReportData) -> Section:
    pictures, shown = mechanics.cubature_parts(data)
    return Section("online", "What is evaluated online", pictures=pictures, tables=shown)


def _accuracy(data: ReportData, facts: Facts) -> Section:
    noun = estimate_noun(facts.kind)
    names = data.rom.output_names if data.rom is not None else ()
    shown = _present(tables.error_table(data, facts), field_error_table(data),
                     tables.output_table(data.validation, names, facts.kind))
    lead = "Validation parameters were drawn independently and never used for the basis." if facts.validated else ""
    if facts.kind == "indicator" and facts.estimated:
        lead += (
            f" The {noun} is not a bound: it was below the true error at {facts.underestimated} of"
            f" {plural(facts.estimated, 'parameter')}."
        )
    lead += _sketch_promise(data, facts)
    pictures = _error_pictures(data, facts)
    return Section("accuracy", "How accurate it is", lead.strip(), _warning(data, facts), pictures, shown)


def _sketch_promise(data: ReportData, facts: Facts) -> str:
    """What a sketched estimate, and a true error found from sketches, promise."""
    residual = getattr(data.rom, "residual", None)
    if not isinstance(residual, SketchedResidual):
        return ""
    words = (f" The residual norm in it comes from a {residual.kind} sketch of {residual.rows} rows: at a parameter"
             f" chosen independently of the sketch it is within {number(100 * residual.epsilon)} % of the exact norm"
             f" with probability {number(1 - residual.delta, 4)}.")
    if isinstance(data.rom, SketchedReducedModel) and facts.validated:
        words += " The true errors are sketched norms too, because the snapshots were replaced by their sketches."
    return words


def _warning(data: ReportData, facts: Facts) -> str:
    """What a reader must not overlook."""
    warnings = []
    if facts.kind == "bound" and facts.underestimated:
        warnings.append(
            f"The bound was smaller than the true error at {facts.underestimated} of "
            f"{plural(facts.estimated, 'validation parameter')}. A bound may not be: either both are at the level of "
            "round-off, or the stability constant of the model is too large."
        )
    if data.history and facts.training_error is not None and facts.tolerance and facts.training_error > facts.tolerance:
        warnings.append(
            f"The tolerance {number(facts.tolerance)} was not reached in training: the largest relative "
            f"{estimate_noun(facts.kind)} is {number(facts.training_error)}. {_remedy(data)}"
        )
    return " ".join(warnings)


def _remedy(data: ReportData) -> str:
    hint = str(section(data, "offline").get("interpolation_hint") or "")
    return f"{hint[:1].upper()}{hint[1:]}." if hint else "Raise max_size, or enlarge the pool."


def _error_pictures(data: ReportData, facts: Facts) -> list[Picture]:
    table = data.validation if data.validation is not None else data.training
    if table is None or not len(table.mu):
        return []
    return _present(
        accuracy.error_against_estimate(table, facts.kind),
        accuracy.effectivity_histogram(table, facts.kind),
        accuracy.error_over_space(
            table, _columns(data, table.mu.shape[1]), facts.kind, _taken(data), _logarithmic(data)
        ),
    )


def _columns(data: ReportData, count: int) -> Sequence[str]:
    names = tables.parameter_columns(data)
    return names if len(names) == count else [f"mu[{i}]" for i in range(count)]


def _logarithmic(data: ReportData) -> list[str]:
    """Columns whose parameter has a log-uniform distribution."""
    if data.rom is None:
        return []
    space = data.rom.parameters
    named = [table["name"] for table in space.to_spec() if table["distribution"] == "log-uniform"]
    return [column for name in named for column in space.names[name]]


def _taken(data: ReportData) -> Array | None:
    """Parameters of the snapshots."""
    return data.training.mu if data.training is not None else data.snapshot_mu


def _evolution(data: ReportData, facts: Facts) -> Section:
    found = data.evolution
    lead, pictures = mechanics.history_parts(data, _columns(data, len(data.run.mu)) if data.run is not None else ())
    if pictures:
        return Section("evolution", "How it follows the time", lead, pictures=pictures)
    if found is None:
        return Section("evolution", "How it follows the time")
    names = data.rom.output_names if data.rom is not None else ()
    return Section(
        "evolution",
        "How it follows the time",
        evolution.lead(found, _columns(data, len(found.mu)), facts.kind),
        pictures=_present(
            evolution.error_over_time(found, facts.kind), evolution.outputs_over_time(found, names, facts.kind)
        ),
        tables=evolution.diagnosis_tables(found),
    )


def _adaptive(data: ReportData) -> Section:
    if data.adaptive is None:
        return Section("adaptive", "Full-order steps on the way")
    pictures, shown = mechanics.adaptive_parts(data, _columns(data, data.adaptive.mu.shape[1]))
    lead = "The other parts of this page show the reduced model as it was before these runs." if shown else ""
    return Section("adaptive", "Full-order steps on the way", lead, pictures=pictures, tables=shown)


def _uncertainty(data: ReportData) -> Section:
    part = uncertainty_section
    return Section("uncertainty", "What random inputs make of it", part.lead(data), part.warning(data),
                   _present(*part.pictures(data)), _present(*part.tables(data)))


def _fields(data: ReportData) -> Section:
    if data.rom is None:
        return Section("fields", "Fields")
    if isinstance(data.rom, SketchedReducedModel):
        return Section("fields", "Fields", "The snapshots were replaced by their sketches, so that there are no fields "
                       "to show; keep_snapshots = true keeps them.")
    if isinstance(data.rom.basis, SplitArray):
        return Section("fields", "Fields", "The fields of a model on MPI ranks stay in part files and are not shown; "
                       "lift(coefficients) gives a solution.")
    mesh = data.rom.mesh
    scene = scene_of(mesh)
    comparison = None
    if data.field is not None:
        title = "Full-order and reduced solution" if data.body is None else "Displacement at the last time"
        comparison = fields.field_comparison(data.field, _columns(data, len(data.field.mu)), mesh, scene, title)
    deformed = mechanics.fields_parts(data, _columns(data, len(data.body.mu))) if data.body is not None else []
    pictures = _present(*deformed, comparison, fields.basis_modes(data.rom.basis, mesh, scene))
    return Section("fields", "Fields", pictures=pictures)


def _times(data: ReportData) -> Section:
    pictures = _present(
        times.stage_bars(data.stages),
        times.solve_histogram(data.solve_seconds) if data.solve_seconds is not None else None,
    )
    shown = _present(tables.time_table(data), tables.solver_table(data))
    return Section("times", "Times", pictures=pictures, tables=shown)


def _failures(data: ReportData) -> Section:
    failed = len(data.failures)
    lead = f"{plural(failed, 'full-order solve')} failed." if failed else ""
    if failed and data.rom is not None:
        lead += " The rest of the run went on without."
    shown = tables.failure_table(data.failures, tables.parameter_columns(data))
    return Section("failures", "Failed solves", lead, tables=_present(shown))
