"""What a dictionary knows of each sample: its field, and modes of its whole history, in a file each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from romflow.core.errors import InputError, NotSupported, ShapeError, SolveFailed
from romflow.core.files import refused
from romflow.core.fingerprint import fingerprint
from romflow.core.names import nearest
from romflow.fom.mechanics.between import inner_of
from romflow.fom.mechanics.replay import replay
from romflow.linalg.compression.source import ArraySource, SnapshotSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import pod
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.reduction.distributed.runner import is_split
from romflow.reduction.mechanics.blocks import components_of, fields_of
from romflow.reduction.trajectory_source import TrajectorySource, time_weights
from romflow.store.seal import seal_digest
from romflow.store.sealed_array import read_sealed_array, write_sealed_array
from romflow.store.snapshots import SnapshotStore

__all__ = ["COLUMNS", "FEATURE_TOLERANCE", "FIELD", "STATE", "Features", "array_file", "check_field", "feature_key",
           "make_feature", "product_of"]

#: The field of a study that is the solution itself.
STATE = "state"
#: Relative error in L2(0, T; X) that the modes of a history leave.
FEATURE_TOLERANCE = 1e-3
_SUBSPACE = 1e-2
#: Parts of a sample's files.
FIELD, COLUMNS = 0, 1
_VERSION = 1


class Features:
    """Fields and histories of N samples, each in a sealed file; nothing of their size is held but what is asked for.

    Parameters
    ----------
    folder : path
    keys : sequence of str
        A file's name a sample.
    product : InnerProduct
        X, in which all of them are measured.

    Attributes
    ----------
    keys : tuple of str
    product : InnerProduct
    """

    def __init__(self, folder: str | Path, keys: Sequence[str], product: InnerProduct) -> None:
        self.folder, self.keys, self.product = Path(folder), tuple(keys), product

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def n(self) -> int:
        """Entries of a field."""
        return int(self._read(0, FIELD).shape[0])

    @cached_property
    def sizes(self) -> np.ndarray:
        """Columns (N,) that the history of each sample has, at least 1."""
        return np.array([self._read(i, COLUMNS).shape[0] for i in range(len(self))])

    def fields(self, which: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Fields (n, j) of the samples `which`, all by default: the state, or the dual field, at the last time.

        Raises
        ------
        ShapeError
            Fields of different meshes.
        StoreError
            A file is missing or damaged.
        """
        return np.stack([self._one_mesh(i, self._read(i, FIELD)) for i in self._numbers(which)]).T

    def columns(self, sample: int) -> np.ndarray:
        """(n, k): X-orthogonal modes of the sample's history, each as long as its singular value, the longest first.

        The history is weighted by its time steps, so that sum_k ||u(t_k)||^2 dt_k is the sum of the squares; they leave
        `FEATURE_TOLERANCE` of its norm. A solution without times is its own single column; a history that is zero has
        one column of zeros.
        """
        return self._one_mesh(sample, self._read(sample, COLUMNS).T)

    def matrix(self, which: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """(n, sum of their `sizes`): the columns of the samples `which`, all by default, side by side."""
        return np.hstack([self.columns(i) for i in self._numbers(which)])

    def subspace(self, sample: int, tolerance: float = _SUBSPACE) -> np.ndarray:
        """(n, k): X-orthonormal modes that leave at most `tolerance` of the history's norm; none where it is zero."""
        S = self.columns(sample)
        squares = self.product.norm(S)**2
        if not squares.any():
            return np.empty((len(S), 0))
        left = np.sqrt(np.maximum(1.0 - np.cumsum(squares) / squares.sum(), 0.0))
        k = min(int(np.count_nonzero(left > tolerance)) + 1, int(np.count_nonzero(squares)))
        return np.asarray(S[:, :k] / np.sqrt(squares[:k]))

    def _numbers(self, which: Sequence[int] | np.ndarray | None) -> list[int]:
        return list(range(len(self))) if which is None else [int(i) for i in which]

    def _read(self, sample: int, part: int) -> np.ndarray:
        return read_sealed_array(array_file(self.folder, self.keys[sample], part))

    def _one_mesh(self, sample: int, values: np.ndarray) -> np.ndarray:
        n = self.n if self.product.X is None else self.product.X.shape[0]
        if len(values) != n:
            raise ShapeError(f"sample {sample} has a field of {len(values)} entries and the mesh {n}; the rule is one "
                             "mesh for all samples: solve them again with the same model")
        return values


def check_field(fom: Any, field: str) -> None:
    """Raise unless samples of this model have this field.

    Raises
    ------
    NotSupported
        The model's states stay in parts of several MPI ranks.
    InputError
        No such field, or it is a dual field and the model none of mechanics.
    """
    if is_split(fom):
        raise NotSupported("samples of a dictionary are compared whole, and those of a model on MPI ranks stay in "
                           "parts; leave out [cluster] ranks")
    problem = getattr(fom, "mechanics", None)
    known = (STATE, *(() if problem is None else fields_of(problem.law)))
    if field not in known:
        raise InputError(f"no field of {type(fom).__name__} is called {field!r}{nearest(field, known)}")


def product_of(fom: Any, field: str) -> InnerProduct:
    """The inner product of a field: the model's own for its state, quadrature weights for dual fields.

    Euclidean for a model that names none.
    """
    if field == STATE:
        X = getattr(fom, "inner_product", None)
        return InnerProduct(X, getattr(fom, "norm", "X"))
    weights = np.tile(fom.mechanics.space.weights, components_of(field))
    return InnerProduct(sp.diags_array(weights), "L2")


def feature_key(store: SnapshotStore, mu: np.ndarray, field: str, tolerance: float = FEATURE_TOLERANCE) -> str:
    """Name of a sample's file: by the bytes of the stored solution at mu (p,), the field and the tolerance.

    Raises
    ------
    StoreError
        The solution is not stored.
    """
    place = store.path(store.key(mu))
    try:
        with open(place, "rb", buffering=0) as stream:
            digest = seal_digest(stream)
    except OSError as error:
        store.get(mu)  # says what is wrong with it, if it is not the system
        raise refused("read", place, error) from error
    return "f-" + fingerprint({"solution": digest, "field": field, "tolerance": tolerance, "version": _VERSION,
                               "model": store.fingerprint})[:32]


def array_file(folder: Path, key: str, part: int = 0) -> Path:
    """File of a part of a sample, or of a tile; it may not exist."""
    return Path(folder) / key[:4] / f"{key}-{part}.npy"


def make_feature(fom: Any, store: SnapshotStore, mu: np.ndarray, field: str, folder: Path, key: str,
                 tolerance: float = FEATURE_TOLERANCE, who: str = "a sample") -> None:
    """Write the file of one sample.

    Raises
    ------
    InputError
        Its field has entries that are not finite.
    ShapeError
        Its solution belongs to another mesh.
    """
    size = store.get(mu).state.size
    if fom.n is not None and size != fom.n:
        raise ShapeError(f"{who} (mu = {mu.tolist()}) has {size} entries and the model {fom.n}; the rule is one mesh "
                         "for all samples: solve it again with this model")
    source, last = _history(fom, store, mu, field, who)
    if not np.isfinite(last).all():
        raise InputError(f"{who} (mu = {mu.tolist()}) has a field that is not finite; leave it out")
    product = product_of(fom, field)
    found = pod(source, product, tolerance) if source.k > 1 else None
    columns = last[:, None] if found is None else found.basis * found.singular_values[:found.basis.shape[1]]
    if not columns.shape[1]:
        columns = np.zeros((last.size, 1))
    write_sealed_array(array_file(folder, key, COLUMNS), columns.T)
    write_sealed_array(array_file(folder, key, FIELD), last)


def _history(fom: Any, store: SnapshotStore, mu: np.ndarray, field: str, who: str) -> tuple[SnapshotSource, np.ndarray]:
    """Snapshots of the field over time, weighted by the time steps, and the last of them (n,) as it is."""
    if not store.is_trajectory(mu):
        if field != STATE:
            raise InputError(f"{who} (mu = {mu.tolist()}) is a single state, and its {field.replace('_', ' ')} follows "
                             "from a history alone; solve it with [time]")
        state = store.get(mu).state
        return ArraySource(state[:, None]), state
    trajectory = store.trajectory(mu)
    if field == STATE:
        return TrajectorySource([trajectory]) if len(trajectory) > 1 else ArraySource(trajectory.columns()), \
            trajectory.state(-1)
    try:
        S = np.stack(list(_dual(fom.mechanics, trajectory, mu, field)), axis=1)
    except SolveFailed as error:
        raise SolveFailed(f"{who} (mu = {mu.tolist()}): {error}", error.report) from error
    if not np.isfinite(S).all():
        raise InputError(f"{who} (mu = {mu.tolist()}) has a {field.replace('_', ' ')} that is not finite; check its "
                         "displacements, or leave it out")
    return ArraySource(S * time_weights(trajectory.times)), S[:, -1]


def _dual(problem: Any, trajectory: Any, mu: np.ndarray, field: str) -> Iterator[np.ndarray]:
    """A dual field (c G,) at each time, components first, by the law along the stored displacements."""
    states = (u for _, U in trajectory.pieces() for u in np.ascontiguousarray(U.T))
    rows = rows_of(problem.law, PLASTIC) if field == PLASTIC else None
    for _, stress, state in replay(problem, mu, trajectory.times, states, inner=inner_of(trajectory)):
        yield np.array((stress if rows is None else state[rows]).ravel())
