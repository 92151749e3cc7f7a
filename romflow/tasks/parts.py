"""The task of a reduction by parts: one kernel of a fixed list on the files of one part; no Dask here."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError, RomflowError
from romflow.core.fingerprint import canonical_json
from romflow.core.names import nearest, one_line
from romflow.fom.build import build_model
from romflow.tasks.solving import one_at_a_time, pinned_threads

__all__ = ["PartResult", "checked_parts", "part_call", "part_task", "rank_job"]

PartResult = dict[str, NDArray[Any]]

# How the names of kernels on subdomains of mechanics, and of those of dictionaries begin.
_MECHANICS, _DICTIONARY = "mechanics-", "dictionary-"


def part_call(
    kernel: str, request: Mapping[str, Any], store_folder: str | Path, shared: Mapping[str, Any], part: int
) -> str:
    """JSON text of the task of one part.

    Raises
    ------
    ConfigError
        `shared` holds what is not JSON.
    """
    return canonical_json({"kernel": kernel, "request": dict(request), "shared": dict(shared), "part": int(part),
                           "store_folder": str(Path(store_folder).absolute())}).decode()


def part_task(call: str, threads: int | None = None) -> PartResult:
    """What a kernel finds on one part, as small arrays by name; one task at a time in a process.

    Parameters
    ----------
    call : str
        From :func:`part_call`.
    threads : int, optional
        Limit of BLAS threads; None where the environment sets it.

    Raises
    ------
    InputError
        No kernel has this name.
    RomflowError
        The kernel raised: its own error, or one that names kernel and part.
    """
    with one_at_a_time, contextlib.nullcontext() if threads is None else pinned_threads(threads):
        told = json.loads(call)
        fom = build_model(told["request"])
        kernel = _kernel(told["kernel"])
        try:
            found = kernel(fom, told["store_folder"], told["part"], **told["shared"])
            return {name: np.asarray(values) for name, values in found.items()}
        except RomflowError:
            raise
        except Exception as error:
            reason = one_line("".join(traceback.format_exception_only(error)))
            raise RomflowError(f"{told['kernel']} fails on part {told['part']}: {reason}") from error


def checked_parts(parts: Sequence[int]) -> list[int]:
    """Part numbers, from 0, none twice.

    Examples
    --------
    >>> checked_parts(range(3))
    [0, 1, 2]
    """
    numbers = [int(part) for part in parts]
    if len(set(numbers)) < len(numbers) or min(numbers, default=0) < 0:
        raise InputError(f"parts = {numbers}; parts count from 0, each once.")
    return numbers


def rank_job(kernel: str, request: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any] | None:
    """The MPI job that a kernel wants done before its task, where the request has ranks; else None."""
    if request.get("ranks") is None or not kernel.startswith(_MECHANICS):
        return None
    from romflow.reduction.mechanics.rank_step import RANK_JOBS

    return RANK_JOBS[kernel](shared) if kernel in RANK_JOBS else None


def _kernel(name: str) -> Any:
    from romflow.reduction.distributed.kernels import KERNELS

    if name.startswith(_MECHANICS):
        from romflow.reduction.mechanics.task_table import TASKS as KERNELS
    if name.startswith(_DICTIONARY):
        from romflow.reduction.dictionary.task_table import TASKS as KERNELS
    if name not in KERNELS:
        raise InputError(f"no kernel of parts is called {name!r}{nearest(name, list(KERNELS))}")
    return KERNELS[name]
