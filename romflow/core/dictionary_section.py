"""The table [dictionary] of a study: several local reduced models instead of one, and what chooses between them."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from romflow.core.complaints import complaint
from romflow.core.errors import ConfigError
from romflow.core.names import shown
from romflow.core.sections import Section
from romflow.core.time_section import TimeConfig

__all__ = ["DICTIONARY_TABLES", "DictionaryConfig", "FallbackConfig", "RecommenderConfig", "SimplifiedConfig",
           "simplified_time"]


class SimplifiedConfig(Section):
    """[dictionary.simplified]: what the cheap solves of the whole design change in [model] and [time].

    Where this table is left out, the design is solved by the full-order model.
    """

    model: dict[str, Any] = Field(default_factory=dict)
    time: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model")
    @classmethod
    def _same_kind(cls, model: dict[str, Any]) -> dict[str, Any]:
        if "kind" in model:
            raise ValueError(f"has kind = {shown(model['kind'])}; the simplified model is of the same kind, with other "
                             "options such as its mesh.")
        return model


class RecommenderConfig(Section):
    """[dictionary.recommender]: which local model answers, told from the input.

    `input` is the parameters themselves, or the nodal temperature of a body, of whose nodes at most the share `share`
    is looked at. Below the probability `abstain` the recommender has no opinion. `classifier` = "auto" takes nearest
    neighbours where these are clearly right more often than a logistic regression.
    """

    input: Literal["auto", "parameters", "temperature"] = "auto"
    classifier: Literal["auto", "logistic", "nearest", "mlp", "stack"] = "auto"
    share: float = Field(default=0.02, gt=0.0, le=1.0)
    augment: bool = True
    abstain: float = Field(default=0.5, ge=0.0, lt=1.0)


class FallbackConfig(Section):
    """[dictionary.fallback]: what happens where the recommended model's error estimate exceeds `tolerance`.

    The second choice answers too, then so many full-order steps enrich the better of the two (models of mechanics),
    then the draw is refused. 0 switches this off: draws far from all that was trained are refused none the less.
    """

    tolerance: float = Field(default=0.0, ge=0.0)
    full_order_steps: int = Field(default=1, ge=0, le=1000)


class DictionaryConfig(Section):
    """[dictionary]: the design of [sampling] is solved cheaply and clustered; each cluster gets a model by [reduction].

    `field` is what the solutions are compared by: "state", or a dual field of mechanics. `clusters` = "auto" tries up
    to `most` and may find that one is best. `snapshots` full-order runs a cluster are its medoid and members far from
    each other; "auto" shares out the `budget`, or takes whole clusters where the design is solved at full order.
    """

    clusters: int | Literal["auto"] = "auto"
    most: int = Field(default=8, ge=1, le=1000)
    dissimilarity: Literal["sine", "chordal", "grassmann", "largest-sine", "euclidean"] = "sine"
    clustering: Literal["k-medoids", "k-subspaces"] = "k-medoids"
    field: str = Field(default="state", min_length=1)
    snapshots: int | Literal["auto"] = "auto"
    budget: int | None = Field(default=None, ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0)
    simplified: SimplifiedConfig | None = None
    recommender: RecommenderConfig = Field(default_factory=RecommenderConfig)
    fallback: FallbackConfig = Field(default_factory=FallbackConfig)

    @field_validator("clusters", "snapshots", mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        if given != "auto" and (type(given) is not int or not 1 <= given <= 1000):
            raise ValueError(f"is {shown(given)}; the rule is \"auto\", or a whole number from 1 to 1000.")
        return given

    def full_order_runs(self, design: int) -> int:
        """Full-order runs at most, of a design of so many parameters."""
        if self.simplified is None:
            return design
        most = self.most if self.clusters == "auto" else int(self.clusters)
        asked = design if self.snapshots == "auto" else most * int(self.snapshots)
        return min(design, asked, design if self.budget is None else self.budget)

    @model_validator(mode="after")
    def _affordable(self) -> DictionaryConfig:
        if self.simplified is not None and self.budget is None and self.snapshots == "auto":
            raise ValueError("has simplified solves and does not say how many full-order ones may follow; give budget "
                             "(of all clusters), or snapshots (of each).")
        asked = [value for value in (self.clusters, self.snapshots) if value != "auto"]
        if self.budget is None or not asked:
            return self
        least = 1
        for value in asked:
            least *= int(value)
        if least > self.budget:
            raise ValueError(f"asks for {least} full-order runs with clusters = {shown(self.clusters)} and snapshots = "
                             f"{shown(self.snapshots)}, and has budget = {self.budget}; raise the budget, or ask for "
                             "less.")
        return self


def simplified_time(config: DictionaryConfig, time: TimeConfig | None, where: str = "") -> TimeConfig | None:
    """[time] with what the cheap solves change; `where` is the study's name in a message.

    Raises
    ------
    ConfigError
        The table that comes out breaks a rule of [time].
    """
    changed = {} if config.simplified is None else config.simplified.time
    if not changed:
        return time
    written = {} if time is None else time.model_dump(exclude_unset=True)
    replaced = ("end", "steps") if "times" in changed else ("times",)
    kept = {key: value for key, value in written.items() if key not in replaced}
    try:
        return TimeConfig.model_validate({**kept, **changed})
    except ValidationError as error:
        place = ("dictionary", "simplified", "time")
        faults = [{**fault, "loc": (*place, *fault["loc"])} for fault in error.errors()]
        told = complaint(cast("list[ErrorDetails]", faults), lambda _: list(TimeConfig.model_fields))
        raise ConfigError(f"{where}: {told}" if where else told) from None


#: Tables within [dictionary] -> what describes them.
DICTIONARY_TABLES: dict[str, type[Section]] = {
    "simplified": SimplifiedConfig, "recommender": RecommenderConfig, "fallback": FallbackConfig}
