"""Names of models, samplers, reductors and exporters: built-in ones, and a user's own class by "path/file.py:Class"."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from romflow.core.errors import ConfigError
from romflow.core.fingerprint import file_fingerprint, fingerprint
from romflow.core.names import nearest, one_line, shown

__all__ = ["BUILTIN", "build", "check_name", "check_options", "known", "load", "source_identity"]

#: Role -> name -> "module:Class".
BUILTIN: dict[str, dict[str, str]] = {
    "model": {
        "thermal-block": "romflow.fom.gallery.thermal_block:ThermalBlock",
        "diffusion": "romflow.fom.gallery.diffusion:DiffusionOnMesh",
        "advection-diffusion": "romflow.fom.gallery.advection_diffusion:AdvectionDiffusion",
        "linear-elasticity": "romflow.fom.gallery.linear_elasticity:LinearElasticity",
        "nonaffine": "romflow.fom.gallery.nonaffine:Nonaffine",
        "burgers": "romflow.fom.gallery.burgers:Burgers",
        "reaction-diffusion": "romflow.fom.gallery.reaction_diffusion:ReactionDiffusion",
        "radiation": "romflow.fom.gallery.radiation:Radiation",
        "random-domain": "romflow.fom.gallery.random_domain:RandomDomain",
        "random-field": "romflow.fom.gallery.random_field:RandomField",
        "mechanics": "romflow.fom.mechanics.model:Mechanics",
        "calculix": "romflow.fom.mechanics.calculix.model:Calculix",
        "imported": "romflow.fom.mechanics.imported:Imported",
        "submodel": "romflow.fom.mechanics.submodel:Submodel",
        "affine-files": "romflow.fom.affine_files:AffineFiles",
        "external": "romflow.fom.external:ExternalProgram",
    },
    "sampler": {
        "greedy": "romflow.parameters.sampling.greedy:Greedy",
        "latin-hypercube": "romflow.parameters.sampling.latin_hypercube:LatinHypercube",
        "sobol": "romflow.parameters.sampling.sobol:Sobol",
        "grid": "romflow.parameters.sampling.grid:Grid",
        "file": "romflow.parameters.sampling.file:FromFile",
        "random": "romflow.parameters.sampling.random:Random",
        "lattice": "romflow.parameters.sampling.lattice:Lattice",
        "sparse-grid": "romflow.parameters.sampling.sparse_grid:SparseGrid",
        "optimal-design": "romflow.parameters.sampling.optimal_design:OptimalDesign",
    },
    "reductor": {
        "reduced-basis": "romflow.reduction.reduced_basis:ReducedBasisReductor",
        "pod-galerkin": "romflow.reduction.pod_galerkin:PodGalerkin",
        "pod-regression": "romflow.reduction.pod_regression:PodRegression",
        "pod-greedy": "romflow.reduction.pod_greedy:PodGreedy",
        "hyper-reduction": "romflow.reduction.hyper_reduction:HyperReduction",
        "empirical-cubature": "romflow.reduction.mechanics.reductor:EmpiricalCubature",
        "sketched": "romflow.reduction.sketched:SketchedReductor",
    },
    "law": {
        "thermoelastic": "romflow.materials.thermoelastic:Thermoelastic",
        "viscoplastic": "romflow.materials.viscoplastic:Viscoplastic",
    },
    "exporter": {
        "npz": "romflow.export.npz:Npz",
        "vtu": "romflow.export.vtu:Vtu",
        "csv": "romflow.export.csv:Csv",
        "c": "romflow.export.c:C",
        "fmu": "romflow.export.fmu:Fmu",
        "onnx": "romflow.export.onnx.exporter:Onnx",
    },
}

#: Role -> (section of the study file, its key that holds the name).
SECTIONS: dict[str, tuple[str, str]] = {
    "model": ("[model]", "kind"),
    "sampler": ("[sampling]", "method"),
    "reductor": ("[reduction]", "method"),
    "exporter": ("[[export]]", "format"),
    "law": ("[model.law]", "kind"),
}

_IMPORTING = threading.RLock()


def known(role: str) -> list[str]:
    """Built-in names of a role ("model", "sampler", "reductor", "exporter").

    Examples
    --------
    >>> known("exporter")
    ['npz', 'vtu', 'csv', 'c', 'fmu', 'onnx']
    """
    if role not in BUILTIN:
        raise ConfigError(f"no role is called {shown(role)}{nearest(role, BUILTIN)}")
    return list(BUILTIN[role])


def is_path(name: str) -> bool:
    """Whether a name means a user's file ("path/file.py:Class") rather than a built-in."""
    return ":" in name or name.endswith(".py")


def check_name(role: str, name: str) -> None:
    """Raise ConfigError unless `name` is built-in or has the form "path/file.py:Class"; imports nothing.

    Examples
    --------
    >>> check_name("sampler", "gredy")
    Traceback (most recent call last):
        ...
    romflow.core.errors.ConfigError: no sampler is called 'gredy'; known: greedy, latin-hypercube, sobol, grid, file, \
random, lattice, sparse-grid, optimal-design. Did you mean 'greedy'?
    """
    names = known(role)
    if is_path(name):
        _split(role, name)
    elif name not in names:
        raise ConfigError(f"no {role} is called {shown(name)}{nearest(name, names)}")


def load(role: str, name: str, base: str | Path) -> type[Any]:
    """The class behind a name.

    Parameters
    ----------
    role : str
        "model", "sampler", "reductor" or "exporter".
    name : str
        A built-in name, or "path/file.py:Class" with the path relative to `base`.
    base : path
        Folder of the study file.

    Raises
    ------
    ConfigError
        Unknown name, missing file or class, an import that fails, a package that is not installed.

    Examples
    --------
    >>> load("sampler", "random", ".").__name__
    'Random'
    """
    check_name(role, name)
    if not is_path(name):
        return _load_builtin(role, name)
    file, class_name = _file_of(role, name, base)
    module = _import_file(role, file)
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        own = [
            key for key, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        raise ConfigError(f"{role} file {file} has no class {class_name!r}{nearest(class_name, own)}")
    return found


def source_identity(role: str, name: str, base: str | Path) -> dict[str, str]:
    """JSON identity of the code behind a name: the name if built-in, else the class and the SHA-256 of its file.

    Examples
    --------
    >>> source_identity("model", "thermal-block", ".")
    {'kind': 'thermal-block'}
    """
    check_name(role, name)
    if not is_path(name):
        return {"kind": name}
    file, class_name = _file_of(role, name, base)
    return {"class": class_name, "sha256": file_fingerprint(file)}


def check_options(
    role: str, name: str, base: str | Path, options: Mapping[str, Any], fixed: Mapping[str, Any], where: str = ""
) -> type[Any]:
    """The class behind `name`, after checking that it takes `options` beside the arguments that romflow gives it.

    Parameters
    ----------
    role, name, base
        As for :func:`load`.
    options : mapping
        Keys and values that the user wrote.
    fixed : mapping
        Arguments that romflow gives; the class may take or leave each.
    where : str
        Name of the study file, to start the message.

    Raises
    ------
    ConfigError
        An option that the class does not take, or one that it needs and did not get.
    """
    cls = load(role, name, base)
    section, key = SECTIONS[role]
    start = f"{where}: " if where else ""
    accepted, required, anything = _keywords(cls)
    allowed = [word for word in accepted if word not in fixed]
    for word in options:
        if word in fixed or (word not in allowed and not anything):
            raise ConfigError(
                f"{start}{section} has no key {shown(word)} for {key} = {shown(name)}{nearest(word, allowed)}"
            )
    for word in required:
        if word not in fixed and word not in options:
            raise ConfigError(f"{start}{section} needs the key {word!r} for {key} = {shown(name)}.")
    return cls


def build(
    role: str, name: str, base: str | Path, options: Mapping[str, Any], /, *, where: str = "", **fixed: Any
) -> Any:
    """An instance of the class behind `name`, made from the user's options and the arguments that romflow gives.

    Parameters
    ----------
    role, name, base
        As for :func:`load`.
    options : mapping
        Keys and values that the user wrote; every key must be an argument of the class.
    where : str
        Name of the study file, to start a message.
    **fixed
        Arguments that romflow gives; those that the class does not take are left out.

    Raises
    ------
    ConfigError
        As for :func:`load` and :func:`check_options`. Errors raised by the class itself pass through unchanged.

    Examples
    --------
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.parameters.distributions import Uniform
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> build("sampler", "random", ".", {"size": 3}, space=space, seed=1, base=".").ask().shape
    (3, 1)
    """
    cls = check_options(role, name, base, options, fixed, where)
    accepted, _, anything = _keywords(cls)
    given = {word: value for word, value in fixed.items() if anything or word in accepted}
    return cls(**given, **options)


def _keywords(cls: type[Any]) -> tuple[list[str], list[str], bool]:
    """Keyword arguments of a class: all, those without default, and whether it takes any others."""
    kinds = inspect.Parameter
    parameters = list(inspect.signature(cls).parameters.values())
    named = [item for item in parameters if item.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    required = [item.name for item in named if item.default is kinds.empty]
    return [item.name for item in named], required, any(item.kind is kinds.VAR_KEYWORD for item in parameters)


def _split(role: str, name: str) -> tuple[str, str]:
    file, _, class_name = name.rpartition(":")
    if not file.endswith(".py") or not class_name.isidentifier():
        raise ConfigError(f"{role} {shown(name)} names no class in a file; write 'path/file.py:Class'.")
    return file, class_name


def _file_of(role: str, name: str, base: str | Path) -> tuple[Path, str]:
    relative, class_name = _split(role, name)
    file = Path(base, relative)
    if not file.is_file():
        raise ConfigError(
            one_line(f"{role} {shown(name)} needs the file {file}, which does not exist; check the path.")
        )
    return file, class_name


def _load_builtin(role: str, name: str) -> type[Any]:
    module_name, _, class_name = BUILTIN[role][name].partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "romflow"):
            raise
        raise ConfigError(
            f"{role} {name!r} needs the package {package!r}, which is not installed; install it."
        ) from error
    found: type[Any] = getattr(module, class_name)
    return found


def _import_file(role: str, file: Path) -> ModuleType:
    """The module of a user's file, imported once per content and place under a name made from both."""
    name = "romflow_user_" + fingerprint([file_fingerprint(file), str(file.resolve())])[:24]
    with _IMPORTING:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{role} file {file} cannot be imported; give a Python source file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise ConfigError(one_line(f"{role} file {file} cannot be imported: {_last_line(error, file)}")) from error
        return module


def _last_line(error: BaseException, file: Path) -> str:
    """The exception's last line and the line of the user's file at which it arose."""
    text = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    number = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    return text if number is None else f"{text} (line {number})"
