"""A greedy that meets the interpolation error of coefficients ends there, and the run says what to change."""

import json
from dataclasses import replace

import numpy as np
import pytest

import romflow
from romflow.outcome.interpolation import interpolation_hint
from romflow.outcome.summary import doubts
from romflow.outcome.validation import Validation
from romflow.parameters.sampling.greedy import Greedy
from romflow.rom.model import Answer
from tests.problems import MemoryStore

INCLUSION = "1 + s * exp(-10 * ((x - a)**2 + (y - 0.5)**2))"


def study(**options) -> romflow.Study:
    return romflow.Study.from_dict({
        "study": {"name": "n"}, "model": {"kind": "nonaffine", "diffusion": INCLUSION, "cells": 8} | options,
        "parameters": {"a": {"low": 0.2, "high": 0.8}, "s": {"low": 0.5, "high": 3.0}},
        "sampling": {"method": "greedy", "pool": 40}, "reduction": {"tolerance": 1e-4, "max_size": 30},
        "validation": {"size": 4, "seed": 7}, "cluster": {"kind": "serial"}})


def test_the_greedy_ends_at_the_interpolation_error_and_the_run_says_so(tmp_path, must_fail):
    coarse = study(max_terms=4).run(tmp_path / "coarse")
    assert coarse.rom.size < 20

    def check(result):
        assert "max_terms" in result.summary["offline"]["interpolation_hint"]
        assert "interpolation of the coefficients makes" in (result.folder / "run.log").read_text()

    check(coarse)
    text = (coarse.folder / "report.html").read_text()
    assert "Empirical interpolation" in text and "raise [model] max_terms" in text and "Raise max_size" not in text
    must_fail(check, replace(coarse, summary={"offline": {"interpolation_hint": ""}}))
    found = json.loads((coarse.folder / "summary.json").read_text())["offline"]["interpolation"]["diffusion"]
    assert found["stopped"] == "max_terms" and found["unseen_error"] > 1e-3


def test_the_hint_names_what_to_change():
    for options, word in (({"max_terms": 4}, "max_terms"), ({"tolerance": 1e-2}, "lower [model] tolerance"),
                          ({"training": 4}, "raise [model] training")):
        given = study(**options)
        fom, reductor = given.model, given.reductor()
        mu = fom.parameters.sample(20, np.random.default_rng(0))
        rom = reductor.reduce(fom, MemoryStore(fom), mu)
        assert word in interpolation_hint(rom, fom, mu[:5], 1e-6)
        assert interpolation_hint(rom, fom, mu[:5], 10.0) is None


class Fixed:
    """A model whose estimate is 2 at the most, `left` of it from the interpolation."""

    size = 3

    def __init__(self, left: float | None) -> None:
        self.left = left

    def solve(self, mu):
        b = len(mu)
        left = None if self.left is None else np.full(b, self.left)
        return Answer(np.zeros((1, b)), np.full(b, 2.0), "indicator", np.zeros((3, b)), np.full(b, 10.0),
                      interpolation_error=left)


@pytest.mark.parametrize(("left", "ends"), [(None, False), (0.1, False), (1.0, False), (1.9, True)])
def test_a_greedy_goes_on_while_the_basis_matters(left, ends):
    space = study().parameters
    greedy = Greedy(space, pool=10, tolerance=1e-2)
    greedy.ask()
    greedy.tell(Fixed(left))
    assert (len(greedy.ask()) == 0) is ends


def test_infinite_indicators_are_named():
    answer = Answer(np.zeros((1, 2)), np.array([np.inf, 1.0]), "indicator", np.zeros((3, 2)), np.ones(2))
    found = doubts(Validation(np.zeros((2, 1)), np.ones(2), np.zeros(2), np.ones(2), answer, None))
    assert len(found) == 1 and "error indicator is infinite" in found[0]
