"""Snapshots whose values are split over parts: written rank by rank, read as a whole or part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError, StoreError
from romflow.core.fingerprint import snapshot_key
from romflow.store.snapshot_files import SnapshotFiles

__all__ = ["SplitSnapshots"]


class SplitSnapshots:
    """What a store of snapshots offers for models that are split into parts.

    The ranks of a solve write with `put_part`, then one of them completes the snapshot with `put_split`: before that
    there is none. All other methods of the store take split snapshots and those in one piece alike.
    """

    fingerprint: str
    _files: SnapshotFiles

    def _row(self, mu: ArrayLike) -> NDArray[np.float64]:
        raise NotImplementedError

    def _rows(self, mu: ArrayLike) -> list[str]:
        raise NotImplementedError

    def put_part(self, mu: ArrayLike, rank: int, values: Mapping[int, ArrayLike], token: str) -> dict[str, Any]:
        """Write the values of one rank's parts, aside until `put_split` names them.

        Parameters
        ----------
        mu : (p,) array
            Parameter.
        rank : int
        values : mapping of int to (n_c,) array
            Part -> values on its closure, those of the unknowns that it owns first.
        token : str
            The same on all ranks of this solve, and another for each solve: hexadecimal digits.

        Returns
        -------
        dict
            JSON: what `put_split` needs to know of it.

        Raises
        ------
        InputError
            A number is not finite.
        StoreError
            The disk is full or refuses; call `drop_parts` then.
        """
        row = self._row(mu)
        vectors = {int(part): np.asarray(vector, dtype=np.float64) for part, vector in values.items()}
        for part, vector in vectors.items():
            if vector.ndim != 1 or not np.isfinite(vector).all():
                raise InputError(f"part {part} of the snapshot at mu = {row.tolist()} has values of shape "
                                 f"{vector.shape} that are not all finite numbers; store finite vectors (n_c,).")
        key = snapshot_key(self.fingerprint, row)
        return self._files.splits.write(self._files.path(key), self.fingerprint, key, rank, token, vectors)

    def put_split(self, mu: ArrayLike, receipts: Sequence[Mapping[str, Any]], starts: ArrayLike,
                  outputs: ArrayLike | None = None, info: Mapping[str, Any] | None = None) -> str:
        """Complete a split snapshot whose ranks have all written, replacing one of the same parameter.

        Parameters
        ----------
        mu : (p,) array
            Parameter.
        receipts : sequence of dict
            What `put_part` gave on each rank.
        starts : (P + 1,) array of int
            Part i owns the entries starts[i] .. starts[i + 1] - 1 of the state.
        outputs : (o,) array, optional
        info : mapping, optional
            JSON values.

        Returns
        -------
        str
            Its key.

        Raises
        ------
        InputError
            Not every part is in exactly one receipt, or an output is not finite.
        StoreError
            The disk is full or refuses; the store is as it was before.
        """
        row, edges = self._row(mu), np.asarray(starts, dtype=np.int64)
        given = sorted(int(part) for receipt in receipts for part in receipt["parts"])
        if given != list(range(len(edges) - 1)):
            raise InputError(f"the ranks have written the parts {given} of {len(edges) - 1}; the rule is each part "
                             "once.")
        values = None if outputs is None else np.asarray(outputs, dtype=np.float64)
        if values is not None and (values.ndim != 1 or not np.isfinite(values).all()):
            raise InputError(f"the outputs at mu = {row.tolist()} are {values.tolist()}; store finite numbers (o,).")
        key = snapshot_key(self.fingerprint, row)
        self._files.write_split(key, row + 0.0, values, dict(info or {}), edges, [dict(one) for one in receipts])
        return key

    def drop_parts(self, mu: ArrayLike, token: str) -> None:
        """Remove what the ranks of a solve have written that will not be completed."""
        key = snapshot_key(self.fingerprint, self._row(mu))
        self._files.splits.remove_token(self._files.path(key), token)

    def first_fact(self, name: str) -> Any:
        """What the info of the first snapshot that holds says under a name; None if there is none."""
        headers = (self._files.checked(key) for key in self._files.keys())
        header = next((header for header in headers if header is not None), None)
        return None if header is None else header.info.get(name)

    def part_matrix(self, mu: ArrayLike, part: int) -> NDArray[np.float64]:
        """Values (n_c, k) of the snapshots at mu (k, p) on the closure of one part, from the files that hold it alone.

        Returns
        -------
        (n_c, k) array
            In Fortran order.

        Raises
        ------
        StoreError
            A snapshot is not stored, damaged, in one piece, or split otherwise.
        """
        columns = [self._files.part_of(key, part) for key in self._rows(mu)]
        lengths = {column.size for column in columns}
        if len(lengths) > 1:
            raise StoreError(f"the snapshots have {sorted(lengths)} values on part {part}; they are split in different "
                             "ways: run the study in another folder.")
        matrix = np.empty((lengths.pop() if lengths else 0, len(columns)), order="F")
        for index, column in enumerate(columns):
            matrix[:, index] = column
        return matrix
