"""Models from JSON requests, built once a process, and their identity for the snapshot store."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from romflow.core import registry
from romflow.core.errors import ConfigError
from romflow.core.fingerprint import check_json, fingerprint
from romflow.core.names import nearest, shown
from romflow.fom.cells import CellProblem
from romflow.fom.evolution.time_grid import TimeGrid
from romflow.fom.protocol import FullOrderModel, check_model
from romflow.parameters.space import ParameterSpace

_KEYS = ("kind", "options", "parameters", "base")
_MAY = ("solver", "ranks", "time")
_KEPT = 4

_cache: OrderedDict[str, tuple[Any, FullOrderModel]] = OrderedDict()
_lock = threading.Lock()


def build_model(request: Mapping[str, Any]) -> FullOrderModel:
    """The model that a request describes; equal requests give the same object as long as its files do not change.

    Parameters
    ----------
    request : mapping
        JSON: "kind" (a built-in name or "path/file.py:Class"), "options" (the model's own keys), "parameters"
        (`ParameterSpace.to_spec`), "base" (folder of the study); "solver" where the study has [solver]; "time" where it
        has [time]; "ranks" where MPI ranks solve it: the model is then a
        `romflow.fom.distributed.model.DistributedModel`, or itself where ranks march its histories and store them as
        one process does.

    Returns
    -------
    FullOrderModel
        One of the four that were used last, or a new one.

    Raises
    ------
    ConfigError, InputError
        The request or an option is wrong; the class lacks what a full-order model needs; its `spec` is not JSON; ranks
        for a model that is not known by its cells.
    """
    _check_request(request)
    key = fingerprint([dict(request), _source(request)])
    with _lock:
        if key in _cache and _cache[key][0] == _stamps(_cache[key][1]):
            _cache.move_to_end(key)
            return _cache[key][1]
        _cache.pop(key, None)
        fom = _built(request)
        _cache[key] = (_stamps(fom), fom)
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
        return fom


def distributed_model(request: Mapping[str, Any]) -> Any:
    """The split model of a request with "ranks", new; its mesh is not made.

    Raises
    ------
    ConfigError, InputError
        As for `build_model`.
    """
    _check_request(request)
    kind, base, ranks = request["kind"], Path(request["base"]), request["ranks"]
    if getattr(registry.load("model", kind, base), "needs_time", False):
        raise ConfigError(f"model {shown(kind)} with [cluster] ranks = {ranks}: of the models that move in time by "
                          "themselves only kind = \"mechanics\" marches on MPI ranks; remove ranks, and let several "
                          "[cluster] workers take a parameter each")
    if request.get("time") is not None:
        raise ConfigError("[time] and [cluster] ranks are both given; models that are split by their cells are "
                          "stationary: remove one")
    from romflow.fom.distributed.model import DistributedModel

    check_rank_count(ranks)
    parameters = ParameterSpace.from_spec(request["parameters"])
    cls = registry.check_options("model", kind, base, request["options"], {"parameters": parameters, "base": base})
    make = getattr(cls, "cell_problem", None)
    if make is None:
        raise ConfigError(
            f"[cluster] ranks = {ranks} splits a model over MPI ranks by its cells, and model {shown(kind)} offers no "
            "`cell_problem`: " + ("give the class a static method of this name that takes the same options and gives a "
                                  "romflow.fom.cells.CellProblem, or remove ranks" if registry.is_path(kind) else
                                  "remove ranks; a program of your own may start MPI itself"))
    given = {"parameters": parameters, "base": base}
    taken = inspect.signature(make).parameters
    problem = make(**{word: value for word, value in given.items() if word in taken}, **request["options"])
    if not isinstance(problem, CellProblem):
        raise ConfigError(f"cell_problem of model {shown(kind)} gives a {type(problem).__name__}; the rule is a "
                          "romflow.fom.cells.CellProblem")
    fom = DistributedModel(problem, ranks, request.get("solver"))
    _check_spec(kind, fom.spec)
    return fom


def marches_on_ranks(request: Mapping[str, Any]) -> bool:
    """Whether the ranks of a request march whole histories, whose displacements one of them stores: `on_ranks`.

    Raises
    ------
    ConfigError
        No model has this name.
    """
    _check_request(request)
    # Of the class itself: one that is made from it solves in another way.
    cls = registry.load("model", request["kind"], Path(request["base"]))
    return bool(vars(cls).get("on_ranks") == "history")


def check_rank_count(ranks: Any) -> None:
    """Raise ConfigError unless this is a number of MPI ranks."""
    if isinstance(ranks, bool) or not isinstance(ranks, int) or ranks < 1:
        raise ConfigError(f"ranks = {shown(ranks)} is not a whole number from 1; give the MPI ranks of a solve")


def model_identity(request: Mapping[str, Any], fom: FullOrderModel) -> dict[str, Any]:
    """JSON identity of the model's snapshots: its code, its `spec` and the columns of its parameters.

    A class of the user is known by the SHA-256 of its file, and with it go the options, for its `spec` may forget one.
    """
    source: dict[str, Any] = dict(_source(request))
    if registry.is_path(request["kind"]):
        source["options"] = dict(request["options"])
    return {"model": source, "spec": fom.spec, "columns": list(fom.parameters.columns)}


def _built(request: Mapping[str, Any]) -> FullOrderModel:
    kind, base = request["kind"], Path(request["base"])
    whole = request.get("ranks") is None or marches_on_ranks(request)
    if not whole:
        split: FullOrderModel = distributed_model(request)
        return split
    fom = registry.build("model", kind, base, request["options"], base=base,
                         parameters=ParameterSpace.from_spec(request["parameters"]))
    fom = in_time(kind, fom, request.get("time"))
    check_model(fom, kind)
    if request.get("ranks") is not None:
        from romflow.fom.mechanics.ranks.history import check_ranks

        check_rank_count(request["ranks"])
        check_ranks(request.get("solver"))
    elif request.get("solver") is not None:
        if not hasattr(fom, "use_solver"):
            raise ConfigError(f"[solver] is for models that are known as matrices; model {kind!r} solves by itself: "
                              "remove [solver]")
        fom.use_solver(request["solver"])
    _check_spec(kind, fom.spec)
    model: FullOrderModel = fom
    return model


def in_time(kind: str, fom: Any, time: Mapping[str, Any] | None) -> Any:
    """The model over the times of the study's table [time], where there is one.

    Raises
    ------
    ConfigError
        A model without times that needs them, or one with times that cannot move.
    """
    if time is None:
        if getattr(fom, "needs_time", False):
            raise ConfigError(f"model {kind!r} moves in time: give a table [time] with end and steps")
        return fom
    if not hasattr(fom, "evolving"):
        raise ConfigError(f"model {kind!r} cannot move in time: it has no mass matrix and no method evolving(time); "
                          "remove [time], or take another model")
    return fom.evolving(TimeGrid(**time))


def _check_spec(kind: str, spec: Any) -> None:
    try:
        check_json(spec)
    except ConfigError as error:
        raise ConfigError(f"the spec of model {kind!r} is its identity and must be JSON: {error}") from error


def _source(request: Mapping[str, Any]) -> dict[str, str]:
    return registry.source_identity("model", request["kind"], request["base"])


def _stamps(fom: FullOrderModel) -> list[tuple[int, int] | None]:
    """Size and time of each file that the model was made from, None for one that is gone."""
    stamps: list[tuple[int, int] | None] = []
    for file in getattr(fom, "files", ()):
        try:
            status = Path(file).stat()
            stamps.append((status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append(None)
    return stamps


def _check_request(request: Mapping[str, Any]) -> None:
    for key in request:
        if key not in (*_KEYS, *_MAY):
            raise ConfigError(f"a model request has no key {key!r}{nearest(str(key), [*_KEYS, *_MAY])}")
    for key in _KEYS:
        if key not in request:
            raise ConfigError(f"a model request needs the key {key!r}")
