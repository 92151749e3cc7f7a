"""Errors: their kinds, their texts, and what survives a trip to another process."""

import pickle

import pytest

from romflow.core import errors


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (errors.InputError, (ValueError,)),
        (errors.ShapeError, (errors.InputError, ValueError)),
        (errors.ParameterError, (errors.InputError,)),
        (errors.ConfigError, (errors.InputError,)),
        (errors.NotSupported, (TypeError,)),
        (errors.SolveFailed, (RuntimeError,)),
        (errors.NotCertified, (RuntimeError,)),
        (errors.StoreError, (OSError,)),
    ],
)
def test_each_error_is_a_romflow_error_and_its_builtin(kind, parents):
    error = kind("who has this value; the rule; what to do")
    assert isinstance(error, errors.RomflowError)
    assert all(isinstance(error, parent) for parent in parents)
    assert str(error) == "who has this value; the rule; what to do"


def test_a_failed_solve_keeps_its_report_through_pickle():
    report = {"exit_code": 3, "stderr": "mesh not found"}
    error = errors.SolveFailed("no", report)
    report["exit_code"] = 0
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.report) == ("no", {"exit_code": 3, "stderr": "mesh not found"})
    assert errors.SolveFailed("no").report == {}


def test_a_store_error_is_plain_text_with_the_system_number_aside():
    error = errors.StoreError("disk full", 28)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(error), error.errno) == ("disk full", 28)
    assert (str(copy), copy.errno) == ("disk full", 28)
    assert errors.StoreError("gone").errno is None
