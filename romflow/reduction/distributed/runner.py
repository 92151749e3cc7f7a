"""The driver's side of kernels on parts: it asks all parts, adds up what they answer, and never sees their arrays."""

from __future__ import annotations

import functools
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from romflow.core.errors import NotSupported
from romflow.reduction.distributed.part import FOLDER, OPERATORS, remove

#: Blocks (name, columns) of arrays on parts that stand for one matrix.
Blocks = tuple[tuple[str, int], ...]


class Workers(Protocol):
    """What a reduction needs of an executor, see `romflow.tasks.records.Executor`."""

    def parts(self, kernel: str, request: dict[str, Any], store_folder: str | Path, shared: dict[str, Any],
              parts: Sequence[int]) -> list[dict[str, np.ndarray]]: ...

    def mpi(self, request: dict[str, Any], store_folder: str | Path, job: dict[str, Any]) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Layout:
    """Where the unknowns are, and how many terms there are.

    Attributes
    ----------
    starts : (P,) int
        Global number of the first unknown that each part owns.
    owned : (P,) int
    closures : (P,) int
        Rows of the arrays of each part.
    terms : tuple of int
        Q, Qf, Ql and o.
    """

    starts: np.ndarray
    owned: np.ndarray
    closures: np.ndarray
    terms: tuple[int, int, int, int]

    @property
    def n(self) -> int:
        """All unknowns."""
        return int(self.owned.sum())


class PartRunner:
    """Kernels on all parts of one model and its store, through the executor of a run.

    Parameters
    ----------
    workers : Workers
    request : dict
        Of the model.
    store_folder : path
    parts : int
        Number of parts.

    Attributes
    ----------
    seconds : float
        Processor seconds of all ranks that representatives took.
    """

    def __init__(self, workers: Workers, request: dict[str, Any], store_folder: str | Path, parts: int) -> None:
        self.workers, self.request, self.store_folder, self.parts = workers, request, Path(store_folder), parts
        self._prefix, self._count = secrets.token_hex(4), 0
        self.seconds = 0.0

    @classmethod
    def prepared(cls, workers: Workers, request: dict[str, Any], store_folder: str | Path) -> PartRunner:
        """A runner on a store whose mesh a worker has decomposed; what an earlier run worked with is removed."""
        found = workers.parts("decompose", request, store_folder, {}, [0])
        runner = cls(workers, request, store_folder, int(found[0]["parts"]))
        runner.clear()
        return runner

    def clear(self) -> None:
        """Remove all that reductions of this store have worked with, but for the operators of the parts."""
        folder = self.store_folder / FOLDER
        for old in folder.iterdir() if folder.is_dir() else ():
            if old.name != OPERATORS:
                shutil.rmtree(old, ignore_errors=True)

    def each(self, kernel: str, **shared: Any) -> list[dict[str, np.ndarray]]:
        """What the kernel answers on each part, in their order; arrays among the arguments travel as lists."""
        return self.workers.parts(kernel, self.request, self.store_folder, _json(shared), range(self.parts))

    def total(self, kernel: str, **shared: Any) -> dict[str, np.ndarray]:
        """The sums over the parts, in their order; under "largest" the values (P, ...) of all of them."""
        answers = self.each(kernel, **shared)
        return {name: np.stack([answer[name] for answer in answers]) if name == "largest"
                else functools.reduce(np.add, [answer[name] for answer in answers]) for name in answers[0]}

    @functools.cached_property
    def layout(self) -> Layout:
        """Where the unknowns are."""
        answers = self.each("layout")
        rows = np.array([answer["rows"] for answer in answers])
        Q, Qf, Ql, o = (int(number) for number in answers[0]["terms"])
        return Layout(rows[:, 0], rows[:, 1], rows[:, 2], (Q, Qf, Ql, o))

    def fresh(self, word: str) -> str:
        """A name for new arrays, which no other run of this study has."""
        self._count += 1
        return f"{self._prefix}/{word}-{self._count:04d}"

    def combine(self, terms: Sequence[tuple[Blocks, np.ndarray]], against: Blocks = (), word: str = "work") -> Combined:
        """W = sum of B_i M_i under a fresh name, with W^T X W and U^T X W for the blocks `against`."""
        name, width = self.fresh(word), terms[0][1].shape[1]
        found = self.total("combine", out=name, terms=terms, against=against, width=width)
        return Combined(((name, width),), found["gram"], found["cross"], found["largest"])

    def joined(self, blocks: Blocks, most: int = 4, keep: bool = False) -> Blocks:
        """The same columns in one block, where they are in more than so many; each pass opens every block's file."""
        if len(blocks) <= most:
            return blocks
        one = self.combine([(blocks, np.eye(width(blocks)))], word="joined").blocks
        if not keep:
            self.remove(blocks)
        return one

    def riesz(self, columns: str, out: str, tolerance: float) -> dict[str, Any]:
        """Solve X Z = C to a relative residual by an MPI job: columns (n_c, j) of one name, Z under the other.

        Returns
        -------
        dict
            The job's report; "eps" (j numbers) bounds ||c_j - X z_j||_{X'}.
        """
        job = {"mode": "riesz", "columns": str(self.folder(columns).absolute()),
               "out": str(self.folder(out).absolute()), "array": "values", "tolerance": tolerance}
        report = dict(self.workers.mpi(self.request, self.store_folder, job)["report"])
        self.seconds += float(report.get("seconds", 0.0))
        return report

    def remove(self, *blocks: Blocks) -> None:
        """Remove arrays that nobody needs any more."""
        remove(self.store_folder, [name for block in blocks for name, _ in block], self.parts)

    def folder(self, name: str) -> Path:
        """Folder of the arrays of a name."""
        return self.store_folder / FOLDER / name


@dataclass(frozen=True)
class Combined:
    """New arrays W (one block), W^T X W, U^T X W, and their largest entries (P, j) with signs."""

    blocks: Blocks
    gram: np.ndarray
    cross: np.ndarray
    largest: np.ndarray


def width(blocks: Blocks) -> int:
    """Columns of all blocks."""
    return sum(columns for _, columns in blocks)


def is_split(fom: Any) -> bool:
    """Whether a model's operators exist part by part alone."""
    return hasattr(fom, "part_operators")


def runner_of(owner: Any) -> PartRunner:
    """The runner that a run gave to a reductor.

    Raises
    ------
    NotSupported
        There is none: a split model is reduced within a run alone.
    """
    runner = getattr(owner, "runner", None)
    if runner is None:
        raise NotSupported("a model on MPI ranks is reduced by tasks on its parts, which need the workers of a run; "
                           "use romflow run, or leave out [cluster] ranks")
    return runner  # type: ignore[no-any-return]


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_json(entry) for entry in value]
    return value
