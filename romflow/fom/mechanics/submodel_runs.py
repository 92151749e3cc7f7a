"""Runs of a whole body, from its study and the folder of its run, as histories at a zone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core import registry
from romflow.core.errors import ConfigError, InputError
from romflow.core.names import shown
from romflow.core.schema import StudyConfig, read_study
from romflow.fom.build import in_time, model_identity
from romflow.fom.mechanics.problem import MechanicsProblem
from romflow.fom.mechanics.submodel_modes import Histories
from romflow.fom.mechanics.submodel_zone import Zone
from romflow.parameters.space import ParameterSpace
from romflow.store.snapshots import SnapshotStore

__all__ = ["WholeBody", "histories_at", "whole_body"]

# Designs whose points have the distributions of the parameters, each the same weight.
_DRAWN = ("random", "latin-hypercube", "sobol", "lattice", "file")
# Share of the runs that may have failed.
_FAILED = 0.05


@dataclass(frozen=True, eq=False)
class WholeBody:
    """A study of a whole body and what its run stored.

    Attributes
    ----------
    model : QuasiStatic
    options : dict
        Of [model].
    base : Path
        Folder of the study.
    store : SnapshotStore
    mu : (N, p)
        Parameters of the stored runs.
    file : Path
    """

    model: Any
    options: dict[str, Any]
    base: Path
    store: SnapshotStore
    mu: np.ndarray
    file: Path

    @property
    def problem(self) -> MechanicsProblem:
        """The problem of the whole body."""
        problem: MechanicsProblem = self.model.mechanics
        return problem


def whole_body(study: str, runs: str | None = None, base: str | Path = ".") -> WholeBody:
    """The whole body of a study file and its stored runs.

    Parameters
    ----------
    study : str
        Study file of kind "mechanics" whose design has the distributions of its parameters (random, latin-hypercube,
        sobol, lattice, or a file of draws).
    runs : str, optional
        Its run folder; runs/<name> beside it where left out, as `romflow run` has it.
    base : path
        Folder that both are relative to.

    Raises
    ------
    ConfigError
        The study is none of mechanics, or its design says nothing about what is likely.
    InputError
        Runs are missing.
    StoreError
        The folder holds runs of another model.
    """
    if not isinstance(study, str) or not study:
        raise ConfigError(f"study = {shown(study)}; the rule is the path of the study file of the whole body")
    if runs is not None and (not isinstance(runs, str) or not runs):
        raise ConfigError(f"runs = {shown(runs)}; the rule is the path of the run folder of the whole body's study")
    file = Path(base, study).resolve()
    config = read_study(file)
    if config.model.kind != "mechanics":
        raise ConfigError(f"study = {shown(study)} has [model] kind = {shown(config.model.kind)}; the rule is "
                          "\"mechanics\", a whole body whose zones can be cut out")
    if config.sampling is None or config.sampling.method not in _DRAWN:
        method = None if config.sampling is None else config.sampling.method
        raise ConfigError(f"study = {shown(study)} has [sampling] method = {shown(method)}, whose points say nothing "
                          f"about what is likely; the rule is one of {', '.join(_DRAWN)}")
    request = _request(config, file.parent)
    space = ParameterSpace.from_config(config.parameters, file.parent)
    model = registry.build("model", "mechanics", file.parent, request["options"], base=file.parent, parameters=space)
    model = in_time("mechanics", model, request.get("time"))
    folder = Path(base, runs).resolve() if runs is not None else file.parent / "runs" / config.study.name
    store = SnapshotStore(folder / "store", model_identity(request, model), space.columns, create=False)
    return WholeBody(model, dict(config.model.options), file.parent, store, _stored(config, space, store, file), file)


def histories_at(whole: WholeBody, zone: Zone, heat: bool, read: tuple[str, ...]) -> Histories:
    """What the stored runs did at a zone.

    Parameters
    ----------
    whole : WholeBody
    zone : Zone
    heat : bool
        Whether temperatures are wanted.
    read : tuple of str
        Parameters that are.

    Raises
    ------
    InputError
        A run has other dofs or times than the model.
    """
    problem, times = whole.problem, np.asarray(whole.model.times)
    on_cut = zone.values[zone.cut]
    fields: dict[str, list[np.ndarray]] = {"trace": []} | ({"temperature": []} if heat else {})
    for row in whole.mu:
        one = whole.store.trajectory(row)
        if one.n != problem.n or len(one) != len(times) or not np.allclose(one.times, times):
            raise InputError(f"a run in {whole.store.folder} has {one.n} dofs at {len(one)} times and the whole body "
                             f"{problem.n} at {len(times)}; the rule is runs on its mesh over its times")
        moved = one.columns().reshape(-1, problem.space.d * len(times))
        fields["trace"].append((on_cut @ moved).reshape(-1, len(times)).T)
        if heat:
            rows = np.concatenate([problem.rows(row, float(t)) for t in times])
            fields["temperature"].append((zone.values @ problem.temperature.values(problem.space.nodes.T, rows)).T)
    columns = list(whole.model.parameters.columns)
    numbers = {name: whole.mu[:, columns.index(name)].copy() for name in read}
    return Histories(times, {name: np.stack(values) for name, values in fields.items()}, numbers)


def _request(config: StudyConfig, base: Path) -> dict[str, Any]:
    """What builds the model that the snapshots are of."""
    request: dict[str, Any] = {
        "kind": config.model.kind, "options": dict(config.model.options), "base": str(base),
        "parameters": ParameterSpace.from_config(config.parameters, base).to_spec()}
    time = config.time
    if time is not None:
        request["time"] = time.wishes() if time.train_until is None else time.training_wishes()
    return request


def _stored(config: StudyConfig, space: ParameterSpace, store: SnapshotStore, file: Path) -> np.ndarray:
    """Parameters (N, p) of the study's design that are stored."""
    sampling: Any = config.sampling
    sampler = registry.build("sampler", sampling.method, file.parent, dict(sampling.options), space=space,
                             seed=sampling.seed, base=file.parent)
    mu: np.ndarray = sampler.design()
    missing = store.missing(mu, check=False)
    if len(missing) > _FAILED * len(mu):
        raise InputError(f"{len(missing)} of the {len(mu)} runs of {file.name} are not in {store.folder}; run it "
                         f"first: romflow run {file.name}")
    return np.delete(mu, missing, axis=0)
