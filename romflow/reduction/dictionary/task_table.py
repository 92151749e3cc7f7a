"""All that tasks do for dictionaries of reduced models, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from romflow.reduction.draws import DRAWS, ENRICHED, draw_chunk, enriched_draw

__all__ = ["TASKS"]

#: ``TASKS[name](fom, store_folder, part, **shared) -> dict of small arrays``.
TASKS: dict[str, Callable[..., dict[str, Any]]] = {DRAWS: draw_chunk, ENRICHED: enriched_draw}
