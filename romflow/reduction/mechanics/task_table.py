"""All that tasks do for models of mechanics, by name: the kernels of reductions and of adaptive runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from romflow.reduction.mechanics.adaptivity import adaptive_parameter
from romflow.reduction.mechanics.full_step import STEP_KERNELS
from romflow.reduction.mechanics.kernels import KERNELS

__all__ = ["TASKS"]

#: ``TASKS[name](fom, store_folder, part, **shared) -> dict of small arrays``.
TASKS: dict[str, Callable[..., dict[str, Any]]] = {**KERNELS, **STEP_KERNELS, "mechanics-adaptive": adaptive_parameter}
