"""From "path/file.py:Class" to a report: find the role of a class, build it, run its suite."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from romflow.core import registry
from romflow.core.errors import ConfigError
from romflow.core.names import nearest, one_line
from romflow.core.schema import StudyConfig, read_study
from romflow.fom.build import in_time
from romflow.materials.making import make_law
from romflow.parameters.space import ParameterSpace
from romflow.testing.exporter import check_exporter
from romflow.testing.material_law import check_law
from romflow.testing.model import check_model
from romflow.testing.reductor import TOLERANCE, check_reductor
from romflow.testing.report import Check, Report
from romflow.testing.sampler import check_sampler
from romflow.testing.small import small_space

__all__ = ["role_of", "verify"]

#: Role -> the attributes by which it is known; the first that a class has all of decides.
ROLES: dict[str, tuple[str, ...]] = {
    "sampler": ("ask", "tell"),
    "reductor": ("accepts", "reduce"),
    "exporter": ("suffix", "write"),
    "law": ("initial", "integrate"),
    "model": ("solve",),
}

# What a sampler under test gets if it takes it: enough to see it work, and few solves.
_SAMPLER_OPTIONS: dict[str, Any] = {"size": 8, "max_size": 8, "pool": 30, "per_axis": 2, "tolerance": 1e-6}
_REDUCTOR_OPTIONS: dict[str, Any] = {"tolerance": TOLERANCE, "max_size": 100, "seed": 0}


def verify(target: str, base: Path, study: Path | None = None) -> Report:
    """Run the conformance suite on a class.

    Parameters
    ----------
    target : str
        "path/file.py:Class" relative to `base`, or a built-in name.
    base : Path
        Folder that relative paths start from.
    study : Path, optional
        A study file. Models and samplers get its parameters, and a class that the study names gets the options written
        there. Without it a model is built by its classmethod `example()`, or with no arguments.

    Returns
    -------
    Report
        Where the class cannot be built, its only check is "build".

    Raises
    ------
    ConfigError
        The file or class does not exist or cannot be imported, its role cannot be told, it needs arguments that nobody
        gives, or the study is wrong.

    Examples
    --------
    >>> verify("random", Path(".")).passed
    True
    """
    cls = _load(target, base)
    role = role_of(cls, target)
    config = None if study is None else read_study(study)
    plan = _Plan(target, role, cls, base, config, base if study is None else study.resolve().parent)
    try:
        plan.built()
    except ConfigError:
        raise
    except Exception as error:
        message = one_line(f"{type(error).__name__}: {error}".rstrip("."))
        return Report(target, role, (Check("build", False, f"{message}; the rule: the class can be built."),))
    return plan.suite()


def role_of(cls: type[Any], target: str = "") -> str:
    """The role of a class, from what it offers.

    Raises
    ------
    ConfigError
        It is none of the five.

    Examples
    --------
    >>> from romflow.export.csv import Csv
    >>> role_of(Csv)
    'exporter'
    """
    for role, words in ROLES.items():
        # An attribute set by __init__ (a suffix, say) is not seen on the class, so a method must decide.
        if all(hasattr(cls, word) for word in words if word != "suffix"):
            return role
    rules = "; ".join(f"a {role} has {' and '.join(words)}" for role, words in ROLES.items())
    raise ConfigError(f"{target or cls.__name__} is no model, sampler, reductor, exporter or material law: {rules}.")


def _load(target: str, base: Path) -> type[Any]:
    if registry.is_path(target):
        try:
            return registry.load("model", target, base)
        except ConfigError as error:
            raise ConfigError(str(error).removeprefix("model ")) from error
    for role in registry.BUILTIN:
        if target in registry.known(role):
            return registry.load(role, target, base)
    names = [name for role in registry.BUILTIN for name in registry.known(role)]
    raise ConfigError(f"nothing is called {target!r}{nearest(target, names)} Or give 'path/file.py:Class'.")


@dataclass(frozen=True)
class _Plan:
    """How a class is built and which suite it meets."""

    target: str
    role: str
    cls: type[Any]
    base: Path
    config: StudyConfig | None
    study_base: Path

    def built(self) -> Any:
        """One instance, to see whether it can be built."""
        return self.sampler(self.space or small_space(), 0) if self.role == "sampler" else self.maker()()

    def suite(self) -> Report:
        """The report of the role's suite."""
        if self.role == "sampler":
            return check_sampler(self.sampler, self.target, self.space)
        check = {"model": check_model, "reductor": check_reductor, "exporter": check_exporter,
                 "law": check_law}[self.role]
        return check(self.maker(), self.target)

    @property
    def space(self) -> ParameterSpace | None:
        """The study's parameters."""
        return None if self.config is None else ParameterSpace.from_config(self.config.parameters, self.study_base)

    def maker(self) -> Callable[[], Any]:
        """Builds a model, reductor, exporter or law."""
        law = self._law_table()
        if law is not None:
            return lambda: make_law(law, self._law_columns(), self.study_base)
        if self.role == "law" or self.role == "model" and self.config is None:
            return self.cls.example if hasattr(self.cls, "example") else self._bare
        fixed = {"model": {"parameters": self.space}, "reductor": _REDUCTOR_OPTIONS, "exporter": {}}[self.role]
        time = None if self.config is None or self.role != "model" else self.config.time
        if time is not None:
            return lambda: in_time(self.target, self._with(fixed), time.wishes())
        return lambda: self._with(fixed)

    def _law_table(self) -> Mapping[str, Any] | None:
        """The study's law, if it is of this class."""
        table = None if self.config is None or self.role != "law" else self.config.model.options.get("law")
        kind = table.get("kind") if isinstance(table, Mapping) else None
        if not isinstance(kind, str) or registry.load("law", kind, self.study_base) is not self.cls:
            return None
        return table

    def _law_columns(self) -> tuple[str, ...]:
        """Names that the texts of the study's law may use."""
        space = self.space
        amplitudes = () if self.config is None else self.config.model.options.get("amplitudes", ())
        names = [table["name"] for table in amplitudes if isinstance(table, Mapping) and "name" in table]
        return (*(() if space is None else space.columns), *names, "t")

    def sampler(self, space: ParameterSpace, seed: int) -> Any:
        """A fresh sampler."""
        return self._with({"space": space, "seed": seed, **_SAMPLER_OPTIONS})

    def _with(self, fixed: dict[str, Any]) -> Any:
        """An instance with the study's options and, where these do not say otherwise, what the suite gives."""
        options = self._options()
        given = {word: value for word, value in fixed.items() if word not in options}
        return registry.build(self.role, self.target, self.base, options, base=self.study_base, **given)

    def _bare(self) -> Any:
        needed = [item.name for item in inspect.signature(self.cls).parameters.values()
                  if item.default is item.empty and item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
        if needed:
            raise ConfigError(f"{self.target} needs the arguments {', '.join(needed)}: give them defaults, give the "
                              "class a classmethod example(), or name a study that uses it (--study).")
        return self.cls()

    def _options(self) -> dict[str, Any]:
        """What the study says about this class; nothing if it names another."""
        if self.config is None:
            return {}
        config = self.config
        wishes = {"model": [(config.model.kind, config.model.options)],
                  "sampler": [(config.sampling.method, config.sampling.options)],
                  "reductor": [(config.reduction.method, config.reduction.options)],
                  "exporter": [(wish.format, wish.options) for wish in config.export]}[self.role]
        for name, options in wishes:
            if registry.load(self.role, name, self.study_base) is self.cls:
                return dict(options)
        return {}
