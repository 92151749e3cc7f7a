"""`romflow verify` on material laws: a user's sound one and the built-in ones pass, planted faults break their laws."""

from pathlib import Path

import pytest

from romflow.testing import Report, verify

SOUND = '''
import numpy as np
from romflow.materials.protocol import LawAnswer

ONES = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
DEVIATOR = np.diag([1.0, 1.0, 1.0, 0.5, 0.5, 0.5]) - np.outer(ONES, ONES) / 3

class Maxwell:
    """Linear viscoelasticity: the deviatoric stress relaxes in the time tau."""
    variables, symmetric, temperature_range, reads = {"viscous_strain": 6}, True, None, ()

    def __init__(self, bulk=1000.0, shear=400.0, tau=5.0):
        self.bulk, self.shear, self.tau = bulk, shear, tau

    def initial(self, points):
        return np.zeros((6, points))

    def integrate(self, strain, data, dt, state, tangent=True):
        r = dt / self.tau
        new = (state + r * strain) / (1 + r)
        stress = self.bulk * np.outer(ONES, ONES) @ strain + 2 * self.shear * DEVIATOR @ (strain - new)
        C = self.bulk * np.outer(ONES, ONES) + 2 * self.shear * DEVIATOR / (1 + r)
        C = np.repeat(C[:, :, None], strain.shape[1], axis=2) if tangent else None
        return LawAnswer(stress, new, C, np.isfinite(stress).all(axis=0))

    def to_spec(self):
        return {"bulk": self.bulk, "shear": self.shear, "tau": self.tau}

    @classmethod
    def from_spec(cls, spec):
        return cls(spec["bulk"], spec["shear"], spec["tau"])
'''

STRESS = "2 * self.shear * DEVIATOR @ (strain - new)\n"
NEW = "new = (state + r * strain) / (1 + r)"

#: What is planted: (text of the sound class, text instead of it, law that breaks, words of its message).
PLANTED = {
    "wrong tangent": ("DEVIATOR / (1 + r)", "DEVIATOR / (1 + 1.001 * r)", "tangent", ["differs", "1e-07"]),
    "elastic tangent": ("DEVIATOR / (1 + r)", "DEVIATOR", "tangent", ["differs"]),
    "shear counted twice": ("0.5, 0.5, 0.5", "1.0, 1.0, 1.0", "rotation", ["turned"]),
    "state in place": (NEW, "state[:] = (state + r * strain) / (1 + r); new = state.copy()", "untouched", ["in place"]),
    "random": (STRESS, STRESS.replace("2 *", "(2 + 1e-9 * np.random.rand()) *"), "untouched", ["different bits"]),
    "neighbours": (STRESS, STRESS.replace("2 *", "(2 + 1e-3 * abs(strain).mean()) *"), "neighbours", ["three points"]),
    "energy for nothing": ("tau=5.0", "tau=-50.0", "work", ["gives work back"]),
    "step of no time": ("r = dt / self.tau", "r = (dt + 0.1) / self.tau", "zero-step", ["moves"]),
    "not a state": ("np.zeros((6, points))", "np.zeros((points, 6))", "variables", ["(3, 6)"]),
    "hidden failure": ("np.isfinite(stress).all(axis=0)", "np.ones(strain.shape[1], bool)", "honest", ["True"]),
    "lost constant": ('spec["tau"])', "5.1)", "spec", ["apart"]),
    "not symmetric": ("if tangent else None", "* np.array([1., 2, 1, 1, 1, 1])[:, None, None]", "symmetric-flag",
                      ["transpose"]),
}


def _verify(folder: Path, code: str) -> Report:
    (folder / "mine.py").write_text(code, encoding="utf-8")
    return verify("mine.py:Maxwell", folder)


def test_sound_law(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND)
    assert report.passed, str(report)
    assert report.role == "law"
    assert sum(check.passed is True for check in report.checks) == len(report.checks) - 1


@pytest.mark.parametrize("fault", PLANTED)
def test_planted_fault_is_caught(tmp_path: Path, fault: str) -> None:
    old, new, law, words = PLANTED[fault]
    assert SOUND.count(old) == 1, f"{old!r} must stand once in the sound class"
    report = _verify(tmp_path, SOUND.replace(old, new))
    broken = {check.name: check.message for check in report.failures}
    assert law in broken, str(report)
    for word in words:
        assert word in broken[law]


@pytest.mark.parametrize("name", ["thermoelastic", "viscoplastic"])
def test_builtin_laws(name: str, tmp_path: Path) -> None:
    report = verify(name, tmp_path)
    assert report.passed, str(report)
    assert report.role == "law"
