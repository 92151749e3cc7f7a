"""What local models must have in common to be a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from romflow.core.errors import InputError, NotSupported, ShapeError
from romflow.core.mesh import Mesh
from romflow.rom.dictionary.design import Design
from romflow.rom.mechanics.model import MechanicsReducedModel
from romflow.rom.model import ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.store.split_array import SplitArray

__all__ = ["check_models", "checked_design", "checked_tolerance", "common_error_kind", "restricted_field", "same_mesh"]


def check_models(models: Sequence[ReducedModel]) -> None:
    """Refuse local models that are not of one kind, or of different parameters, outputs, unknowns, norms or times.

    Raises
    ------
    InputError
        There is none, or one differs from the first.
    NotSupported
        A model has no basis, or its basis lies in parts.
    """
    if not models:
        raise InputError("a dictionary of reduced models was given no model; the rule is one at least")
    for k, model in enumerate(models):
        if isinstance(model, SketchedReducedModel) or isinstance(model.basis, SplitArray):
            raise NotSupported(f"model {k} of a dictionary has no basis in memory; build local models without sketched "
                               "snapshots ([reduction] keep_snapshots = true) and on one rank")
        if type(model) is not type(models[0]):
            raise InputError(f"model {k} of a dictionary is a {type(model).__name__} and model 0 a "
                             f"{type(models[0]).__name__}; the rule is one kind: reduce all clusters by one method")
        for what, of in _COMMON:
            _agree(what, k, of(model), of(models[0]))
        if not same_mesh(model.mesh, models[0].mesh):
            raise InputError(f"model {k} of a dictionary is on another mesh than model 0; reduce all of one full-order "
                             "model")


def _times(model: Any) -> list[float]:
    return list(np.asarray(getattr(model, "times", ())).tolist())


def _norm(model: Any) -> str:
    # Where the body stays elastic the stress is measured in place of the plastic strain.
    return "" if isinstance(model, MechanicsReducedModel) else str(model.norm_name)


_COMMON: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("parameters", lambda model: model.parameters.to_spec()), ("outputs", lambda model: list(model.output_names)),
    ("unknowns", lambda model: model.n), ("norm", _norm), ("times", _times),
    ("dual fields", lambda model: sorted(getattr(model, "dual", {}))))


def _agree(what: str, k: int, value: Any, first: Any) -> None:
    if value != first:
        told = f" ({str(value)[:60]} and {str(first)[:60]})" if what in ("outputs", "unknowns", "norm") else ""
        raise InputError(f"model {k} of a dictionary has other {what} than model 0{told}; the rule is that all are "
                         "reductions of one full-order model")


def same_mesh(mesh: Mesh | None, other: Mesh | None) -> bool:
    """Whether two meshes have the same arrays, or there is none."""
    if mesh is None or other is None or mesh is other:
        return mesh is other
    own, its = mesh.to_arrays(), other.to_arrays()
    return own.keys() == its.keys() and all(np.array_equal(own[name], its[name]) for name in own)


def common_error_kind(models: Sequence[ReducedModel]) -> str | None:
    """The weakest of their errors: none, else an indicator, else a bound."""
    kinds = {model.error_kind for model in models}
    return None if None in kinds else "indicator" if "indicator" in kinds else "bound"


def checked_tolerance(tolerance: float, models: Sequence[ReducedModel]) -> float:
    """The tolerance as a number.

    Raises
    ------
    InputError
        It is no finite number from 0, or a model has no error estimate that could be compared with it.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0.0 <= tolerance < np.inf:
        raise InputError(f"the tolerance {tolerance!r} of a dictionary is no finite number from 0; it is relative: 0.1 "
                         "sends estimates above 10 % on, 0 sends none")
    silent = [k for k, model in enumerate(models) if model.error_kind is None]
    if tolerance > 0.0 and silent:
        raise InputError(f"a dictionary was given the tolerance {tolerance:g}, and its model {silent[0]} has no error "
                         "estimate to compare with it; give tolerance 0, or models with an estimate")
    return float(tolerance)


def checked_design(design: Any, models: Sequence[ReducedModel]) -> Design | None:
    """A design, made of parameters (N, p) where these are given; None stays None.

    Raises
    ------
    ShapeError
        It has other columns than the models have parameters.
    """
    space = models[0].parameters
    if design is None:
        return None
    if not isinstance(design, Design):
        return Design.of(space, design)
    if design.size != space.size:
        raise ShapeError(f"a design of {design.size} parameters was given to a dictionary of models with {space.size}; "
                         "it is that of another study")
    return design


def restricted_field(field: Any, recommender: Any, models: Sequence[ReducedModel]) -> Any:
    """The input field at the entries that the recommender reads.

    Raises
    ------
    InputError
        The recommender chooses between another number of models.
    ShapeError
        It was trained on fields of another size.
    """
    if recommender.clusters != len(models):
        raise InputError(f"a recommender for {recommender.clusters} clusters was given to a dictionary of "
                         f"{len(models)} models; the rule is one model a cluster")
    if field.size != recommender.size:
        raise ShapeError(f"an input field of {field.size} numbers was given to a recommender trained on "
                         f"{recommender.size}; it is of another mesh or other parameters: train on this one")
    return field if np.array_equal(field.numbers, recommender.numbers) else field.restrict(recommender.numbers)
