"""The study file: what it may say, and one sentence for everything that it may not."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from romflow.core.adaptivity_section import AdaptivityConfig
from romflow.core.complaints import complaint, unwritable
from romflow.core.dictionary_section import DICTIONARY_TABLES, DictionaryConfig, simplified_time
from romflow.core.errors import ConfigError
from romflow.core.names import one_line, shown
from romflow.core.parameter_rules import name_fault, twice
from romflow.core.parameter_section import ParameterConfig
from romflow.core.registry import check_name
from romflow.core.sections import OpenSection, Section
from romflow.core.time_section import TimeConfig
from romflow.core.uq_section import UQ_TABLES, UqConfig
from romflow.core.work_sections import (
    JOB_KEYS,
    ClusterConfig,
    FailuresConfig,
    SolverConfig,
    check_split,
    with_ranks,
)

__all__ = [
    "AdaptivityConfig",
    "ClusterConfig",
    "DictionaryConfig",
    "ExportConfig",
    "FailuresConfig",
    "ModelConfig",
    "ParameterConfig",
    "ReductionConfig",
    "SamplingConfig",
    "SolverConfig",
    "StudyConfig",
    "StudySection",
    "TimeConfig",
    "UqConfig",
    "ValidationConfig",
    "parse_option",
    "parse_study",
    "read_study",
]


class StudySection(Section):
    """[study]"""

    name: str = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"{shown(name)} is not one line of visible text; write a short name.")
        return name


class ModelConfig(OpenSection):
    """[model]: which full-order model, and the options of its class."""

    kind: str

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        check_name("model", kind)
        return kind


class SamplingConfig(OpenSection):
    """[sampling]: which sampler, its seed, and the options of its class."""

    method: str
    seed: int = Field(default=0, ge=0)

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        check_name("sampler", method)
        return method


class ReductionConfig(OpenSection):
    """[reduction]: which reductor, its accuracy, its certification, and further options of its class."""

    method: str = "reduced-basis"
    tolerance: float = Field(default=1e-3, ge=0.0, lt=1.0)
    max_size: int = Field(default=100, ge=1)
    estimator: Literal["orthonormal", "eim", "gram", "sketched"] = "orthonormal"
    projection: Literal["auto", "galerkin", "least-squares"] = "auto"
    certified: bool = False

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        check_name("reductor", method)
        return method


class ValidationConfig(Section):
    """[validation]: independent parameters at which the truth is solved again; none by default."""

    size: int = Field(default=0, ge=0, le=10_000_000)
    seed: int = Field(default=1, ge=0)


class ExportConfig(OpenSection):
    """[[export]]: a format, the file to write in the run folder, and the options of the exporter."""

    format: str
    path: str | None = Field(default=None, min_length=1)

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        check_name("exporter", name)
        return name


class StudyConfig(Section):
    """All that a study file says, with the defaults filled in."""

    study: StudySection
    model: ModelConfig
    time: TimeConfig | None = None
    parameters: dict[str, ParameterConfig] = Field(min_length=1)
    sampling: SamplingConfig
    reduction: ReductionConfig = Field(default_factory=ReductionConfig)
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    dictionary: DictionaryConfig | None = None
    adaptivity: AdaptivityConfig | None = None
    uq: UqConfig | None = None
    failures: FailuresConfig = Field(default_factory=FailuresConfig)
    solver: SolverConfig = Field(default_factory=SolverConfig)
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)
    export: list[ExportConfig] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _ranks(cls, content: Any) -> Any:
        """MPI ranks belong to [cluster] wherever they are written; with them [solver] chooses by itself."""
        return with_ranks(content)

    @model_validator(mode="after")
    def _split(self) -> StudyConfig:
        check_split(self.solver, self.cluster)
        return self

    @field_validator("parameters")
    @classmethod
    def _right_names(cls, tables: dict[str, ParameterConfig]) -> dict[str, ParameterConfig]:
        faults = [name_fault(name) for name in tables] + [twice([(name, table.size) for name, table in tables.items()])]
        for fault in faults:
            if fault is not None:
                raise ValueError(f"is wrong: {fault}")
        return tables


_SECTIONS: dict[str, type[Section]] = {
    "study": StudySection,
    "model": ModelConfig,
    "time": TimeConfig,
    "parameters": ParameterConfig,
    "sampling": SamplingConfig,
    "reduction": ReductionConfig,
    "validation": ValidationConfig,
    "dictionary": DictionaryConfig,
    "adaptivity": AdaptivityConfig,
    "uq": UqConfig,
    "failures": FailuresConfig,
    "solver": SolverConfig,
    "cluster": ClusterConfig,
    "export": ExportConfig,
}


def parse_study(content: Mapping[str, Any], where: str = "") -> StudyConfig:
    """The configuration that a study's content (sections -> keys -> values) describes.

    Parameters
    ----------
    content : mapping
        As read from TOML.
    where : str
        Name of the file, to start a message.

    Raises
    ------
    ConfigError
        The first fault: an unknown section or key (naming the nearest), a wrong type, NaN or infinity, a rule broken, a
        section or key missing.

    Examples
    --------
    >>> config = parse_study({
    ...     "study": {"name": "block"}, "model": {"kind": "thermal-block", "cells": 99},
    ...     "parameters": {"conductivity": {"low": 0.1, "high": 1.0, "size": 9}},
    ...     "sampling": {"method": "greedy", "pool": 200}})
    >>> config.model.options, config.sampling.options, config.reduction.tolerance
    ({'cells': 99}, {'pool': 200}, 0.001)
    """
    start = f"{where}: " if where else ""
    fault = unwritable(content)
    if fault is not None:
        raise ConfigError(start + fault)
    try:
        config = StudyConfig.model_validate(dict(content))
    except ValidationError as error:
        raise ConfigError(start + complaint(error.errors(), _keys_of)) from None
    if config.dictionary is not None:
        simplified_time(config.dictionary, config.time, where)
    return config


def _keys_of(location: tuple[str | int, ...]) -> list[str]:
    if not location:
        return list(_SECTIONS)
    keys = list(_section_of(location).model_fields)
    return keys + list(JOB_KEYS) if location[0] == "cluster" else keys


def _section_of(location: tuple[str | int, ...]) -> type[Section]:
    """What describes the table at `location`, such as ("uq", "copula")."""
    within = {"uq": UQ_TABLES, "dictionary": DICTIONARY_TABLES}.get(str(location[0]))
    if within is not None and len(location) > 1:
        return within[str(location[1])]
    return _SECTIONS[str(location[0])]


def read_study(path: str | Path) -> StudyConfig:
    """The configuration in a study file (TOML, UTF-8).

    Raises
    ------
    ConfigError
        One sentence that names the file: it is missing, a folder, not readable, not UTF-8, not TOML (with the line), or
        its content breaks a rule (see :func:`parse_study`).
    """
    where = one_line(str(path))
    return parse_study(_toml(_text_of(Path(path), where), where), where)


def _text_of(file: Path, where: str) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{where}: there is no such file; check the path.") from error
    except IsADirectoryError as error:
        inside = file / "study.toml"
        remedy = f"give {inside}" if inside.is_file() else "give the path of a study file"
        raise ConfigError(f"{where}: this is a folder and not a study file; {remedy}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: this is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: it cannot be read ({one_line(str(error)).lower()}); check the path.") from error


def _toml(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: this is not TOML: {one_line(str(error))}.") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: this is not a study: its values are nested too deeply.") from error
    except ValueError as error:
        raise ConfigError(f"{where}: this is not TOML: {one_line(str(error), 120)}.") from error


def parse_option(text: str) -> tuple[str, Any]:
    """Key and value of ``"key=value"`` from a command line; the value is read as TOML, or else is a text.

    Raises
    ------
    ConfigError
        No key, or a value that no key of a study takes.

    Examples
    --------
    >>> parse_option("cells=[3, 3]"), parse_option("element=Q1")
    (('cells', [3, 3]), ('element', 'Q1'))
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key.isidentifier():
        raise ConfigError(f"the option {shown(text)} is not of the form key=value; write it so.")
    try:
        content = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        return key, value
    if set(content) != {"value"}:
        return key, value
    fault = unwritable({key: content["value"]})
    if fault is not None:
        raise ConfigError(f"option {fault}")
    return key, content["value"]
