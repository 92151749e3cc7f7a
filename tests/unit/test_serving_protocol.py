"""The UM-Bridge protocol, request by request."""

import numpy as np
import pytest

from romflow.core.errors import NotSupported, ParameterError, SolveFailed
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.serving.model import Served, serve_reduced
from romflow.serving.protocol import answer

SPACE = ParameterSpace([Parameter("k", Uniform(0.1, 2.0), size=2), Parameter("h", Uniform(1.0, 3.0))])


def _values(mu):
    k0, k1, h = mu[0]
    return [np.array([k0 * k1, h**2]), np.array([1e-3, 2e-3]), np.array([0.5])]


def _jacobian(mu):
    k0, k1, h = mu[0]
    return np.array([[k1, k0, 0.0], [0.0, 0.0, 2 * h]])


MODEL = Served("flow", SPACE, ("a", "b"), _values, _jacobian)
PLAIN = Served("plain", SPACE, ("a", "b"), lambda mu: _values(mu)[:1])
MODELS = [MODEL, PLAIN]
INSIDE = [[0.5, 1.5, 2.0]]


def ask(path, **content):
    return answer(MODELS, path, {"name": "flow", **content})


def fault(reply):
    status, content = reply
    assert set(content) == {"error"} and set(content["error"]) == {"type", "message"}
    return status, content["error"]["type"]


def test_what_there_is():
    assert answer(MODELS, "/Info", None) == (200, {"protocolVersion": 1.0, "models": ["flow", "plain"]})
    assert ask("/ModelInfo")[1]["support"] == {"Evaluate": True, "Gradient": True, "ApplyJacobian": True,
                                               "ApplyHessian": False}
    assert answer(MODELS, "/ModelInfo", {"name": "plain"})[1]["support"]["Gradient"] is False
    assert ask("/InputSizes") == (200, {"inputSizes": [3]})
    assert ask("/OutputSizes") == (200, {"outputSizes": [2]})
    assert ask("/OutputSizes", config={"errors": True}) == (200, {"outputSizes": [2, 2, 1]})


def test_values_and_their_errors():
    assert ask("/Evaluate", input=INSIDE, config={}) == (200, {"output": [[0.75, 4.0]]})
    assert ask("/Evaluate", input=INSIDE, config={"errors": True}) == (200, {"output": [[0.75, 4.0], [1e-3, 2e-3],
                                                                                        [0.5]]})
    refused = answer(MODELS, "/Evaluate", {"name": "plain", "input": INSIDE, "config": {"errors": True}})
    assert fault(refused) == (400, "InvalidInput")


def test_derivatives_are_products_with_the_jacobian(must_fail):
    J = _jacobian(np.array(INSIDE))

    def check(found):
        np.testing.assert_allclose(found, [1.0, 2.0] @ J, rtol=1e-14)

    gradient = ask("/Gradient", input=INSIDE, outWrt=0, inWrt=0, sens=[1.0, 2.0])[1]["output"]
    check(np.array(gradient))
    must_fail(check, np.array(gradient) * (1 + 1e-13), np.array(gradient) * (1 - 1e-13))
    product = ask("/ApplyJacobian", input=INSIDE, outWrt=0, inWrt=0, vec=[1.0, 2.0, 3.0])
    assert product == (200, {"output": (J @ [1.0, 2.0, 3.0]).tolist()})


@pytest.mark.parametrize("given", [None, 1.0, [], [[]], [1.0, 2.0, 3.0], [[0.5, 1.5]], [[0.5, 1.5, 2.0, 1.0]],
                                   [[0.5, 1.5, 2.0], [1.0]], [[0.5, "1.5", 2.0]], [[0.5, True, 2.0]],
                                   [[0.5, None, 2.0]], [[0.5, float("nan"), 2.0]], [[0.5, float("inf"), 2.0]],
                                   [[0.5, 1.5, 3.5]], [[0.0, 0.0, 0.0]], [[0.5, 10**400, 2.0]], {"k": 1}, "0.5 1.5 2"])
def test_wrong_parameters_are_refused_everywhere(given):
    assert fault(ask("/Evaluate", input=given)) == (400, "InvalidInput")
    assert fault(ask("/Gradient", input=given, sens=[1.0, 1.0])) == (400, "InvalidInput")
    assert fault(ask("/ApplyJacobian", input=given, vec=[1.0] * 3)) == (400, "InvalidInput")


def test_the_message_names_value_and_rule():
    message = ask("/Evaluate", input=[[0.5, 1.5, 3.5]])[1]["error"]["message"]
    assert message == "mu[0, 2] (h) = 3.5 is outside [1, 3] (1 such entry)."


@pytest.mark.parametrize("change", [{"outWrt": 1}, {"inWrt": 1}, {"outWrt": -1}, {"inWrt": "0"}, {"inWrt": True},
                                    {"sens": [1.0]}, {"sens": None}, {"sens": [1.0, float("nan")]}, {"sens": "ab"}])
def test_wrong_directions_are_refused(change):
    good = {"input": INSIDE, "outWrt": 0, "inWrt": 0, "sens": [1.0, 1.0]}
    assert ask("/Gradient", **good)[0] == 200
    assert fault(ask("/Gradient", **(good | change))) == (400, "InvalidInput")


@pytest.mark.parametrize("config", [1, "errors", [], {"errors": 1}, {"errors": "yes"}])
def test_wrong_configuration_is_refused(config):
    if config:
        assert fault(ask("/Evaluate", input=INSIDE, config=config)) == (400, "InvalidInput")
    assert ask("/Evaluate", input=INSIDE, config=None)[0] == 200


@pytest.mark.parametrize("content", [None, 3, [], "flow", {}, {"name": None}, {"name": "flaw"}, {"name": ["flow"]}])
def test_an_unknown_model_is_said(content):
    status, kind = fault(answer(MODELS, "/Evaluate", content))
    assert status == 400 and kind == ("ModelNotFound" if isinstance(content, dict) else "InvalidInput")


def test_what_is_not_supported_is_said():
    assert fault(ask("/ApplyHessian")) == (400, "UnsupportedFeature")
    for path in ("/Gradient", "/ApplyJacobian"):
        assert fault(answer(MODELS, path, {"name": "plain"})) == (400, "UnsupportedFeature")
    assert fault(ask("/Nothing")) == (404, "InvalidInput")


@pytest.mark.parametrize("error, expected", [(SolveFailed("it diverged"), "InvalidOutput"),
                                             (ParameterError("mu is odd"), "InvalidInput"),
                                             (ZeroDivisionError("zero"), "InternalError")])
def test_a_model_that_fails_is_answered(error, expected):
    def values(mu):
        raise error

    reply = answer([Served("m", SPACE, ("a", "b"), values)], "/Evaluate", {"name": "m", "input": INSIDE})
    assert fault(reply)[1] == expected and str(error) in reply[1]["error"]["message"]


def test_an_answer_that_is_not_finite_is_no_answer():
    model = Served("m", SPACE, ("a", "b"), lambda mu: [np.array([1.0, np.nan])])
    assert fault(answer([model], "/Evaluate", {"name": "m", "input": INSIDE})) == (500, "InvalidOutput")


class _Odd:
    output_names = ()


def test_a_model_without_outputs_is_refused():
    with pytest.raises(NotSupported, match="no outputs"):
        serve_reduced(_Odd())
