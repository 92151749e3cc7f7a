"""What a sketch keeps of a snapshot: all that projection, residual estimates and outputs need of it, n not among it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import ShapeError
from romflow.core.fingerprint import fingerprint
from romflow.core.snapshot import Snapshot
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embeddings import ProductEmbedding
from romflow.reduction.residual_columns import Sketch, SketchedColumns
from romflow.store.snapshots import SnapshotStore


@dataclass(frozen=True)
class SketchedVectors:
    """Sketches of j vectors u of R^n, each of s (1 + Q) + Ql o + 1 numbers.

    Attributes
    ----------
    states : (s, j)
        Theta Q u.
    terms : (s, j, Q)
        Theta Q^{-T} A_q u.
    outputs : (Ql, o, j)
        Exact values of the output functionals.
    norms : (j,)
        Exact ||u||_X.
    """

    states: np.ndarray
    terms: np.ndarray
    outputs: np.ndarray
    norms: np.ndarray

    def packed(self) -> np.ndarray:
        """All numbers of one vector (j = 1) as one vector, which a store keeps."""
        return np.concatenate([part.ravel() for part in (self.states, self.terms, self.outputs, self.norms)])


class SnapshotSketcher:
    """Sketches vectors of an affine model; the same model and sketch give the same numbers in every process.

    Parameters
    ----------
    fom : SupportsAffine
    product : InnerProduct
        X of the model.
    sketch : Sketch

    Attributes
    ----------
    rhs : (s, Qf)
        Theta Q^{-T} f_q.
    """

    def __init__(self, fom: Any, product: InnerProduct, sketch: Sketch) -> None:
        self.fom, self.product, self.sketch = fom, product, sketch
        self._columns = SketchedColumns(fom, product, sketch)
        self._embedding = ProductEmbedding(self._columns.theta, product)
        self.rhs = self._columns.rhs
        self.functionals = np.empty((0, 0, fom.n)) if fom.outputs is None else np.asarray(fom.outputs.functionals)

    def of(self, U: np.ndarray) -> SketchedVectors:
        """The sketches of the columns of U (n, j).

        Raises
        ------
        ShapeError
            U has not n rows.
        """
        U = np.asarray(U, dtype=float)
        if U.ndim != 2 or U.shape[0] != self.fom.n:
            raise ShapeError(f"vectors to sketch have shape {U.shape}; the rule is ({self.fom.n}, j)")
        terms = self._columns.sketched(self.fom.operator.apply(U))
        return SketchedVectors(self._embedding.apply(U), terms, self.functionals @ U, self.product.norm(U))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What makes stored sketches comparable: the embedding, and its image of a fixed vector to six digits.

        The image tells also another ordering of the Cholesky factor, which another version of a library may choose.
        """
        image = self._embedding.apply(np.ones(self.fom.n))
        digits = np.round(1e6 * image / np.linalg.norm(image)).astype(np.int64)
        return {"sketch": self.sketch.kind, "rows": self.sketch.rows, "seed": self.sketch.seed,
                "image": fingerprint(digits.tolist())}

    def unpacked(self, numbers: np.ndarray) -> SketchedVectors:
        """The sketch of one vector that `packed` gave.

        Raises
        ------
        ShapeError
            There are more or fewer numbers than such a sketch has.
        """
        s, Q = self.sketch.rows, len(self.fom.operator.matrices)
        Ql, o, _ = self.functionals.shape
        if numbers.shape != (s * (1 + Q) + Ql * o + 1,):
            raise ShapeError(f"a stored sketch has shape {numbers.shape}; the rule is ({s * (1 + Q) + Ql * o + 1},)")
        states, terms, outputs, norms = np.split(numbers, np.cumsum([s, s * Q, Ql * o]))
        return SketchedVectors(states[:, None], terms.reshape(s, 1, Q), outputs.reshape(Ql, o, 1), norms)


class SketchedSnapshots:
    """The sketches of a store's snapshots; each snapshot is replaced by its sketch when it is first asked for.

    The sketches lie in a store of their own within the folder of the snapshots, one sealed file each, found by the
    model, the sketch and the parameter. A snapshot's file is removed only after its sketch was written. From then on
    `store.missing` counts the parameter as stored, so that a resumed run does not solve it again; a run with another
    sketch does not find it and solves.

    Parameters
    ----------
    store : SnapshotStore
        Or any object with `get(mu)`: then nothing is replaced.
    sketcher : SnapshotSketcher
    """

    def __init__(self, store: Any, sketcher: SnapshotSketcher) -> None:
        self._store, self._sketcher = store, sketcher
        self._kept = sketch_store(store, sketcher) if isinstance(store, SnapshotStore) else None

    def get(self, mu: np.ndarray) -> SketchedVectors:
        """The sketch of the snapshot at mu (p,).

        Raises
        ------
        StoreError
            Neither the snapshot nor its sketch is stored.
        """
        if self._kept is not None and not len(self._kept.missing(mu[None])):
            if self._store.has(mu):
                self._store.discard(mu)
            return self._sketcher.unpacked(self._kept.get(mu).state)
        snapshot = self._store.get(mu)
        found = self._sketcher.of(snapshot.state[:, None])
        if self._kept is not None:
            self._kept.put(mu, Snapshot(found.packed(), snapshot.outputs, snapshot.info))
            self._store.discard(mu)
        return found


def sketch_store(store: SnapshotStore, sketcher: SnapshotSketcher) -> SnapshotStore:
    """The store of this sketch's files within a store of snapshots, which counts them as its own from now on."""
    sketch = sketcher.identity
    about = {"model": store.spec, **sketch}
    if store.stand_in is None or store.stand_in.spec != about:
        folder = f"{sketch['sketch']}-{sketch['rows']}-{sketch['seed']}-{sketch['image'][:8]}"
        store.stand_in = SnapshotStore(store.folder / "sketches" / folder, about, store.columns)
    return store.stand_in
