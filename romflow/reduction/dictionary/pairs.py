"""Dissimilarities of all pairs of samples, by tasks on tiles whose fields are read from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import ConfigError, InputError, ShapeError, StoreError
from romflow.core.files import read_json, write_json
from romflow.core.fingerprint import fingerprint
from romflow.core.names import nearest
from romflow.linalg.dissimilarity.table import DISSIMILARITIES
from romflow.reduction.dictionary.features import (
    COLUMNS,
    FEATURE_TOLERANCE,
    FIELD,
    STATE,
    Features,
    array_file,
    check_field,
    feature_key,
    make_feature,
    product_of,
)
from romflow.reduction.mechanics.runner import Tasks
from romflow.store.sealed_array import holds_sealed_array, read_sealed_array, write_sealed_array
from romflow.store.snapshot_files import make_folder
from romflow.store.snapshots import SnapshotStore

__all__ = ["FEATURE_KERNEL", "FOLDER", "TILE_KERNEL", "Pairs", "dissimilarities", "feature_block", "pair_tile"]

#: Names of the kernels.
FEATURE_KERNEL, TILE_KERNEL = "dictionary-feature", "dictionary-tile"
#: Folder of a store in which samples are compared.
FOLDER = "reduction/dictionary"
_VERSION = 1
# Bytes of a block of fields.
_MEMORY = 64 << 20


@dataclass(frozen=True, eq=False)
class Pairs:
    """Dissimilarities of N samples, and what they were found from.

    Attributes
    ----------
    D : (N, N)
        Symmetric, zero on the diagonal.
    features : Features
        Fields and histories of the samples, in files.
    dissimilarity : str
    field : str
    made : dict
        "features" and "tiles" that were made now; the others were there.
    """

    D: np.ndarray
    features: Features
    dissimilarity: str
    field: str
    made: dict[str, int]


@dataclass(frozen=True)
class _Plan:
    """All that a task needs to know; in a file, for it may be long."""

    mu: list[list[float]]
    keys: list[str]
    field: str
    dissimilarity: str
    tile: int
    tolerance: float
    folder: str

    def block(self, number: int) -> range:
        """Samples of a block."""
        return range(number * self.tile, min((number + 1) * self.tile, len(self.keys)))

    def tiles(self) -> list[tuple[int, int]]:
        """Blocks (I, J) of each tile of the upper triangle."""
        return [(int(i), int(j)) for i, j in zip(*np.triu_indices(-(-len(self.keys) // self.tile)), strict=True)]

    def tile_key(self, number: int) -> str:
        """Name of a tile's file: by the names of what it compares."""
        rows, columns = (self.block(one) for one in self.tiles()[number])
        return "t-" + fingerprint({"rows": [self.keys[i] for i in rows], "columns": [self.keys[j] for j in columns],
                                   "dissimilarity": self.dissimilarity, "version": _VERSION})[:32]


def dissimilarities(tasks: Tasks | None, fom: Any, store: SnapshotStore, mu: np.ndarray, dissimilarity: str = "sine",
                    field: str = STATE, folder: str | Path | None = None, tile: int = 64,
                    tolerance: float = FEATURE_TOLERANCE) -> Pairs:
    """Dissimilarities D (N, N) of stored samples, tile by tile of the upper triangle, with two blocks in memory.

    A task makes the file of one sample: its field at the last time and modes of its history, dual fields by the law
    along its displacements. A second kind of task compares two blocks of samples. Every file is named by what it is
    made from, written whole or not at all, and sealed: a run that was killed goes on with what is there, a damaged file
    is made again, and the result is the same to the bit for any number of workers. It depends on `tile` to rounding
    only.

    Parameters
    ----------
    tasks : callable or None
        tasks(kernel, shared, parts), see `reduction.mechanics.runner`; None does all in this process.
    fom : FullOrderModel
        The model of the samples.
    store : SnapshotStore
        Theirs.
    mu : (N, p)
        Their parameters, all stored.
    dissimilarity : str
        A name of `linalg.dissimilarity.table.DISSIMILARITIES`.
    field : str
        "state", or a dual field of a model of mechanics ("stress", "accumulated_plastic_strain").
    folder : path, optional
        For the files; by default one within the store's.
    tile : int
        Samples of a block; fewer where they would take more than 64 MiB.
    tolerance : float
        Of the histories' modes, relative in L2(0, T; X).

    Raises
    ------
    ConfigError
        No such dissimilarity.
    InputError, ShapeError
        No such field, a number out of range, a field that is not finite or of another mesh, naming the sample.
    StoreError
        A sample is not stored.
    """
    mu = _checked(fom, mu, dissimilarity, field, tile, tolerance)
    place = Path(folder if folder is not None else Path(store.folder) / FOLDER).absolute()
    make_folder(place)
    plan = _Plan(mu.tolist(), [feature_key(store, row, field, tolerance) for row in mu], field, dissimilarity,
                 int(tile), float(tolerance), str(place))
    absent = [i for i, key in enumerate(plan.keys)
              if not all(holds_sealed_array(array_file(place, key, part)) for part in (FIELD, COLUMNS))]
    _run(tasks, fom, store, plan, FEATURE_KERNEL, _first_of_each(absent, plan.keys))
    features = Features(place, plan.keys, product_of(fom, field))
    plan = replace(plan, tile=_fitting(features, plan))
    todo = [t for t in range(len(plan.tiles())) if not holds_sealed_array(array_file(place, plan.tile_key(t)))]
    _run(tasks, fom, store, plan, TILE_KERNEL, todo)
    return Pairs(_assembled(plan), features, dissimilarity, field, {"features": len(absent), "tiles": len(todo)})


def feature_block(fom: Any, store_folder: str | Path, part: int, plan: str) -> dict[str, np.ndarray]:
    """Make the file of sample `part`."""
    told = _read_plan(plan)
    make_feature(fom, SnapshotStore.open(store_folder), np.array(told.mu[part]), told.field, Path(told.folder),
                 told.keys[part], told.tolerance, f"sample {part}")
    return {}


def pair_tile(fom: Any, store_folder: str | Path, part: int, plan: str) -> dict[str, np.ndarray]:
    """Compare the two blocks of tile `part`, and keep what is found in its file."""
    told = _read_plan(plan)
    features = Features(told.folder, told.keys, product_of(fom, told.field))
    kind, function = DISSIMILARITIES[told.dissimilarity]
    left, right = told.tiles()[part]
    U = _read_block(features, told.block(left), kind)
    V = U if right == left else _read_block(features, told.block(right), kind)
    write_sealed_array(array_file(Path(told.folder), told.tile_key(part)), function(U, V, features.product))
    return {}


def _read_block(features: Features, block: range, kind: str) -> Any:
    return features.fields(block) if kind == "field" else [features.subspace(i) for i in block]


def _fitting(features: Features, plan: _Plan) -> int:
    """Samples of a block: as many as were asked for, unless they take more than `_MEMORY` bytes."""
    whole = DISSIMILARITIES[plan.dissimilarity].kind == "subspace"
    one = 8 * features.n * max(1, features.subspace(0).shape[1] if whole else 1)
    return max(1, min(plan.tile, _MEMORY // one))


def _run(tasks: Tasks | None, fom: Any, store: SnapshotStore, plan: _Plan, kernel: str, parts: Sequence[int]) -> None:
    """A kernel on some parts, by tasks or in this process."""
    if not parts:
        return
    about = asdict(plan)
    file = Path(plan.folder) / f"plan-{fingerprint(about)[:32]}.json"
    write_json(file, about)
    if tasks is not None:
        tasks(kernel, {"plan": str(file)}, parts)
        return
    function = {FEATURE_KERNEL: feature_block, TILE_KERNEL: pair_tile}[kernel]
    for part in parts:
        function(fom, store.folder, part, str(file))


def _read_plan(file: str) -> _Plan:
    content = read_json(file)
    try:
        return _Plan(**content)
    except TypeError as error:
        raise StoreError(f"{file} is damaged ({error}); run the study again.") from error


def _first_of_each(numbers: list[int], keys: Sequence[str]) -> list[int]:
    """Of samples with the same file the first."""
    return list({keys[i]: i for i in reversed(numbers)}.values())[::-1]


def _assembled(plan: _Plan) -> np.ndarray:
    D = np.empty((len(plan.keys), len(plan.keys)))
    for number, (left, right) in enumerate(plan.tiles()):
        rows, columns = plan.block(left), plan.block(right)
        part = read_sealed_array(array_file(Path(plan.folder), plan.tile_key(number)))
        D[rows.start:rows.stop, columns.start:columns.stop] = part
        D[columns.start:columns.stop, rows.start:rows.stop] = part.T
    return D


def _checked(fom: Any, mu: np.ndarray, dissimilarity: str, field: str, tile: int, tolerance: float) -> np.ndarray:
    if dissimilarity not in DISSIMILARITIES:
        raise ConfigError(f"no dissimilarity is called {dissimilarity!r}{nearest(dissimilarity, DISSIMILARITIES)}")
    check_field(fom, field)
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer) or tile < 1:
        raise InputError(f"tile = {tile!r}; the rule is a whole number of samples from 1")
    if not 1e-12 <= tolerance < 1.0:
        raise InputError(f"the tolerance of histories is {tolerance!r}; the rule is 1e-12 <= tolerance < 1")
    mu = np.asarray(mu, dtype=np.float64)
    if mu.ndim != 2 or not len(mu):
        raise ShapeError(f"mu has shape {mu.shape}; the rule is parameters as rows (N, p) with N >= 1")
    return mu
