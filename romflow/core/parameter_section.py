"""The tables [parameters.NAME] and [uq.inputs.NAME] of a study: the distribution of a parameter."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from romflow.core.names import nearest, shown
from romflow.core.parameter_rules import DISTRIBUTION_KEYS, MAX_SIZE, distribution_fault, keys_fault
from romflow.core.sections import Section

__all__ = ["ParameterConfig"]


class ParameterConfig(Section):
    """[parameters.NAME]: the distribution of a parameter; the numbers that it does not need are None."""

    distribution: str = "uniform"
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    a: float | None = None
    b: float | None = None
    size: int = Field(default=1, ge=1, le=MAX_SIZE)
    unit: str = ""

    @model_validator(mode="before")
    @classmethod
    def _right_keys(cls, content: Any) -> Any:
        """Refuse keys that the distribution does not take, before their values are looked at."""
        kind = content.get("distribution", "uniform") if isinstance(content, dict) else None
        if not isinstance(kind, str) or kind not in DISTRIBUTION_KEYS:
            return content
        known = ["distribution", *DISTRIBUTION_KEYS[kind], "size", "unit"]
        for key in content:
            if key not in known:
                raise ValueError(f"has no key {shown(key)} for distribution = {shown(kind)}{nearest(key, known)}")
        fault = keys_fault(kind, [key for key in content if key in DISTRIBUTION_KEYS[kind]])
        if fault is not None:
            raise ValueError(fault)
        return content

    @field_validator("distribution")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in DISTRIBUTION_KEYS:
            raise ValueError(f"no distribution is called {shown(kind)}{nearest(kind, DISTRIBUTION_KEYS)}")
        return kind

    @model_validator(mode="after")
    def _right_numbers(self) -> ParameterConfig:
        numbers = {key: getattr(self, key) for key in DISTRIBUTION_KEYS[self.distribution]}
        fault = distribution_fault(
            self.distribution, {key: value for key, value in numbers.items() if value is not None}
        )
        if fault is not None:
            raise ValueError(fault)
        return self
