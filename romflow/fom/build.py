"""Models from JSON requests, built once a process, and their identity for the snapshot store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from romflow.core import registry
from romflow.core.errors import ConfigError
from romflow.core.fingerprint import check_json, fingerprint
from romflow.core.names import nearest
from romflow.fom.protocol import FullOrderModel, check_model
from romflow.parameters.space import ParameterSpace

_KEYS = ("kind", "options", "parameters", "base")
_KEPT = 4

_cache: OrderedDict[str, tuple[Any, FullOrderModel]] = OrderedDict()
_lock = threading.Lock()


def build_model(request: Mapping[str, Any]) -> FullOrderModel:
    """The model that a request describes; equal requests give the same object as long as its files do not change.

    Parameters
    ----------
    request : mapping
        JSON: "kind" (a built-in name or "path/file.py:Class"), "options" (the model's own keys), "parameters"
        (`ParameterSpace.to_spec`), "base" (folder of the study); "solver" where the study has [solver].

    Returns
    -------
    FullOrderModel
        One of the four that were used last, or a new one.

    Raises
    ------
    ConfigError, InputError
        The request or an option is wrong; the class lacks what a full-order model needs; its `spec` is not JSON.
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
    fom = registry.build("model", kind, base, request["options"], base=base,
                         parameters=ParameterSpace.from_spec(request["parameters"]))
    check_model(fom, kind)
    if request.get("solver") is not None:
        if not hasattr(fom, "use_solver"):
            raise ConfigError(f"[solver] is for models that are known as matrices; model {kind!r} solves by itself: "
                              "remove [solver]")
        fom.use_solver(request["solver"])
    try:
        check_json(fom.spec)
    except ConfigError as error:
        raise ConfigError(f"the spec of model {kind!r} is its identity and must be JSON: {error}") from error
    model: FullOrderModel = fom
    return model


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
        if key not in (*_KEYS, "solver"):
            raise ConfigError(f"a model request has no key {key!r}{nearest(str(key), [*_KEYS, 'solver'])}")
    for key in _KEYS:
        if key not in request:
            raise ConfigError(f"a model request needs the key {key!r}")
