"""All that tasks do for dictionaries of reduced models, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from romflow.reduction.dictionary.pairs import FEATURE_KERNEL, TILE_KERNEL, feature_block, pair_tile
from romflow.reduction.draws import DRAWS, STEPS, draw_chunk, enriched_draw

__all__ = ["TASKS"]

#: ``TASKS[name](fom, store_folder, part, **shared) -> dict of small arrays``.
TASKS: dict[str, Callable[..., dict[str, Any]]] = {FEATURE_KERNEL: feature_block, TILE_KERNEL: pair_tile,
                                                 DRAWS: draw_chunk, STEPS: enriched_draw}
