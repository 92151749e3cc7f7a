"""The last station but one of the walk: what random inputs make of the outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core.errors import ConfigError, StoreError
from romflow.core.files import plain, read_json, write_json
from romflow.core.fingerprint import file_fingerprint, fingerprint
from romflow.rom.model import ReducedModel
from romflow.tasks.executor import Executor
from romflow.uq.configured import wishes
from romflow.uq.distances import compare_outputs
from romflow.uq.error_split import domain_errors
from romflow.uq.evaluation import Evaluate, of_reduced
from romflow.uq.paired.control_variates import control_variate
from romflow.uq.paired.multifidelity_sampling import Fidelity, multifidelity
from romflow.uq.paired.nested_sums import MAIN, draws
from romflow.uq.rare.importance_sampling import importance
from romflow.uq.streaming.piecewise import in_batches
from romflow.uq.streaming.propagation import drawn_parameters, propagate
from romflow.uq.wishes import Wishes
from romflow.walk.calibration import calibrated
from romflow.walk.drawing import DRAWS, LARGEST_TABLE, bootstrapped, control_bias, study_draws
from romflow.walk.full_order import FullOrder
from romflow.walk.questions import levels_wish
from romflow.walk.truth import Truth
from romflow.walk.watcher import MODEL

if TYPE_CHECKING:
    from romflow.core.uq_section import ControlConfig, UqConfig
    from romflow.study import Study

__all__ = ["ANSWERS", "Uncertainty", "seconds_of", "uncertainty_summary"]

#: The file of all answers, and the folder of what makes them resumable, within that of the run.
ANSWERS, FOLDER = "uq.json", "uq"
_TIMED = 2000  # draws that tell the seconds of an evaluation
_INSTANT = 1e-9
_SLOW = 0.005  # seconds of an evaluation beyond which few are enough
_COMPARED = 2000  # solves whose outputs are compared pair by pair, in a time that grows with the square of their number


class Uncertainty:
    """The table [uq] of a study, carried out part by part; a part that is done is not done again.

    Parameters
    ----------
    study : Study
        With a table [uq].
    rom : ReducedModel
    truth : Truth
    executor : Executor
    folder : Path
        Of the run.
    """

    def __init__(self, study: Study, rom: ReducedModel, truth: Truth, executor: Executor, folder: Path) -> None:
        config = study.config.uq
        if config is None:
            raise ConfigError("the study has no table [uq]; add one")
        self.config: UqConfig = config
        self.rom, self.truth, self.progress = rom, truth, truth.progress
        self.folder = folder / FOLDER
        self.inputs = study.random_inputs()
        self.study, self._target, self._executor = study, folder / ANSWERS, executor
        self._full_order = FullOrder(truth, executor)
        self._run_folder = folder
        self._model = file_fingerprint(folder / MODEL)
        measured = config.calibration
        self._data = None if measured is None else file_fingerprint(study.base / measured.data)
        self.folder.mkdir(exist_ok=True)
        self._drawn = study_draws(study, rom, truth, executor, folder)
        self._identity = self._model if self._drawn is None else self._drawn.identity

    def run(self) -> dict[str, Any]:
        """All parts that the study asks for, written to uq.json."""
        config = self.config
        parts: dict[str, tuple[Any, Callable[[], dict[str, Any]]]] = {"answers": (True, self._answers)}
        parts["control"] = (config.control, self._control)
        parts["rare"] = (config.rare, self._rare)
        parts["levels"] = (config.levels, self._levels)
        parts["calibration"] = (config.calibration, self._calibration)
        found = {name: self._kept(name, make) for name, (wanted, make) in parts.items() if wanted}
        found = plain({"inputs": self.inputs.spec(), "model": config.model, **found})
        write_json(self._target, found)
        return found

    def _kept(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `make` gives, taken from its file where the same question was answered before."""
        file = self.folder / f"{name}.json"
        key = fingerprint({"model": self._identity, "inputs": self.inputs.spec(), "data": self._data,
                           "wish": self.config.model_dump(mode="json", exclude={"batch", "distribute"})})
        kept = _read(file)
        if kept.get("key") == key:
            if name == "answers" and not (self._run_folder / DRAWS).exists():
                self._table(wishes(self.config, self.inputs))
            return dict(kept["found"])
        with self.progress.timed(f"uncertainty: {name}"):
            found = plain(make())
        write_json(file, {"key": key, "found": found}, sync=True)
        return dict(found)

    @property
    def _evaluate(self) -> Evaluate:
        return self._full_order if self.config.model == "full-order" else self._reduced

    @property
    def _reduced(self) -> Evaluate:
        return of_reduced(self.rom) if self._drawn is None else self._drawn

    def _answers(self) -> dict[str, Any]:
        """Statistics of the outputs by many draws of one model."""
        wish = wishes(self.config, self.inputs)
        told = self._table(wish)
        solved = self.config.model == "full-order"
        if solved:
            self.progress.begin("draws", None)  # solves count themselves
        found = propagate(self._evaluate, self.inputs, wish, names=self._names, folder=self.folder,
                          identity=self._identity, watcher=None if solved else self._watch("draws"))
        self._tell(found.outside_share, found.failed_share)
        told = found.plain() | told
        told["seconds"] += told.get("draws", {}).get("processor_seconds", 0.0)
        if self.config.bootstrap:
            told["bootstrap"] = bootstrapped(self._names, self._outputs(wish), self.config.bootstrap, wish)
            if told["bootstrap"] is None:
                self.progress.note("WARNING: too few draws have an answer for [uq] bootstrap; there is none")
        return told

    def _table(self, wish: Wishes) -> dict[str, Any]:
        """The draws of a model that answers by tasks, made ahead and written as a table; what became of them."""
        kept = self.config.draws != "sparse-grid" and self.config.size <= LARGEST_TABLE
        if self._drawn is None or self.config.model == "full-order" or not kept:
            (self._run_folder / DRAWS).unlink(missing_ok=True)  # of another study
            return {}
        table = self._drawn.ahead(drawn_parameters(self.inputs, wish), self._watch("draws by tasks"))
        table.write(self._run_folder / DRAWS, self.inputs.columns, self._names)
        facts = table.facts()
        if facts["refused"] or facts["enriched"]:
            self.progress.note(f"{100 * facts['enriched']:.3g} % of the draws were enriched by full-order steps "
                               f"({facts['full_order_steps']} in all), {100 * facts['refused']:.3g} % were refused")
        return {"draws": facts}

    def _outputs(self, wish: Wishes) -> np.ndarray:
        """Outputs (o, N) at all draws."""
        mu = drawn_parameters(self.inputs, wish)
        if self._drawn is not None and self.config.model == "reduced":
            return self._drawn.table(mu).answers.output
        return in_batches(self._evaluate, mu, wish.batch).output

    def _watch(self, stage: str) -> Callable[[int, int], None]:
        """Passes (done, total) on to who watches the run."""
        told: int | None = None

        def watch(done: int, total: int) -> None:
            nonlocal told
            if told is None:
                self.progress.begin(stage, total)
            self.progress.tick(done - (told or 0))
            told = done

        return watch

    def _tell(self, outside: float, failed: float) -> None:
        if outside:
            self.progress.note(f"WARNING: {100 * outside:.3g} % of the draws are outside the range for which the model "
                               "was built; there its error estimate and its answers are extrapolated")
        if failed:
            self.progress.note(f"WARNING: {100 * failed:.3g} % of the evaluations have no answer and are left out")

    @property
    def _names(self) -> tuple[str, ...]:
        return self._full_order.names

    def _control(self) -> dict[str, Any]:
        """Statistics of the full-order outputs, with the reduced model as control variate."""
        wish = self.config.control
        thresholds, names = self.config.exceedance, self._names
        truth, *others = self._fidelities(wish)
        self.progress.begin("control", None)
        if wish.method == "control-variate":
            solves = wish.solves if wish.solves is not None else max(10, int(wish.seconds / truth.seconds))
            self.progress.begin("control", solves)
            found = control_variate(truth, others[0], self.inputs, names, solves, exceedance=thresholds,
                                    confidence=self.config.confidence, seed=wish.seed)
        else:
            unit = "solves" if wish.solves is not None else "seconds"
            found = multifidelity([truth, *others], self.inputs, names, float(wish.solves or wish.seconds), unit=unit,
                                  pilot=wish.pilot, exceedance=thresholds, confidence=self.config.confidence,
                                  seed=wish.seed)
        for note in found.notes:
            self.progress.note(note)
        self.progress.begin("bias of the reduced model", None)
        mu = draws(self.inputs, wish.seed, MAIN, 0, min(found.budget["full-order"].evaluations, _COMPARED))
        full, reduced = self._full_order(mu), self._reduced(mu)
        compared = compare_outputs(names, full.output, reduced.output, paired=True)
        bias = control_bias(names, full, reduced, self._independent(wish, len(mu)), self.config.bootstrap,
                            self.config.confidence, wish.seed)
        if bias is None:
            self.progress.note("WARNING: too few of the control draws have both answers for the bias of the reduced "
                               "model; raise [uq.control] solves")
        told = found.plain() | {"bias": bias}
        if wish.method == "multifidelity":
            told["notes"].append("seconds of an evaluation were measured, so that a run in another folder may split "
                                 "the budget otherwise")
        return told | {"method": wish.method,
                       "energy_distance": {name: one.plain() for name, one in compared.items()}}

    def _independent(self, wish: ControlConfig, paired: int) -> np.ndarray | None:
        """Outputs (o, N) of the reduced model at the study's own draws, less those of the control; None if not kept."""
        config = self.config
        if config.draws != "monte-carlo" or config.model == "full-order" or config.size > LARGEST_TABLE:
            return None
        output = self._outputs(wishes(config, self.inputs))
        return output[:, paired:] if config.seed == wish.seed else output

    def _fidelities(self, wish: ControlConfig) -> list[Fidelity]:
        """The full-order model, the reduced one, and smaller ones cut from it."""
        models: list[tuple[str, Evaluate]] = [("full-order", self._full_order), ("reduced", self._reduced)]
        models += [(f"reduced to {size}", of_reduced(self.rom.truncate(size))) for size in self._smaller(wish.levels)]
        seconds = self._seconds({**dict(models), "reduced": of_reduced(self.rom)})
        return [Fidelity(name, evaluate, seconds[name]) for name, evaluate in models]

    def _smaller(self, sizes: list[int]) -> list[int]:
        """Those of the sizes that are smaller than the model's."""
        for size in sizes:
            if size >= self.rom.size:
                self.progress.note(f"[uq.control] levels: {size} is left out, for the reduced model has the size "
                                   f"{self.rom.size}")
        return [size for size in sizes if size < self.rom.size]

    def _seconds(self, models: Mapping[str, Evaluate]) -> dict[str, float]:
        """Seconds of an evaluation of each model, measured once a run folder, so that a resumed run splits alike."""
        file = self.folder / "seconds.json"
        key = fingerprint({"model": self._model, "models": sorted(models)})
        kept = _read(file)
        if kept.get("key") == key:
            return dict(kept["seconds"])
        mu = self.inputs.sample(_TIMED, np.random.default_rng(0))
        seconds = {name: seconds_of(evaluate, mu) for name, evaluate in models.items() if name != "full-order"}
        seconds["full-order"] = self._full_order_seconds(mu[:1])
        write_json(file, {"key": key, "seconds": seconds}, sync=True)
        return seconds

    def _full_order_seconds(self, mu: np.ndarray) -> float:
        """What the validation's solves took, or one solve at mu (1, p)."""
        validation = self.study.validation_parameters()
        known = self._full_order.seconds(validation) if len(validation) else None
        if known is None:
            started = time.perf_counter()
            self._full_order(mu)
            known = time.perf_counter() - started
        return max(known, _INSTANT)

    def _rare(self) -> dict[str, Any]:
        """Exceedance probabilities by importance sampling."""
        wish = self.config.rare
        found = importance(self._evaluate, self.inputs, self._names, self.config.exceedance, size=wish.size,
                           tolerance=wish.tolerance, confidence=self.config.confidence, seed=wish.seed)
        for note in found.notes:
            self.progress.note(note)
        return found.plain()

    def _calibration(self) -> dict[str, Any]:
        """The posterior of the inputs; other measurements or wishes have chains of their own."""
        wish = self.config.calibration
        key = fingerprint({"model": self._model, "inputs": self.inputs.spec(), "data": self._data,
                           "wish": wish.model_dump(mode="json")})
        return calibrated(wish, self.study.base, self.rom, self._full_order, self.inputs, self.config.confidence,
                          self.folder / f"chains-{key[:16]}", self._model, self._watch("calibration"))

    def _levels(self) -> dict[str, Any]:
        """The error of the mean, split."""
        settings, option = levels_wish(self.study, self.inputs), self.config.levels.option
        own = self.study.config.model.options.get(option)
        models: dict[Any, FullOrder] = {own: self._full_order}

        def truth(options: Mapping[str, Any], mu: np.ndarray) -> np.ndarray:
            level = int(options["cells"])
            if level not in models:
                models[level] = self._on_level(option, level)
            return models[level](mu).output

        return domain_errors(truth, self.inputs, settings, self._names).plain()

    def _on_level(self, option: str, value: int) -> FullOrder:
        """The full-order model with another value of one option, in a store of its own."""
        request = {**self.truth.request, "options": {**self.truth.request["options"], option: value}}
        folder = self.truth.store.folder / "levels" / f"{option}-{value}"
        return FullOrder(Truth(request, folder, self.truth.columns, self.progress, 0.0), self._executor)


def uncertainty_summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The "uq" part of summary.json: all numbers but the curves."""
    answers = dict(found["answers"])
    answers["outputs"] = {name: {key: value for key, value in one.items() if key not in ("density", "convergence")}
                          for name, one in answers["outputs"].items()}
    return {**{name: part for name, part in found.items() if name != "inputs"}, "answers": answers}


def seconds_of(evaluate: Evaluate, mu: np.ndarray) -> float:
    """Seconds of an evaluation in a batch of mu (b, p), without what the first one takes to set up."""
    evaluate(mu[:1])
    started = time.perf_counter()
    evaluate(mu[:10])
    few = (time.perf_counter() - started) / 10
    if few > _SLOW:
        return few
    started = time.perf_counter()
    evaluate(mu)
    return max((time.perf_counter() - started) / len(mu), _INSTANT)


def _read(file: Path) -> dict[str, Any]:
    """What an earlier run left in `file`; nothing where it is missing or damaged, for it is made again."""
    try:
        kept = read_json(file)
    except StoreError:
        return {}
    return kept if isinstance(kept, dict) else {}
