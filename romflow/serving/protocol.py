"""The UM-Bridge protocol 1.0 as a function of requests: no sockets here.

Every fault of a request is answered by {"error": {"type", "message"}}: ModelNotFound, UnsupportedFeature, InvalidInput
with status 400, InvalidOutput and InternalError with status 500.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, NotSupported, RomflowError
from romflow.core.names import one_line, shown
from romflow.serving.model import Served

__all__ = ["VERSION", "answer", "refusal"]

Array = NDArray[np.float64]
Reply = tuple[int, dict[str, Any]]

VERSION = 1.0

_LOG = logging.getLogger(__name__)


class _Fault(Exception):
    """A request that is refused: type and message of the protocol."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.reply = refusal(kind, message, status)


def refusal(kind: str, message: str, status: int = 400) -> Reply:
    """Status and content of an error."""
    return status, {"error": {"type": kind, "message": one_line(message, 2000)}}


def answer(models: Sequence[Served], path: str, content: Any) -> Reply:
    """Status and content of the answer to a request.

    Parameters
    ----------
    models : sequence of Served
    path : str
        "/Info", "/ModelInfo", "/InputSizes", "/OutputSizes", "/Evaluate", "/Gradient", "/ApplyJacobian" or
        "/ApplyHessian".
    content : object
        What the JSON of the request says; None for "/Info".

    Examples
    --------
    >>> answer([], "/Info", None)
    (200, {'protocolVersion': 1.0, 'models': []})
    >>> answer([], "/Evaluate", {"name": "flow"})[1]["error"]["type"]
    'ModelNotFound'
    """
    if path == "/Info":
        return 200, {"protocolVersion": VERSION, "models": [model.name for model in models]}
    power = _POWERS.get(path)
    if power is None:
        return refusal("InvalidInput", f"there is no {shown(path)}; known: /Info, {', '.join(_POWERS)}", 404)
    try:
        return 200, power(_model(models, content), content)
    except _Fault as fault:
        return fault.reply
    except InputError as error:
        return refusal("InvalidInput", str(error))
    except NotSupported as error:
        return refusal("UnsupportedFeature", str(error))
    except RomflowError as error:
        return refusal("InvalidOutput", str(error), 500)
    except Exception as error:
        _LOG.exception("a request to %s failed", path)
        return refusal("InternalError", f"{type(error).__name__}: {error}", 500)


def _model(models: Sequence[Served], content: Any) -> Served:
    if not isinstance(content, Mapping):
        raise _Fault("InvalidInput", "the request is no JSON object; send {\"name\": ..., ...}")
    name = content.get("name")
    for model in models:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in models)
    raise _Fault("ModelNotFound", f"there is no model {shown(name)}; known: {known}")


def _model_info(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    moves = model.jacobian is not None
    return {"support": {"Evaluate": True, "Gradient": moves, "ApplyJacobian": moves, "ApplyHessian": False}}


def _input_sizes(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputSizes": [model.parameters.size]}


def _output_sizes(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"outputSizes": model.sizes(_errors_wanted(content))}


def _evaluate(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    wanted = len(model.sizes(_errors_wanted(content)))
    values = model.values(_parameters(model, content))
    if len(values) < wanted:
        raise _Fault("InvalidInput", f"the model {shown(model.name)} knows no errors; leave out config \"errors\"")
    return {"output": [_finite(vector, model) for vector in values[:wanted]]}


def _gradient(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    """sens^T J, (p,)."""
    J = _jacobian(model)
    mu = _parameters(model, content)
    _check_indices(content)
    sens = _vector(content, "sens", len(model.outputs))
    return {"output": _finite(sens @ J(mu), model)}


def _apply_jacobian(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    """J vec, (o,)."""
    J = _jacobian(model)
    mu = _parameters(model, content)
    _check_indices(content)
    vec = _vector(content, "vec", model.parameters.size)
    return {"output": _finite(J(mu) @ vec, model)}


def _apply_hessian(model: Served, content: Mapping[str, Any]) -> dict[str, Any]:
    raise _Fault("UnsupportedFeature", f"the model {shown(model.name)} has no second derivatives")


_POWERS: dict[str, Callable[[Served, Mapping[str, Any]], dict[str, Any]]] = {
    "/ModelInfo": _model_info,
    "/InputSizes": _input_sizes,
    "/OutputSizes": _output_sizes,
    "/Evaluate": _evaluate,
    "/Gradient": _gradient,
    "/ApplyJacobian": _apply_jacobian,
    "/ApplyHessian": _apply_hessian,
}


def _jacobian(model: Served) -> Callable[[Array], Array]:
    if model.jacobian is None:
        raise _Fault("UnsupportedFeature", f"the model {shown(model.name)} has no derivatives")
    return model.jacobian


def _errors_wanted(content: Mapping[str, Any]) -> bool:
    config = content.get("config") or {}
    if not isinstance(config, Mapping):
        raise _Fault("InvalidInput", f"config = {shown(config)} is no JSON object; send {{}} or {{\"errors\": true}}")
    wanted = config.get("errors", False)
    if not isinstance(wanted, bool):
        raise _Fault("InvalidInput", f"config errors = {shown(wanted)} is neither true nor false; send one of them")
    return wanted


def _parameters(model: Served, content: Mapping[str, Any]) -> Array:
    """mu (1, p), checked against the range of the model."""
    given = content.get("input")
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], list):
        raise _Fault("InvalidInput", f"input is not one vector of {model.parameters.size} numbers; send [[...]]")
    return model.parameters.validate(_numbers("input", given[0], model.parameters.size)[None])


def _vector(content: Mapping[str, Any], key: str, size: int) -> Array:
    found = _numbers(key, content.get(key), size)
    if not np.isfinite(found).all():
        raise _Fault("InvalidInput", f"{key} has a number that is not finite; send finite numbers")
    return found


def _numbers(key: str, given: Any, size: int) -> Array:
    if not isinstance(given, list) or len(given) != size:
        has = f"{len(given)} numbers" if isinstance(given, list) else shown(given)
        raise _Fault("InvalidInput", f"{key} is {has}; the rule is a vector of {size} numbers")
    for value in given:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _Fault("InvalidInput", f"{key} holds {shown(value)}, which is no number; send numbers")
    try:
        return np.array(given, dtype=float)
    except OverflowError:
        raise _Fault("InvalidInput", f"{key} holds a number beyond float64; send finite numbers") from None


def _check_indices(content: Mapping[str, Any]) -> None:
    """Refuse an index that is not 0: there is one vector of inputs, and derivatives are those of the outputs."""
    for key in ("outWrt", "inWrt"):
        value = content.get(key, 0)
        if isinstance(value, bool) or value != 0:
            raise _Fault("InvalidInput", f"{key} = {shown(value)}; the only vector here has the index 0")


def _finite(vector: Array, model: Served) -> list[float]:
    if not np.isfinite(vector).all():
        raise _Fault("InvalidOutput", f"the model {shown(model.name)} has no finite answer at these parameters", 500)
    return [float(value) for value in vector]
