"""From a reduced model to the program of its online stage, with the facts that go with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.export.program.affine import affine_results
from romflow.export.program.builder import Builder, Value
from romflow.export.program.dictionary import dictionary_results
from romflow.export.program.evolution import evolution_results
from romflow.export.program.program import Facts, Program
from romflow.export.program.regression import regression_results
from romflow.export.program.shapes import check_program
from romflow.rom.affine import AffineReducedModel
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.evolution import EvolutionReducedModel
from romflow.rom.model import ReducedModel
from romflow.rom.regression import RegressionReducedModel
from romflow.rom.residual import EimResidual

__all__ = ["build", "facts_of"]


def build(rom: ReducedModel) -> Program:
    """The program that gives all the numbers of ``rom.solve``: "output", "output_error" and "error".

    Raises
    ------
    NotSupported
        The model cannot be written as a list of array operations; the message says why, and what there is instead.

    Examples
    --------
    >>> from romflow.export.program.interpreter import run
    >>> from romflow.parameters.distributions import Uniform
    >>> from romflow.parameters.space import Parameter, ParameterSpace
    >>> from romflow.rom.regression import RadialBasis
    >>> space = ParameterSpace([Parameter("a", Uniform(0.0, 1.0))])
    >>> line = RadialBasis(np.array([[0.0], [1.0]]), np.zeros((2, 2)), np.array([[0.0, 2.0], [5.0, -1.0]]), np.zeros(2))
    >>> rom = RegressionReducedModel(space, np.ones((3, 1)), ("mean",), line, np.zeros(1), np.ones(1), 1.0, np.ones(1),
    ...                              0.25, np.ones(1))
    >>> run(build(rom), [[0.5]])
    {'output': array([[4.5]]), 'output_error': array([[0.]]), 'error': array([0.25])}
    """
    results = _results_of(rom)
    builder = Builder(rom.parameters.columns)
    found = results(builder, rom)
    del found["norm"]
    program = builder.finish(found, facts_of(rom))
    check_program(program)
    return program


def _results_of(rom: Any) -> Callable[[Builder, Any], dict[str, Value]]:
    """What makes the results of such a model, "norm" among them."""
    if isinstance(rom, RomDictionary):
        local = _results_of(rom.models[0])
        return lambda builder, dictionary: dictionary_results(builder, dictionary, local)
    for kind, results in _KINDS:
        if isinstance(rom, kind):
            return results
    raise NotSupported(f"a model of the kind {type(rom).__name__} cannot be written as a list of array operations "
                       "(that is done for affine and regression models, for linear ones in time, and for dictionaries "
                       "of them); use format = \"csv\", or romflow.load(\"model.h5\")")


def facts_of(rom: Any) -> Facts:
    """Names, units, ranges and errors of a model."""
    about, space = rom.metadata, rom.parameters
    times = getattr(rom, "times", None)
    return Facts(name=str(about.get("study") or "model"), columns=space.columns, units=space.units,
                 low=tuple(space.low.tolist()), high=tuple(space.high.tolist()), outputs=tuple(rom.output_names),
                 error_kind=str(rom.error_kind), norm=rom.norm_name, training=_training(rom),
                 validation=about.get("validation"), times=None if times is None else tuple(times.tolist()),
                 fingerprint=str(about.get("fingerprint", "")), version=str(about.get("romflow", "")))


def _training(rom: Any) -> dict[str, Any] | None:
    """What the metadata tell, or where the model itself remembers its training parameters."""
    told = rom.metadata.get("training_range")
    if told is not None:
        return {"low": told["low"], "high": told["high"], "size": told["snapshots"]}
    residual = getattr(rom, "residual", None)
    if isinstance(residual, EimResidual) and len(residual.training):
        return _range(residual.training)
    points = getattr(getattr(rom, "regressor", None), "points", None)
    return None if points is None else _range(rom.low + rom.span * points)


def _range(mu: np.ndarray) -> dict[str, Any]:
    return {"low": mu.min(axis=0).tolist(), "high": mu.max(axis=0).tolist(), "size": len(mu)}


_KINDS: list[tuple[type[Any], Callable[[Builder, Any], dict[str, Value]]]] = [
    (AffineReducedModel, affine_results), (RegressionReducedModel, regression_results),
    (EvolutionReducedModel, evolution_results)]
