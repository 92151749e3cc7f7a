"""Blocks of steps of Markov chains in a folder: one sealed file each, so that a killed calibration goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import refused
from romflow.store.artefact import read_artefact, write_artefact
from romflow.uq.bayes.posterior_target import Judged
from romflow.uq.bayes.samplers.protocol import Block, State

__all__ = ["ChainFolder"]

Array = NDArray[np.float64]

_KIND = "calibration-block"


class ChainFolder:
    """The blocks of one calibration.

    Parameters
    ----------
    path : path
        Made if it is not there.
    identity : str
        Fingerprint of all that the chains depend on.

    Raises
    ------
    StoreError
        The folder cannot be made.
    """

    def __init__(self, path: str | Path, identity: str) -> None:
        self.path, self.identity = Path(path), identity
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused("make the folder", self.path, error) from error

    def file(self, index: int) -> Path:
        """File of a block; it may not exist."""
        return self.path / f"steps-{index:05d}.h5"

    def write(self, index: int, state: State, block: Block, counts: dict[str, Any]) -> None:
        """Write a block and the state after it, whole or not at all."""
        arrays = {f"state/{name}": values for name, values in state.items()}
        arrays |= {"z": block.z, "log": block.judged.log, "low": block.judged.low, "high": block.judged.high}
        write_artefact(self.file(index), _KIND, arrays, {"identity": self.identity, "counts": counts})

    def read(self, index: int) -> tuple[State, Block, dict[str, Any]] | None:
        """A block with the state after it and the counts, or None where it was not written.

        Raises
        ------
        StoreError
            The file is damaged, or belongs to another calibration.
        """
        file = self.file(index)
        if not file.exists():
            return None
        remedy = f"remove the folder {self.path} to start this calibration from its beginning"
        try:
            kind, arrays, metadata = read_artefact(file)
        except StoreError as error:
            raise StoreError(f"{file} is damaged ({error}); {remedy}.", error.errno) from error
        if kind != _KIND or metadata.get("identity") != self.identity:
            raise StoreError(f"{file} belongs to a calibration with other data, inputs, model or settings; {remedy}, "
                             "or choose another folder.")
        state = {name.removeprefix("state/"): values for name, values in arrays.items() if name.startswith("state/")}
        return state, Block(arrays["z"], Judged(arrays["log"], arrays["low"], arrays["high"])), metadata["counts"]
