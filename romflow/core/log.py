"""The log file of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from romflow.core.files import refused

__all__ = ["logging_to"]


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Within this context, what romflow logs from level INFO on is appended to a file.

    Raises
    ------
    StoreError
        The file cannot be written.
    """
    logger = logging.getLogger("romflow")
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise refused("write", path, error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
