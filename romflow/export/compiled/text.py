"""Pieces of C text: numbers, tables, strings, names, loops."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["array", "comment", "file_stem", "identifier", "loops", "number", "string", "strides", "wrapped"]

_WIDTH = 112
_LETTERS = "ijlmnopq"


def number(value: float) -> str:
    """A double, as short as it comes back to the bit.

    Examples
    --------
    >>> number(0.1), number(float("inf")), number(3.0)
    ('0.1', 'HUGE_VAL', '3.0')
    """
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "HUGE_VAL" if value > 0 else "-HUGE_VAL"
    return repr(float(value))


def wrapped(items: Iterable[str], indent: str = "    ") -> str:
    """Items separated by commas, on lines that are not too long."""
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) + 2 > _WIDTH:
            lines.append(indent + line.rstrip())
            line = ""
        line += f"{item}, "
    return "\n".join([*lines, indent + line.rstrip(" ,")])


def array(name: str, values: NDArray[np.float64] | NDArray[np.int64] | Sequence[int], kind: str = "double") -> str:
    """Definition of a table of constants; one without numbers gets a zero, which C wants."""
    flat = np.asarray(values).ravel().tolist() or [0]
    texts = (number(value) if kind == "double" else str(int(value)) for value in flat)
    return f"static const {kind} {name}[{len(flat)}] = {{\n{wrapped(texts)}\n}};\n"


def string(text: str) -> str:
    """A string literal of plain characters; all others, and what would make a trigraph, as octal bytes.

    Examples
    --------
    >>> string("5?") == '"5' + chr(92) + '077"'
    True
    """
    plain = re.compile(rb"[ !#-&(->@-\[\]-~]")
    encoded = (text.encode("utf-8")[i:i + 1] for i in range(len(text.encode("utf-8"))))
    return '"' + "".join(byte.decode() if plain.fullmatch(byte) else f"\\{byte[0]:03o}" for byte in encoded) + '"'


def comment(text: str) -> str:
    """The text as it may stand within a comment.

    Examples
    --------
    >>> comment("a */ b")
    'a  / b'
    """
    return re.sub(r"[^ !#-)+-\[\]-~]", " ", text)


def identifier(text: str) -> str:
    """A name of C made from any text: letters, digits and single underscores, at most 40.

    Examples
    --------
    >>> identifier("3x3 thermal-block.final"), identifier("")
    ('m3x3_thermal_block_final', 'model')
    """
    found = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:40].strip("_")
    if not found:
        return "model"
    return f"m{found}" if found[0].isdigit() else found


def file_stem(text: str) -> str:
    """The text where every C compiler takes it as the name of a file in an include, else a plain name made from it.

    Examples
    --------
    >>> file_stem("block 3.1"), file_stem("größe")
    ('block 3.1', 'gr_e')
    """
    return text if re.fullmatch(r"[A-Za-z0-9_.+][A-Za-z0-9 _.+-]*", text) else identifier(text)


def strides(shape: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """Strides, in numbers, of a row-major array of `shape` seen as one of the shape `wanted` by broadcasting."""
    own = [0] * len(wanted)
    step = 1
    for k in range(1, len(shape) + 1):
        own[-k] = 0 if shape[-k] == 1 else step
        step *= shape[-k]
    return own


def loops(shape: Sequence[int], steps: Sequence[Sequence[int]], body: Callable[[Sequence[str]], Sequence[str]],
          letters: str = _LETTERS) -> list[str]:
    """Loops over an index of `shape` around `body`, which gets the offset of each operand; axes are merged.

    Parameters
    ----------
    shape : sequence of int
    steps : sequence of sequences of int
        Strides of each operand.
    body : callable
        Lines within the loops from the texts of the offsets, "" where it is 0.
    letters : str
        Names of the indices.
    """
    axes = _merged(shape, steps)
    lines = [f"{'    ' * depth}for (int {letters[depth]} = 0; {letters[depth]} < {size}; {letters[depth]}++)"
             for depth, (size, _) in enumerate(axes)]
    if lines:
        lines[-1] += " {"
    offsets = [" + ".join(_term(letters[depth], own[k]) for depth, (_, own) in enumerate(axes) if own[k])
               for k in range(len(steps))]
    inside = [f"{'    ' * len(axes)}{line}" for line in body(offsets)]
    return [*lines, *inside, *([f"{'    ' * (len(axes) - 1)}}}"] if lines else [])]


def _term(letter: str, step: int) -> str:
    return letter if step == 1 else f"{step} * {letter}"


def _merged(shape: Sequence[int], steps: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
    """(size, strides of the operands) of the axes longer than one, joined where all operands allow it."""
    axes: list[tuple[int, list[int]]] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        own = [step[axis] for step in steps]
        if axes and all(outer == inner * size for outer, inner in zip(axes[-1][1], own, strict=True)):
            axes[-1] = (axes[-1][0] * size, own)
        else:
            axes.append((size, own))
    return axes
