"""Records of failed solves: one JSON file each, so that many workers write them at once and a person can read them."""

from __future__ import annotations

import datetime
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import plain, read_json, refused, write_json

__all__ = ["FailureRecords"]


class FailureRecords:
    """The failed solves of one store.

    Parameters
    ----------
    folder : Path
        Where the records are; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, key: str, mu: NDArray[np.float64], report: Mapping[str, Any]) -> None:
        """Write or replace the record of one parameter (p,)."""
        record = {"message": "", "attempts": 1, "exit_code": None, "stderr": "", **plain(report)}
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record |= {"key": key, "mu": plain(mu), "when": when}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused("make", self.folder, error) from error
        write_json(self._file(key), record)

    def read(self) -> list[dict[str, Any]]:
        """All records, the oldest first."""
        records = []
        for file in self.folder.glob("*.json"):
            record = self.read_one(file.stem)
            if record is not None:  # not cleared by another process meanwhile
                records.append(record)
        return sorted(records, key=lambda record: (record["when"], record["key"]))

    def read_one(self, key: str) -> dict[str, Any] | None:
        """The record of one parameter, or None."""
        try:
            return dict(read_json(self._file(key)))
        except StoreError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def clear(self, key: str) -> None:
        """Remove the record of one parameter, if there is one."""
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise refused("remove", self._file(key), error) from error

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"
