"""Laws, the checks that measure them, and the report of a suite."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from romflow.core.names import one_line

__all__ = ["Check", "Law", "Report", "Verdict", "run"]

Case = TypeVar("Case")


@dataclass(frozen=True)
class Verdict:
    """What a law's measurement found: whether the law holds, and the value that says so.

    `passed` is None where the law does not apply, `value` then says why.
    """

    passed: bool | None
    value: str


@dataclass(frozen=True)
class Law(Generic[Case]):
    """A rule with a name, and the function that measures it on a case.

    Parameters
    ----------
    name : str
        Short name, as it stands in the report.
    rule : str
        The rule in words.
    measure : callable
        From a case to a Verdict; an exception counts as a broken law.
    needs : tuple of str
        Laws without which this one says nothing: it is not tried where one of them is not kept.
    """

    name: str
    rule: str
    measure: Callable[[Case], Verdict]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One law tried: its name, True, False or None (not tried), and a message with value and rule.

    Examples
    --------
    >>> str(Check("n", False, "n = 0; the rule: a whole number from 1."))
    'FAIL  n: n = 0; the rule: a whole number from 1.'
    """

    name: str
    passed: bool | None
    message: str

    def __str__(self) -> str:
        mark = {True: "ok   ", False: "FAIL ", None: "-    "}[self.passed]
        return f"{mark} {self.name}: {self.message}"


@dataclass(frozen=True)
class Report:
    """The checks of one class in its role ("model", "sampler", "reductor", "exporter", "law").

    Examples
    --------
    >>> report = Report("mine.py:Mine", "model", (Check("n", True, "n = 4; the rule: a whole number from 1."),))
    >>> report.passed
    True
    >>> print(report)
    ok    n: n = 4; the rule: a whole number from 1.
    mine.py:Mine (model): 1 of 1 laws hold
    """

    target: str
    role: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no law is broken."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks of broken laws."""
        return tuple(check for check in self.checks if check.passed is False)

    @property
    def headline(self) -> str:
        """How many laws hold, and how many could not be tried."""
        held = sum(check.passed is True for check in self.checks)
        waiting = sum(check.passed is None for check in self.checks)
        counts = f"{held} of {len(self.checks)} laws hold" + (f", {waiting} not tried" if waiting else "")
        return f"{self.target} ({self.role}): {counts}"

    def __str__(self) -> str:
        return "\n".join([*map(str, self.checks), self.headline])


def run(target: str, role: str, laws: Iterable[Law[Case]], case: Case) -> Report:
    """Try the laws in order on a case; whatever the user's code raises is a broken law, not the end."""
    checks: list[Check] = []
    kept: set[str] = set()
    for law in laws:
        lacking = [name for name in law.needs if name not in kept]
        if lacking:
            checks.append(Check(law.name, None, f"not tried, because it needs {lacking[0]!r}; the rule: {law.rule}."))
            continue
        check = _try(law, case)
        checks.append(check)
        if check.passed:
            kept.add(law.name)
    return Report(target, role, tuple(checks))


def _try(law: Law[Case], case: Case) -> Check:
    try:
        verdict = law.measure(case)
    except (Exception, SystemExit) as error:
        return Check(law.name, False, f"{_raised(error)}; the rule: {law.rule}.")
    return Check(law.name, verdict.passed, f"{verdict.value}; the rule: {law.rule}.")


def _raised(error: BaseException) -> str:
    """The exception on one line, with the line of code at which it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return one_line(f"{type(error).__name__}: {error}".rstrip(". ")) + where
