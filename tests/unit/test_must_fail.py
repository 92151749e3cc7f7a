"""The helper that proves that a check can fail."""

from collections.abc import Callable

import pytest


def _check(value: float) -> None:
    assert abs(value - 2.0) <= 1e-9


def test_wrong_answers_fail(must_fail: Callable[..., None]) -> None:
    _check(2.0)
    must_fail(_check, 2.0 + 1e-8, 2.0 - 1e-8)


def test_check_that_cannot_fail_is_found(must_fail: Callable[..., None]) -> None:
    with pytest.raises(pytest.fail.Exception, match="let a wrong answer pass: 3.0"):
        must_fail(lambda value: None, 3.0)
    with pytest.raises(pytest.fail.Exception):
        must_fail(_check, 3.0, 2.0)


def test_another_error_is_no_failed_check(must_fail: Callable[..., None]) -> None:
    with pytest.raises(ZeroDivisionError):
        must_fail(lambda value: 1 / 0, 3.0)


def test_one_wrong_answer_is_needed(must_fail: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        must_fail(_check)
