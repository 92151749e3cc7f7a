"""The sampler suite: users' one-file samplers, sound and faulty, and the built-in ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from romflow.core import registry
from romflow.parameters.distributions import LogUniform, Normal
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.testing import Report, check_sampler, verify

SOUND = """
import numpy as np

class Halving:
    '''The worst of ten random candidates by the model's own estimate, five times.'''

    def __init__(self, space, seed=0):
        self.space, self.seed, self.round = space, seed, 0
        self.next = self.space.centre().tolist()

    @property
    def solves(self):
        return 5

    def ask(self):
        if self.round == 5:
            return np.empty((0, self.space.size))
        self.round += 1
        return np.array([self.next])

    def tell(self, rom):
        pool = self.space.sample(10, np.random.default_rng([self.seed, self.round]))
        self.next = pool[np.argmax(rom.solve(pool).error)].tolist()

    def state(self):
        return {"round": self.round, "next": self.next}

    def restore(self, state):
        self.round, self.next = state["round"], state["next"]
"""

FAULTS = {
    "one vector": ("return np.array([self.next])", "return np.array(self.next)", "shape", "(3,)"),
    "a list": ("return np.array([self.next])", "return [self.next]", "shape", "a list"),
    "outside": ("return np.array([self.next])", "return np.array([self.next]) + 50", "inside",
                "row 0 of ask() number 1"),
    "endless": ("self.round == 5", "self.round == -1", "ends", "ask() number 200 still gave"),
    "flat end": ("np.empty((0, self.space.size))", "np.empty(0)", "ends", "the shape (0,)"),
    "random": ("np.random.default_rng([self.seed, self.round])", "np.random.default_rng()", "deterministic",
               "differ in"),
    "forgetful": ('state["round"]', "self.round", "restore", "restored before ask() number 2"),
    "needs to be told": ("self.next = self.space.centre().tolist()", "pass", "shape", "AttributeError"),
    "array state": ('"next": self.next', '"next": np.array(self.next)', "state", "next is a ndarray"),
    "low plan": ("return 5", "return 4", "solves", "solves = 4, and 5 parameters"),
}


def _verify(tmp_path: Path, code: str) -> Report:
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    return verify("mine.py:Halving", tmp_path)


def test_sound_sampler_passes(tmp_path: Path) -> None:
    report = _verify(tmp_path, SOUND)
    assert report.role == "sampler"
    assert all(check.passed for check in report.checks), str(report)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(tmp_path: Path, name: str) -> None:
    old, new, law, words = FAULTS[name]
    assert old in SOUND
    report = _verify(tmp_path, SOUND.replace(old, new))
    broken = {check.name: check.message for check in report.failures}
    assert words in broken.get(law, ""), str(report)
    assert "; the rule: " in broken[law]


def _mixed() -> ParameterSpace:
    return ParameterSpace([Parameter("a", Normal(1.0, 3.0)), Parameter("b", LogUniform(1e-3, 1e3))])


@pytest.mark.parametrize("space", [None, _mixed()], ids=["three columns", "unbounded"])
@pytest.mark.parametrize(("name", "options"), [
    ("random", {"size": 9}), ("latin-hypercube", {"size": 9}), ("sobol", {"size": 8}), ("grid", {"per_axis": 3}),
    ("lattice", {"size": 11}), ("lattice", {"size": 9, "decay": 2.0}), ("sparse-grid", {"level": 2}),
    ("sparse-grid", {"level": 2, "rule": "gauss"}), ("optimal-design", {"degree": 1}),
    ("optimal-design", {"degree": 1, "size": 9, "design": "volume"}),
    ("greedy", {"pool": 30, "max_size": 6}), ("greedy", {"pool": 30, "max_size": 6, "adaptive": True, "batch": 2}),
    ("greedy", {"pool": 30, "max_size": 6, "criterion": "absolute"}),
])
def test_built_in_samplers(name: str, options: dict[str, Any], space: ParameterSpace | None) -> None:
    cls = registry.load("sampler", name, ".")
    make: Callable[[ParameterSpace, int], Any] = lambda space, seed: cls(space, seed=seed, **options)  # noqa: E731
    report = check_sampler(make, name, space)
    assert all(check.passed for check in report.checks), str(report)


def test_file_sampler(tmp_path: Path) -> None:
    cls = registry.load("sampler", "file", ".")
    rows = _mixed().sample(5, np.random.default_rng(0))
    np.save(tmp_path / "mu.npy", rows)
    report = check_sampler(lambda space, seed: cls(space, seed=seed, path="mu.npy", base=tmp_path), "file", _mixed())
    assert all(check.passed for check in report.checks), str(report)
