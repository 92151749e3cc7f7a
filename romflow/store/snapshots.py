"""The store of snapshots: one file each, found by the model's identity and the bits of the parameter."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, ShapeError, StoreError
from romflow.core.fingerprint import fingerprint, snapshot_key
from romflow.core.names import one_line
from romflow.core.snapshot import Snapshot
from romflow.store.failures import FailureRecords
from romflow.store.identity import difference, read_identity, write_identity
from romflow.store.snapshot_file import Header
from romflow.store.snapshot_files import SnapshotFiles, is_key, make_folder
from romflow.store.split_snapshots import SplitSnapshots
from romflow.store.trajectory_snapshots import TrajectorySnapshots

__all__ = ["SnapshotStore"]


class SnapshotStore(SplitSnapshots, TrajectorySnapshots):
    """Snapshots of one model in a folder; what was put is got back bit by bit, or is not there.

    A snapshot is one sealed HDF5 file ``snapshots/<first 2 digits>/<key>.h5``, written aside and renamed: a killed
    writer leaves none, and any number of processes write at once. The seal (a SHA-256 of all its bytes) of each file is
    checked once a process, before anything of it is used; a file that fails, or that belongs to another model or
    parameter, is moved to ``damaged/`` beside a note of the reason, and counts as not stored.

    Parameters
    ----------
    folder : path
        Folder of the store.
    spec : dict
        JSON identity of the model.
    columns : sequence of str
        Names of the p parameter columns.
    create : bool
        Make the store if it does not exist; else its absence is an error.

    Attributes
    ----------
    folder : Path
    spec : dict
    columns : tuple of str
    fingerprint : str
        SHA-256 of `spec`.
    stand_in : SnapshotStore or None
        A store of what snapshots were replaced by; a parameter that it holds is not missing here.

    Raises
    ------
    StoreError
        The folder holds snapshots of another model or cannot be written, or there is none and `create` is False.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SnapshotStore(folder, {"kind": "line"}, ["a"])
    ...     key = store.put([0.5], Snapshot([1.0, 2.0]))
    ...     store.missing([[0.5], [0.6]]), store.matrix([[0.5]])
    (array([1]), array([[1.],
           [2.]]))
    """

    def __init__(self, folder: str | Path, spec: dict[str, Any], columns: Sequence[str], create: bool = True) -> None:
        self.folder = Path(folder)
        self.spec = spec
        self.columns = tuple(columns)
        self.fingerprint = fingerprint(spec)
        self._files = SnapshotFiles(self.folder, self.fingerprint)
        self._failures = FailureRecords(self.folder / "failures")
        self.stand_in: SnapshotStore | None = None
        self._open(create)

    @classmethod
    def open(cls, folder: str | Path) -> SnapshotStore:
        """The store in a folder, whichever model it belongs to.

        Raises
        ------
        StoreError
            There is none, or its description is damaged.
        """
        spec, columns = read_identity(Path(folder) / "store.json")
        return cls(folder, spec, columns, create=False)

    def _open(self, create: bool) -> None:
        file = self.folder / "store.json"
        if not file.exists():
            if not create:
                raise StoreError(f"{self.folder} holds no snapshots: it has no file store.json; run the study first.")
            make_folder(self.folder / "snapshots")
            write_identity(file, self.spec, self.columns)
        spec, columns = read_identity(file)
        there = {"columns": columns} if tuple(columns) != self.columns else spec
        here = {"columns": list(self.columns)} if tuple(columns) != self.columns else self.spec
        if fingerprint(there) != fingerprint(here):
            raise StoreError(
                f"{self.folder} holds snapshots of another model or study ({difference(there, here)}); "
                "choose another --out folder."
            )
        if create:
            self._files.remove_stale()

    @property
    def damaged(self) -> list[tuple[Path, str]]:
        """Files that this process moved to ``damaged/``: where they are now, and why."""
        return self._files.damaged + ([] if self.stand_in is None else self.stand_in.damaged)

    # --- keys ------------------------------------------------------------------------------------------------------

    def key(self, mu: ArrayLike) -> str:
        """Key (64 hexadecimal digits) of a parameter (p,).

        Raises
        ------
        ShapeError, ParameterError
            `mu` has another length than the columns, or is not finite.
        """
        return snapshot_key(self.fingerprint, self._row(mu))

    def keys(self) -> list[str]:
        """Keys of all snapshot files, sorted; their content is not looked at."""
        return self._files.keys()

    def __len__(self) -> int:
        return len(self.keys())

    def _row(self, mu: ArrayLike) -> NDArray[np.float64]:
        row = np.asarray(mu, dtype=np.float64)
        if row.shape != (len(self.columns),):
            raise ShapeError(f"mu has shape {row.shape}; this store needs one row ({len(self.columns)},).")
        return row

    def _rows(self, mu: ArrayLike) -> list[str]:
        """Keys of the parameters (k, p)."""
        rows = np.asarray(mu, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise ShapeError(f"mu has shape {rows.shape}; this store needs rows (k, {len(self.columns)}).")
        return [snapshot_key(self.fingerprint, row) for row in rows]

    def _key_of(self, which: str | ArrayLike) -> str:
        if not isinstance(which, str):
            return self.key(which)
        if not is_key(which):
            raise InputError(one_line(f"{which!r} is no key of a snapshot; a key has 64 hexadecimal digits.", 200))
        return which

    def path(self, key: str) -> Path:
        """File of a key, which may not exist."""
        return self._files.path(key)

    # --- write -----------------------------------------------------------------------------------------------------

    def put(self, mu: ArrayLike, snapshot: Snapshot) -> str:
        """Store a snapshot, replacing one of the same parameter.

        Parameters
        ----------
        mu : (p,) array
            Parameter.
        snapshot : Snapshot
            State (n,) and outputs (o,) of finite numbers; `info` of JSON values.

        Returns
        -------
        str
            Its key.

        Raises
        ------
        InputError
            A shape is wrong or a number is not finite.
        StoreError
            The disk is full or refuses; the store is as it was before.
        """
        row = self._row(mu)
        key = snapshot_key(self.fingerprint, row)
        _check_finite(snapshot)
        self._files.write(key, row + 0.0, snapshot)
        return key

    def record_failure(self, mu: ArrayLike, report: Mapping[str, Any]) -> None:
        """Keep the report of a failed solve: "message", "attempts", "exit_code", "stderr" and what else it holds."""
        self._failures.write(self.key(mu), self._row(mu), report)

    def failures(self) -> list[dict[str, Any]]:
        """Reports of the solves that failed and are not stored since, the oldest first, each with "mu" and "when"."""
        return [report for report in self._failures.read() if not self.has(report["key"]) and not (
            self.stand_in is not None and self.stand_in.has(report["mu"]))]

    def failure(self, mu: ArrayLike) -> dict[str, Any] | None:
        """The report of the last failed solve of a parameter (p,), or None."""
        return self._failures.read_one(self.key(mu))

    def clear_failure(self, mu: ArrayLike) -> None:
        """Forget the failure of a parameter (p,), if there is one."""
        self._failures.clear(self.key(mu))

    def discard(self, mu: ArrayLike) -> None:
        """Remove the snapshot of a parameter (p,) whose stand-in is stored and holds.

        Raises
        ------
        StoreError
            There is no stand-in for it, or the system refuses to remove the file.
        """
        row = self._row(mu)
        if self.stand_in is None or len(self.stand_in.missing(row[None])):
            raise StoreError(f"{self.path(self.key(row))} is kept: nothing that stands for it is stored.")
        self._files.remove(self.key(row))

    def set_aside(self, mu: ArrayLike, reason: str) -> None:
        """Move the snapshot of a parameter (p,) with all its files to ``damaged/``, beside a note of the reason."""
        self._files.set_aside(self.key(mu), reason)

    # --- check -----------------------------------------------------------------------------------------------------

    def has(self, which: str | ArrayLike) -> bool:
        """Whether the file of a key or parameter (p,) exists; its content is not looked at."""
        return self._files.exists(self._key_of(which))

    def missing(self, mu: ArrayLike, check: bool = True) -> NDArray[np.intp]:
        """Indices of the parameters (k, p) that are not stored, after setting damaged and foreign files aside.

        Parameters
        ----------
        mu : (k, p) array
            Parameters.
        check : bool
            Check each file's seal and identity, once a process, through a buffer of 1 MiB; else only that it exists.

        Raises
        ------
        StoreError
            The system refuses to read a file, or to move a damaged one.
        """
        found = [(self._files.checked(key) is not None) if check else self.has(key) for key in self._rows(mu)]
        absent = np.flatnonzero(~np.array(found, dtype=bool))
        if self.stand_in is None or not len(absent):
            return absent
        return absent[self.stand_in.missing(np.asarray(mu, dtype=np.float64)[absent], check)]

    # --- read ------------------------------------------------------------------------------------------------------

    def get(self, which: str | ArrayLike) -> Snapshot:
        """The snapshot of a key or parameter (p,).

        Raises
        ------
        StoreError
            It is not stored, its file is damaged and was set aside, or it was replaced by what stands for it.
        """
        key = self._key_of(which)
        if not isinstance(which, str):
            self._check_not_replaced([key], np.asarray(which, dtype=np.float64)[None])
        state = np.empty(self._files.needed(key).layout.n, dtype="<f8")
        header = self._files.read(key, 0, state)
        return Snapshot(state, None if header.outputs is None else header.outputs.copy(), copy.deepcopy(header.info))

    @property
    def n(self) -> int:
        """Length of the states, from the first snapshot that holds.

        Raises
        ------
        StoreError
            There is none.
        """
        for key in self.keys():
            header = self._files.checked(key)
            if header is not None:
                return header.layout.n
        raise StoreError(f"{self.folder} holds no snapshots yet; solve one first.")

    def matrix(self, mu: ArrayLike, rows: slice = slice(None)) -> NDArray[np.float64]:
        """Rows of the snapshot matrix U (n, k), reading these rows only.

        Parameters
        ----------
        mu : (k, p) array
            Parameters, all stored.
        rows : slice
            Rows, with step 1.

        Returns
        -------
        (rows, k) array
            In Fortran order; beside it nothing of this size is held.

        Raises
        ------
        StoreError
            A snapshot is not stored or damaged.
        """
        keys = self._rows(mu)
        self._check_not_replaced(keys, np.asarray(mu, dtype=np.float64))
        n = self._common_length(keys)
        start, stop, step = rows.indices(n)
        if step != 1:
            raise InputError(f"rows has step {step}; rows of the snapshot matrix are read with step 1.")
        return self._columns(keys, start, max(start, stop))

    def row_blocks(self, mu: ArrayLike, block: int) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """The snapshot matrix U (n, k) by blocks of rows: pairs of a slice and an array (rows, k).

        Parameters
        ----------
        mu : (k, p) array
            Parameters, all stored.
        block : int
            Rows in a block (the last may have fewer).
        """
        if block < 1:
            raise InputError(f"block = {block}; a block of rows has at least 1 row.")
        keys = self._rows(mu)
        self._check_not_replaced(keys, np.asarray(mu, dtype=np.float64))
        n = self._common_length(keys)
        for start in range(0, n, block):
            stop = min(start + block, n)
            yield slice(start, stop), self._columns(keys, start, stop)

    def _check_not_replaced(self, keys: Sequence[str], mu: NDArray[np.float64]) -> None:
        if self.stand_in is None:
            return
        for key, row in zip(keys, mu, strict=True):
            if not self._files.exists(key) and self.stand_in.has(row):
                raise StoreError(
                    f"the snapshot at mu = {row.tolist()} was replaced by its sketch, which does not give its state; "
                    "run the study in another folder with [reduction] keep_snapshots = true."
                )

    def _headers(self, mu: ArrayLike) -> list[Header]:
        """Headers of the snapshots at mu (k, p), or of what stands for them."""
        found = []
        for key, row in zip(self._rows(mu), np.asarray(mu, dtype=np.float64), strict=True):
            header = self._files.checked(key)
            if header is None and self.stand_in is not None:
                header = self.stand_in._files.checked(self.stand_in.key(row))
            found.append(self._files.needed(key) if header is None else header)
        return found

    def _common_length(self, keys: Sequence[str]) -> int:
        lengths = {key: self._files.needed(key).layout.n for key in keys}
        if not lengths:
            return self.n if len(self) else 0
        n = lengths[keys[0]]
        for key, length in lengths.items():
            if length != n:
                raise StoreError(f"{self.path(key)} holds {length} entries, others {n}; remove the wrong ones.")
        return n

    def _columns(self, keys: Sequence[str], start: int, stop: int) -> NDArray[np.float64]:
        matrix = np.empty((stop - start, len(keys)), dtype="<f8", order="F")
        for index, key in enumerate(keys):
            self._files.read(key, start, matrix[:, index])
        return matrix

    def outputs(self, mu: ArrayLike) -> NDArray[np.float64] | None:
        """Outputs (o, k) that the model gave itself at the parameters (k, p); None if it gives none.

        Raises
        ------
        StoreError
            A snapshot is not stored or damaged, or the numbers of outputs differ.
        """
        columns = [header.outputs for header in self._headers(mu)]
        given = [column for column in columns if column is not None]
        if not given:
            return None
        if len(given) < len(columns) or len({column.size for column in given}) > 1:
            raise StoreError(f"the snapshots in {self.folder} have different numbers of outputs; solve them again.")
        return np.stack(given, axis=1)

    def facts(self, mu: ArrayLike, name: str) -> list[Any]:
        """What the info of the snapshots at the parameters (k, p) says under `name`; None where it says nothing."""
        return [header.info.get(name) for header in self._headers(mu)]

    def seconds(self, mu: ArrayLike) -> NDArray[np.float64]:
        """Seconds (k,) that the solves of the parameters (k, p) took; NaN where their info does not say it."""
        return np.array([np.nan if value is None else float(value) for value in self.facts(mu, "seconds")])


def _check_finite(snapshot: Snapshot) -> None:
    if not snapshot.state.size:
        raise ShapeError("the snapshot's state is empty; a state has at least one entry.")
    for name, values in (("state", snapshot.state), ("outputs", snapshot.outputs)):
        if values is not None and not np.isfinite(values).all():
            index = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"the snapshot's {name}[{index}] = {values[index]} is not finite; store finite numbers.")
