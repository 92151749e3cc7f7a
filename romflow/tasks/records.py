"""What an executor answers, and what it must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from romflow.linalg.compression.result import Pod

__all__ = ["Executor", "OnDone", "SolveRecord"]


@dataclass(frozen=True)
class SolveRecord:
    """What became of one parameter.

    Attributes
    ----------
    index : int
        Row of the parameter among those that were asked for.
    key : str
        Key of its snapshot.
    status : str
        "solved", "stored" (it was there already) or "failed".
    seconds : float
        Processor seconds of the solve, all attempts together; of an earlier run if "stored".
    message : str
        One sentence if it failed, else "".
    report : dict
        JSON-able facts about the failure.
    worker : str
        "host:process number" of the process that solved.
    """

    index: int
    key: str
    status: str
    seconds: float
    message: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    worker: str = ""


OnDone = Callable[[SolveRecord], None]


class Executor(Protocol):
    """Solves a model at many parameters, storing each snapshot as soon as it is there.

    It is a context manager and serves any number of :meth:`solve` calls between entering and leaving.

    Attributes
    ----------
    remote : bool
        The solves take the processor time of other processes.
    """

    remote: bool

    def solve(
        self,
        request: dict[str, Any],
        store_folder: str | Path,
        columns: Sequence[str],
        mu: ArrayLike,
        on_done: OnDone | None = None,
    ) -> list[SolveRecord]:
        """Solve and store every row of `mu` that is not stored; a failed solve is a record, not an error.

        Parameters
        ----------
        request : dict
            What :func:`romflow.fom.build.build_model` needs to build the model.
        store_folder : path
            Folder of an existing :class:`romflow.store.snapshots.SnapshotStore` of that model.
        columns : sequence of str
            Names of the p parameter columns.
        mu : (k, p) array
            Parameters. A row that occurs twice is solved once.
        on_done : callable, optional
            Called in this thread with each record as soon as it is known, in any order.

        Returns
        -------
        list of SolveRecord
            In the order of the rows.

        Raises
        ------
        StoreError
            The disk is full or refuses; what was stored before stays.
        RomflowError
            The model cannot be built, or the workers cannot be kept running.
        """
        ...

    def compress(
        self,
        request: dict[str, Any],
        store_folder: str | Path,
        columns: Sequence[str],
        mu: ArrayLike,
        tolerance: float,
        **options: Any,
    ) -> Pod:
        """The POD of stored snapshots by a tree of tasks (HAPOD), in the inner product of the model.

        The same for any number of workers, to rounding.

        Parameters
        ----------
        request, store_folder, columns, mu
            As for :meth:`solve`; all rows of mu (k, p) are stored.
        tolerance : float
            Relative projection error.
        **options
            max_size, leaf_size, fan and omega of :class:`romflow.tasks.compressing.Compression`.

        Raises
        ------
        StoreError
            A snapshot is not stored.
        RomflowError
            The workers cannot be kept running.
        """
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
