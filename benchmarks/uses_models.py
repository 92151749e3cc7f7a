"""Reduced models for the benchmarks of what is done with them, built without the pages of their runs."""

from __future__ import annotations

import tempfile
from typing import Any
from unittest.mock import patch

import romflow

__all__ = ["reduced"]


def reduced(study: dict[str, Any]) -> Any:
    """The reduced model of a study; its report is not written, for its pictures take longer than these models."""
    with tempfile.TemporaryDirectory() as folder, patch("romflow.walk.run.write_report"):
        return romflow.Study.from_dict(study).run(folder).rom
