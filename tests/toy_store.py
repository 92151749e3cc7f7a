"""Snapshots of one line of numbers, for the tests of the store."""

import numpy as np

from romflow.core.snapshot import Snapshot
from romflow.store.snapshots import SnapshotStore

SPEC = {"model": {"kind": "line"}, "spec": {"cells": 9, "blocks": [3, 3]}}


def put(store, a, n=40, outputs=(1.0, 2.0), info=None):
    """The snapshot at mu = (a, -a), stored."""
    state = a * np.arange(1.0, n + 1) + 1 / 3
    snapshot = Snapshot(state, None if outputs is None else a * np.array(outputs), info or {"seconds": a})
    store.put([a, -a], snapshot)
    return snapshot


def rows(*values):
    return np.array([[a, -a] for a in values])


def fresh(store):
    """The same store as another process sees it."""
    return SnapshotStore(store.folder, SPEC, store.columns)
