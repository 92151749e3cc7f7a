"""The table [time] of a study: what it takes, and one sentence for everything else."""

import pytest

from romflow.core.errors import ConfigError
from romflow.core.schema import parse_study

STUDY = {"study": {"name": "a"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 10},
         "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "sampling": {"method": "greedy"}}


def time_of(**time):
    return parse_study({**STUDY, "time": time}).time


def test_a_study_without_time_has_none():
    assert parse_study(STUDY).time is None


def test_whole_numbers_are_times():
    assert time_of(end=1, steps=20).wishes() == {"end": 1.0, "steps": 20}
    assert time_of(times=[1, 2.5], scheme="bdf2").times == [1.0, 2.5]


@pytest.mark.parametrize(("time", "said"), [
    ({"end": 1.0}, "needs end and steps"),
    ({"steps": 3}, "needs end and steps"),
    ({"times": [1.0], "end": 2.0}, "times beside end"),
    ({"times": [0.5, 0.25]}, "0.25 after 0.5"),
    ({"times": [0.0, 1.0]}, "0 after 0"),
    ({"times": []}, "times"),
    ({"end": -1.0, "steps": 2}, "end = -1"),
    ({"end": float("nan"), "steps": 2}, "end"),
    ({"end": 1.0, "steps": 0}, "steps = 0"),
    ({"end": 1.0, "steps": 2.5}, "steps"),
    ({"end": 1.0, "steps": 2, "scheme": "bdf3"}, "scheme"),
    ({"end": 1.0, "steps": 2, "tolerance": 2.0}, "tolerance"),
    ({"ende": 1.0, "steps": 2}, "Did you mean 'end'"),
])
def test_each_fault_has_its_sentence(time, said):
    with pytest.raises(ConfigError, match="time") as found:
        time_of(**time)
    assert said in str(found.value)
