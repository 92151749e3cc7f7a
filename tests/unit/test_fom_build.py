"""Models from requests: the cache of a process, and the identity of snapshots."""

import os

import numpy as np
import pytest

from romflow.core.errors import ConfigError, InputError
from romflow.core.fingerprint import check_json, fingerprint
from romflow.fom.build import build_model, model_identity
from romflow.parameters.distributions import Uniform
from romflow.parameters.space import Parameter, ParameterSpace

SPEC = ParameterSpace([Parameter("a", Uniform(0.5, 1.0), size=4)]).to_spec()

OWN = """
import numpy as np
class Model:
    def __init__(self, parameters, scale=1.0):
        self.parameters, self.n, self.spec = parameters, 4, {"kind": "own"}
        self.scale = scale
    def solve(self, mu):
        return self.scale * np.asarray(mu)
class Mute(Model):
    solve = property(lambda self: self.missing)
class Secret(Model):
    def __init__(self, parameters):
        super().__init__(parameters)
        self.spec = {"array": np.ones(3)}
"""


def request(base, kind="thermal-block", **options):
    return {"kind": kind, "options": options, "parameters": SPEC, "base": str(base)}


def test_equal_requests_give_one_object_and_others_another(tmp_path):
    first = build_model(request(tmp_path, blocks=[2, 2], cells=4))
    assert build_model(request(tmp_path, cells=4, blocks=[2, 2])) is first
    other = build_model(request(tmp_path, blocks=[2, 2], cells=5))
    assert other is not first and other.n == 16
    for cells in (6, 7, 8, 9):
        build_model(request(tmp_path, blocks=[2, 2], cells=cells))
    assert build_model(request(tmp_path, blocks=[2, 2], cells=4)) is not first


def test_changed_files_make_a_new_model(tmp_path):
    script = tmp_path / "solver.py"
    script.write_text("pass")
    wish = request(tmp_path, "external", command=["{python}", "solver.py"])
    first = build_model(wish)
    assert build_model(wish) is first
    script.write_text("pass # changed")
    second = build_model(wish)
    assert second is not first and fingerprint(model_identity(wish, first)) != fingerprint(model_identity(wish, second))
    os.utime(script, ns=(1, 1))
    assert build_model(wish) is not second
    script.unlink()
    assert build_model(wish).files == ()


def test_own_class_is_built_and_known_by_its_content(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    wish = request(tmp_path, "own.py:Model", scale=2.0)
    fom = build_model(wish)
    assert np.array_equal(fom.solve(np.ones(4)), 2.0 * np.ones(4))
    identity = model_identity(wish, fom)
    check_json(identity)
    assert identity["spec"] == {"kind": "own"} and identity["columns"] == ["a_0", "a_1", "a_2", "a_3"]
    assert str(tmp_path) not in str(identity)
    other = request(tmp_path, "own.py:Model", scale=3.0)
    assert model_identity(other, build_model(other)) != identity
    (tmp_path / "own.py").write_text(OWN + "\n# changed")
    changed = build_model(wish)
    assert changed is not fom and model_identity(wish, changed) != identity


def test_identity_of_a_built_in_is_its_spec(tmp_path):
    wish = request(tmp_path, blocks=[2, 2], cells=4)
    fom = build_model(wish)
    assert model_identity(wish, fom) == {"model": {"kind": "thermal-block"}, "spec": fom.spec,
                                         "columns": ["a_0", "a_1", "a_2", "a_3"]}
    elsewhere = request(tmp_path / "other", blocks=2, cells=[4, 4])
    assert model_identity(elsewhere, build_model(elsewhere)) == model_identity(wish, fom)


@pytest.mark.parametrize(
    ("kind", "options", "error", "words"),
    [
        ("termal-block", {}, ConfigError, "Did you mean 'thermal-block'"),
        ("thermal-block", {"blocs": 2}, ConfigError, "Did you mean 'blocks'"),
        ("external", {}, ConfigError, "'command'"),
        ("own.py:Model", {"skale": 2}, ConfigError, "Did you mean 'scale'"),
        ("own.py:Mute", {}, InputError, "no 'solve'"),
        ("own.py:Secret", {}, ConfigError, "must be JSON"),
    ],
)
def test_wrong_requests(tmp_path, kind, options, error, words):
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(error, match=words):
        build_model(request(tmp_path, kind, **options))


def test_keys_of_a_request_are_checked(tmp_path):
    wish = request(tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'options'"):
        build_model({**wish, "option": {}})
    del wish["base"]
    with pytest.raises(ConfigError, match="'base'"):
        build_model(wish)
