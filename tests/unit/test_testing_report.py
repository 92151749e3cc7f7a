"""Laws, checks and reports."""

from romflow.testing.report import Law, Report, Verdict, run


def _raise(case: int) -> Verdict:
    raise ValueError("two\nlines.")


def _report(case: int) -> Report:
    laws = [
        Law("even", "it is even", lambda case: Verdict(case % 2 == 0, f"it is {case}")),
        Law("four", "half of it is even", lambda case: Verdict(case % 4 == 0, f"it is {case}"), ("even",)),
        Law("eight", "a quarter of it is even", lambda case: Verdict(case % 8 == 0, f"it is {case}"), ("even", "four")),
    ]
    return run("mine.py:Mine", "number", laws, case)


def test_all_laws_hold() -> None:
    report = _report(8)
    assert report.passed
    assert str(report).splitlines() == [
        "ok    even: it is 8; the rule: it is even.", "ok    four: it is 8; the rule: half of it is even.",
        "ok    eight: it is 8; the rule: a quarter of it is even.", "mine.py:Mine (number): 3 of 3 laws hold"]


def test_laws_without_footing_are_not_tried() -> None:
    report = _report(3)
    assert not report.passed
    assert [check.passed for check in report.checks] == [False, None, None]
    assert "needs 'even'" in report.checks[1].message
    assert "needs 'even'" in report.checks[2].message
    assert report.headline == "mine.py:Mine (number): 0 of 3 laws hold, 2 not tried"


def test_exception_is_a_broken_law() -> None:
    report = run("x", "number", [Law("raises", "it is calm", _raise)], 1)
    assert not report.passed
    message = report.checks[0].message
    assert message.startswith("ValueError: two lines (")
    assert "test_testing_report.py, line" in message
    assert message.endswith("; the rule: it is calm.")
    assert "\n" not in message
