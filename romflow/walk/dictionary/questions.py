"""What the table [dictionary] of a study asks: whether it can be answered, and which model the cheap solves are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from romflow.core.dictionary_section import simplified_time
from romflow.core.errors import ConfigError, NotSupported
from romflow.fom.build import build_model
from romflow.fom.protocol import output_names
from romflow.reduction.dictionary.features import STATE, check_field

if TYPE_CHECKING:
    from romflow.core.dictionary_section import DictionaryConfig
    from romflow.study import Study

__all__ = ["check_dictionary", "input_kind", "simplified_request"]

_FEWEST = 3  # parameters of a design, of which some are held back when models are compared


def simplified_request(study: Study) -> dict[str, Any]:
    """What builds the model of the cheap solves: that of the training, with what [dictionary.simplified] changes."""
    wish = study.config.dictionary
    if wish is None or wish.simplified is None:
        return study.training_request
    request = {**study.training_request, "options": {**study.training_request["options"], **wish.simplified.model}}
    time = simplified_time(wish, study.config.time, study.where)
    if time is not None:
        request["time"] = time.wishes() if time.train_until is None else time.training_wishes()
    return request


def input_kind(wish: DictionaryConfig, fom: Any) -> str:
    """What the recommender looks at: "temperature" or "parameters".

    With "auto" the temperature of a body that depends on the parameters, else the parameters.
    """
    if wish.recommender.input != "auto":
        return wish.recommender.input
    problem = getattr(fom, "mechanics", None)
    heated = problem is not None and set(problem.temperature.used) & set(fom.parameters.columns)
    return "temperature" if heated else "parameters"


def check_dictionary(study: Study, sampler: Any, reductor: Any) -> None:
    """Refuse what the table [dictionary] asks and cannot be answered, before anything is solved.

    Raises
    ------
    ConfigError
        Fewer parameters than clusters; a table that does not go with dictionaries; a wrong simplified model.
    NotSupported
        The sampler follows estimates, the model is on MPI ranks or has no such field, or the method makes models that
        are not local ones.
    """
    wish, config = study.config.dictionary, study.config
    if wish is None:
        return
    if getattr(sampler, "follows_estimates", False):
        raise NotSupported(f"[dictionary] clusters a design that is solved as a whole, and [sampling] method = "
                           f"\"{config.sampling.method}\" asks for one parameter after the other; use a fixed design "
                           "such as \"latin-hypercube\"")
    if config.adaptivity is not None:
        raise ConfigError("[adaptivity] enriches one model, and [dictionary] makes several; say [dictionary.fallback] "
                          "tolerance and full_order_steps instead")
    if config.cluster.ranks is not None:
        raise NotSupported("[dictionary] needs whole solutions, and those of a model on MPI ranks stay in parts; leave "
                           "out [cluster] ranks")
    if config.reduction.method == "sketched" or "windows" in config.reduction.options:
        raise NotSupported("[dictionary] makes local models of whole bases; leave out time windows and use another "
                           "[reduction] method than \"sketched\"")
    _check_design(wish, int(getattr(sampler, "solves", 0)))
    _check_fields(study, wish)


def _check_design(wish: DictionaryConfig, design: int) -> None:
    """The design must have more members than there are clusters."""
    clusters = 1 if wish.clusters == "auto" else int(wish.clusters)
    least = max(_FEWEST, clusters)
    if design < least:
        raise ConfigError(f"[dictionary] clusters = {wish.clusters} needs a design of at least {least} parameters, and "
                          f"[sampling] asks for {design}; raise its size")


def _check_fields(study: Study, wish: DictionaryConfig) -> None:
    """The field that is compared and the input that is looked at must be there, in the simplified model too."""
    simplified = build_model(simplified_request(study))
    for fom in (study.model, simplified):
        problem = getattr(fom, "mechanics", None)
        if wish.field != STATE and problem is None:
            raise NotSupported(f"[dictionary] field = \"{wish.field}\" is one of mechanics, and the model is of kind "
                               f"\"{study.config.model.kind}\"; write field = \"state\"")
        check_field(fom, wish.field)
        if wish.recommender.input == "temperature" and problem is None:
            raise NotSupported("[dictionary.recommender] input = \"temperature\" needs a model of mechanics; write "
                               "input = \"parameters\"")
    if output_names(simplified) != output_names(study.model):
        raise ConfigError("[dictionary.simplified.model] changes the outputs of the model; leave them as they are")
