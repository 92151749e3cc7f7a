"""The table [time] of a study: over which times a model marches, by which scheme."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, model_validator

from romflow.core.names import shown
from romflow.core.sections import Section

__all__ = ["TimeConfig"]

_MOST = 1_000_000


class TimeConfig(Section):
    """[time]: the stored times from 0 to `end` and how the model gets from one to the next.

    Either `end` and `steps` (equal steps) or `times` (the end of each step, rising). With `tolerance` the steps are
    divided by the local error. `load` multiplies the right-hand side, `initial` is the state at time 0.
    With `train_until` the snapshots end there, and the reduced model goes on to the end (repeated cycles).
    """

    end: float | None = Field(default=None, gt=0.0)
    steps: int | None = Field(default=None, ge=1, le=_MOST)
    times: list[float] | None = Field(default=None, max_length=_MOST)
    scheme: Literal["explicit-euler", "implicit-euler", "bdf2", "dc3", "dc4"] = "implicit-euler"
    tolerance: float | None = Field(default=None, gt=0.0, lt=1.0)
    load: str = "1"
    initial: list[str] | None = None
    train_until: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="before")
    @classmethod
    def _as_texts(cls, content: Any) -> Any:
        """Take numbers for the texts of `load` and `initial`."""
        if not isinstance(content, dict):
            return content
        changed = dict(content)
        if isinstance(changed.get("load"), int | float) and not isinstance(changed["load"], bool):
            changed["load"] = repr(changed["load"])
        if changed.get("initial") is not None:
            changed["initial"] = _texts(changed["initial"])
        return changed

    @model_validator(mode="after")
    def _one_grid(self) -> TimeConfig:
        if self.times is None and (self.end is None or self.steps is None):
            raise ValueError("needs end and steps (equal steps), or times (a rising list); give one of the two.")
        if self.times is None:
            return self
        if self.end is not None or self.steps is not None:
            raise ValueError("has times beside end or steps, which say the same twice; write one of the two.")
        if not self.times:
            raise ValueError("has an empty list of times; write rising numbers above 0.")
        rising = [0.0, *self.times]
        for before, after in pairwise(rising):
            if not after > before:
                raise ValueError(f"has {after:g} after {before:g} in times; the rule is rising numbers above 0, which "
                                 "is the start.")
        return self

    @model_validator(mode="after")
    def _trained_within(self) -> TimeConfig:
        if self.train_until is not None and not self._trained():
            raise ValueError(f"has train_until = {self.train_until:g} before the first stored time; give a time from "
                             "there to the end.")
        return self

    def wishes(self) -> dict[str, Any]:
        """What was written of the model's times, as JSON."""
        return self.model_dump(exclude_unset=True, exclude={"train_until"})

    def training_wishes(self) -> dict[str, Any]:
        """The same with the times up to `train_until` alone."""
        others = self.model_dump(exclude_unset=True, exclude={"train_until", "end", "steps", "times"})
        return {**others, "times": self._trained()}

    def _trained(self) -> list[float]:
        if self.times is not None:
            stored = self.times
        else:
            end, steps = float(self.end or 0.0), int(self.steps or 0)
            stored = [end * k / steps for k in range(1, steps + 1)]
        last = float("inf") if self.train_until is None else self.train_until * (1.0 + 1e-12)
        return [time for time in stored if time <= last]


def _texts(initial: Any) -> list[str]:
    given = initial if isinstance(initial, list) else [initial]
    if not given or any(isinstance(text, bool) or not isinstance(text, str | int | float) for text in given):
        raise ValueError(f"has initial = {shown(initial)}; write a text in x, y, z and the parameters, or a list of "
                         "one for each component of the field.")
    return [text if isinstance(text, str) else repr(text) for text in given]
