"""The mesh, the sets and the surfaces of a CalculiX or Abaqus input file, and its text with values for placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError
from romflow.core.names import nearest, shown
from romflow.fom.mechanics.calculix.faces import face_nodes, is_plane
from romflow.fom.mechanics.calculix.lines import Card, card_of, numbers_of, read_lines, table_of

__all__ = ["ELEMENT_TYPES", "ElementBlock", "InputFile", "expanded", "filled", "number_text", "placeholders",
           "read_input"]

#: Element type in the file -> (number of its nodes, the element of this package that has the same strains, or None).
ELEMENT_TYPES: dict[str, tuple[int, str | None]] = {
    "C3D4": (4, "tet4"), "C3D10": (10, "tet10"), "C3D8": (8, "hex8"), "C3D8I": (8, None), "C3D8R": (8, None),
    "C3D20": (20, None), "C3D20R": (20, None), "C3D6": (6, None), "C3D15": (15, None), "CPE3": (3, "tri3"),
    "CPE4": (4, "quad4"), "CPE6": (6, "tri6"), "CPE8": (8, None), "CPE8R": (8, None), "CPS3": (3, None),
    "CPS4": (4, None), "CPS6": (6, None), "CPS8": (8, None), "S3": (3, None), "S4": (4, None), "S6": (6, None),
    "S8": (8, None), "S8R": (8, None), "C3D10T": (10, None), "CAX3": (3, None), "CAX4": (4, None),
    "CAX6": (6, None), "CAX8": (8, None), "CAX8R": (8, None)}
_PLACEHOLDER = re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}")
_DEPTH = 10


@dataclass(frozen=True, eq=False)
class ElementBlock:
    """Elements of one type: numbers (C,) as in the file, and cells (C, v) of node indices from 0."""

    kind: str
    numbers: NDArray[np.int64]
    cells: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class InputFile:
    """What an input file says of its mesh.

    Attributes
    ----------
    path : Path
    numbers : (N,)
        Numbers of the nodes in the file, rising.
    nodes : (N, 3)
    blocks : tuple of ElementBlock
        One for each type, in the order of the file.
    node_sets, element_sets : dict
        Name in capitals -> node indices from 0, or element numbers as in the file; both rising.
    surfaces : dict
        Name in capitals -> node indices (F, f) of the faces of an element surface, corners first. Node surfaces are
        node sets.
    names : dict
        Name in capitals -> name as it was first written.
    files : tuple of Path
        The file and those that it includes.
    """

    path: Path
    numbers: NDArray[np.int64]
    nodes: NDArray[np.float64]
    blocks: tuple[ElementBlock, ...]
    node_sets: dict[str, NDArray[np.int64]]
    element_sets: dict[str, NDArray[np.int64]]
    surfaces: dict[str, NDArray[np.int64]]
    names: dict[str, str]
    files: tuple[Path, ...]

    def mesh(self) -> tuple[NDArray[np.float64], NDArray[np.int64], str]:
        """Nodes (N, d), cells (C, v) and type of the only kind of elements; d = 2 for plane ones.

        Raises
        ------
        InputError
            Elements of several types, or none.
        """
        if len(self.blocks) != 1:
            kinds = ", ".join(block.kind for block in self.blocks) or "none"
            raise InputError(f"{self.path} has elements of the types {kinds}; the rule is one type: write the mesh "
                             "with one")
        block = self.blocks[0]
        d = 2 if is_plane(block.kind) else 3
        return np.ascontiguousarray(self.nodes[:, :d]), block.cells, block.kind


def read_input(path: str | Path) -> InputFile:
    """The mesh of an input file: nodes, elements, sets and surfaces; all other cards are left alone.

    *INCLUDE is followed, GENERATE, sets of sets and continued lines are understood, names are taken in capitals.

    Parameters
    ----------
    path : path

    Raises
    ------
    InputError
        The file or one that it includes cannot be read; an element names a node that is not there, or its type is
        unknown; a line holds no numbers where there should be some.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "one.inp")
    ...     _ = file.write_text("*NODE, NSET=all\\n1,0,0\\n2,1,0\\n7,0,1\\n*ELEMENT, TYPE=CPE3, ELSET=e\\n1,1,2,7\\n")
    ...     found = read_input(file)
    >>> found.mesh()[1], found.node_sets["ALL"], found.numbers
    (array([[0, 1, 2]]), array([0, 1, 2]), array([1, 2, 7]))
    """
    return _Reader(Path(path)).file()


def expanded(path: str | Path, depth: int = 0) -> str:
    """The text of an input file with the files that it includes in their places.

    Raises
    ------
    InputError
        A file cannot be read, or files include each other.
    """
    path = Path(path)
    lines = read_lines(path)
    if depth > _DEPTH:
        raise InputError(f"{path} is included by itself; remove one of the *INCLUDE")
    out: list[str] = []
    for line in lines:
        card = card_of(line.strip(), []) if line.strip().upper().startswith("*INCLUDE") else None
        name = "" if card is None else card.options.get("INPUT", "").strip("\"'")
        out.append(expanded(path.parent / name, depth + 1) if name else line)
    return "\n".join(out) + "\n"


def placeholders(text: str) -> list[str]:
    """Names in ``${name}``, each once, in order.

    Examples
    --------
    >>> placeholders("*ELASTIC\\n${young}, .3\\n** ${young} ${ load }")
    ['young', 'load']
    """
    return list(dict.fromkeys(_PLACEHOLDER.findall(text)))


def filled(text: str, values: Mapping[str, float], who: str = "the input") -> str:
    """`text` with the number of each ``${name}``; 12 digits, since CalculiX reads 20 characters of a number.

    Raises
    ------
    ConfigError
        A placeholder names nothing in `values`.

    Examples
    --------
    >>> filled("${a}, .3", {"a": 0.1})
    '1.000000000000e-01, .3'
    """
    for name in placeholders(text):
        if name not in values:
            raise ConfigError(f"{who} has the placeholder ${{{name}}}, which is no parameter{nearest(name, values)}")
    return _PLACEHOLDER.sub(lambda found: number_text(values[found[1]]), text)


def number_text(value: float) -> str:
    """A number in at most 19 characters: longer ones are cut by CalculiX, exponent and all.

    Examples
    --------
    >>> number_text(-1.0 / 3.0)
    '-3.333333333333e-01'
    """
    return f"{value:.12e}"


class _Reader:
    """Takes the cards of a file one after another."""

    def __init__(self, path: Path) -> None:
        self.path, self.files = path, [path]
        self._nodes: list[NDArray[np.float64]] = []
        self._elements: dict[str, list[NDArray[np.int64]]] = {}
        self._node_sets: dict[str, list[NDArray[np.int64]]] = {}
        self._element_sets: dict[str, list[NDArray[np.int64]]] = {}
        self._surfaces: dict[str, tuple[str, list[str]]] = {}
        self._names: dict[str, str] = {}

    def file(self) -> InputFile:
        """All that was found, with indices in place of numbers."""
        for card in self._cards(self.path, 0):
            take = getattr(self, "_take_" + card.keyword.lower(), None)
            if take is not None:
                take(card)
        if not self._nodes:
            raise InputError(f"{self.path} has no *NODE; a mesh needs nodes")
        table = np.concatenate(self._nodes)
        numbers, last = np.unique(table[::-1, 0].astype(np.int64), return_index=True)
        nodes = table[::-1][last, 1:]
        if not np.isfinite(nodes).all():
            raise InputError(f"{self.path} has nodes whose coordinates are not finite; check how it was written")
        blocks = tuple(self._block(kind, rows, numbers) for kind, rows in self._elements.items())
        node_sets = {name: self._indices(np.unique(np.concatenate(members)), numbers, f"the set {name}")
                     for name, members in self._node_sets.items()}
        element_sets = {name: np.unique(np.concatenate(members)) for name, members in self._element_sets.items()}
        surfaces = {}
        for name, (kind, lines) in self._surfaces.items():
            if kind == "NODE":
                node_sets[name] = self._node_surface(lines, numbers, node_sets)
            else:
                surfaces[name] = self._surface(name, lines, blocks, element_sets)
        return InputFile(self.path, numbers, np.ascontiguousarray(nodes), blocks, node_sets, element_sets, surfaces,
                         self._names, tuple(self.files))

    def _cards(self, path: Path, depth: int) -> Iterator[Card]:
        rows = [line for line in map(str.strip, read_lines(path)) if line and not line.startswith("**")]
        starts = [i for i, line in enumerate(rows) if line.startswith("*")]
        i = 0
        while i < len(starts):
            first, head = starts[i] + 1, rows[starts[i]]
            while head.endswith(",") and first < len(rows) and "=" in rows[first]:
                head, first = head + rows[first], first + 1
            i += 1
            stop = starts[i] if i < len(starts) else len(rows)
            card = card_of(head, rows[first:stop])
            if card.keyword == "INCLUDE":
                yield from self._included(card, path, depth)
            else:
                yield card

    def _included(self, card: Card, path: Path, depth: int) -> Iterator[Card]:
        name = card.options.get("INPUT", "").strip("\"'")
        if not name or depth >= _DEPTH:
            raise InputError(f"{path} has an *INCLUDE without INPUT = file, or files that include each other; check it")
        self.files.append(path.parent / name)
        yield from self._cards(path.parent / name, depth + 1)

    def _take_node(self, card: Card) -> None:
        table = table_of(card.lines, 4, self.path)
        self._nodes.append(table)
        self._join(self._node_sets, card.options.get("NSET"), table[:, 0].astype(np.int64))

    def _take_element(self, card: Card) -> None:
        kind = card.options.get("TYPE", "").upper()
        if kind not in ELEMENT_TYPES:
            raise InputError(f"{self.path} has elements of the type {shown(kind)}{nearest(kind, ELEMENT_TYPES)}")
        width = ELEMENT_TYPES[kind][0] + 1
        values = numbers_of(card.lines, self.path)
        if values.size % width:
            raise InputError(f"{self.path} has {values.size} numbers below *ELEMENT, TYPE={kind}; the rule is {width} "
                             "for each element: its number and its nodes")
        table = values.astype(np.int64).reshape(-1, width)
        self._elements.setdefault(kind, []).append(table)
        self._join(self._element_sets, card.options.get("ELSET"), table[:, 0])

    def _take_nset(self, card: Card) -> None:
        self._set(card, self._node_sets, "NSET")

    def _take_elset(self, card: Card) -> None:
        self._set(card, self._element_sets, "ELSET")

    def _take_surface(self, card: Card) -> None:
        name = card.options.get("NAME", "")
        self._names.setdefault(name.upper(), name)
        self._surfaces[name.upper()] = (card.options.get("TYPE", "ELEMENT").upper(), card.lines)

    def _set(self, card: Card, sets: dict[str, list[NDArray[np.int64]]], option: str) -> None:
        words = [word.strip() for line in card.lines for word in line.split(",") if word.strip()]
        members: list[NDArray[np.int64]] = []
        if "GENERATE" in card.options:
            for line in card.lines:
                first, last, *step = (int(value) for value in numbers_of([line], self.path))
                members.append(np.arange(first, last + 1, step[0] if step else 1))
        else:
            plain = [int(word) for word in words if word.lstrip("+-").isdigit()]
            members.append(np.array(plain, dtype=np.int64))
            for word in words:
                if not word.lstrip("+-").isdigit():
                    members += self._known(sets, word)
        self._join(sets, card.options.get(option), np.concatenate(members) if members else np.empty(0, np.int64))

    def _known(self, sets: dict[str, list[NDArray[np.int64]]], word: str) -> list[NDArray[np.int64]]:
        if word.upper() not in sets:
            raise InputError(f"{self.path} has a set with the member {shown(word)}{nearest(word.upper(), sets)}")
        return list(sets[word.upper()])

    def _join(self, sets: dict[str, list[NDArray[np.int64]]], name: str | None, members: NDArray[np.int64]) -> None:
        if name:
            self._names.setdefault(name.upper(), name)
            sets.setdefault(name.upper(), []).append(members)

    def _block(self, kind: str, rows: list[NDArray[np.int64]], numbers: NDArray[np.int64]) -> ElementBlock:
        table = np.concatenate(rows)
        return ElementBlock(kind, table[:, 0].copy(), self._indices(table[:, 1:], numbers, f"an element {kind}"))

    def _indices(self, found: NDArray[np.int64], numbers: NDArray[np.int64], who: str) -> NDArray[np.int64]:
        places = np.minimum(np.searchsorted(numbers, found), len(numbers) - 1)
        wrong = numbers[places] != found
        if wrong.any():
            raise InputError(f"{self.path}: {who} names the node {int(found[wrong].flat[0])}, which is not among its "
                             f"{len(numbers)} nodes")
        return np.asarray(places, dtype=np.int64)

    def _node_surface(self, lines: list[str], numbers: NDArray[np.int64], sets: dict[str, NDArray[np.int64]]
                      ) -> NDArray[np.int64]:
        words = [line.split(",")[0].strip() for line in lines]
        found = [sets[word.upper()] if word.upper() in sets else
                 self._indices(numbers_of([word], self.path).astype(np.int64), numbers, "a surface") for word in words]
        return np.unique(np.concatenate([np.empty(0, np.int64), *found]))

    def _surface(self, name: str, lines: list[str], blocks: tuple[ElementBlock, ...],
                 sets: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
        found: list[NDArray[np.int64]] = []
        for line in lines:
            member, *face = (word.strip().upper() for word in line.split(","))
            chosen = sets[member] if member in sets else numbers_of([member], self.path).astype(np.int64)
            found += [face_nodes(block.kind, block.cells[np.isin(block.numbers, chosen)], face[0] if face else "")
                      for block in blocks]
        found = [rows for rows in found if rows.size]
        if len({rows.shape[1] for rows in found}) > 1:
            raise InputError(f"{self.path}: the surface {name} is on elements of several types; the rule is one")
        return np.concatenate(found) if found else np.empty((0, 3), np.int64)
