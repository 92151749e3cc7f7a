"""The walk of a study: ask for parameters, solve what is missing, reduce, tell; then validate, export and report."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import romflow
from romflow.core.errors import NotCertified, NotSupported, SolveFailed
from romflow.core.files import FolderLock, plain, refused, write_json
from romflow.core.log import logging_to
from romflow.core.provenance import environment
from romflow.fom.protocol import output_names
from romflow.outcome.curves import errors_by_size, singular_values, worst_field
from romflow.outcome.interpolation import interpolation_hint, interpolation_summary
from romflow.outcome.mechanics_pictures import mechanics_pictures, pictured_runs
from romflow.outcome.moving import worst_trajectory
from romflow.outcome.summary import doubts, error_table, online_summary, solver_summary, validation_summary
from romflow.outcome.validation import Validation, unanswered, validate
from romflow.reduction.distributed.runner import PartRunner, is_split
from romflow.report.data import ReportData
from romflow.report.mechanics_data import AdaptiveRuns
from romflow.report.page import write_report
from romflow.rom.loading import load
from romflow.rom.model import ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.tasks.adaptive import AdaptiveSettings, Tasks
from romflow.tasks.executor import Executor, make_executor, pinned_threads
from romflow.walk.adaptive import AdaptiveOutcome, adaptive_runs, adaptive_summary
from romflow.walk.dictionary.building import Building, dictionary_summary
from romflow.walk.progress import Progress
from romflow.walk.questions import check_uncertainty
from romflow.walk.truth import Truth, store_folder
from romflow.walk.uncertainty import Uncertainty, uncertainty_summary
from romflow.walk.watcher import LOG, MODEL, OFFLINE, REPORT, SUMMARY, Result, Silent, Watcher

if TYPE_CHECKING:
    from romflow.study import Study

__all__ = ["Walk"]


class Walk:
    """One run of a study in a folder.

    Parameters
    ----------
    study : Study
    folder : Path
    watcher : Watcher, optional
    """

    def __init__(self, study: Study, folder: Path, watcher: Watcher | None = None) -> None:
        self.study, self.folder, self.watcher = study, folder, watcher or Silent()
        self._record: dict[str, Any] | None = None  # of a dictionary
        self._lost: dict[str, int] = {}  # validation parameters, where none has an answer
        self._progress = Progress(study.name, folder, self.watcher, study.config.failures.max_failed_share)

    def run(self) -> Result:
        """Walk from parameters to report; every part that is stored already is taken from the store."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused("make the run folder", self.folder, error) from error
        with FolderLock(self.folder), logging_to(self.folder / LOG), pinned_threads(self.study.config.cluster.threads):
            try:
                result = self._run()
            except BaseException as error:
                self._progress.close("stopped", f"{type(error).__name__}: {error}")
                raise
            self._progress.close("finished")
            return result

    def _run(self) -> Result:
        started, cpu = time.perf_counter(), time.process_time()
        study = self.study
        with self._progress.timed("model"):
            sampler, reductor, exporters = study.sampler(), study.reductor(), study.exporters()
            study.check_fit(sampler, reductor)
            self._training = self._truth(study.training_request, self.folder / "store")
            horizon = store_folder(study, self.folder)
            self._horizon = self._training if horizon == self._training.store.folder else self._truth(study.request,
                                                                                                      horizon)
        fom = self._horizon.fom
        check_uncertainty(study, output_names(fom), getattr(fom, "times", None))
        with make_executor(study.config.cluster, retries=study.config.failures.retries) as executor:
            self._executor: Executor = executor
            self._runner = self._part_runner(fom)
            rom, mu = self._offline(sampler, reductor)
            offline = self._offline_summary(rom, sampler, time.process_time() - cpu, time.perf_counter() - started)
            offline |= self._interpolation(rom, fom, sampler)
            validation = self._validate(rom, fom, mu)
            rom = _with_range(rom, mu, validation)
            rom.save(self.folder / MODEL)
            self._runs = self._adaptive(rom, reductor)
            history = self._history(sampler, rom, fom, validation)
            values = rom.metadata.get("singular_values") or singular_values(rom, fom, self._training.store, mu,
                                                                            self._runner)
            rom = self._kept(rom)
            summary = self._summary(rom, offline, validation, mu)
            uq = None if study.config.uq is None else Uncertainty(study, rom, self._horizon, executor,
                                                                  self.folder).run()
        if self._record is not None:
            summary["dictionary"] = dictionary_summary(self._record)
        if uq is not None:
            summary["uq"] = uncertainty_summary(uq)
        if self._runs is not None:
            summary["adaptive"] = plain(adaptive_summary(self._runs))
        self._export(rom, fom, exporters)
        write_json(self.folder / SUMMARY, summary)
        self._report(rom, mu, validation, summary, history, values, uq)
        return Result(rom, summary, self.folder)

    def _truth(self, request: dict[str, Any], folder: Path) -> Truth:
        return Truth(request, folder, self.study.parameters.columns, self._progress,
                     self.study.config.failures.veracity)

    def _part_runner(self, fom: Any) -> PartRunner | None:
        """What reduces a model on MPI ranks by tasks on its parts."""
        if not is_split(fom):
            return None
        with self._progress.timed("decomposition"):
            runner = PartRunner.prepared(self._executor, self.study.request, self._training.store.folder)
            fom.index(self._training.store.folder)
        return runner

    def _kept(self, rom: ReducedModel) -> ReducedModel:
        """The model with the basis of its file, where that is in parts; what the reduction worked with goes."""
        if self._runner is None:
            return rom
        self._runner.clear()
        return replace(rom, basis=load(self.folder / MODEL).basis)  # type: ignore[type-var]

    # -- the loop ------------------------------------------------------------------------------------------------

    def _offline(self, sampler: Any, reductor: Any) -> tuple[ReducedModel, np.ndarray]:
        if self.study.config.dictionary is not None:
            return self._dictionary(sampler)
        self._progress.begin("offline", int(getattr(sampler, "solves", 0)) or None)
        truth, mu = self._training, np.empty((0, self.study.parameters.size))
        rom: ReducedModel | None = None
        if getattr(reductor, "starts_empty", False):
            rom = self._reduce(reductor, mu)
            sampler.tell(rom)
        while len(batch := np.atleast_2d(sampler.ask())):
            failed = truth.solve_missing(batch, self._executor)
            failed[~failed] = truth.set_aside(mu, batch[~failed])
            if failed.any() and hasattr(sampler, "reject"):
                sampler.reject(batch[failed])
            mu = np.concatenate([mu, batch[~failed]])
            if failed.all() and rom is not None:
                continue
            rom = self._reduce(reductor, mu)
            sampler.tell(rom)
        if rom is None:
            raise SolveFailed("the sampler asked for no parameters, so there is nothing to reduce; check [sampling]")
        return self._labelled(rom), mu

    def _dictionary(self, sampler: Any) -> tuple[ReducedModel, np.ndarray]:
        """Local models of clusters of the design instead of one model."""
        built = Building(self.study, self.folder, self._training, self._executor, self._progress, self._tasks,
                         self._reduce).run(np.atleast_2d(sampler.ask()))
        self._record = built.record
        return self._labelled(built.rom), built.mu

    def _reduce(self, reductor: Any, mu: np.ndarray) -> ReducedModel:
        truth, compression = self._training, getattr(reductor, "compression", None)
        if hasattr(compression, "compressor"):
            compression.compressor = partial(self._executor.compress, truth.request, truth.store.folder, truth.columns)
        if self._runner is not None:
            reductor.runner = self._runner
        if hasattr(reductor, "tasks"):
            reductor.tasks = self._tasks(truth)
        with self._progress.timed("reduction"):
            rom = reductor.reduce(truth.fom, truth.store, mu)
        if self._horizon is not truth:
            rom = replace(rom, times=self._horizon.fom.times)  # type: ignore[call-arg, type-var]
        if self.study.config.reduction.certified and rom.error_kind != "bound":
            moving = hasattr(rom, "times")
            remedy = "a coercivity bound, and [time] scheme = \"implicit-euler\" without a tolerance" if moving else (
                "a stability bound and estimator = \"orthonormal\"")
            raise NotCertified(f"[reduction] certified = true, but {self.study.config.reduction.method} on this model "
                               f"gives an {rom.error_kind or 'uncertified model'}; give the model {remedy}, or set "
                               "certified = false")
        return rom

    def _tasks(self, truth: Truth) -> Tasks:
        """tasks(kernel, shared, parts): what a kernel finds on each part, by tasks of the executor."""
        return lambda kernel, shared, parts: self._executor.parts(kernel, truth.request, truth.store.folder, shared,
                                                                  parts)

    def _labelled(self, rom: ReducedModel) -> ReducedModel:
        about = {"study": self.study.name, "fingerprint": self.study.fingerprint, "romflow": romflow.__version__}
        return replace(rom, metadata=plain({**rom.metadata, **about}))  # type: ignore[type-var]

    # -- after the loop ------------------------------------------------------------------------------------------

    def _validate(self, rom: ReducedModel, fom: Any, known: np.ndarray) -> Validation | None:
        """Compare with the truth at independent parameters; `known` (k, p) are those that the model was made from."""
        mu = self.study.validation_parameters()
        if not len(mu):
            return None
        self._progress.begin("validation", len(mu))
        truth = self._horizon
        solved = ~truth.solve_missing(mu, self._executor)
        if truth is self._training:
            fresh = np.flatnonzero(solved & ~(mu[:, None] == known).all(axis=2).any(axis=1))
            solved[fresh] = ~truth.set_aside(known, mu[fresh])
        with self._progress.timed("validation"):
            result = validate(rom, fom, truth.store, mu[solved], self._runner) if solved.any() else None
        if result is None and solved.any():
            self._lost = unanswered(rom, mu[solved])
            if "refused" in self._lost:
                self._progress.note(f"WARNING: the dictionary refused {self._lost['refused']} of "
                                    f"{np.count_nonzero(solved)} validation parameters, and answered none: they are "
                                    "far from its training or have an error estimate above its tolerance, so that "
                                    "nothing is known of its errors; give a larger [dictionary] budget, or a larger "
                                    "[dictionary.fallback] tolerance")
            else:
                self._progress.note("WARNING: the reduced model found a solution at none of the validation parameters")
        for doubt in doubts(result):
            self._progress.note(doubt)
        return result

    def _adaptive(self, rom: ReducedModel, reductor: Any) -> list[AdaptiveOutcome] | None:
        """The adaptive runs that the study asks for, and what later ones begin with."""
        offline = getattr(reductor, "offline", None)
        if offline is not None:
            offline.save(self.folder / OFFLINE)
        wish = self.study.config.adaptivity
        if wish is None:
            return None
        settings = AdaptiveSettings(wish.tolerance, wish.max_share, wish.restart)
        return adaptive_runs(self._tasks(self._horizon), self._horizon, rom, offline,
                             self.study.adaptive_parameters(), settings, self.folder)

    def _offline_summary(self, rom: ReducedModel, sampler: Any, cpu: float, wall: float) -> dict[str, Any]:
        history, counts = getattr(sampler, "history", []), self._progress
        training = history[-1]["max_relative_estimate"] if history else rom.metadata.get(
            "leave_one_out_error", rom.metadata.get("projection_error"))
        elsewhere = counts.solve_seconds if self._executor.remote or self._runner is not None else 0.0
        if self._runner is not None:
            elsewhere += self._runner.seconds
        return {"basis_size": rom.size,
                "tolerance": self.study.config.reduction.tolerance, "training_error": training,
                "cpu_seconds": cpu + elsewhere, "wall_seconds": wall}

    def _interpolation(self, rom: ReducedModel, fom: Any, sampler: Any) -> dict[str, Any]:
        """How coefficients were interpolated, and a hint where this is what keeps the model from its tolerance."""
        history = getattr(sampler, "history", [])
        worst = np.array([history[-1]["mu"]]) if history else self.study.validation_parameters()
        found = interpolation_summary(fom, rom)
        hint = interpolation_hint(rom, fom, worst, self.study.config.reduction.tolerance)
        if hint is not None:
            self._progress.note(hint)
            found["interpolation_hint"] = hint
        return found

    def _summary(self, rom: ReducedModel, offline: dict[str, Any], validation: Validation | None,
                 mu: np.ndarray) -> dict[str, Any]:
        self._progress.begin("online", None)
        store, counts = self._training.store, self._progress
        known = self._full_order_seconds(mu)
        config = self.study.config
        offline = {"snapshots_solved": counts.solved, "snapshots_reused": counts.reused,
                   "snapshots_failed": counts.failed, "solver": solver_summary(store, mu)} | offline
        return plain({
            "romflow": romflow.__version__,
            "study": {"name": self.study.name, "fingerprint": self.study.fingerprint},
            "offline": offline, "validation": validation_summary(validation, rom, self._lost),
            "online": online_summary(rom, float(np.median(known)) if known.size else None),
            "environment": environment() | {"seeds": {"sampling": config.sampling.seed,
                                                      "validation": config.validation.seed}}})

    def _full_order_seconds(self, mu: np.ndarray) -> np.ndarray:
        """Processor seconds of the full-order solves over the times of the reduced model, where they are known (j,)."""
        truth = self._horizon
        if truth is not self._training:
            mu = self.study.validation_parameters()
        stored = np.delete(mu, truth.store.missing(mu), axis=0)
        seconds = truth.store.seconds(stored)
        return np.asarray(seconds[np.isfinite(seconds)])

    def _export(self, rom: ReducedModel, fom: Any, exporters: list[tuple[Any, str | None]]) -> None:
        if exporters:
            self._progress.begin("export", len(exporters))
        with self._progress.timed("export"):
            for done, (exporter, name) in enumerate(exporters, start=1):
                target = name or f"{self.study.name}{exporter.suffix}"
                fields = getattr(exporter, "needs_fields", False)
                if fields and isinstance(rom, SketchedReducedModel):
                    self._progress.note(f"not written: {target}, because with keep_snapshots = false there are no "
                                        "fields")
                else:
                    split = fields and self._runner is not None
                    self._export_one(exporter, replace(rom, mesh=fom.mesh) if split else rom, target)
                self.watcher.step(done, 0)

    def _export_one(self, exporter: Any, rom: ReducedModel, target: str) -> None:
        """Write one file, or say why this model cannot be written so; the other files and the report follow."""
        try:
            exporter.write(rom, self.folder / target)
        except (NotSupported, SolveFailed) as error:  # the latter from a compiler
            self._progress.note(f"not written: {target}, because {error}")

    def _report(self, rom: ReducedModel, mu: np.ndarray, validation: Validation | None, summary: dict[str, Any],
                history: list[dict[str, Any]], values: Any, uq: dict[str, Any] | None) -> None:
        self._progress.begin("report", None)
        truth, store = self._horizon, self._training.store
        trained = None if truth is self._training else float(self._training.fom.times[-1])
        shown = mechanics_pictures(rom, truth.fom, truth.store, validation, trained)
        data = ReportData(
            summary=summary, study_text=self.study.text, history=history,
            singular_values=None if values is None else np.asarray(values),
            validation=error_table(validation), rom=rom, field=worst_field(rom, truth.store, validation),
            evolution=worst_trajectory(rom, truth.fom, truth.store, validation),
            body=shown.body, points=shown.points, run=shown.run, adaptive=self._adaptive_pictures(),
            stages=self._progress.stages, solve_seconds=store.seconds(mu) if len(mu) else None,
            failures=store.failures(), provenance=summary["environment"],
            snapshot_mu=mu if len(mu) else None, uq=uq or {}, dictionary=self._record or {})
        data.save(self.folder)
        write_report(self.folder / REPORT, data)

    def _adaptive_pictures(self) -> AdaptiveRuns | None:
        wish, runs = self.study.config.adaptivity, self._runs
        if wish is None or not runs:
            return None
        return pictured_runs(np.array([run.mu for run in runs]), [run.log for run in runs], wish.tolerance,
                             np.array([run.last_error for run in runs]))

    def _history(self, sampler: Any, rom: ReducedModel, fom: Any,
                 validation: Validation | None) -> list[dict[str, Any]]:
        """The greedy's steps with the true validation error of each smaller model beside them."""
        history = [dict(step) for step in getattr(sampler, "history", [])]
        if validation is None or not history:
            return history
        gaps = errors_by_size(rom, fom, self._horizon.store, validation, self._runner)
        for step in history:
            if step["size"] in gaps:
                step["max_true_error"], step["max_relative_true_error"] = gaps[step["size"]]
        return history


def _with_range(rom: ReducedModel, mu: np.ndarray, validation: Validation | None) -> ReducedModel:
    """The model with what its exports tell: the range of its snapshots at mu (k, p), and its validation."""
    found: dict[str, Any] = {"validation": None if validation is None else validation_summary(validation, rom)}
    if len(mu):
        found["training_range"] = {"low": mu.min(axis=0), "high": mu.max(axis=0), "snapshots": len(mu)}
    return replace(rom, metadata=plain({**rom.metadata, **found}))  # type: ignore[type-var]
