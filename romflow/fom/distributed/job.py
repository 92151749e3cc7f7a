"""The MPI job of a split model: ``python -m mpi4py -m romflow.fom.distributed.job job.json`` on so many ranks.

job.json holds "mode", "request" (with "ranks"), "store", "ranks", and for

solve
    "columns" (names), "mu" (k lists of p numbers). Rank 0 prints {"begin": i} before a solve and after it {"index": i,
    "key", "status": "solved", "stored" or "failed", "seconds" (processor seconds of all ranks), "message", "report"}.
riesz
    "columns" and "out" (folders of part files), "array" (name in them), "tolerance".

A model whose histories march on ranks has modes of its own: `romflow.fom.mechanics.ranks.job`.

The last line is {"end": true}, with "report" for riesz. Lines are JSON and flushed. What is no failed solve ends the
job with an exception on all ranks.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import InputError, RomflowError, StoreError
from romflow.core.files import plain, read_json
from romflow.core.names import nearest
from romflow.dd.communicator import agreed, check_size, gathered, world
from romflow.fom.build import distributed_model, marches_on_ranks
from romflow.fom.distributed.folder import PartPiece
from romflow.fom.distributed.rank import RankModel
from romflow.fom.distributed.telling import failed, opened, say, total
from romflow.store.part_arrays import read_part_arrays, write_part_arrays
from romflow.store.snapshots import SnapshotStore


def main(file: str) -> None:
    """Do what the job's file says, on all ranks."""
    comm = world()
    with agreed(comm, "reading the job"):
        job = read_json(file)
        check_size(comm, int(job["ranks"]))
    run(comm, job)


def run(comm: Any, job: Mapping[str, Any]) -> None:
    """Do a job on the ranks of a communicator; rank 0 prints its lines."""
    with agreed(comm, "looking at the model"):
        marches = marches_on_ranks(job["request"])
    if marches:
        from romflow.fom.mechanics.ranks.job import run_history

        run_history(comm, job)
        return
    with agreed(comm, "making the model"):
        mode = _MODES.get(job.get("mode"))
        if mode is None:
            raise InputError(f"no mode of the job is called {job.get('mode')!r}{nearest(str(job.get('mode')), _MODES)}")
        model = distributed_model(job["request"])
    # One rank writes what all need, where no driver has done it.
    with agreed(comm, "decomposing the mesh"):
        if comm.rank == 0:
            model.decompose(job["store"])
    with agreed(comm, "reading the decomposition"):
        index = model.index(job["store"])
    rank = RankModel.from_folder(comm, model.problem, model.options, index, job["store"])
    report = mode(rank, job)
    say(comm, {"end": True, **({} if report is None else {"report": report})})


def _solve(rank: RankModel, job: Mapping[str, Any]) -> None:
    with agreed(rank.comm, "opening the store"):
        store, rows = opened(job)
    for index, row in enumerate(rows):
        say(rank.comm, {"begin": index})
        say(rank.comm, {"index": index, **_record(rank, store, row)})


def _record(rank: RankModel, store: SnapshotStore, row: np.ndarray) -> dict[str, Any]:
    """Solve and store one parameter; what rank 0 says of it."""
    comm, start = rank.comm, time.process_time()
    known = {"key": store.key(row), "message": "", "report": {}}
    if bool(gathered(comm, np.array([store.has(row)]))[0][0]):
        return {**known, "status": "stored", "seconds": 0.0}
    try:
        local, outputs, facts = rank.solve(row)
        seconds = total(comm, time.process_time() - start)
        info = {**facts, "seconds": seconds, "decomposition": rank.index.fingerprint, "ranks": comm.size}
        put(rank, store, row, local, outputs, info)
    except StoreError:
        raise
    except RomflowError as error:
        return {**known, **failed(error), "seconds": total(comm, time.process_time() - start)}
    return {**known, "status": "solved", "seconds": seconds, "report": plain(facts["solver"])}


def put(rank: RankModel, store: SnapshotStore, row: np.ndarray, local: np.ndarray, outputs: np.ndarray,
        info: Mapping[str, Any]) -> None:
    """Store the state of all ranks, or nothing of it.

    Raises
    ------
    StoreError
        On all ranks: the disk of one is full or refuses.
    """
    comm = rank.comm
    token = _shared(comm, secrets.token_hex(4))[0]
    receipt: dict[str, Any] = {}
    try:
        with agreed(comm, "writing its parts"):
            receipt = store.put_part(row, comm.rank, rank.closures(local), token)
        receipts = [json.loads(text) for text in _shared(comm, json.dumps(receipt))]
        with agreed(comm, "completing a snapshot"):
            if comm.rank == 0:
                store.put_split(row, receipts, rank.layout.starts, outputs, info)
    except RomflowError:
        # Every rank removes what is left of this solve: all of them have written what they could.
        store.drop_parts(row, token)
        raise


def _riesz(rank: RankModel, job: Mapping[str, Any]) -> dict[str, Any]:
    name, start = str(job.get("array", "values")), time.process_time()

    def columns(piece: PartPiece) -> np.ndarray:
        values = read_part_arrays(job["columns"], piece.data.number, [name])[0][name]
        if values.ndim != 2 or values.shape[0] != piece.data.closure or not np.isfinite(values).all():
            raise InputError(f"the functionals on part {piece.data.number} have shape {values.shape} or are not "
                             f"finite; the rule is ({piece.data.closure}, j)")
        return values

    Z, report = rank.riesz(columns, float(job["tolerance"]))
    with agreed(rank.comm, "writing representatives"):
        for number, values in rank.closures(Z).items():
            write_part_arrays(job["out"], number, {name: values})
    return {**plain(report), "seconds": total(rank.comm, time.process_time() - start)}


_MODES = {"solve": _solve, "riesz": _riesz}


def _shared(comm: Any, text: str) -> list[str]:
    """The texts of all ranks."""
    return [piece.tobytes().decode() for piece in gathered(comm, np.frombuffer(text.encode(), dtype=np.uint8))]


if __name__ == "__main__":
    main(str(Path(sys.argv[1])))
