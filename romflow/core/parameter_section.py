"""The tables [parameters.NAME] and [uq.inputs.NAME] of a study: the distribution of a parameter."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from romflow.core.names import nearest, shown
from romflow.core.parameter_rules import DISTRIBUTION_KEYS, FILE_KEYS, MAX_SIZE, distribution_fault, keys_fault
from romflow.core.sections import Section

__all__ = ["ParameterConfig"]


class ParameterConfig(Section):
    """[parameters.NAME]: the distribution of a parameter; what it does not need is None.

    A table (distribution = "table") has its `values` and `weights` here or in the column `column` (by default NAME) of
    the CSV `file`, relative to the study; `weights` is then the name of another column of it.
    """

    distribution: str = "uniform"
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    std: float | None = None
    a: float | None = None
    b: float | None = None
    mode: float | None = None
    values: list[float] | None = None
    weights: list[float] | str | None = None
    discrete: bool | None = None
    file: str | None = Field(default=None, min_length=1)
    column: str | None = Field(default=None, min_length=1)
    size: int = Field(default=1, ge=1, le=MAX_SIZE)
    unit: str = ""

    @model_validator(mode="before")
    @classmethod
    def _right_keys(cls, content: Any) -> Any:
        """Refuse keys that the distribution does not take, before their values are looked at."""
        kind = content.get("distribution", "uniform") if isinstance(content, dict) else None
        if not isinstance(kind, str) or kind not in DISTRIBUTION_KEYS:
            return content
        further = FILE_KEYS.get(kind, ())
        known = ["distribution", *DISTRIBUTION_KEYS[kind], *further, "size", "unit"]
        for key in content:
            if key not in known:
                raise ValueError(f"has no key {shown(key)} for distribution = {shown(kind)}{nearest(key, known)}")
        if any(key in content for key in further):
            return _from_file(content)
        if further and "values" not in content:
            raise ValueError("has no sample; write values = [...], or file = \"NAME.csv\" and column = \"COLUMN\".")
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
        if self.file is not None:
            return self
        numbers = {key: getattr(self, key) for key in DISTRIBUTION_KEYS[self.distribution]}
        fault = distribution_fault(
            self.distribution, {key: value for key, value in numbers.items() if value is not None}
        )
        if fault is not None:
            raise ValueError(fault)
        return self


def _from_file(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a table whose numbers are in a file, its keys checked."""
    if "values" in content:
        raise ValueError("has its values here and in a file; write `values` or `file`, not both.")
    if "file" not in content:
        raise ValueError("has a column and no file; write file = \"NAME.csv\".")
    if not isinstance(content.get("weights", ""), str):
        raise ValueError("has its values in a file and its weights here; write weights = \"COLUMN\" of that file.")
    return content
