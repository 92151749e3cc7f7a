"""The tasks of a hierarchical POD: leaves read the store, merges join what their children kept; no Dask here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from romflow.core.errors import InputError
from romflow.core.fingerprint import canonical_json
from romflow.fom.build import build_model, model_identity
from romflow.linalg.compression.hapod import (
    FAN,
    OMEGA,
    Node,
    Split,
    Tree,
    finished,
    leaf,
    merge,
    project,
    tree_of,
)
from romflow.linalg.compression.result import Pod
from romflow.linalg.inner_product import InnerProduct
from romflow.store.snapshots import SnapshotStore
from romflow.tasks.batches import checked_rows
from romflow.tasks.solving import one_at_a_time, pinned_threads

__all__ = ["Compression", "leaf_task", "merge_task", "project_task"]

Projection = tuple[NDArray[np.float64], float]


@dataclass(frozen=True)
class Compression:
    """A hierarchical POD of stored snapshots, as its tasks are told of it.

    The tree depends on the snapshots alone, and so does the result: not on who works, and in which order.

    Parameters
    ----------
    request, store_folder, columns, mu
        As for :meth:`romflow.tasks.records.Executor.solve`; all of mu (k, p) is stored.
    tolerance : float
        Relative projection error.
    max_size : int, optional
    leaf_size : int, optional
        Snapshots of a leaf.
    fan : int
        Children of a merge.
    omega : float
        Share of the root, see :class:`romflow.linalg.compression.hapod.Split`.
    """

    request: dict[str, Any]
    store_folder: str | Path
    columns: Sequence[str]
    mu: ArrayLike
    tolerance: float
    max_size: int | None = None
    leaf_size: int | None = None
    fan: int = FAN
    omega: float = OMEGA

    def tree(self) -> Tree:
        """Its leaves and merges."""
        rows = checked_rows(self.mu, self.columns)
        if not len(rows):
            raise InputError("a hierarchical POD got no parameters; give those of at least one stored snapshot.")
        return tree_of(SnapshotStore.open(self.store_folder).n, len(rows), self.leaf_size, self.fan)

    def call(self, tree: Tree, part: slice | None = None, root: bool = False) -> str:
        """JSON text for a task: of a leaf with its part of the snapshots, of a merge without."""
        rows = [] if part is None else checked_rows(self.mu, self.columns)[part].tolist()
        first = 0 if part is None else part.start
        return canonical_json({
            "request": self.request, "store_folder": str(Path(self.store_folder).absolute()),
            "columns": list(self.columns), "mu": rows, "first": first, "tolerance": self.tolerance,
            "levels": tree.levels, "omega": self.omega, "root": root}).decode()

    def result(self, root: Node, parts: Iterable[Projection]) -> Pod:
        """The POD from the root and the projections of all leaves."""
        tree = self.tree()
        why = f"hierarchical by tasks (leaves: {len(tree.leaves)}, levels: {tree.levels})"
        return finished(root, list(parts), _product(self.request), self.tolerance, self.max_size, why)


def leaf_task(call: str, threads: int | None) -> Node:
    """The node of a leaf, whose snapshots are read from the store."""
    with _alone(threads):
        told = json.loads(call)
        last = told["first"] + len(told["mu"]) - 1
        return leaf(_snapshots(told), _product(told["request"]), _split(told), f"snapshots {told['first']} to {last}")


def merge_task(call: str, threads: int | None, *children: Node) -> Node:
    """The node above its children."""
    with _alone(threads):
        told = json.loads(call)
        return merge(children, _product(told["request"]), _split(told), told["root"])


def project_task(call: str, threads: int | None, root: Node) -> Projection:
    """Coordinates of a leaf's snapshots in the root's basis, and the square of what is left of them."""
    with _alone(threads):
        told = json.loads(call)
        return project(_snapshots(told), _product(told["request"]), root)


def _alone(threads: int | None) -> contextlib.ExitStack:
    """One task at a time in a process, with BLAS limited if asked."""
    exits = contextlib.ExitStack()
    exits.enter_context(one_at_a_time)
    if threads is not None:
        exits.enter_context(pinned_threads(threads))
    return exits


def _snapshots(told: dict[str, Any]) -> NDArray[np.float64]:
    identity = model_identity(told["request"], build_model(told["request"]))
    store = SnapshotStore(told["store_folder"], identity, tuple(told["columns"]), create=False)
    return store.matrix(np.array(told["mu"], dtype=np.float64).reshape(-1, len(told["columns"])))


def _product(request: dict[str, Any]) -> InnerProduct:
    model = build_model(request)
    return InnerProduct(getattr(model, "inner_product", None), getattr(model, "norm", "Euclidean"))


def _split(told: dict[str, Any]) -> Split:
    return Split(told["tolerance"], told["levels"], told["omega"])
