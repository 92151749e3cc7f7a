"""`romflow verify` on users' one-file models: a sound one passes, each planted fault breaks the law that it should."""

from pathlib import Path

import pytest

from romflow.core.errors import ConfigError
from romflow.testing import Report, verify

SOUND = '''
import numpy as np
import scipy.sparse as sp
import romflow
from romflow.parameters.distributions import Uniform

class Bar:
    made = 0
    symmetric, norm, outputs, mesh = True, "H1_0", None, None

    def __init__(self):
        self.parameters = romflow.ParameterSpace([romflow.Parameter("k", Uniform(0.5, 2.0), size=2)])
        self.n = 9
        Bar.made += 1
        self.number = Bar.made
        K = [self.stiffness(range(0, 5)), self.stiffness(range(5, 10))]
        theta = romflow.Theta(self.parameters.columns, self.parameters.columns)
        self.operator = romflow.AffineOperator(theta, K)
        self.rhs = romflow.AffineVector(romflow.Theta(["1"], self.parameters.columns), np.full((9, 1), 0.1))
        self.inner_product = K[0] + K[1]
        self.stability = {"kind": "expression", "expression": "min(k_0, k_1)"}
        self.spec = {"bar": "two halves", "cells": 10}

    def stiffness(self, cells):
        K = sp.lil_array((11, 11))
        for c in cells:
            for i, j, value in ((c, c, 10), (c + 1, c + 1, 10), (c, c + 1, -10), (c + 1, c, -10)):
                K[i, j] += value
        return sp.csr_array(K)[1:10, 1:10]

    def solve(self, mu):
        u = np.linalg.solve(self.operator.assemble(mu).toarray(), self.rhs.assemble(mu))
        return u
'''

SPEC = 'self.spec = {"bar": "two halves", "cells": 10}'
PRODUCT = "self.inner_product = K[0] + K[1]"
FORMULA = '"min(k_0, k_1)"'
RETURN = "        return u\n"

#: What is planted: (text of the sound class, text instead of it, law that breaks, what the message says).
PLANTED = {
    "scaled solution": (RETURN, "        return 1.001 * u\n", "residual",
                        ["||f - A u|| / ||f|| = 0.001", "at most 1e-08"]),
    "wrong shape": (RETURN, "        return u[:, None]\n", "solve-shape", ["(9, 1)", "n = 9", "gives a state (n,)"]),
    "not reproducible": (RETURN, "        return u * (1 + 1e-15 * np.random.randint(1, 99))\n", "reproducible",
                         ["differ by", "same bits"]),
    "non-JSON spec": (SPEC, 'self.spec = {"cells": {3}}', "spec", ["cells is a set", "JSON round trip"]),
    "bound above the constant": (FORMULA, '"1.01 * max(k_0, k_1)"', "stability-bound",
                                 ["alpha_LB = ", "is above alpha = ", "never above the true constant"]),
    "indefinite product": (PRODUCT, "self.inner_product = K[0] - K[1]", "product-definite",
                           ["eigenvalues of X lie in [-", "positive definite"]),
}

OTHERS = {
    "fresh instance differs": (RETURN, "        return u * (1 + 1e-12 * self.number)\n", "fresh-instance",
                               ["differ by"]),
    "spec with an address": (SPEC, 'self.spec = {"address": id(self)}', "same-spec", ["fingerprints"]),
    "spec is a list": (SPEC, "self.spec = [1]", "spec", ["spec is a list"]),
    "NaN": (RETURN, "        u[3] = np.nan\n        return u\n", "finite", ["u[3] = nan"]),
    "complex": (RETURN, "        return u + 0j\n", "finite", ["complex128"]),
    "mu is changed": (RETURN, "        mu[0] = 1.0\n        return u\n", "input-untouched", ["mu was", "after solve"]),
    "one buffer": (RETURN, "        self.u = getattr(self, 'u', u)\n        self.u[:] = u\n        return self.u\n",
                   "state-kept", ["changed an earlier state"]),
    "wrong operator": (RETURN, "        K = self.operator.assemble(mu).toarray() + 1e-6 * np.eye(9)\n"
                       "        return np.linalg.solve(K, self.rhs.assemble(mu))\n", "residual", ["||f - A u||"]),
    "semidefinite product": (PRODUCT, "self.inner_product = K[0]", "product-definite", ["eigenvalues of X"]),
    "unsymmetric product": (PRODUCT, "self.inner_product = K[0] + K[1] + sp.diags_array(np.ones(8), offsets=1)",
                            "product-symmetric", ["|X - X^T| / |X| = "]),
    "symmetric is a lie": ("K = [", "K = [sp.diags_array(np.ones(8), offsets=1) + ", "symmetric-flag",
                           ["symmetric = True"]),
    "n is a text": ("self.n = 9", 'self.n = "9"', "n", ["n = '9'", "whole number"]),
    "n is wrong": ("self.n = 9", "self.n = 8", "solve-shape", ["(9,)", "n = 8"]),
    "unknown stability": (FORMULA, '"min(k_0, k_7)"', "stability-bound", ["ConfigError", "k_7"]),
    "solve raises": (RETURN, "        raise ArithmeticError('no convergence')\n", "solve-shape",
                     ["ArithmeticError: no convergence"]),
    "solve exits": (RETURN, "        raise SystemExit(3)\n", "solve-shape", ["SystemExit"]),
    "no space": ("self.parameters = ", "self.parameters = 3; space = ", "build", ["AttributeError"]),
}


def _verify(tmp_path: Path, code: str, name: str = "Bar") -> Report:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    return verify(f"mine.py:{name}", tmp_path)


def _plant(fault: tuple[str, str, str, list[str]]) -> str:
    assert fault[0] in SOUND
    return SOUND.replace(fault[0], fault[1])


def test_sound_model_passes(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND)
    assert report.passed, str(report)
    assert all(check.passed for check in report.checks)
    assert {fault[2] for fault in PLANTED.values()} <= {check.name for check in report.checks}
    assert "laws hold" in report.headline


@pytest.mark.parametrize("name", [*PLANTED, *OTHERS])
def test_planted_fault_is_caught(tmp_path: Path, name: str) -> None:
    fault = (PLANTED | OTHERS)[name]
    report = _verify(tmp_path, _plant(fault))
    assert not report.passed
    broken = {check.name: check.message for check in report.failures}
    assert fault[2] in broken, str(report)
    for words in [*fault[3], "; the rule: "]:
        assert words in broken[fault[2]]
    assert "\n" not in broken[fault[2]]


@pytest.mark.parametrize("name", ["scaled solution", "bound above the constant", "indefinite product", "NaN"])
def test_one_fault_breaks_one_law(tmp_path: Path, name: str) -> None:
    fault = (PLANTED | OTHERS)[name]
    report = _verify(tmp_path, _plant(fault))
    assert [check.name for check in report.failures] == [fault[2]], str(report)


def test_black_box_needs_no_operators(tmp_path: Path) -> None:
    code = SOUND.replace("self.operator", "self._operator").replace("self.rhs", "self._rhs")
    report = _verify(tmp_path, code.replace("self.inner_product", "self._product"))
    assert report.passed, str(report)
    assert "residual" not in {check.name for check in report.checks}


def test_model_of_unknown_length(tmp_path: Path) -> None:
    report = _verify(tmp_path, '''
import numpy as np, romflow
from romflow.parameters.distributions import Normal

class Waves:
    n, spec = None, {"waves": 5}
    parameters = romflow.ParameterSpace([romflow.Parameter("a", Normal(0.0, 1.0))])
    def solve(self, mu):
        return romflow.Snapshot(np.sin(mu[0] * np.arange(5.0)), np.array([mu[0]]))
''', "Waves")
    assert report.passed, str(report)


def test_bound_of_a_large_model(tmp_path: Path) -> None:
    """Above n = 1500 the true constant comes from a sparse eigenvalue solver."""
    code = """
import romflow
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import Uniform

class Large(ThermalBlock):
    def __init__(self, factor=1.0):
        super().__init__(romflow.ParameterSpace([romflow.Parameter("c", Uniform(0.1, 1.0), size=4)]), [2, 2], 41)
        self.stability = {"kind": "expression", "expression": f"{factor} * min(c_0, c_1, c_2, c_3)"}

class TooLarge(Large):
    def __init__(self):
        super().__init__(1.2)
"""
    assert _verify(tmp_path, code, "Large").passed
    report = _verify(tmp_path, code, "TooLarge")
    assert [check.name for check in report.failures] == ["stability-bound"], str(report)


STUDY = """
[study]
name = "bar"
[model]
kind = "mine.py:Rod"
cells = 12
[parameters.k]
low = 0.5
high = 2.0
[sampling]
method = "random"
size = 3
"""

ROD = """
import numpy as np

class Rod:
    def __init__(self, parameters, cells):
        self.parameters, self.n, self.spec = parameters, cells, {"rod": cells}
    def solve(self, mu):
        return np.arange(self.n) / mu[0]
"""


def test_study_gives_arguments(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "mine.py").write_text(ROD, encoding="utf-8")
    report = verify("mine.py:Rod", tmp_path, tmp_path / "study.toml")
    assert report.passed, str(report)
    assert "(12,)" in str(report)
    assert verify("random", tmp_path, tmp_path / "study.toml").passed


def test_example_gives_arguments(tmp_path: Path) -> None:
    code = ROD + """
    @classmethod
    def example(cls):
        import romflow
        from romflow.parameters.distributions import Uniform
        return cls(romflow.ParameterSpace([romflow.Parameter("k", Uniform(0.5, 2.0))]), 4)
"""
    assert _verify(tmp_path, code, "Rod").passed


@pytest.mark.parametrize(("target", "words"), [
    ("mine.py:Rod", ["needs the arguments parameters, cells", "example()"]),
    ("mine.py:Rood", ["mine.py has no class 'Rood'", "Did you mean 'Rod'?"]),
    ("yours.py:Rod", ["yours.py", "does not exist"]),
    ("gredy", ["nothing is called 'gredy'", "Did you mean 'greedy'?"]),
    ("mine.py:np", ["no class"]),
    ("mine.py:Nothing", ["is no model, sampler, reductor, exporter or material law", "a sampler has ask and tell"]),
])
def test_wrong_target(tmp_path: Path, target: str, words: list[str]) -> None:
    (tmp_path / "mine.py").write_text(ROD + "\nclass Nothing:\n    pass\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        verify(target, tmp_path)
    for word in words:
        assert word in str(caught.value)
