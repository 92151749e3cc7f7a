"""The walk of a study: ask for parameters, solve what is missing, reduce, tell; then validate, export and report."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import romflow
from romflow.core.errors import NotCertified, NotSupported, SolveFailed
from romflow.core.files import FolderLock, plain, refused, write_json
from romflow.core.log import logging_to
from romflow.core.provenance import environment
from romflow.fom.build import model_identity
from romflow.outcome.curves import errors_by_size, singular_values, worst_field
from romflow.outcome.interpolation import interpolation_hint, interpolation_summary
from romflow.outcome.moving import worst_trajectory
from romflow.outcome.summary import doubts, error_table, online_summary, solver_summary, validation_summary
from romflow.outcome.validation import Validation, validate
from romflow.reduction.distributed.runner import PartRunner, is_split
from romflow.reduction.veracity import VeracityCheck
from romflow.report.data import ReportData
from romflow.report.page import write_report
from romflow.rom.loading import load
from romflow.rom.model import ReducedModel
from romflow.rom.sketched import SketchedReducedModel
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.executor import Executor, SolveRecord, make_executor, pinned_threads

if TYPE_CHECKING:
    from romflow.study import Study

MODEL, SUMMARY, STATUS, REPORT, LOG = "model.h5", "summary.json", "status.json", "report.html", "run.log"
_STATUS_EVERY = 1.0


class Watcher(Protocol):
    """Sees a run go on: what the command line draws its progress bars from."""

    def stage(self, name: str, total: int | None) -> None: ...

    def step(self, done: int, failed: int) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Watches nothing."""

    def stage(self, name: str, total: int | None) -> None:
        """A stage begins; `total` steps where that is known."""

    def step(self, done: int, failed: int) -> None:
        """So many steps of the stage are done, so many of them failed."""

    def note(self, text: str) -> None:
        """Something that a user should read."""


@dataclass(frozen=True)
class Result:
    """What a run gives: the reduced model, the summary as in summary.json, and the run folder."""

    rom: ReducedModel
    summary: dict[str, Any]
    folder: Path


@dataclass
class _Counts:
    solved: int = 0
    reused: int = 0
    failed: int = 0
    solve_seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


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
        self._counts = _Counts()
        self._status: dict[str, Any] = {}
        self._written = 0.0

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
                self._close_status("stopped", f"{type(error).__name__}: {error}")
                raise
            self._close_status("finished")
            return result

    def _run(self) -> Result:
        started, cpu = time.perf_counter(), time.process_time()
        study = self.study
        with self._timed("model"):
            fom, sampler, reductor, exporters = study.model, study.sampler(), study.reductor(), study.exporters()
            study.check_fit(sampler, reductor)
            self._store = SnapshotStore(self.folder / "store", model_identity(study.request, fom),
                                        study.parameters.columns)
        veracity = study.config.failures.veracity
        self._check = VeracityCheck(self._store, veracity) if veracity and not is_split(fom) else None
        with make_executor(study.config.cluster, retries=study.config.failures.retries) as executor:
            self._executor: Executor = executor
            self._runner = self._part_runner(fom)
            rom, mu = self._offline(fom, sampler, reductor)
            offline = self._offline_summary(rom, sampler, time.process_time() - cpu, time.perf_counter() - started)
            offline |= self._interpolation(rom, fom, sampler)
            validation = self._validate(rom, fom, mu)
            rom.save(self.folder / MODEL)
            history = self._history(sampler, rom, fom, validation)
            values = rom.metadata.get("singular_values") or singular_values(rom, fom, self._store, mu, self._runner)
        rom = self._kept(rom)
        summary = self._summary(rom, offline, validation, mu)
        self._export(rom, fom, exporters)
        write_json(self.folder / SUMMARY, summary)
        self._report(rom, mu, validation, summary, history, values)
        return Result(rom, summary, self.folder)

    def _part_runner(self, fom: Any) -> PartRunner | None:
        """What reduces a model on MPI ranks by tasks on its parts."""
        if not is_split(fom):
            return None
        with self._timed("decomposition"):
            runner = PartRunner.prepared(self._executor, self.study.request, self._store.folder)
            fom.index(self._store.folder)
        return runner

    def _kept(self, rom: ReducedModel) -> ReducedModel:
        """The model with the basis of its file, where that is in parts; what the reduction worked with goes."""
        if self._runner is None:
            return rom
        self._runner.clear()
        return replace(rom, basis=load(self.folder / MODEL).basis)  # type: ignore[type-var]

    # -- the loop ------------------------------------------------------------------------------------------------

    def _offline(self, fom: Any, sampler: Any, reductor: Any) -> tuple[ReducedModel, np.ndarray]:
        self.watcher.stage("offline", int(getattr(sampler, "solves", 0)) or None)
        mu = np.empty((0, self.study.parameters.size))
        rom: ReducedModel | None = None
        if getattr(reductor, "starts_empty", False):
            rom = self._reduce(reductor, fom, mu)
            sampler.tell(rom)
        while len(batch := np.atleast_2d(sampler.ask())):
            failed = self._solve_missing(batch)
            failed[~failed] = self._set_aside(mu, batch[~failed])
            if failed.any() and hasattr(sampler, "reject"):
                sampler.reject(batch[failed])
            mu = np.concatenate([mu, batch[~failed]])
            if failed.all() and rom is not None:
                continue
            rom = self._reduce(reductor, fom, mu)
            sampler.tell(rom)
        if rom is None:
            raise SolveFailed("the sampler asked for no parameters, so there is nothing to reduce; check [sampling]")
        return self._labelled(rom), mu

    def _reduce(self, reductor: Any, fom: Any, mu: np.ndarray) -> ReducedModel:
        compression = getattr(reductor, "compression", None)
        if hasattr(compression, "compressor"):
            compression.compressor = partial(self._executor.compress, self.study.request, self._store.folder,
                                             self.study.parameters.columns)
        if self._runner is not None:
            reductor.runner = self._runner
        with self._timed("reduction"):
            rom = reductor.reduce(fom, self._store, mu)
        if self.study.config.reduction.certified and rom.error_kind != "bound":
            moving = hasattr(rom, "times")
            remedy = "a coercivity bound, and [time] scheme = \"implicit-euler\" without a tolerance" if moving else (
                "a stability bound and estimator = \"orthonormal\"")
            raise NotCertified(f"[reduction] certified = true, but {self.study.config.reduction.method} on this model "
                               f"gives an {rom.error_kind or 'uncertified model'}; give the model {remedy}, or set "
                               "certified = false")
        return rom

    def _labelled(self, rom: ReducedModel) -> ReducedModel:
        about = {"study": self.study.name, "fingerprint": self.study.fingerprint, "romflow": romflow.__version__}
        return replace(rom, metadata=plain({**rom.metadata, **about}))  # type: ignore[type-var]

    def _solve_missing(self, mu: np.ndarray) -> np.ndarray:
        """Solve the rows of mu (k, p) that the store lacks; which rows failed (k,)."""
        with self._timed("full-order solves"):
            missing = self._store.missing(mu)
            self._report_damage()
            self._counts.reused += len(mu) - len(missing)
            self._tick(len(mu) - len(missing))
            records = self._executor.solve(self.study.request, self._store.folder, self.study.parameters.columns,
                                           mu[missing], self._on_record) if len(missing) else []
        failed = np.zeros(len(mu), dtype=bool)
        for record in records:
            failed[missing[record.index]] = record.status == "failed"
        self._check_share()
        return failed

    def _set_aside(self, known: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Which of the new snapshots at mu (k, p) are doubtful (k,); they are failed solves from now on."""
        if self._check is None:
            return np.zeros(len(new), dtype=bool)
        with self._timed("veracity"):
            aside = self._check.set_aside(known, new)
        for row in new[aside]:
            reason = (self._store.failure(row) or {}).get("message", "")
            self._note(f"a snapshot is set aside: {reason}")
        self._status["damaged"] = len(self._store.damaged)
        self._counts.failed += int(np.count_nonzero(aside))
        self._check_share()
        return aside

    def _on_record(self, record: SolveRecord) -> None:
        self._counts.solved += record.status == "solved"
        self._counts.reused += record.status == "stored"
        self._counts.failed += record.status == "failed"
        self._counts.solve_seconds += record.seconds
        if record.status == "failed":
            logging.getLogger("romflow").warning("failed: %s", record.message)
            if self._counts.failed == 1:
                self.watcher.note(f"a solve failed and is recorded: {record.message}")
        self._tick(0 if record.status == "failed" else 1)

    def _check_share(self) -> None:
        counts, share = self._counts, self.study.config.failures.max_failed_share
        asked = counts.solved + counts.reused + counts.failed
        if counts.failed and counts.failed > share * asked:
            first = self._store.failures()[0]["message"]
            raise SolveFailed(f"{counts.failed} of {asked} full-order solves failed, more than [failures] "
                              f"max_failed_share = {share:g} allows; the first: {first}")

    def _report_damage(self) -> None:
        for path, reason in self._store.damaged[self._status.get("damaged", 0):]:
            self.watcher.note(f"set aside and solved again: {path} ({reason})")
            logging.getLogger("romflow").warning("set aside: %s (%s)", path, reason)
        self._status["damaged"] = len(self._store.damaged)

    # -- after the loop ------------------------------------------------------------------------------------------

    def _validate(self, rom: ReducedModel, fom: Any, known: np.ndarray) -> Validation | None:
        """Compare with the truth at independent parameters; `known` (k, p) are those that the model was made from."""
        mu = self.study.validation_parameters()
        if not len(mu):
            return None
        self.watcher.stage("validation", len(mu))
        self._status["done"] = 0
        solved = ~self._solve_missing(mu)
        fresh = np.flatnonzero(solved & ~(mu[:, None] == known).all(axis=2).any(axis=1))
        solved[fresh] = ~self._set_aside(known, mu[fresh])
        with self._timed("validation"):
            result = validate(rom, fom, self._store, mu[solved], self._runner) if solved.any() else None
        if result is None and solved.any():
            self._note("WARNING: the reduced model found a solution at none of the validation parameters")
        for doubt in doubts(result):
            self.watcher.note(doubt)
            logging.getLogger("romflow").warning(doubt)
        return result

    def _offline_summary(self, rom: ReducedModel, sampler: Any, cpu: float, wall: float) -> dict[str, Any]:
        history, counts = getattr(sampler, "history", []), self._counts
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
            self._note(hint)
            found["interpolation_hint"] = hint
        return found

    def _summary(self, rom: ReducedModel, offline: dict[str, Any], validation: Validation | None,
                 mu: np.ndarray) -> dict[str, Any]:
        self.watcher.stage("online", None)
        seconds = self._store.seconds(mu) if len(mu) else np.empty(0)
        known = seconds[np.isfinite(seconds)]
        config = self.study.config
        counts = self._counts
        offline = {"snapshots_solved": counts.solved, "snapshots_reused": counts.reused,
                   "snapshots_failed": counts.failed, "solver": solver_summary(self._store, mu)} | offline
        return plain({
            "romflow": romflow.__version__,
            "study": {"name": self.study.name, "fingerprint": self.study.fingerprint},
            "offline": offline, "validation": validation_summary(validation, rom),
            "online": online_summary(rom, float(np.median(known)) if known.size else None),
            "environment": environment() | {"seeds": {"sampling": config.sampling.seed,
                                                      "validation": config.validation.seed}}})

    def _export(self, rom: ReducedModel, fom: Any, exporters: list[tuple[Any, str | None]]) -> None:
        if exporters:
            self.watcher.stage("export", len(exporters))
        with self._timed("export"):
            for done, (exporter, name) in enumerate(exporters, start=1):
                target = name or f"{self.study.name}{exporter.suffix}"
                fields = getattr(exporter, "needs_fields", False)
                if fields and isinstance(rom, SketchedReducedModel):
                    self._note(f"not written: {target}, because with keep_snapshots = false there are no fields")
                else:
                    split = fields and self._runner is not None
                    self._export_one(exporter, replace(rom, mesh=fom.mesh) if split else rom, target)
                self.watcher.step(done, 0)

    def _export_one(self, exporter: Any, rom: ReducedModel, target: str) -> None:
        """Write one file, or say why this model cannot be written so; the other files and the report follow."""
        try:
            exporter.write(rom, self.folder / target)
        except NotSupported as error:
            self._note(f"not written: {target}, because {error}")

    def _note(self, text: str) -> None:
        self.watcher.note(text)
        logging.getLogger("romflow").warning(text)

    def _report(self, rom: ReducedModel, mu: np.ndarray, validation: Validation | None, summary: dict[str, Any],
                history: list[dict[str, Any]], values: Any) -> None:
        self.watcher.stage("report", None)
        data = ReportData(
            summary=summary, study_text=self.study.text, history=history,
            singular_values=None if values is None else np.asarray(values),
            validation=error_table(validation), rom=rom, field=worst_field(rom, self._store, validation),
            evolution=worst_trajectory(rom, self.study.model, self._store, validation),
            stages=self._counts.stages, solve_seconds=self._store.seconds(mu) if len(mu) else None,
            failures=self._store.failures(), provenance=summary["environment"],
            snapshot_mu=mu if len(mu) else None)
        data.save(self.folder)
        write_report(self.folder / REPORT, data)

    def _history(self, sampler: Any, rom: ReducedModel, fom: Any,
                 validation: Validation | None) -> list[dict[str, Any]]:
        """The greedy's steps with the true validation error of each smaller model beside them."""
        history = [dict(step) for step in getattr(sampler, "history", [])]
        if validation is None or not history:
            return history
        gaps = errors_by_size(rom, fom, self._store, validation, self._runner)
        for step in history:
            if step["size"] in gaps:
                step["max_true_error"], step["max_relative_true_error"] = gaps[step["size"]]
        return history

    # -- status --------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        self._status["stage"] = stage
        try:
            yield
        finally:
            self._counts.stages[stage] = self._counts.stages.get(stage, 0.0) + time.perf_counter() - started

    def _tick(self, done: int) -> None:
        self._status["done"] = self._status.get("done", 0) + done
        self.watcher.step(self._status["done"], self._counts.failed)
        if time.monotonic() - self._written > _STATUS_EVERY:
            self._write_status("running")

    def _write_status(self, state: str, reason: str | None = None) -> None:
        self._written = time.monotonic()
        counts = self._counts
        write_json(self.folder / STATUS, plain({
            "state": state, "reason": reason, "stage": self._status.get("stage"), "solved": counts.solved,
            "reused": counts.reused, "failed": counts.failed, "study": self.study.name,
            "updated": datetime.now(UTC).isoformat(timespec="seconds")}))

    def _close_status(self, state: str, reason: str | None = None) -> None:
        with contextlib.suppress(OSError):
            self._write_status(state, reason)
