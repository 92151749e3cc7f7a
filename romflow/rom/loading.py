"""Reading reduced models from their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from romflow.core.errors import StoreError
from romflow.rom.dictionary.model import RomDictionary
from romflow.rom.kinds import LOCAL_KINDS
from romflow.rom.model import ReducedModel
from romflow.store.artefact import read_artefact

KINDS: dict[str, Any] = {**LOCAL_KINDS, "dictionary": RomDictionary}


def load(path: str | Path) -> ReducedModel:
    """The reduced model stored in `path` (`model.h5` of a run), checked against its checksum.

    Raises
    ------
    StoreError
        The file is missing, damaged, not a reduced model, or of another format version.

    Examples
    --------
    >>> import romflow
    >>> rom = romflow.load("runs/a/model.h5")  # doctest: +SKIP
    """
    kind, arrays, metadata = read_artefact(Path(path))
    if kind not in KINDS:
        raise StoreError(f"{path} holds a '{kind}', not a reduced model; known kinds: {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind].from_arrays(arrays, metadata)
    except KeyError as error:
        raise StoreError(f"{path} lacks the entry {error} of an '{kind}' model; it was written by another program "
                         "or version: build it again") from None
