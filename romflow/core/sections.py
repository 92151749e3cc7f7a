"""What every table of the study file is: unknown keys refused, values not converted, one sentence for each fault."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from romflow.core.complaints import typed_key_fault
from romflow.core.registry import is_path

__all__ = ["OpenSection", "Section"]


class Section(BaseModel):
    """A table of the study file: unknown keys refused, no conversions, no NaN, not changed after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OpenSection(Section):
    """A table whose further keys are options of what it names; they are checked when that is built."""

    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, content: Any) -> Any:
        """Move the keys that this section does not know itself into `options`."""
        if not isinstance(content, dict):
            return content
        own = [key for key in cls.model_fields if key != "options"]
        further = {key: value for key, value in content.items() if key not in own}
        fault = typed_key_fault(content, own, list(further))
        if fault is not None and not is_path(str(content.get(own[0], ""))):
            raise ValueError(fault)
        return {**{key: content[key] for key in own if key in content}, "options": further}
