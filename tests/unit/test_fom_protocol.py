"""The checked solve: whatever a model answers, a snapshot or a failed solve with a report."""

import numpy as np
import pytest

from romflow.core.errors import InputError, ParameterError, SolveFailed
from romflow.core.snapshot import Snapshot
from romflow.fom.protocol import check_model, short, snapshot_of


class Answer:
    """A model that answers what it was given, or raises it."""

    parameters, spec = None, {"kind": "answer"}

    def __init__(self, answer, n=3):
        self.answer, self.n = answer, n

    def solve(self, mu):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(mu) if callable(self.answer) else self.answer


def test_vector_becomes_a_snapshot_with_processor_seconds():
    def work(mu):
        return np.array([sum(range(200_000)) * 0.0, mu[0], 1.0])

    snapshot = snapshot_of(Answer(work), np.array([7.0]))
    assert np.array_equal(snapshot.state, [0.0, 7.0, 1.0])
    assert 0.0 < snapshot.info["seconds"] < 10.0


def test_seconds_of_the_model_itself_are_kept():
    assert snapshot_of(Answer(Snapshot([1, 2, 3], info={"seconds": 42.0})), np.zeros(1)).info["seconds"] == 42.0


def test_unknown_length_accepts_any_vector():
    assert snapshot_of(Answer(np.ones(5), n=None), np.zeros(1)).state.shape == (5,)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.ones(2), r"shape \(2,\).*\(3,\), its n"),
        (np.ones((3, 1)), "shape"),
        (None, "type"),
        ("state", "type"),
        (np.ones(3) * 1j, "complex"),
        (np.array([1.0, np.nan, np.inf]), "state with 2 values that are not finite"),
        (Snapshot(np.ones(3), np.array([np.nan])), "outputs with 1 values"),
        (ZeroDivisionError("no\npivot"), "ZeroDivisionError: no pivot"),
        (SystemExit(3), "SystemExit"),
    ],
)
def test_wrong_answers_are_failed_solves(answer, words):
    with pytest.raises(SolveFailed, match=words) as caught:
        snapshot_of(Answer(answer), np.array([0.5, 2.0]))
    assert "[0.5, 2]" in str(caught.value) and "\n" not in str(caught.value)
    assert caught.value.report["mu"] == [0.5, 2.0]


def test_report_of_a_crash_holds_the_traceback():
    with pytest.raises(SolveFailed) as caught:
        snapshot_of(Answer(ValueError("here")), np.zeros(1))
    assert "in solve" in caught.value.report["traceback"]


@pytest.mark.parametrize("error", [ParameterError("outside"), SolveFailed("no convergence", {"iterations": 9})])
def test_errors_of_romflow_pass_through(error):
    with pytest.raises(type(error)) as caught:
        snapshot_of(Answer(error), np.zeros(1))
    assert caught.value is error


def test_interrupts_pass_through():
    with pytest.raises(KeyboardInterrupt):
        snapshot_of(Answer(KeyboardInterrupt()), np.zeros(1))


def test_model_without_a_power_of_the_protocol_is_named():
    with pytest.raises(InputError, match="no 'parameters'"):
        check_model(object(), "x.py:Model")
    for n in (0, 2.0, True, "3"):
        with pytest.raises(InputError, match="n = "):
            check_model(Answer(None, n=n), "x.py:Model")
    check_model(Answer(None, n=None), "x.py:Model")


def test_long_parameters_are_cut():
    assert short(np.arange(100.0)) == "[0, 1, 2, 3, 4, 5, ... 100 values]"
