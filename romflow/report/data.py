"""What a report shows, and how it is stored beside the model so that the page can be written again without a solve."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import StoreError
from romflow.core.files import plain, read_json
from romflow.report.checked import set_arrays
from romflow.report.mechanics_data import AdaptiveRuns, BodyComparison, MechanicsHistory, ReducedPoints

if TYPE_CHECKING:
    from romflow.rom.model import ReducedModel

Array = NDArray[np.float64]

ARTEFACT_NAME = "report-data.h5"
ARTEFACT_KIND = "report"


@dataclasses.dataclass(frozen=True)
class ErrorTable:
    """Errors of the reduced model at k parameters where the truth is known; NaN marks what was not measured.

    Parameters
    ----------
    mu : (k, p) array
        Parameters, one a row.
    true_error : (k,) array
        Norm of truth minus reduced solution.
    estimate : (k,) array, optional
        What the reduced model itself says of that error, in the same norm.
    norm : (k,) array, optional
        Norm of the solution, for relative errors.
    outputs_true, outputs_reduced, output_estimate : (o, k) arrays, optional
        Outputs of the full-order model and of the reduced model, and the estimate of their difference.

    Raises
    ------
    ShapeError
        The arrays do not belong to the same k parameters.

    Examples
    --------
    >>> table = ErrorTable([[1.0], [2.0]], [1e-3, 2e-3], estimate=[2e-3, 3e-3], norm=[1.0, 4.0])
    >>> table.relative_error.tolist(), table.effectivity.tolist()
    ([0.001, 0.0005], [2.0, 1.5])
    """

    mu: Array
    true_error: Array
    estimate: Array | None = None
    norm: Array | None = None
    outputs_true: Array | None = None
    outputs_reduced: Array | None = None
    output_estimate: Array | None = None

    def __post_init__(self) -> None:
        set_arrays(self, ("mu",), ndim=2)
        set_arrays(self, ("true_error", "estimate", "norm"), len(self.mu))
        set_arrays(self, _OUTPUTS, len(self.mu), ndim=2)

    @property
    def relative_error(self) -> Array:
        """True error over the norm of the solution, (k,); NaN where the norm is unknown or zero."""
        return _ratio(self.true_error, self.norm)

    @property
    def relative_estimate(self) -> Array:
        """Estimate over the norm of the solution, (k,); NaN where either is unknown."""
        return _ratio(self.estimate, self.norm)

    @property
    def effectivity(self) -> Array:
        """Estimate over true error, (k,); NaN where either is unknown or the error is round-off (100 eps norm)."""
        ratio: Array = _ratio(self.estimate, self.true_error)
        if self.norm is not None:
            ratio[self.true_error <= 100 * np.finfo(np.float64).eps * self.norm] = np.nan
        return ratio


def _ratio(above: Array | None, below: Array | None) -> Array:
    if above is None or below is None:
        given = above if above is not None else below
        return np.full(0 if given is None else given.shape, np.nan)
    ratio = np.full(above.shape, np.nan)
    usable = ~np.isnan(above) & np.isfinite(below) & (below > 0)
    np.divide(above, below, out=ratio, where=usable)
    return ratio


@dataclasses.dataclass(frozen=True)
class FieldComparison:
    """One truth beside its reduced solution: mu (p,), truth (n,), reduced (n,)."""

    mu: Array
    truth: Array
    reduced: Array

    def __post_init__(self) -> None:
        set_arrays(self, ("mu", "truth"))
        set_arrays(self, ("reduced",), len(self.truth))


@dataclasses.dataclass(frozen=True)
class EvolutionComparison:
    """One trajectory of the truth beside that of the reduced model, at K + 1 times; NaN marks what was not measured.

    Parameters
    ----------
    mu : (p,) array
        Its parameter: the validation parameter with the largest error.
    times : (K + 1,) array
    true_error : (K + 1,) array
        Norm over space and time, up to each time, of truth minus reduced trajectory.
    estimate : (K + 1,) array, optional
        What the reduced model says of that error.
    norm : (K + 1,) array, optional
        The same norm of the truth, up to each time.
    outputs_true, outputs_reduced, output_estimate : (o, K + 1) arrays, optional
        Outputs over time, and the estimate of their difference.
    dispersion, dissipation : (K + 1,) arrays, optional
        Parts of the mean square error in space at each time, see `romflow.linalg.diagnosis`; their sum is all of it.
    step_dispersion, step_dissipation : (K + 1,) arrays, optional
        The same parts for the truth against itself with half the time steps: what its own scheme does.

    Raises
    ------
    ShapeError
        The arrays do not belong to the same times.

    Examples
    --------
    >>> found = EvolutionComparison([1.0], [0.0, 0.5, 1.0], [0.0, 1e-3, 2e-3], norm=[1.0, 2.0, 4.0])
    >>> found.relative_error.tolist()
    [0.0, 0.00025, 0.0005]
    """

    mu: Array
    times: Array
    true_error: Array
    estimate: Array | None = None
    norm: Array | None = None
    outputs_true: Array | None = None
    outputs_reduced: Array | None = None
    output_estimate: Array | None = None
    dispersion: Array | None = None
    dissipation: Array | None = None
    step_dispersion: Array | None = None
    step_dissipation: Array | None = None

    def __post_init__(self) -> None:
        set_arrays(self, ("times", "mu"))
        others = [part.name for part in dataclasses.fields(self)[2:] if part.name not in _OUTPUTS]
        set_arrays(self, others, len(self.times))
        set_arrays(self, _OUTPUTS, len(self.times), ndim=2)

    @property
    def scale(self) -> float | None:
        """Norm of the truth over the whole time; None where it is unknown or zero."""
        last = np.nan if self.norm is None else float(self.norm[-1])
        return last if np.isfinite(last) and last > 0 else None

    @property
    def relative_error(self) -> Array:
        """True error up to each time over the norm of the whole trajectory, (K + 1,); NaN where that is unknown."""
        return self.true_error / (self.scale or np.nan)

    @property
    def relative_estimate(self) -> Array:
        """Estimate up to each time over the norm of the whole trajectory, (K + 1,); NaN where either is unknown."""
        return np.full(len(self.times), np.nan) if self.estimate is None else self.estimate / (self.scale or np.nan)


@dataclasses.dataclass(frozen=True)
class ReportData:
    """Everything that the page shows; every part may be missing.

    Parameters
    ----------
    summary : dict
        The content of ``summary.json``.
    study_text : str
        The study file as it was read.
    plan : dict
        Facts of the plan: number of solves, unknowns, bytes, ...
    history : list of dict
        Error against basis size: ``size`` and, where they are known, ``max_estimate, max_relative_estimate`` (over the
        training parameters) and ``max_true_error, max_relative_true_error`` (over the validation parameters).
    singular_values : (s,) array, optional
        Of the snapshots in the norm of the basis, in falling order.
    validation, training : ErrorTable, optional
        Errors at independent parameters, and at the parameters of the snapshots.
    snapshot_mu : (k, p) array, optional
        Parameters of the snapshots, if there is no table of training errors.
    rom : ReducedModel, optional
        For the basis modes, the mesh, names and units.
    field : FieldComparison, optional
        A truth and its reduced solution for a picture.
    evolution : EvolutionComparison, optional
        Of a model that moves in time: the trajectory with the largest error.
    body, points, run : BodyComparison, ReducedPoints, MechanicsHistory, optional
        Of a model of mechanics: the body at the end of the worst trajectory, where the law is evaluated, that run.
    adaptive : AdaptiveRuns, optional
        Runs that took full-order steps.
    stages : dict
        Wall seconds of each stage of the run, in order.
    solve_seconds : (k,) array, optional
        Seconds of each full-order solve.
    failures : list of dict
        Failed solves: ``mu, message, attempts, exit_code, stderr, when`` (only ``message`` is needed).
    provenance : dict
        Versions, host, seeds; may be nested.
    uq : dict
        The content of ``uq.json``.
    dictionary : dict
        The content of ``dictionary.json``.

    Examples
    --------
    >>> data = ReportData(summary={"offline": {"basis_size": 3}}, singular_values=np.array([1.0, 0.1]))
    >>> again = ReportData.from_arrays(*data.to_arrays())
    >>> again.summary["offline"]["basis_size"], again.singular_values.tolist()
    (3, [1.0, 0.1])
    """

    summary: dict[str, Any] = dataclasses.field(default_factory=dict)
    study_text: str = ""
    plan: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    singular_values: Array | None = None
    validation: ErrorTable | None = None
    training: ErrorTable | None = None
    snapshot_mu: Array | None = None
    rom: ReducedModel | None = None
    field: FieldComparison | None = None
    evolution: EvolutionComparison | None = None
    body: BodyComparison | None = None
    points: ReducedPoints | None = None
    run: MechanicsHistory | None = None
    adaptive: AdaptiveRuns | None = None
    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    solve_seconds: Array | None = None
    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    uq: dict[str, Any] = dataclasses.field(default_factory=dict)
    dictionary: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and metadata of everything but the reduced model; each part is a JSON text, which keeps its order."""
        metadata = {name: json.dumps(plain(getattr(self, name)), allow_nan=False) for name in _METADATA}
        arrays: dict[str, Array] = {}
        for name in _ARRAYS:
            if getattr(self, name) is not None:
                arrays[name] = np.asarray(getattr(self, name), dtype=np.float64)
        for name in _TABLES:
            table = getattr(self, name)
            if table is not None:
                parts = {f"{name}/{part.name}": getattr(table, part.name) for part in dataclasses.fields(table)}
                arrays |= {key: value for key, value in parts.items() if value is not None}
        return arrays, metadata

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Array], metadata: Mapping[str, Any], rom: ReducedModel | None = None
    ) -> ReportData:
        """The inverse of `to_arrays`; the reduced model is given separately."""
        parts: dict[str, Any] = {name: json.loads(metadata[name]) for name in _METADATA if name in metadata}
        parts |= {name: arrays[name] for name in _ARRAYS if name in arrays}
        for name, table in _TABLES.items():
            columns = {
                key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")
            }
            if columns:
                parts[name] = table(**columns)
        return cls(rom=rom, **parts)

    def save(self, folder: Path) -> Path:
        """Write ``report-data.h5`` into the run folder; returns its path."""
        from romflow.store.artefact import write_artefact

        path = Path(folder) / ARTEFACT_NAME
        arrays, metadata = self.to_arrays()
        write_artefact(path, ARTEFACT_KIND, arrays, metadata)
        return path

    @classmethod
    def from_folder(cls, folder: Path) -> ReportData:
        """Read ``summary.json``, ``model.h5`` and ``report-data.h5`` of a run folder, each of which may be missing.

        Of a run that ended before these were written, the failed solves and the state are read instead.

        Raises
        ------
        StoreError
            The folder holds no run, or a file is damaged.
        """
        from romflow.rom.loading import load
        from romflow.store.artefact import read_artefact

        folder = Path(folder)
        summary, model, artefact = folder / "summary.json", folder / "model.h5", folder / ARTEFACT_NAME
        if not any(path.is_file() for path in (summary, model, artefact)):
            return _unfinished(folder)
        arrays: dict[str, Array] = {}
        metadata: dict[str, Any] = {}
        if artefact.is_file():
            kind, arrays, metadata = read_artefact(artefact)
            if kind != ARTEFACT_KIND:
                raise StoreError(f"{artefact} holds a '{kind}' and no report data; run the study again to write it.")
        data = cls.from_arrays(arrays, metadata, rom=load(model) if model.is_file() else None)
        return dataclasses.replace(data, summary=read_json(summary)) if summary.is_file() else data


def _unfinished(folder: Path) -> ReportData:
    """What is known of a run without a result: its state, and the failures in its store."""
    from romflow.store.snapshots import SnapshotStore

    status = folder / "status.json"
    if not (folder / "store").is_dir():
        raise StoreError(f"{folder} holds no run: it has neither summary.json nor store/; name the folder of a run.")
    store = SnapshotStore.open(folder / "store")
    failures = [{**record, "mu": dict(zip(store.columns, record["mu"], strict=True))} for record in store.failures()]
    state = read_json(status) if status.is_file() else {}
    offline = {f"snapshots_{name}": state[name] for name in ("solved", "reused", "failed") if name in state}
    about = {key: state[key] for key in ("state", "stage", "reason", "updated") if state.get(key) is not None}
    return ReportData(
        summary={"study": {"name": state.get("study")}, "offline": offline},
        plan=about | {"snapshots stored": len(store)},
        failures=failures,
    )


_OUTPUTS = ("outputs_true", "outputs_reduced", "output_estimate")
_METADATA = ("summary", "study_text", "plan", "history", "stages", "failures", "provenance", "uq", "dictionary")
_ARRAYS = ("singular_values", "snapshot_mu", "solve_seconds")
_TABLES: dict[str, type] = {
    "validation": ErrorTable,
    "training": ErrorTable,
    "field": FieldComparison,
    "evolution": EvolutionComparison,
    "body": BodyComparison,
    "points": ReducedPoints,
    "run": MechanicsHistory,
    "adaptive": AdaptiveRuns,
}
