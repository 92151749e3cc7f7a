"""The checked march: whatever a model gives, the next finite piece or a failed solve that names the time."""

import json

import numpy as np
import pytest

from romflow.core.errors import ParameterError, SolveFailed
from romflow.fom.marching import checked_march
from romflow.fom.protocol import Piece, SupportsTime

TIMES = np.array([0.0, 0.5, 1.0, 2.0])
MU = np.array([0.5, 2.0])


class Given:
    """A model that gives these pieces, and raises those that are errors."""

    parameters, spec, times, n = None, {"kind": "given"}, TIMES, 3

    def __init__(self, *pieces):
        self.pieces = pieces

    def march(self, mu, resume=None):
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                raise piece
            yield piece


def piece(start=0, stop=2, states=None, series=None, checkpoint=None, times=None):
    values = np.ones((3, stop - start)) if states is None else states
    return Piece(start, TIMES[start:stop] if times is None else times, values, series, checkpoint or {})


REST = piece(2, 4)


def test_right_pieces_pass_with_their_seconds():
    model = Given(piece(states=np.ones((3, 2), dtype=int)), REST)
    assert isinstance(model, SupportsTime) and not isinstance(object(), SupportsTime)
    found = list(checked_march(model, MU))
    assert [one.start for one in found] == [0, 2] and found[0].states.dtype == np.float64
    assert all(0.0 <= one.seconds < 1.0 for one in found)
    assert [one.start for one in checked_march(Given(REST), MU, (2, {}))] == [2]
    assert list(checked_march(Given(), MU, (4, {}))) == []


def infinite(at):
    states = np.ones((3, 2))
    states[1, at] = np.inf
    return states


@pytest.mark.parametrize(("pieces", "words", "when"), [
    ([piece(), piece(2, 4, infinite(1))], "states with 1 values that are not finite at the time t = 2 ", 2.0),
    ([piece(states=infinite(0)), REST], "not finite at the time t = 0 ", 0.0),
    ([piece(series=np.full((1, 2), np.nan)), REST], "series with 1 values that are not finite", 0.0),
    ([piece()], "gave 2 of 4 stored times at the time t = 0.5", 0.5),
    ([piece(), piece()], "gave 2 times from index 0", 0.5),
    ([REST], "the next has index 0 of 4", None),
    ([piece(times=TIMES[:2] + 1e-9), REST], "gave 2 times from index 0", None),
    ([piece(stop=0)], "gave 0 times", None),
    ([piece(), REST, REST], "the next has index 4 of 4", 2.0),
    ([piece(states=np.ones((4, 2)))], r"shape \(4, 2\)", 0.0),
    ([piece(states=np.ones(3))], r"shape \(3,\)", 0.0),
    ([piece(states=1j * np.ones((3, 2)))], "complex", 0.0),
    ([piece(states=None), piece(2, 4, series=np.ones((1, 2)))], "series of 1 outputs after one of None", 1.0),
    ([piece(series=np.ones((1, 2))), piece(2, 4, series=np.ones((2, 2)))], r"shape \(2, 2\)", 1.0),
    ([piece(checkpoint={"a": "text"})], "checkpoint whose 'a' has type <U4", 0.5),
    ([np.ones(3)], "ndarray where a Piece", None),
    ([piece(), ZeroDivisionError("no\npivot")], "ZeroDivisionError: no pivot", 0.5),
    ([SystemExit(3)], "SystemExit", None)])
def test_wrong_pieces_are_failed_solves_that_name_the_time(pieces, words, when):
    with pytest.raises(SolveFailed, match=words) as caught:
        list(checked_march(Given(*pieces), MU))
    assert caught.value.report["mu"] == [0.5, 2.0] and caught.value.report["time"] == when
    assert "[0.5, 2]" in str(caught.value) and "\n" not in str(caught.value)
    json.dumps(caught.value.report, allow_nan=False)


@pytest.mark.parametrize("error", [ParameterError("outside"), SolveFailed("stepped below", {"step": 1e-14}),
                                   KeyboardInterrupt()])
def test_errors_of_romflow_and_interrupts_pass_through(error):
    with pytest.raises(type(error)) as caught:
        list(checked_march(Given(piece(), error), MU))
    assert caught.value is error
