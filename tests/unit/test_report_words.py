"""Numbers and words of the report."""

import math

import pytest

from romflow.report.words import estimate_claim, estimate_noun, number, plural, power, seconds, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (1, "1"),
        (-2.5, "-2.5"),
        (1234567, "1,234,567"),
        (0.00123, "0.00123"),
        (1.5e-7, "1.5·10⁻⁷"),
        (-1e-12, "-10⁻¹²"),
        (2.5e9, "2.5·10⁹"),
        (math.nan, "–"),
        (None, "–"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (99.96, "100"),
        (123456.7, "123,457"),
    ],
)
def test_number(value, expected):
    assert number(value) == expected


def test_every_number_reads_back_within_its_digits():
    superscript = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    for value in [3.14159 * 10.0**k for k in range(-20, 21)]:
        written = number(value, 4).replace(",", "")
        mantissa, _, exponent = written.partition("·10")
        back = float(mantissa) * 10.0 ** int(exponent.translate(superscript) or 0)
        assert back == pytest.approx(value, rel=1e-3), written


@pytest.mark.parametrize(("value", "expected"), [(1e-6, "10⁻⁶"), (2e-3, "2·10⁻³"), (0.5, "0.5"), (1000.0, "10³")])
def test_power(value, expected):
    assert power(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 s"),
        (3e-9, "3 ns"),
        (4.2e-5, "42 µs"),
        (0.25, "250 ms"),
        (59, "59 s"),
        (90, "90 s"),
        (150, "2.5 min"),
        (7200, "2 h"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_seconds(value, expected):
    assert seconds(value) == expected


def test_a_bound_and_an_indicator_are_never_mixed_up():
    assert estimate_noun("bound") == "error bound" and "guaranteed" in estimate_claim("bound")
    assert estimate_noun("indicator") == "error indicator" and "not a bound" in estimate_claim("indicator")
    for kind in (None, "something else"):
        assert "bound" not in estimate_noun(kind) + estimate_claim(kind)
        assert "indicator" not in estimate_noun(kind) + estimate_claim(kind)


def test_text_and_plural():
    assert text([1, 2.5, "a", None, True]) == "1, 2.5, a, –, yes"
    assert (
        plural(1, "solve") == "1 solve" and plural(0, "solve") == "0 solves" and plural(2000, "solve") == "2,000 solves"
    )
