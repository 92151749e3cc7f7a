"""Names and values in messages."""

import numpy as np
import pytest

from romflow.core.names import near_miss, nearest, one_line, shown


def test_the_nearest_name_is_named():
    assert nearest("b", ["a", "bb"]) == "; known: a, bb. Did you mean 'bb'?"
    assert nearest("GREEDY", ["greedy"]).endswith("Did you mean 'greedy'?")


def test_no_name_is_suggested_when_none_is_near():
    assert nearest("xyz", ["a", "b"]) == "; known: a, b."
    assert nearest("xyz", []) == "."
    assert near_miss("sede", ["seed"], 0.75) == "seed"
    assert near_miss("size", ["seed"], 0.75) is None


def test_a_long_list_is_cut_and_counted():
    text = nearest("nothing", [f"c_{index}" for index in range(300)])
    assert "c_19" in text and "c_20," not in text
    assert "(300 in all)" in text


def test_a_name_with_a_line_break_cannot_break_the_line():
    assert "\n" not in nearest("x", ["a\nb"])
    assert one_line("a\n\tb\x1b[0m") == "a b [0m"
    assert len(one_line("x" * 1000, 50)) == 50


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (99.0, "99"),
        (0.1, "0.1"),
        (np.float64(10.0), "10"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        (None, "none"),
        (7, "7"),
        ("a\nb", "'a\\nb'"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_shown_as_people_write_them(value, text):
    assert shown(value) == text


def test_what_is_long_is_cut():
    assert len(shown("x" * 500)) < 90
    assert len(shown(list(range(500)))) <= 80
    assert len(shown(10**5000)) < 90
