"""From a fault in a study file to one sentence: which section and key, which rule, what to do."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from romflow.core.names import near_miss, nearest, one_line, shown

__all__ = ["complaint", "typed_key_fault", "unwritable"]

Location = tuple[str | int, ...]

# A key this similar to one that is absent is a slip of the pen rather than an option.
_TYPO = 0.75

_TIMES = (datetime.date, datetime.time)

_RULES = {
    "int_type": "is not a whole number; write one such as 10, without quotes.",
    "int_from_float": "is not a whole number; write one such as 10.",
    "float_type": "is not a number; write one such as 0.5 or 1e-3, without quotes.",
    "finite_number": "is not finite; write a finite number.",
    "string_type": "is not a text; write it in quotes.",
    "string_too_short": "is empty; write a text.",
    "bool_type": "is neither true nor false; write one of them, without quotes.",
    "greater_than_equal": "is too small; write {ge} or more.",
    "greater_than": "is too small; write more than {gt}.",
    "less_than_equal": "is too large; write {le} or less.",
    "less_than": "is too large; write less than {lt}.",
}


def complaint(faults: Sequence[ErrorDetails], keys_of: Callable[[Location], Sequence[str]]) -> str:
    """One sentence for the most telling of pydantic's faults: unknown keys first, missing ones last.

    Parameters
    ----------
    faults : sequence of ErrorDetails
        ``ValidationError.errors()``.
    keys_of : callable
        Location of a table -> its known keys.
    """
    order = {"extra_forbidden": 0, "missing": 2}
    fault = min(faults, key=lambda item: order.get(item["type"], 1))
    kind, location, value = fault["type"], fault["loc"], fault["input"]
    context = fault.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(location, keys_of(location[:-1]))
    if kind == "missing":
        return _missing(location)
    if kind == "value_error":
        return f"{_place(location, value) if location else 'the study'} {context['error']}"
    if kind in ("model_type", "dict_type", "list_type", "model_attributes_type"):
        return _no_table(location, value)
    if kind == "too_short":
        return f"{_section(location)} is empty; add a table [{location[0]}.NAME]."
    text = repr(value) if kind.startswith("int_") and isinstance(value, float) else shown(value)
    start = f"{_section(location[:-1])} {location[-1]} = {text}"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context["expected"]))
        return f"{start} is not known{nearest(str(value), known)}"
    rule = _RULES.get(kind)
    if rule is None:
        return f"{start} is wrong: {one_line(fault['msg'])}."
    return f"{start} {rule.format(**{key: shown(limit) for key, limit in context.items()})}"


def typed_key_fault(content: Mapping[str, Any], own: Sequence[str], further: Sequence[str]) -> str | None:
    """Why one of the keys `further` of a table is a mistyped key of its `own`, or None.

    Examples
    --------
    >>> typed_key_fault({"metod": "greedy"}, ["method", "seed"], ["metod"])
    "has no key 'metod'; known: method, seed. Did you mean 'method'?"
    """
    absent = [key for key in own if key not in content]
    for key in further:
        if near_miss(key, absent, _TYPO) is not None:
            return f"has no key {shown(key)}{nearest(key, own)}"
    return None


def unwritable(content: Mapping[str, Any]) -> str | None:
    """Why some value of a study has no place in one (NaN, infinity, a date, no TOML type at all), or None."""
    waiting: list[tuple[Location, Any]] = [((), content)]
    while waiting:
        location, value = waiting.pop()
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    return f"{_section(location)} has the key {shown(key)}, which is not a text; write it in quotes."
            waiting.extend(((*location, key), item) for key, item in reversed(list(value.items())))
        elif isinstance(value, list | tuple):
            waiting.extend(((*location, index), item) for index, item in reversed(list(enumerate(value))))
        else:
            rule = _no_value(value)
            if rule is not None:
                text = value.isoformat() if isinstance(value, _TIMES) else shown(value)
                return f"{_named(location)} = {text} {rule}"
    return None


def _no_value(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return _RULES["finite_number"]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return "is beyond 64 bits; write a smaller number."
    if isinstance(value, _TIMES):
        return "is a date or a time, which no key takes; write it in quotes."
    if not isinstance(value, str | int | float):
        return f"is a {type(value).__name__}, which a study cannot hold; write a text, a number, true or false."
    return None


def _named(location: Location) -> str:
    """Section and key: "[model] cells[1]"."""
    steps = list(location)
    index = ""
    while isinstance(steps[-1], int) and len(steps) > 2:
        index = f"[{steps.pop()}]{index}"
    if len(steps) == 1:
        return f"{_word(steps[0])}{index}"
    return f"{_section(tuple(steps[:-1]))} {_word(steps[-1])}{index}"


def _section(location: Location) -> str:
    """A table as it stands in the file: [sampling], [parameters.a], or [[export]] with its number."""
    if location and location[0] == "export":
        number = f" {location[1] + 1}" if len(location) > 1 and isinstance(location[1], int) else ""
        return f"[[export]]{number}"
    return f"[{'.'.join(_word(step) for step in location)}]" if location else "the study"


def _word(step: str | int) -> str:
    text = str(step)
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII) else shown(text)


def _place(location: Location, value: Any) -> str:
    """Where a rule of our own was broken: a table, or a key of it."""
    if len(location) == 1 or isinstance(value, Mapping):
        return _section(location)
    return f"{_section(location[:-1])} {location[-1]}:"


def _unknown(location: Location, known: Sequence[str]) -> str:
    word = str(location[-1])
    if len(location) == 1:
        return f"no section is called {shown(word)}{nearest(word, known)}"
    return f"{_section(location[:-1])} has no key {shown(word)}{nearest(word, known)}"


def _missing(location: Location) -> str:
    if len(location) == 1:
        name = "parameters.NAME" if location[0] == "parameters" else location[0]
        return f"the section [{name}] is missing; add it."
    return f"{_section(location[:-1])} needs the key '{location[-1]}'; add it."


def _no_table(location: Location, value: Any) -> str:
    if location == ("export",):
        return f"export = {shown(value)} is not a list of tables; write [[export]]."
    return f"{_named(location)} = {shown(value)} is not a table; write {_section(location)} and its keys below."
