"""Threads are pinned before NumPy is loaded, so that times and last bits do not depend on the machine's load."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402

hypothesis.settings.register_profile("romflow", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("romflow")


def _must_fail(check: Callable[[Any], object], *wrong: Any) -> None:
    if not wrong:
        raise ValueError("must_fail needs at least one wrong answer")
    for value in wrong:
        try:
            check(value)
        except AssertionError:
            continue
        pytest.fail(f"{getattr(check, '__name__', check)} let a wrong answer pass: {value!r}")


@pytest.fixture
def must_fail() -> Callable[..., None]:
    """must_fail(check, *wrong): each wrong answer makes ``check(answer)`` raise AssertionError.

    Give the right answer moved by ten tolerances, both ways.
    """
    return _must_fail


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder of setup.cfg."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def without_report() -> Iterator[None]:
    """Runs in this process write no page: its pictures take longer than a small study, and have tests of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("romflow.walk.run.write_report", lambda path, data: None)
        yield
