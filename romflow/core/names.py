"""Texts for messages: the nearest known name, and values shown on one line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

__all__ = ["near_miss", "nearest", "one_line", "shown"]

_LISTED = 20


def near_miss(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like `word`, or None if none is like it.

    Parameters
    ----------
    word : str
        What the user wrote.
    known : iterable of str
        Names that exist.
    cutoff : float
        Similarity in [0, 1] (``difflib``) below which a name does not count as near; case is ignored.

    Examples
    --------
    >>> near_miss("gredy", ["greedy", "sobol"])
    'greedy'
    """
    by_lower = {name.lower(): name for name in reversed(list(known))}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a "no X is called" message: the known names, and the one that was probably meant.

    Parameters
    ----------
    word : str
        What the user wrote.
    known : iterable of str
        Names that exist, in the order in which they are shown; at most 20 are listed.

    Returns
    -------
    str
        Text that starts with ";" (or is "." if nothing is known) and ends the sentence.

    Examples
    --------
    >>> "no sampler is called 'gredy'" + nearest("gredy", ["greedy", "sobol"])
    "no sampler is called 'gredy'; known: greedy, sobol. Did you mean 'greedy'?"
    """
    names = list(dict.fromkeys(known))
    if not names:
        return "."
    listed = ", ".join(one_line(name) for name in names[:_LISTED])
    if len(names) > _LISTED:
        listed += f", ... ({len(names)} in all)"
    meant = near_miss(word, names)
    return f"; known: {listed}." + (f" Did you mean {meant!r}?" if meant is not None else "")


def one_line(text: str, limit: int = 500) -> str:
    """`text` on one line: white space and control characters become single spaces, the end is cut at `limit`.

    Examples
    --------
    >>> one_line("a\\n  b")
    'a b'
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def shown(value: Any, limit: int = 80) -> str:
    """`value` as it is shown in a message: numbers shortest, texts in quotes, on one line, cut at `limit`.

    Examples
    --------
    >>> shown(99.0), shown(0.1), shown(True), shown("a\\nb")
    ('99', '0.1', 'true', "'a\\\\nb'")
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return repr(value) if len(value) <= limit else repr(value[: limit - 3] + "...")
    if isinstance(value, int) and abs(value) >= 10**limit:
        return f"a whole number beyond 1e{limit}"
    if isinstance(value, float):
        number = float(value)
        return (
            str(int(number)) if math.isfinite(number) and number.is_integer() and abs(number) < 1e15 else repr(number)
        )
    return one_line(repr(value), limit)
