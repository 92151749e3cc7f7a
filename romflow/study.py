"""A study: what one TOML file says, and the objects that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from romflow.core import registry
from romflow.core.errors import ConfigError, NotCertified, NotSupported
from romflow.core.fingerprint import fingerprint
from romflow.core.schema import StudyConfig, parse_study, read_study
from romflow.core.work_sections import check_split
from romflow.parameters.sampling.file import FromFile
from romflow.parameters.space import ParameterSpace

if TYPE_CHECKING:
    from romflow.dd.prediction import Prediction
    from romflow.uq.inputs import RandomInputs
    from romflow.walk.watcher import Result, Watcher

# Bytes of one snapshot file beside its numbers.
_FILE_OVERHEAD = 8192


@dataclass(frozen=True)
class Plan:
    """What a run will do: numbers that `romflow check` prints."""

    name: str
    model: str
    unknowns: int
    parameters: tuple[str, ...]
    terms: int | None
    training_solves: int
    validation_solves: int
    snapshot_bytes: int
    seconds_per_solve: float | None = None
    prediction: Prediction | None = None
    times: int = 1
    uncertainty_solves: int = 0
    simplified_solves: int = 0

    @property
    def solves(self) -> int:
        """Full-order solves at most."""
        return self.training_solves + self.validation_solves + self.uncertainty_solves

    @property
    def core_seconds(self) -> float | None:
        """Processor seconds of all the solves, None unless one was timed."""
        return None if self.seconds_per_solve is None else self.solves * self.seconds_per_solve

    @property
    def store_bytes(self) -> int:
        """Bytes that the snapshots take."""
        return self.solves * self.snapshot_bytes


@dataclass(frozen=True)
class Study:
    """A parametrised problem and how to reduce it.

    Made by `from_file` or `from_dict`; `run` does the work.

    Attributes
    ----------
    config : StudyConfig
    base : Path
        Folder that relative paths start from.
    text : str
        The study as written.
    where : str
        Name of its file, for messages.

    Examples
    --------
    >>> import romflow
    >>> study = romflow.Study.from_dict({
    ...     "study": {"name": "block"}, "model": {"kind": "thermal-block", "blocks": [2, 2], "cells": 10},
    ...     "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 4}}, "sampling": {"method": "greedy"}})
    >>> study.plan().unknowns
    81
    """

    config: StudyConfig
    base: Path
    text: str = ""
    where: str = ""

    @classmethod
    def from_file(cls, path: str | Path) -> Study:
        """Read and check a study file.

        Raises
        ------
        ConfigError
            The file is missing, is not TOML, or breaks a rule; one sentence that names file, section and key.
        """
        path = Path(path)
        config = read_study(path)
        return cls(config, path.resolve().parent, path.read_text(encoding="utf-8"), path.name)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], base: str | Path = ".") -> Study:
        """A study from a dictionary of the same shape as the file."""
        return cls(parse_study(content), Path(base).resolve())

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.config.study.name

    @cached_property
    def parameters(self) -> ParameterSpace:
        """The parameter space."""
        return ParameterSpace.from_config(self.config.parameters, self.base)

    @cached_property
    def request(self) -> dict[str, Any]:
        """What a worker needs to build the model: JSON."""
        model = self.config.model
        request = {"kind": model.kind, "options": dict(model.options), "parameters": self.parameters.to_spec(),
                   "base": str(self.base)}
        solver, ranks, time = self.config.solver, self.config.cluster.ranks, self.config.time
        if time is not None:
            request["time"] = time.wishes()
        if solver.model_fields_set:
            request["solver"] = solver.wishes()
        return request if ranks is None else {**request, "ranks": ranks}

    @cached_property
    def training_request(self) -> dict[str, Any]:
        """The request of the model that is trained on: its times may end before those of the study."""
        time = self.config.time
        if time is None or time.train_until is None:
            return self.request
        return {**self.request, "time": time.training_wishes()}

    @cached_property
    def model(self) -> Any:
        """The full-order model (built once)."""
        from romflow.fom.build import build_model

        return build_model(self.request)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the model: not what is asked of it, the cluster, or the name of a file."""
        absent = {"dictionary"} if self.config.dictionary is None else set()
        content = self.config.model_dump(mode="json", exclude={"cluster", "export", "uq", *absent})
        return fingerprint({"study": content, "model": registry.source_identity("model", self.config.model.kind,
                                                                               self.base)})

    def sampler(self) -> Any:
        """A new sampler."""
        sampling, reduction = self.config.sampling, self.config.reduction
        return registry.build("sampler", sampling.method, self.base, sampling.options, where=self.where,
                              space=self.parameters,
                              seed=sampling.seed, base=self.base, tolerance=reduction.tolerance,
                              max_size=reduction.max_size)

    def reductor(self) -> Any:
        """A new reductor, which accepts the model.

        Raises
        ------
        NotSupported
            The method does not fit the model; the message says what does.
        """
        reduction = self.config.reduction
        # What the user wrote must be taken; what the schema filled in may be left.
        written = {key: getattr(reduction, key) for key in ("estimator", "projection")
                   if key in reduction.model_fields_set}
        reductor = registry.build("reductor", reduction.method, self.base, {**reduction.options, **written},
                                  where=self.where, tolerance=reduction.tolerance, max_size=reduction.max_size,
                                  seed=self.config.sampling.seed)
        reason = reductor.accepts(self.model)
        if reason is not None:
            raise NotSupported(reason)
        possible = getattr(reductor, "certifies", True) and getattr(self.model, "stability", True)
        if reduction.certified and not possible:
            remedy = "set estimator = \"orthonormal\" with method = \"reduced-basis\"" if "sketched" in (
                reduction.estimator, reduction.method) else "give an affine model with a stability bound"
            raise NotCertified(f"[reduction] certified = true, but {reduction.method} on this model gives no bound; "
                               f"{remedy}, or set certified = false")
        return reductor

    def check_fit(self, sampler: Any, reductor: Any) -> None:
        """Raise NotSupported where the sampler follows estimates that the reductor cannot give from few snapshots."""
        if getattr(sampler, "follows_estimates", False) and getattr(reductor, "fixed_designs_only", False):
            raise NotSupported(f"{self.config.reduction.method} needs many snapshots at once, and "
                               f"{self.config.sampling.method} asks for one after the other; use a fixed design such "
                               "as [sampling] method = \"sobol\"")
        if self.config.dictionary is not None:
            from romflow.walk.dictionary.questions import check_dictionary

            check_dictionary(self, sampler, reductor)
        if self.config.adaptivity is not None:
            if not hasattr(reductor, "offline"):
                raise NotSupported(f"[adaptivity] enriches models of mechanics, and {self.config.reduction.method} "
                                   "makes none that can be enriched; use [reduction] method = \"empirical-cubature\"")
            if not len(self.adaptive_parameters()):
                raise ConfigError("[adaptivity] has no parameters to run at: name a table of them by parameters = "
                                  "\"file.csv\", or give [validation] size")

    def exporters(self) -> list[tuple[Any, str | None]]:
        """The exporters and their file names (None: chosen from the study's name)."""
        names = [wish.path for wish in self.config.export if wish.path is not None]
        for name in names:
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ConfigError(f"[[export]] path = '{name}' leaves the run folder; give a name within it")
            if names.count(name) > 1:
                raise ConfigError(f"[[export]] path = '{name}' is named twice; give each export its own file")
        return [(registry.build("exporter", wish.format, self.base, wish.options, where=self.where,
                                base=self.base), wish.path)
                for wish in self.config.export]

    def validation_parameters(self) -> np.ndarray:
        """Independent parameters (k, p) on which the truth is solved."""
        validation = self.config.validation
        return self.parameters.sample(validation.size, np.random.default_rng(validation.seed))

    def adaptive_parameters(self) -> np.ndarray:
        """Parameters (k, p) of the adaptive runs: those of the file that [adaptivity] names, or of the validation."""
        wish = self.config.adaptivity
        if wish is None or wish.parameters is None:
            return self.validation_parameters()
        return FromFile(self.parameters, path=wish.parameters, base=self.base).design()

    def random_inputs(self) -> RandomInputs:
        """The random inputs: the parameters' distributions, or those of [uq].

        Raises
        ------
        ConfigError
            A name, a distribution or a correlation of [uq] breaks its rule.
        """
        from romflow.core.uq_section import UqConfig
        from romflow.uq.configured import random_inputs

        return random_inputs(self.config.uq or UqConfig(), self.parameters, self.base)

    def plan(self, time_one: bool = False) -> Plan:
        """Check everything that can be checked without a run, and say what the run will do.

        Parameters
        ----------
        time_one : bool
            Solve once at the centre of the parameter space to estimate the processor time.
        """
        sampler, model = self.sampler(), self.model
        self.check_fit(sampler, self.reductor())
        self.exporters()
        draws = self._uncertainty_solves(model)
        wish, design = self.config.dictionary, int(getattr(sampler, "solves", 0))
        seconds, training = None, design if wish is None else wish.full_order_runs(design)
        cluster, validation = self.config.cluster, self.config.validation
        prediction = None if cluster.ranks is None else _predicted(model, cluster, training + validation.size + draws)
        n = model.n if prediction is None else prediction.size.n
        if time_one or n is None:
            snapshot = _timed_solve(model, self.parameters.centre())
            seconds, n = float(snapshot.info["seconds"]), snapshot.state.size
        theta = getattr(getattr(model, "operator", None), "theta", getattr(model, "operator_theta", None))
        times = len(getattr(model, "times", (0,)))
        return Plan(self.name, self.config.model.kind, n, self.parameters.columns,
                    None if theta is None else len(theta.expressions), training, validation.size,
                    8 * n * times + _FILE_OVERHEAD, seconds, prediction, times, draws,
                    design if wish is not None and wish.simplified is not None else 0)

    def _uncertainty_solves(self, model: Any) -> int:
        from romflow.fom.protocol import output_names
        from romflow.walk.questions import check_uncertainty, uncertainty_solves

        check_uncertainty(self, output_names(model), getattr(model, "times", None))
        return uncertainty_solves(self)

    def on(self, ranks: int | None = None, workers: int | None = None) -> Study:
        """The same study on another number of MPI ranks or workers; None leaves what the file says.

        Raises
        ------
        ConfigError
            A number below 1, or the method of [solver] does not go with ranks.
        """
        wanted = {"ranks": ranks, "workers": workers}
        changed = {key: number for key, number in wanted.items() if number is not None}
        for key, number in changed.items():
            if number < 1:
                raise ConfigError(f"{key} = {number}; the rule is a whole number from 1")
        written = self.config.cluster.model_dump(exclude_unset=True)
        cluster, solver = type(self.config.cluster).model_validate({**written, **changed}), self.config.solver
        if cluster.ranks is not None and "method" not in solver.model_fields_set:
            solver = solver.model_copy(update={"method": "auto"})
        try:
            check_split(solver, cluster)
        except ValueError as error:
            raise ConfigError(f"{self.where or 'the study'} {error}") from None
        return replace(self, config=self.config.model_copy(update={"cluster": cluster, "solver": solver}))

    def run(self, folder: str | Path, watcher: Watcher | None = None) -> Result:
        """Run the study in `folder`, or go on where an earlier run of it stopped.

        Returns
        -------
        Result
            With .rom, .summary and .folder.

        Raises
        ------
        StoreError
            The folder belongs to another study, is in use, or cannot be written.
        """
        from romflow.walk.run import Walk

        return Walk(self, Path(folder), watcher).run()


def _predicted(model: Any, cluster: Any, solves: int) -> Prediction | None:
    """Time and memory on ranks; None for models whose snapshots are whole."""
    from romflow.reduction.distributed.runner import is_split
    from romflow.tasks.scaling import predicted

    if not is_split(model):
        return None
    return predicted(model, cluster.workers, solves, launcher=cluster.launcher, local=cluster.kind == "local")


def _timed_solve(model: Any, mu: np.ndarray) -> Any:
    from romflow.fom.protocol import snapshot_of

    return snapshot_of(model, mu)
