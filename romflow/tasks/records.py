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
    from romflow.tasks.parts import PartResult

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

    def parts(
        self,
        kernel: str,
        request: dict[str, Any],
        store_folder: str | Path,
        shared: dict[str, Any],
        parts: Sequence[int],
    ) -> list[PartResult]:
        """What a kernel finds on each part of a distributed model: a task a part, small answers, nothing gathered.

        Parameters
        ----------
        kernel : str
            Name in `romflow.reduction.distributed.kernels.KERNELS`; it is called as
            ``kernel(fom, store_folder, part, **shared)`` and gives a dict of small arrays.
        request, store_folder
            As for :meth:`solve`.
        shared : dict
            JSON: the further arguments, the same for all parts.
        parts : sequence of int
            Part numbers.

        Returns
        -------
        list of dict of arrays
            In the order of `parts`, whoever worked.

        Raises
        ------
        RomflowError
            No kernel has this name, a kernel raises, or the workers cannot be kept running.
        """
        ...

    def mpi(self, request: dict[str, Any], store_folder: str | Path, job: dict[str, Any]) -> dict[str, Any]:
        """The last line of an MPI job of ``request["ranks"]`` ranks (`romflow.fom.distributed.job`).

        Parameters
        ----------
        request, store_folder
            As for :meth:`solve`; they go to the job as "request" and "store", with "ranks" and "threads".
        job : dict
            JSON: what else the job is told ("mode", "columns", "mu" ...).

        Raises
        ------
        SolveFailed
            A rank died or the time limit passed; the report says which ("rank", "exit_code", "stderr", "limit").
        RomflowError
            The job's own error, an MPI that cannot be started, or workers that cannot be kept running.
        """
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
