"""What people must know of a model, as a file beside an export that has no place for it."""

from __future__ import annotations

import json
from pathlib import Path

from romflow.core.files import write_atomic
from romflow.export.program.build import facts_of
from romflow.rom.model import ReducedModel

__all__ = ["facts_file", "write_facts"]


def facts_file(path: str | Path) -> Path:
    """The place of the facts of an export.

    Examples
    --------
    >>> facts_file("out/plate.csv").name
    'plate_facts.json'
    """
    path = Path(path)
    return path.with_name(f"{path.stem}_facts.json")


def write_facts(rom: ReducedModel, path: str | Path) -> Path:
    """Write names, units, ranges, training range, errors and fingerprint of a model as JSON beside the export `path`.

    Raises
    ------
    StoreError
        The file cannot be written.
    """
    target = facts_file(path)
    write_atomic(target, (json.dumps(facts_of(rom).plain(), indent=1, sort_keys=True) + "\n").encode("ascii"))
    return target
