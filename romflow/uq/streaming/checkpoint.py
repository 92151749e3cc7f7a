"""The file of a study that is under way: its sums, replaced whole every half minute or so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from romflow.core.errors import StoreError
from romflow.core.fingerprint import fingerprint
from romflow.store.artefact import read_artefact, write_artefact
from romflow.store.snapshot_files import make_folder

__all__ = ["Checkpoint", "no_checkpoint"]

_KIND = "uncertainty"

State = tuple[dict[str, Any], dict[str, Any]]


class Checkpoint:
    """Arrays and JSON of a study in ``draws-<first digits of its key>.h5`` within a folder.

    Parameters
    ----------
    folder : path
        Made if it does not exist.
    content : JSON-able
        All that the numbers depend on; its fingerprint is the key.
    seconds_between : float
        At least so long between two files.
    """

    def __init__(self, folder: Path | None, content: Any, seconds_between: float) -> None:
        self._between, self._last = seconds_between, time.monotonic()
        self._key = fingerprint(content)
        self.path = None if folder is None else folder / f"draws-{self._key[:16]}.h5"
        if folder is not None:
            make_folder(folder)

    def load(self) -> State | None:
        """What an earlier run left, None where there was none.

        Raises
        ------
        StoreError
            The file is damaged or of another study.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            kind, arrays, metadata = read_artefact(self.path)
        except StoreError as error:
            raise StoreError(f"the study cannot go on from {self.path} ({str(error).rstrip('.')}); remove the file to "
                             "begin anew.", error.errno) from error
        if kind != _KIND or metadata.get("key") != self._key:
            raise StoreError(f"{self.path} is not of this study; remove the file to begin anew.")
        return arrays, metadata["about"]

    def offer(self, state: Callable[[], State], last: bool = False) -> None:
        """Write what `state` gives, if the last file is old enough or this is the end."""
        if self.path is None or not (last or time.monotonic() - self._last >= self._between):
            return
        arrays, about = state()
        write_artefact(self.path, _KIND, arrays, {"key": self._key, "about": about})
        self._last = time.monotonic()


def no_checkpoint() -> Checkpoint:
    """One that keeps nothing."""
    return Checkpoint(None, None, float("inf"))
