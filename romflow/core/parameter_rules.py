"""What a parameter may be called and which numbers its distribution takes: one place for study files and for Python."""

from __future__ import annotations

import keyword
import math
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from romflow.core.names import nearest, shown

__all__ = [
    "DISTRIBUTION_KEYS",
    "MAX_SIZE",
    "RESERVED",
    "columns_of",
    "distribution_fault",
    "keys_fault",
    "name_fault",
    "table_fault",
    "twice",
]

#: Distribution -> its keys in the study file.
DISTRIBUTION_KEYS: dict[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "log-uniform": ("low", "high"),
    "normal": ("mean", "std"),
    "truncated-normal": ("mean", "std", "low", "high"),
    "log-normal": ("mean", "std"),
    "truncated-log-normal": ("mean", "std", "low", "high"),
    "beta": ("a", "b", "low", "high"),
    "triangular": ("low", "mode", "high"),
    "table": ("values", "weights", "discrete"),
}

#: Keys of a study file that stand for numbers in a file; `weights` may then be the name of a column.
FILE_KEYS: dict[str, tuple[str, ...]] = {"table": ("file", "column")}

#: Keys that may be left out, and their values then.
OPTIONAL_KEYS: dict[str, dict[str, Any]] = {
    "beta": {"low": 0.0, "high": 1.0},
    "table": {"weights": None, "discrete": False},
}

#: Words of the theta language, which no parameter may take.
RESERVED = ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "abs", "sign", "min", "max", "pi")

MAX_SIZE = 100_000

#: Values of a table at most: they are written into every model file.
MAX_VALUES = 100_000

# Squares and differences of values stay within float64.
_LARGEST = 1e150

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


def distribution_fault(kind: str, values: Mapping[str, Any]) -> str | None:
    """Why `values` (key -> number) do not make a distribution of this kind, or None.

    Examples
    --------
    >>> distribution_fault("uniform", {"low": 2.0, "high": 1.0})
    'low = 2 is above high = 1; swap them.'
    """
    fault = keys_fault(kind, values)
    if fault is not None:
        return fault
    if kind == "table":
        return table_fault(values)
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
    if kind == "truncated-log-normal" and (low < 0.0 or high <= 0.0):
        return f"low = {shown(low)}, high = {shown(high)}: a log-normal value is positive; raise them to 0 and above."
    if not low <= values.get("mode", low) <= high:
        return f"mode = {shown(values['mode'])} is outside [{shown(low)}, {shown(high)}]; put it between low and high."
    return None


def _reach_fault(kind: str, values: Mapping[str, float]) -> str | None:
    """Why an unbounded distribution gives values that are not finite, or None."""
    mean, reach = values["mean"], _REACH * values["std"]
    largest = mean + reach if kind == "log-normal" else abs(mean) + reach
    if largest < (math.log(sys.float_info.max) if kind == "log-normal" else math.inf):
        return None
    return f"mean = {shown(mean)} and std = {shown(values['std'])} reach beyond float64; bring them down."


def table_fault(content: Mapping[str, Any]) -> str | None:
    """Why `values`, `weights` and `discrete` do not make a distribution from a sample, or None.

    Examples
    --------
    >>> table_fault({"values": [1.0, 2.0], "weights": [1.0, -1.0]})
    'weights[1] = -1 is negative; give weights from 0 on.'
    """
    if not isinstance(content.get("discrete", False), bool):
        return f"discrete = {shown(content['discrete'])} is neither true nor false; write one of them."
    fault = _list_fault("values", content["values"])
    if fault is not None or content.get("weights") is None:
        return fault
    values, weights = content["values"], content["weights"]
    fault = _list_fault("weights", weights)
    if fault is not None:
        return fault
    if len(weights) != len(values):
        return f"weights has {len(weights)} numbers and values {len(values)}; give one weight a value."
    for index, weight in enumerate(weights):
        if weight < 0.0:
            return f"weights[{index}] = {shown(float(weight))} is negative; give weights from 0 on."
    return None if max(weights) > 0.0 else "all weights are 0; give a positive one."


def _list_fault(name: str, values: Any) -> str | None:
    if isinstance(values, str | bytes) or not isinstance(values, Sequence) and not hasattr(values, "tolist"):
        return f"{name} = {shown(values)} is no list; write numbers in brackets."
    entries = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(entries, Sequence) or not 1 <= len(entries) <= MAX_VALUES:
        count = len(entries) if isinstance(entries, Sequence) else 0
        return f"{name} has {count} numbers; a sample has 1 to {MAX_VALUES}."
    for index, value in enumerate(entries):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name}[{index}] = {shown(value)} is not a number; write one."
        if not abs(value) <= _LARGEST:
            return f"{name}[{index}] = {shown(value)} is not finite or beyond 1e150; write a smaller number."
    return None
