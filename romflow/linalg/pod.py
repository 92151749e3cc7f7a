"""Proper orthogonal decomposition of snapshots in memory, in a file or in a store, within a bounded memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.compression.blocks import MEMORY, check_shape, tiles
from romflow.linalg.compression.deflation import LEVELS, Sketch, deflated
from romflow.linalg.compression.hapod import finished, hapod_node, project, tree_of
from romflow.linalg.compression.incremental import update
from romflow.linalg.compression.randomised import randomised
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.routes import GRAM_LIMIT, ROUTES, choose, sketch_rows
from romflow.linalg.compression.source import ArraySource, SnapshotSource, as_source
from romflow.linalg.compression.streaming import streaming
from romflow.linalg.compression.sweeps import sweep_over
from romflow.linalg.inner_product import InnerProduct

__all__ = ["GRAM_LIMIT", "MEMORY", "ROUTES", "Pod", "pod", "update"]

# With fewer rows than this many times those of the sketch, one entry a column of it may lose directions.
_TALL = 20


def pod(snapshots: Any, product: InnerProduct, tolerance: float, *, size: int | None = None,
        max_size: int | None = None, route: str = "auto", block: int | None = None, seed: int = 0, power: int = 0,
        memory: int = MEMORY) -> Pod:
    """The smallest POD basis with (sum_j ||s_j - P s_j||_X^2 / sum_j ||s_j||_X^2)^{1/2} <= tolerance.

    The routes, with n unknowns, k snapshots and r modes:

    ============  =========================================================================  ====================
    gram          method of snapshots (Sirovich 1987), tolerance >= 1e-7                     2 passes, n k^2 flops
    two-pass      the same, again on the remainder behind the modes found, to 1e-14          2 to 3 a level
    sketched      CountSketch of the rows, its right singular vectors, one pass for the      2 passes, 2 n k r
                  modes, an orthonormalisation in X; further levels where it missed any
    randomised    range of S Omega with `power` iterations (Halko, Martinsson, Tropp 2011)   3 passes, 4 n k r
    streaming     sketches of range and core (Tropp, Yurtsever, Udell, Cevher 2019)          1 pass, 2 n k r
    hapod         tree of PODs (Himpe, Leibner, Rave 2018)                                   2 passes
    ============  =========================================================================  ====================

    The error is that of the basis, found in the passes themselves or in one more; only "streaming" estimates it.
    Memory: the basis with some more modes, matrices of k x k (not "hapod", "streaming") and `memory` for the blocks.

    Parameters
    ----------
    snapshots : (n, k) array, np.memmap, SnapshotSource, or a callable columns(slice) -> (n, j) together with `size` = k
    product : InnerProduct
    tolerance : float
        Relative projection error, 0 <= tolerance < 1. Modes below 1e-14 are rounding noise and never taken.
    max_size : int, optional
    route : {"auto", "gram", "two-pass", "sketched", "randomised", "streaming", "hapod"}
        For "auto" see :func:`romflow.linalg.compression.routes.choose`; `Pod.why` says what it chose.
    block : int, optional
        Rows or snapshots of a block, by default what fits the memory. The result depends on it to rounding only.
    seed : int
        Of the routes with random numbers.
    power : int
        Power iterations of "randomised".
    memory : int
        Bytes for blocks of snapshots.

    Raises
    ------
    InputError
        Route "gram" with a tolerance that it cannot keep; tolerance out of range; a block of snapshots with a number
        that is not finite.
    ConfigError
        No such route.
    ShapeError
        No matrix, or an inner product of another size.

    Examples
    --------
    >>> import numpy as np
    >>> S = np.array([[3.0, 0.0], [0.0, 1e-3]])
    >>> pod(S, InnerProduct(None), 1e-2).basis.shape
    (2, 1)
    """
    if block is not None and block < 1:
        raise InputError(f"the POD got block = {block}; the rule is at least 1")
    source = as_source(snapshots, size)
    choice = choose(route, source, product, tolerance, max_size, memory)
    check_shape(source, product)
    if not source.k or max_size == 0:
        return Pod(np.zeros((source.n, 0)), np.zeros(0), float(source.k > 0), choice.route, choice.why)
    if choice.route == "streaming":
        found = streaming(source, product, tolerance, max_size, seed, memory, block)
        return replace(_visible(found, source), why=f"{choice.why}; {found.why}")
    held = _held(source, memory)
    if choice.route == "hapod":
        return _visible(_hapod(held, product, tolerance, max_size, block, memory, choice.why), source)
    sweep = sweep_over(held, product, memory, block)
    if choice.route == "randomised":
        found, note = randomised(sweep, product, tolerance, max_size, power, seed)
    else:
        sketch = _sketch(source.n, source.k, seed) if choice.route == "sketched" else None
        levels = 1 if choice.route == "gram" else LEVELS
        found, note = deflated(sweep, product, tolerance, max_size, levels, sketch)
    return replace(_visible(found, source), route=choice.route, why=f"{choice.why}; {note}")


def _sketch(n: int, k: int, seed: int) -> Sketch:
    rows = sketch_rows(k)
    return Sketch("countsketch" if n >= _TALL * rows else "sparse-sign", rows, seed)


def _held(source: SnapshotSource, memory: int) -> SnapshotSource:
    """A small set in memory, which is read once and then held."""
    if isinstance(source, ArraySource) or 8 * source.n * source.k > memory:
        return source
    return ArraySource(source.columns(slice(0, source.k)).copy())


def _hapod(source: SnapshotSource, product: InnerProduct, tolerance: float, max_size: int | None, block: int | None,
           memory: int, why: str) -> Pod:
    tree = tree_of(source.n, source.k, block, memory=memory)
    root = hapod_node(source, product, tolerance, tree)
    parts = [project(source.columns(part), product, root) for part in tree.leaves]
    return finished(root, parts, product, tolerance, max_size, why)


def _visible(found: Pod, source: SnapshotSource) -> Pod:
    """The answer, unless the squares of the snapshots are too small to be numbers."""
    if found.energy < np.finfo(float).tiny:
        for part in tiles(source.k, source.n, source, MEMORY, None):
            if source.columns(part).any():
                raise InputError("the snapshots are so small that their squares vanish; scale them")
    return found
