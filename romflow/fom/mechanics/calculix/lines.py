"""Lines of a CalculiX or Abaqus input file: cards with their options, and the numbers below them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import one_line

__all__ = ["Card", "card_of", "numbers_of", "read_lines", "table_of"]


@dataclass(frozen=True)
class Card:
    """A keyword with its options in capitals, and the lines below it."""

    keyword: str
    options: dict[str, str]
    lines: list[str]


def card_of(head: str, lines: list[str]) -> Card:
    """The card whose first line is `head`.

    Examples
    --------
    >>> card_of("*Element, type=C3D4", []).options
    {'TYPE': 'C3D4'}
    """
    keyword, *rest = head[1:].split(",")
    pairs = [word.partition("=") for word in rest if word.strip()]
    options = {name.strip().upper(): value.strip() for name, _, value in pairs}
    return Card(keyword.strip().upper().replace(" ", "_"), options, lines)


def read_lines(path: Path) -> list[str]:
    """The lines of a file; InputError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"the input {path} cannot be read ({error.strerror}); check the path") from error


def numbers_of(lines: list[str], path: Path) -> NDArray[np.float64]:
    """All numbers of these lines; an empty word at the end of a line only says that it goes on.

    Raises
    ------
    InputError
        A word is no number; `path` is named.
    """
    words = ",".join(line.rstrip(", \t") for line in lines).split(",") if lines else []
    try:
        return np.array(words, dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(str(error), 120)} where there should be numbers only") from None


def table_of(lines: list[str], width: int, path: Path) -> NDArray[np.float64]:
    """Rows of `width` numbers; those that a line does not give are 0.

    Raises
    ------
    InputError
        A word is no number; `path` is named.
    """
    if all(line.rstrip(", \t").count(",") == width - 1 and ",," not in line for line in lines):
        return numbers_of(lines, path).reshape(-1, width)
    rows = [([word.strip() or "0" for word in line.split(",")] + ["0"] * width)[:width] for line in lines]
    return numbers_of([",".join(row) for row in rows], path).reshape(-1, width)
