"""Numbers, times and estimates in words: a bound is called a bound and an indicator an indicator."""

from __future__ import annotations

import math
from typing import Any

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "–"


def number(value: float | None, digits: int = 3) -> str:
    """A number with the given significant digits, in powers of ten where that is shorter.

    Examples
    --------
    >>> number(0.0000123), number(0.25), number(12345), number(None), number(1e-4), number(-3)
    ('1.23·10⁻⁵', '0.25', '12,345', '–', '10⁻⁴', '-3')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{int(value):,}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    order = int(exponent)
    if -3 <= order < 6:
        decimals = max(digits - 1 - order, 0)
        text = f"{value:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if decimals else text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    ten = _ten(order)
    return {"1": ten, "-1": f"-{ten}"}.get(mantissa, f"{mantissa}·{ten}")


def power(value: float) -> str:
    """A tick of a logarithmic axis: a power of ten, with a factor where it is not one itself.

    Examples
    --------
    >>> power(0.001), power(0.1), power(1.0), power(100.0), power(0.002)
    ('10⁻³', '0.1', '1', '10²', '2·10⁻³')
    """
    exponent = math.floor(math.log10(value) + 1e-9) if value > 0 else 0
    if abs(exponent) < 2:
        return number(value)
    factor = number(value / 10.0**exponent)
    return _ten(exponent) if factor == "1" else f"{factor}·{_ten(exponent)}"


def _ten(exponent: int) -> str:
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def seconds(value: float | None) -> str:
    """A time with a unit that suits it.

    Examples
    --------
    >>> seconds(0.00042), seconds(2.5), seconds(4000), seconds(None)
    ('420 µs', '2.5 s', '1.11 h', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= size * (2 if size == 60 else 1):
            return f"{number(value / size)} {unit}"
    return f"{number(value * 1e9)} ns" if value else "0 s"


def text(value: Any) -> str:
    """Any plain value as it stands in a table."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(float(value), 6)
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item) for item in value)
    return str(value)


def plural(count: float, noun: str) -> str:
    """``1 solve``, ``2 solves``."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def estimate_noun(kind: str | None) -> str:
    """What the estimate is called: 'error bound', 'error indicator', or 'error estimate' if its kind is unknown."""
    return {"bound": "error bound", "indicator": "error indicator"}.get(kind or "", "error estimate")


def estimate_claim(kind: str | None) -> str:
    """One sentence on what that kind of estimate promises."""
    return {
        "bound": "Every answer carries an error bound: the true error is guaranteed to be no larger, up to round-off.",
        "indicator": "Every answer carries an error indicator. It is not a bound: the true error may be larger.",
    }.get(kind or "", "This model carries no error estimate: its accuracy is known only where it was validated.")


def field_words(name: str) -> str:
    """What a field of mechanics is called in a sentence; an unknown one by its name without underscores.

    Examples
    --------
    >>> field_words("mises"), field_words("plastic_strain")
    ('von Mises stress', 'plastic strain')
    """
    return {"mises": "von Mises stress", "plastic": "accumulated plastic strain"}.get(name, name.replace("_", " "))
