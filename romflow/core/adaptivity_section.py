"""The table [adaptivity] of a study: reduced runs that take full-order steps where their indicator asks for them."""

from __future__ import annotations

from pydantic import Field

from romflow.core.sections import Section

__all__ = ["AdaptivityConfig"]


class AdaptivityConfig(Section):
    """[adaptivity]: at the parameters of [validation], or of a file, the reduced model runs and is enriched as it goes.

    A step whose indicator exceeds `tolerance` is taken by the full-order model, and its result enters the bases; at
    most the share `max_share` of the steps of a run. With `restart` the enriched model runs once more from the start.
    """

    tolerance: float = Field(default=0.05, gt=0.0, lt=1.0)
    max_share: float = Field(default=0.15, gt=0.0, le=1.0)
    parameters: str | None = Field(default=None, min_length=1)
    restart: bool = True
