"""The model description of a functional mock-up unit, for FMI 2.0 and 3.0."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from romflow.core.fingerprint import fingerprint
from romflow.export.compiled.source import Source
from romflow.export.program.program import Facts

__all__ = ["Variable", "build_description", "model_description", "token", "variables"]

_TOOL = "romflow"


@dataclass(frozen=True)
class Variable:
    """A variable of the unit; its value reference is its place in the list.

    Attributes
    ----------
    name, causality, description, unit : str
    start, low, high : float or None
        Of parameters.
    """

    name: str
    causality: str
    description: str
    unit: str = ""
    start: float | None = None
    low: float | None = None
    high: float | None = None


def variables(source: Source, start: Sequence[float]) -> list[Variable]:
    """Time, parameters, outputs, their errors and the error of the state, in the order of the value references."""
    facts = source.facts
    kind = f"error {facts.error_kind}"
    taken = set(facts.columns)
    outputs = [_unique(name, taken) for name in facts.outputs]
    errors = [_unique(f"{name}_error", taken) for name in outputs] if source.errors else []
    error, time = _unique("error", taken), _unique("time", taken)
    rows = zip(facts.columns, facts.units, start, facts.low, facts.high, strict=True)
    moves = facts.times is not None
    return [
        Variable(time, "independent", "Time of the model" if moves else "Time; the model is at rest"),
        *(Variable(name, "parameter", f"Parameter {name}", unit, float(value), float(low), float(high))
          for name, unit, value, low, high in rows),
        *(Variable(name, "output", f"Output {own}") for name, own in zip(outputs, facts.outputs, strict=True)),
        *(Variable(name, "output", f"The {kind} of the output {own}")
          for name, own in zip(errors, facts.outputs, strict=False)),
        Variable(error, "output", f"The {kind} of the state in the norm {facts.norm}")]


def token(source: Source, version: str) -> str:
    """A GUID made from the C text, so that a unit and its description belong together."""
    return "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, fingerprint([version, source.header, source.source]))) + "}"


def model_description(source: Source, start: Sequence[float], version: str, files: Sequence[str]) -> bytes:
    """The bytes of modelDescription.xml.

    Parameters
    ----------
    source : Source
    start : (p,) sequence of float
        Values with which the parameters begin.
    version : "2.0" or "3.0"
    files : sequence of str
        Names of the C files in the folder "sources".
    """
    listed, facts, two = variables(source, start), source.facts, version == "2.0"
    root = ElementTree.Element("fmiModelDescription", {
        "fmiVersion": version, "modelName": _plain(facts.name),
        "guid" if two else "instantiationToken": token(source, version),
        "description": _described(facts), "version": facts.version or "1", "generationTool": _TOOL,
        "variableNamingConvention": "flat"} | ({"numberOfEventIndicators": "0"} if two else {}))
    state = "FMUstate" if two else "FMUState"
    powers = {"modelIdentifier": source.name, f"canGetAndSet{state}": "true", f"canSerialize{state}": "true"}
    for kind in ("ModelExchange", "CoSimulation"):
        extra = {"canHandleVariableCommunicationStepSize": "true"} if kind == "CoSimulation" else {}
        element = ElementTree.SubElement(root, kind, powers | extra)
        if two:
            _source_files(element, files)
    units = sorted({unit for unit in facts.units if unit})
    if units:
        definitions = ElementTree.SubElement(root, "UnitDefinitions")
        for unit in units:
            ElementTree.SubElement(definitions, "Unit", {"name": _plain(unit)})
    categories = ElementTree.SubElement(root, "LogCategories")
    ElementTree.SubElement(categories, "Category", {"name": "logStatusError", "description": "Why a call failed"})
    ElementTree.SubElement(root, "DefaultExperiment", _experiment(facts))
    if two:
        tool = ElementTree.SubElement(ElementTree.SubElement(root, "VendorAnnotations"), "Tool", {"name": _TOOL})
        ElementTree.SubElement(tool, "facts").text = json.dumps(facts.plain(), sort_keys=True)
    _model_variables(root, listed, two)
    _structure(root, listed, two)
    if not two:
        annotations = ElementTree.SubElement(root, "Annotations")
        ElementTree.SubElement(annotations, "Annotation", {"type": _TOOL}).text = json.dumps(
            facts.plain(), sort_keys=True)
    return _bytes(root)


def build_description(source: Source, files: Sequence[str]) -> bytes:
    """The bytes of sources/buildDescription.xml of FMI 3.0."""
    root = ElementTree.Element("fmiBuildDescription", {"fmiVersion": "3.0"})
    configuration = ElementTree.SubElement(root, "BuildConfiguration", {"modelIdentifier": source.name})
    own = ElementTree.SubElement(configuration, "SourceFileSet", {"language": "C99"})
    for file in files:
        if file.endswith(".c"):
            ElementTree.SubElement(own, "SourceFile", {"name": file})
    return _bytes(root)


def _source_files(element: ElementTree.Element, files: Sequence[str]) -> None:
    listed = ElementTree.SubElement(element, "SourceFiles")
    for file in files:
        if file.endswith(".c"):
            ElementTree.SubElement(listed, "File", {"name": file})


def _experiment(facts: Facts) -> dict[str, str]:
    if facts.times is None:
        return {"startTime": "0.0", "stopTime": "1.0", "stepSize": "1.0"}
    span = facts.times[-1] - facts.times[0]
    return {"startTime": repr(facts.times[0]), "stopTime": repr(facts.times[-1]),
            "stepSize": repr(span / (len(facts.times) - 1))}


def _model_variables(root: ElementTree.Element, listed: Sequence[Variable], two: bool) -> None:
    parent = ElementTree.SubElement(root, "ModelVariables")
    for reference, variable in enumerate(listed):
        tunable = variable.causality == "parameter"
        common = {"name": _plain(variable.name), "valueReference": str(reference),
                  "description": _plain(variable.description), "causality": variable.causality,
                  "variability": "tunable" if tunable else "continuous"}
        if variable.causality != "independent":
            common["initial"] = "exact" if tunable else "calculated"
        numbers = {key: repr(value) for key, value in (("start", variable.start), ("min", variable.low),
                                                       ("max", variable.high)) if value is not None and _finite(value)}
        if variable.unit:
            numbers["unit"] = _plain(variable.unit)
        if two:
            ElementTree.SubElement(ElementTree.SubElement(parent, "ScalarVariable", common), "Real", numbers)
        else:
            ElementTree.SubElement(parent, "Float64", common | numbers)


def _structure(root: ElementTree.Element, listed: Sequence[Variable], two: bool) -> None:
    parent = ElementTree.SubElement(root, "ModelStructure")
    outputs = [k for k, variable in enumerate(listed) if variable.causality == "output"]
    if not two:
        for name in ("Output", "InitialUnknown"):
            for reference in outputs:
                ElementTree.SubElement(parent, name, {"valueReference": str(reference)})
        return
    for name in ("Outputs", "InitialUnknowns"):
        group = ElementTree.SubElement(parent, name)
        for reference in outputs:
            ElementTree.SubElement(group, "Unknown", {"index": str(reference + 1)})


def _described(facts: Facts) -> str:
    moves = "" if facts.times is None else (
        " Outputs between two times of the model are interpolated linearly; of errors the larger of the two is given."
        " New parameters take the place of the old ones in the whole trajectory.")
    return _plain(f"Reduced model {facts.name}: outputs and their error {facts.error_kind}. A parameter outside its "
                  f"range is refused.{moves}")


def _unique(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _finite(value: float) -> bool:
    return value - value == 0.0


def _plain(text: str) -> str:
    """Without the control characters that XML does not know."""
    return re.sub(r"[^ -~\u00a0-\ud7ff\ue000-\ufffd]", "?", text)


def _bytes(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
