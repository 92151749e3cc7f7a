"""The reductor suite: users' one-file reductors, sound and faulty, and the built-in ones."""

from pathlib import Path
from typing import Any

import pytest

from romflow.core import registry
from romflow.testing import Report, check_reductor, verify

SOUND = """
import numpy as np
from dataclasses import replace
from romflow.core.errors import NotSupported
from romflow.reduction.reduced_basis import ReducedBasisReductor

class Mine:
    def __init__(self, tolerance=1e-3):
        self.tolerance, self.calls = tolerance, 0

    def accepts(self, fom):
        return None if hasattr(fom, "operator") else "Mine needs an affine model"

    def reduce(self, fom, store, mu):
        if self.accepts(fom):
            raise NotSupported(self.accepts(fom))
        self.calls += 1
        rom = ReducedBasisReductor().reduce(fom, store, mu)
        return rom
"""

RETURN = "        return rom\n"
FAULTS = {
    "no reason": ('"Mine needs an affine model"', "False", "accepts", "gave False"),
    "takes all": ("raise NotSupported(self.accepts(fom))", "return None", "refusal", "reduce took a model"),
    "no model": (RETURN, "        return rom.basis\n", "reduced-model", "ndarray"),
    "scaled basis": (RETURN, "        return replace(rom, basis=rom.basis * (1 + 1e-9))\n", "orthonormal",
                     "|V^T X V - I| = "),
    "wrong right-hand side": (RETURN, "        return replace(rom, rhs=rom.rhs * 1.001)\n", "reproduces",
                              "at most 0.001"),
    "too small a bound": (RETURN, "        return replace(rom, factor=rom.factor * 0, residual=type(rom.residual)(0 * "
                          "rom.factor))\n", "estimate", "estimate / error is at least "),
    "few vectors": (RETURN, "        return rom.truncate(3)\n", "reproduces", "the relative error"),
    "random": (RETURN, "        return replace(rom, rhs=rom.rhs * (1 + 1e-12 * np.random.rand()))\n", "deterministic",
               "'rhs'"),
    "remembers": (RETURN, "        return replace(rom, rhs=rom.rhs * (1 + 1e-14 * self.calls))\n", "history", "'rhs'"),
    "raises": (RETURN, "        raise ZeroDivisionError('here')\n", "reduced-model", "ZeroDivisionError: here"),
}


def _verify(tmp_path: Path, code: str) -> Report:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    return verify("mine.py:Mine", tmp_path)


def test_sound_reductor_passes(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND)
    assert report.role == "reductor"
    assert all(check.passed for check in report.checks), str(report)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(tmp_path: Path, name: str) -> None:
    old, new, law, words = FAULTS[name]
    assert old in SOUND
    report = _verify(tmp_path, SOUND.replace(old, new))
    broken = {check.name: check.message for check in report.failures}
    assert words in broken.get(law, ""), str(report)
    assert "; the rule: " in broken[law]


def test_reductor_of_other_models_is_not_judged(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND.replace('None if hasattr(fom, "operator") else ', ""))
    assert report.passed
    waiting = [check for check in report.checks if check.passed is None]
    assert waiting[0].name == "suits"
    assert "Mine needs an affine model" in waiting[0].message


@pytest.mark.parametrize(("name", "options"), [
    ("reduced-basis", {}), ("reduced-basis", {"estimator": "gram"}), ("reduced-basis", {"projection": "least-squares"}),
    ("reduced-basis", {"estimator": "sketched", "sketch_rows": 100}), ("sketched", {"max_size": 12}),
    ("pod-galerkin", {"tolerance": 1e-9}), ("pod-regression", {"tolerance": 1e-9, "regressor": "rbf"}),
    ("pod-regression", {"tolerance": 1e-9, "regressor": "polynomial"}),
    pytest.param("reduced-basis", {"estimator": "eim"}, marks=pytest.mark.long),
    pytest.param("pod-regression", {"tolerance": 1e-9}, marks=pytest.mark.long),
])
def test_built_in_reductors(name: str, options: dict[str, Any]) -> None:
    cls = registry.load("reductor", name, ".")
    report = check_reductor(lambda: cls(**options), name)
    assert all(check.passed for check in report.checks), str(report)
