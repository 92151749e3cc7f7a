"""The table [uq] of a study: random inputs, what is asked of the outputs, and by which estimators."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from romflow.core.names import shown
from romflow.core.parameter_section import ParameterConfig
from romflow.core.sections import Section

__all__ = ["UQ_TABLES", "CalibrationConfig", "ControlConfig", "CopulaConfig", "LevelsConfig", "RareConfig", "UqConfig"]

_MOST = 10_000_000_000
_LEAST_SOLVES = 10
_LEAST_RESAMPLES, _MOST_KEPT = 50, 100_000


class CopulaConfig(Section):
    """[uq.copula]: how the inputs depend on each other, by the correlation matrix of their normal scores.

    Either the whole matrix `correlation`, in the order of the columns, or `pairs` such as {"a, b" = 0.5}.
    """

    kind: Literal["gaussian", "student"] = "gaussian"
    correlation: list[list[float]] | None = None
    pairs: dict[str, float] | None = None
    degrees: float = Field(default=4.0, gt=0.0)

    @model_validator(mode="after")
    def _one(self) -> CopulaConfig:
        if (self.correlation is None) == (self.pairs is None):
            raise ValueError("needs correlation (a matrix) or pairs (such as {\"a, b\" = 0.5}); give one of the two.")
        if "degrees" in self.model_fields_set and self.kind != "student":
            raise ValueError(f"has degrees, which belong to kind = 'student' and not to {shown(self.kind)}.")
        return self


class ControlConfig(Section):
    """[uq.control]: full-order solves at random inputs that free the answers from the bias of the reduced model.

    `solves` full-order solves, or as many as `seconds` processor seconds allow, are shared out between the levels: the
    reduced model and smaller models of the sizes `levels`, cut from it. `pilot` and `levels` are of method =
    "multifidelity", whose pilot is part of the solves.
    """

    method: Literal["control-variate", "multifidelity"] = "control-variate"
    solves: int | None = Field(default=None, ge=_LEAST_SOLVES, le=10_000_000)
    seconds: float | None = Field(default=None, gt=0.0)
    pilot: int = Field(default=16, ge=5, le=10_000_000)
    levels: list[int] = Field(default_factory=list)
    seed: int = Field(default=11, ge=0)

    @model_validator(mode="after")
    def _one(self) -> ControlConfig:
        if (self.solves is None) == (self.seconds is None):
            raise ValueError("needs solves (how many full-order ones) or seconds (of all models); give one of the two.")
        if self.levels and self.method != "multifidelity":
            raise ValueError(f"has levels, which belong to method = 'multifidelity' and not to {shown(self.method)}.")
        least = self.pilot + _LEAST_SOLVES
        if self.method == "multifidelity" and self.solves is not None and self.solves < least:
            raise ValueError(f"has solves = {self.solves}, of which the pilot takes {self.pilot}; the rule is at least "
                             f"{least}, the pilot and {_LEAST_SOLVES} more.")
        return self

    @field_validator("levels")
    @classmethod
    def _sizes(cls, levels: list[int]) -> list[int]:
        if any(size < 1 for size in levels) or len(set(levels)) < len(levels):
            raise ValueError(f"has levels = {levels}; the rule is different sizes of reduced models, from 1.")
        return levels


class RareConfig(Section):
    """[uq.rare]: adaptive importance sampling with control variates for the probabilities of [uq.exceedance]."""

    size: int = Field(default=20_000, ge=200, le=100_000_000)
    tolerance: float = Field(default=0.1, gt=0.0, lt=1.0)
    seed: int = Field(default=13, ge=0)


class CalibrationConfig(Section):
    """[uq.calibration]: the posterior of the inputs given measured outputs, with the reduced model inside.

    `data` is a CSV with the columns output, value and std. With a `tolerance` the full-order model decides wherever the
    error of the reduced one may change the log-likelihood by more.
    """

    data: str = Field(min_length=1)
    sampler: Literal["pcn", "emcee"] = "pcn"
    size: int = Field(default=20_000, ge=100, le=100_000_000)
    chains: int = Field(default=16, ge=2, le=10_000)
    burn_in: int | None = Field(default=None, ge=16, le=100_000_000)
    thin: int = Field(default=5, ge=1, le=10_000)
    tolerance: float | None = Field(default=None, gt=0.0)
    seed: int = Field(default=17, ge=0)


class LevelsConfig(Section):
    """[uq.levels]: the error of the mean split into dimension truncation, mesh and cubature.

    `dimension` of the inputs are kept and compared with all of them, the others having the value `neutral`; the model's
    option `option` is the mesh, `cells` against half and twice as many; random shifts tell the error of the cubature.
    """

    dimension: int | None = Field(default=None, ge=2)
    option: str = Field(default="cells", min_length=1)
    cells: int | None = Field(default=None, ge=4)
    size: int = Field(default=256, ge=4, le=_MOST)
    few: int | None = Field(default=None, ge=1)
    repetitions: int = Field(default=16, ge=2, le=1000)
    order: float = Field(default=2.0, gt=0.0)
    neutral: float = 0.0
    seed: int = Field(default=19, ge=0)


class UqConfig(Section):
    """[uq]: what random inputs make of the outputs.

    The inputs have the distributions of [parameters] unless [uq.inputs.NAME] says otherwise. `bootstrap` resamples of
    independent draws give intervals beside those of large samples. `distribute` makes tasks of draws of the reduced
    model; "auto" does that for models of mechanics.
    """

    draws: Literal["monte-carlo", "sobol", "latin-hypercube", "lattice", "sparse-grid"] = "sobol"
    size: int = Field(default=65_536, ge=16, le=_MOST)
    repetitions: int = Field(default=16, ge=2, le=1000)
    level: int = Field(default=3, ge=1, le=30)
    seed: int = Field(default=5, ge=0)
    batch: int = Field(default=2048, ge=1, le=10_000_000)
    model: Literal["reduced", "full-order"] = "reduced"
    outputs: list[str] | None = Field(default=None, min_length=1)
    quantiles: list[float] = Field(default_factory=lambda: [0.05, 0.5, 0.95])
    exceedance: dict[str, list[float]] = Field(default_factory=dict)
    density: bool = True
    sensitivity: bool = True
    sensitivity_size: int | None = Field(default=None, ge=16, le=_MOST)
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0)
    outside: Literal["flag", "refuse"] = "flag"
    bootstrap: int = Field(default=0, ge=0, le=1_000_000)
    distribute: Literal["auto"] | bool = "auto"
    inputs: dict[str, ParameterConfig] = Field(default_factory=dict)
    copula: CopulaConfig | None = None
    control: ControlConfig | None = None
    rare: RareConfig | None = None
    calibration: CalibrationConfig | None = None
    levels: LevelsConfig | None = None

    @field_validator("exceedance", mode="before")
    @classmethod
    def _thresholds(cls, content: Any) -> Any:
        """One threshold may be written without brackets."""
        if not isinstance(content, dict):
            return content
        return {name: value if isinstance(value, list) else [value] for name, value in content.items()}

    @field_validator("quantiles")
    @classmethod
    def _between(cls, levels: list[float]) -> list[float]:
        for level in levels:
            if not 0.0 < level < 1.0:
                raise ValueError(f"has the quantile {shown(level)}; the rule is a number between 0 and 1.")
        return levels

    @model_validator(mode="after")
    def _fits(self) -> UqConfig:
        if self.rare is not None and not any(self.exceedance.values()):
            raise ValueError("has a table rare and no thresholds; say [uq.exceedance] OUTPUT = [threshold, ...].")
        sparse = self.draws == "sparse-grid"
        if "level" in self.model_fields_set and not sparse:
            raise ValueError(f"has a level, which belongs to draws = 'sparse-grid' and not to {shown(self.draws)}.")
        self._check_bootstrap()
        return self

    def _check_bootstrap(self) -> None:
        """Resamples are of independent draws that are kept."""
        if self.bootstrap and self.draws != "monte-carlo":
            raise ValueError("has bootstrap, which takes independent draws again, and draws = "
                             f"{shown(self.draws)}; write draws = \"monte-carlo\", or leave bootstrap out.")
        if 0 < self.bootstrap < _LEAST_RESAMPLES or (self.bootstrap and self.size > _MOST_KEPT):
            raise ValueError(f"has bootstrap = {self.bootstrap} for size = {self.size}; the rule is 0 or at least "
                             f"{_LEAST_RESAMPLES} resamples, of at most {_MOST_KEPT} draws.")

    def answers(self) -> dict[str, Any]:
        """What is asked of the outputs; of a sparse grid, whose weights may be negative, no more than was written.

        Thresholds beside a sparse grid are those of [uq.control] and [uq.rare] where there is such a table.
        """
        keys = ("quantiles", "density", "sensitivity")
        chosen = {key: getattr(self, key) for key in keys}
        if self.draws == "sparse-grid":
            absent: dict[str, Any] = {"quantiles": [], "density": False, "sensitivity": False}
            chosen = {key: chosen[key] if key in self.model_fields_set else absent[key] for key in keys}
            if self.control is not None or self.rare is not None:
                return {**chosen, "exceedance": {}}
        return {**chosen, "exceedance": self.exceedance}


#: Tables within [uq] -> what describes them.
UQ_TABLES: dict[str, type[Section]] = {
    "inputs": ParameterConfig,
    "copula": CopulaConfig,
    "control": ControlConfig,
    "rare": RareConfig,
    "calibration": CalibrationConfig,
    "levels": LevelsConfig,
}
