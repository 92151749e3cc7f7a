"""What a parameter may be called and which numbers its distribution takes: one place for study files and for Python."""

from __future__ import annotations

import keyword
import math
import re
import sys
from collections.abc import Collection, Iterable, Mapping

from romflow.core.names import nearest, shown

__all__ = [
    "DISTRIBUTION_KEYS",
    "MAX_SIZE",
    "RESERVED",
    "columns_of",
    "distribution_fault",
    "keys_fault",
    "name_fault",
    "twice",
]

#: Distribution -> its keys in the study file.
DISTRIBUTION_KEYS: dict[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "log-uniform": ("low", "high"),
    "normal": ("mean", "std"),
    "truncated-normal": ("mean", "std", "low", "high"),
    "log-normal": ("mean", "std"),
    "beta": ("a", "b", "low", "high"),
}

#: Keys that may be left out, and their values then.
OPTIONAL_KEYS: dict[str, dict[str, float]] = {"beta": {"low": 0.0, "high": 1.0}}

#: Words of the theta language, which no parameter may take.
RESERVED = ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "abs", "sign", "min", "max", "pi")

MAX_SIZE = 100_000

# A normal quantile at 2^-53 or 1 - 2^-53 is within this many standard deviations of the mean.
_REACH = 9.0

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def name_fault(name: str) -> str | None:
    """Why `name` cannot be a parameter's name, or None.

    Examples
    --------
    >>> name_fault("heat-flux")
    "the name 'heat-flux' is not made of letters, digits and _ (first no digit); call it 'heat_flux'."
    """
    if not _NAME.fullmatch(name):
        fixed = re.sub(r"[^A-Za-z0-9_]+", "_", name)[:40]
        fixed = f"_{fixed}" if not fixed or fixed[0].isdigit() else fixed
        rule = "is not made of letters, digits and _ (first no digit)"
        return f"the name {shown(name)} {rule}; call it {fixed!r}."
    if name in RESERVED or keyword.iskeyword(name):
        return f"the name {name!r} is a word of the theta language; call it {name + '_'!r}."
    return None


def columns_of(name: str, size: int) -> list[str]:
    """Column names of a parameter: its own if the size is 1, else ``name_0 .. name_{size-1}``.

    Examples
    --------
    >>> columns_of("a", 1), columns_of("a", 2)
    (['a'], ['a_0', 'a_1'])
    """
    return [name] if size == 1 else [f"{name}_{index}" for index in range(size)]


def twice(sizes: Iterable[tuple[str, int]]) -> str | None:
    """Why parameters with these names and sizes cannot stand together (two columns of one name), or None.

    Examples
    --------
    >>> twice([("a", 2), ("a_1", 1)])
    "the column 'a_1' comes from the parameters 'a' and 'a_1'; rename one of them."
    """
    owners: dict[str, str] = {}
    for name, size in sizes:
        for column in columns_of(name, size):
            if column in owners:
                pair = f"{owners[column]!r} and {name!r}"
                return f"the column {column!r} comes from the parameters {pair}; rename one of them."
            owners[column] = name
    return None


def keys_fault(kind: str, keys: Collection[str]) -> str | None:
    """Why a distribution of this kind cannot be made from values under these keys, or None.

    Examples
    --------
    >>> keys_fault("normal", ["mean"])
    "distribution 'normal' needs the key 'std'; it takes mean, std."
    """
    if kind not in DISTRIBUTION_KEYS:
        return f"no distribution is called {shown(kind)}{nearest(kind, DISTRIBUTION_KEYS)}"
    taken = DISTRIBUTION_KEYS[kind]
    for key in keys:
        if key not in taken:
            return f"distribution {kind!r} has no key {shown(key)}{nearest(key, taken)}"
    for key in taken:
        if key not in keys and key not in OPTIONAL_KEYS.get(kind, {}):
            return f"distribution {kind!r} needs the key {key!r}; it takes {', '.join(taken)}."
    return None


def distribution_fault(kind: str, values: Mapping[str, float]) -> str | None:
    """Why `values` (key -> number) do not make a distribution of this kind, or None.

    Examples
    --------
    >>> distribution_fault("uniform", {"low": 2.0, "high": 1.0})
    'low = 2 is above high = 1; swap them.'
    """
    fault = keys_fault(kind, values)
    if fault is not None:
        return fault
    for key, value in values.items():
        if not math.isfinite(value):
            return f"{key} = {shown(value)} is not finite; write a finite number."
    return _range_fault(kind, {**OPTIONAL_KEYS.get(kind, {}), **values})


def _range_fault(kind: str, values: Mapping[str, float]) -> str | None:
    for key in ("std", "a", "b"):
        if key in values and values[key] <= 0.0:
            return f"{key} = {shown(values[key])} is not positive; write a number above 0."
    if "low" not in values:
        return _reach_fault(kind, values)
    low, high = values["low"], values["high"]
    if low > high:
        return f"low = {shown(low)} is above high = {shown(high)}; swap them."
    if not math.isfinite(high - low):
        return f"low = {shown(low)} and high = {shown(high)} are further apart than float64 holds; bring them together."
    if kind == "log-uniform" and low <= 0.0:
        return f"low = {shown(low)} is not positive, as a log-uniform distribution needs; write a number above 0."
    return None


def _reach_fault(kind: str, values: Mapping[str, float]) -> str | None:
    """Why an unbounded distribution gives values that are not finite, or None."""
    mean, reach = values["mean"], _REACH * values["std"]
    largest = mean + reach if kind == "log-normal" else abs(mean) + reach
    if largest < (math.log(sys.float_info.max) if kind == "log-normal" else math.inf):
        return None
    return f"mean = {shown(mean)} and std = {shown(values['std'])} reach beyond float64; bring them down."
