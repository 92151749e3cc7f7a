"""Fields at nodes for all times of a CalculiX result file (.frd), from its text and its binary form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, shown

__all__ = ["FIELDS", "ResultField", "ResultFile", "read_results"]

#: Name of a field in this package -> name of its block in the file.
FIELDS = {"displacement": "DISP", "temperature": "NDTEMP", "stress": "STRESS", "strain": "TOSTRAIN",
          "accumulated_plastic_strain": "PE", "reaction": "FORC"}
_PER_LINE, _WIDTH = 6, 12


@dataclass(frozen=True)
class ResultField:
    """Where a field of one time stands in the file: name, time, step, increment, components, bytes."""

    name: str
    time: float
    step: int
    increment: int
    components: tuple[str, ...]
    start: int
    count: int
    form: int


class ResultFile:
    """The nodes and the fields of a result file; numbers are read when they are asked for.

    Displacements of the text form have 6 digits, of the binary form (*NODE OUTPUT in place of *NODE FILE) 24 bits:
    strains from the first are off by 1e-6 of the displacement over the size of an element.

    Attributes
    ----------
    path : Path
    numbers : (N,)
        Node numbers in the file.
    nodes : (N, 3)
    fields : tuple of ResultField
        In the order of the file.
    """

    def __init__(self, path: Path, data: bytes, numbers: NDArray[np.int64], nodes: NDArray[np.float64],
                 fields: tuple[ResultField, ...]) -> None:
        self.path, self._data = path, data
        self.numbers, self.nodes, self.fields = numbers, nodes, fields

    @property
    def times(self) -> NDArray[np.float64]:
        """Times (K,) with a displacement, rising."""
        return np.array([field.time for field in self._all("displacement")])

    def names(self) -> list[str]:
        """Names of the fields, as in :data:`FIELDS` where they are known there."""
        ours = {block: name for name, block in FIELDS.items()}
        return list(dict.fromkeys(ours.get(field.name, field.name) for field in self.fields))

    def field(self, name: str, numbers: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Values (K, N, c) of a field at all its times; for the nodes with these numbers, in their order, if given.

        Stress and strain have six components in the order xx yy zz xy yz xz.

        Raises
        ------
        InputError
            There is no such field, or a node has no value.
        """
        wanted = self.numbers if numbers is None else np.asarray(numbers, dtype=np.int64)
        return np.stack([self._values(field, wanted) for field in self._known(name)])

    def at(self, name: str, k: int, numbers: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Values (N, c) of a field at its time of index k; otherwise as for `field`."""
        wanted = self.numbers if numbers is None else np.asarray(numbers, dtype=np.int64)
        return self._values(self._known(name)[k], wanted)

    def near(self, name: str, time: float) -> NDArray[np.float64] | None:
        """Values (N, c) of a field at a time, or None where it was not written then."""
        found = [field for field in self._known(name) if field.time == time]
        return self._values(found[0], self.numbers) if found else None

    def _known(self, name: str) -> list[ResultField]:
        chosen = self._all(name)
        if not chosen:
            raise InputError(f"{self.path} has no field {shown(name)}{nearest(name, self.names())}")
        return chosen

    def _all(self, name: str) -> list[ResultField]:
        """Fields of this name, the last where one time has several."""
        block = FIELDS.get(name, name)
        latest = {(field.step, field.increment, field.time): field for field in self.fields if field.name == block}
        return sorted(latest.values(), key=lambda field: (field.time, field.step, field.increment))

    def _values(self, field: ResultField, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
        numbers, values = _rows(self._data, field.start, field.count, len(field.components), field.form, "<f4",
                                self.path)
        if np.array_equal(numbers, wanted):
            return values
        order = np.argsort(numbers, kind="stable")
        places = np.minimum(np.searchsorted(numbers[order], wanted), len(numbers) - 1)
        if (numbers[order][places] != wanted).any():
            missing = int(wanted[numbers[order][places] != wanted][0])
            raise InputError(f"{self.path} has no {field.name} at node {missing} for the time {field.time:g}; its mesh "
                             "is another one, or the field was asked for on a part only")
        return values[order][places]


def read_results(path: str | Path) -> ResultFile:
    """The nodes and the table of contents of a result file.

    Raises
    ------
    InputError
        The file cannot be read, is none of CalculiX's, or ends within a block.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the results {path} cannot be read ({error.strerror}); check the path") from error
    if not data.startswith(b"    1C"):
        raise InputError(f"the file {path} is no result file of CalculiX (.frd): it begins {shown(data[:20].hex())}")
    return _Scan(path, data).file()


class _Scan:
    """Goes through the headers of a file and jumps over the numbers."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.place = path, data, 0
        self.numbers, self.nodes = np.empty(0, np.int64), np.empty((0, 3))
        self.fields: list[ResultField] = []
        self.step = (0, 0)

    def file(self) -> ResultFile:
        """The whole; a field that the file ends within is left out, for the program was stopped there."""
        while (line := self._line()) is not None:
            key = line[:6].strip()
            if key == b"9999":
                break
            if key == b"2C":
                self._take_nodes(line)
            elif key == b"3C":
                self._skip_elements(line)
            elif line[4:10] == b"1PSTEP":
                words = line[10:].split()
                self.step = (int(words[2]), int(words[1])) if len(words) >= 3 else (0, 0)
            elif line[:6] == b"  100C" and not self._take_field(line):
                break
        if not len(self.numbers):
            raise InputError(f"the results {self.path} hold no nodes; the run ended before it wrote them")
        return ResultFile(self.path, self.data, self.numbers, self.nodes, tuple(self.fields))

    def _line(self) -> bytes | None:
        """The next line; None where there is no whole one."""
        end = self.data.find(b"\n", self.place)
        if end < 0:
            return None
        line, self.place = self.data[self.place:end], end + 1
        return line

    def _take_nodes(self, line: bytes) -> None:
        count, form = int(line[24:36]), int(line[73:75])
        self.numbers, self.nodes = _rows(self.data, self.place, count, 3, form, "<f8", self.path)
        self.place += _length(self.data, self.place, count, 3, form, 8)

    def _skip_elements(self, line: bytes) -> None:
        if int(line[73:75]) < 2:
            end = self.data.find(b"\n -3", self.place)
            self.place = len(self.data) if end < 0 else end + 1
            return
        step = self.data.find(b"    1PSTEP", self.place)
        self.place = len(self.data) if step < 0 else step

    def _take_field(self, line: bytes) -> bool:
        """Note one field; False where the file ends within it."""
        time, count, form = float(line[12:24]), int(line[24:36]), int(line[73:75])
        name, components = "", []
        while self.data[self.place:self.place + 3] in (b" -4", b" -5"):
            head = self._line()
            if head is None:
                return False
            if head.startswith(b" -4"):
                name = head[5:13].strip().decode("ascii", "replace")
            elif head[33:38].strip() != b"1":
                components.append(head[5:13].strip().decode("ascii", "replace"))
        length = _length(self.data, self.place, count, len(components), form, 4)
        if not name or self.place + length > len(self.data):
            return False
        self.fields.append(ResultField(name, time, *self.step, tuple(components), self.place, count, form))
        self.place += length
        return True


def _length(data: bytes, place: int, count: int, components: int, form: int, size: int) -> int:
    """Bytes of a block of numbers; in the text form all rows are equally long."""
    if form >= 2:
        return count * (4 + size * components)
    end = place
    for _ in range(-(-components // _PER_LINE)):
        found = data.find(b"\n", end)
        if found < 0:
            return len(data)
        end = found + 1
    return count * (end - place)


def _rows(data: bytes, place: int, count: int, components: int, form: int, number: str, path: Path
          ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Node numbers (N,) and values (N, c) of a block."""
    size = np.dtype(number).itemsize
    length = _length(data, place, count, components, form, size)
    if place + length > len(data):
        raise InputError(f"the results {path} end within a block; the run was stopped while it wrote")
    if form >= 2:
        table = np.frombuffer(data, np.dtype([("n", "<i4"), ("v", number, (components,))]), count, place)
        return table["n"].astype(np.int64), table["v"].astype(np.float64)
    text = np.frombuffer(data, "S1", length, place).reshape(count, length // count)
    try:
        return _text_rows(text, components, 10 if form == 1 else 5)
    except ValueError:
        raise InputError(f"the results {path} hold a line that is not as its format says near byte {place}; write "
                         "them anew") from None


def _text_rows(text: NDArray[np.bytes_], components: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows " -1", node number, up to six numbers of 12 characters, and " -2" lines with the same indent."""
    columns, start = [], 0
    for first in range(0, components, _PER_LINE):
        many = min(_PER_LINE, components - first)
        begin = start + 3 + width
        block = np.ascontiguousarray(text[:, begin:begin + many * _WIDTH]).view(f"S{_WIDTH}")
        columns.append(block.astype(np.float64))
        start = begin + many * _WIDTH + 1
    numbers = np.ascontiguousarray(text[:, 3:3 + width]).view(f"S{width}")[:, 0].astype(np.int64)
    return numbers, np.concatenate(columns, axis=1)
