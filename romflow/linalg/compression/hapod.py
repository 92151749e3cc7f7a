"""Hierarchical POD: leaves compress some snapshots each, merges compress what their children kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from romflow.core.errors import InputError
from romflow.linalg.compression.blocks import MEMORY, check_shape, squared_sum
from romflow.linalg.compression.deflation import EXACT, LEVELS, deflated, truncated
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.result import Pod
from romflow.linalg.compression.routes import GRAM_LIMIT
from romflow.linalg.compression.source import ArraySource, SnapshotSource
from romflow.linalg.compression.sweeps import sweep_over
from romflow.linalg.inner_product import InnerProduct

__all__ = ["FAN", "OMEGA", "Node", "Split", "Tree", "finished", "hapod_node", "leaf", "merge", "project",
           "tree_of"]

OMEGA = 0.75
FAN = 4
_LEAF = 8, 64
# A tolerance that squares to nothing is no tolerance.
_LEAST = 1e-15


@dataclass(frozen=True)
class Node:
    """What a node of the tree keeps of the snapshots below it.

    Attributes
    ----------
    basis : (n, r) X-orthonormal
    sigma : (r,)
        Singular values; basis * sigma stands for the snapshots.
    tail : float
        Sum of the squares left out here and below: a bound of the squared projection error.
    energy : float
        sum_j ||s_j||_X^2 of the snapshots below.
    count : int
        Number of these.
    """

    basis: np.ndarray
    sigma: np.ndarray
    tail: float
    energy: float
    count: int

    @property
    def modes(self) -> np.ndarray:
        """basis * sigma (n, r)."""
        return self.basis * self.sigma


@dataclass(frozen=True)
class Split:
    """How the tolerance is shared by the levels of a tree.

    With L levels, a node below the root may leave out (1 - omega^2) tolerance^2 / (L - 1) of the squared norms of its
    snapshots, and the root what is then left of tolerance^2, at least omega^2 tolerance^2 (Himpe, Leibner and Rave
    2018, section 3, with shares of the energy in place of numbers of snapshots). As truncated singular value
    decompositions leave out what is orthogonal in the Frobenius sense, the squares of all nodes add up to tolerance^2
    at most.

    Parameters
    ----------
    tolerance : float
        Relative projection error of the whole.
    levels : int
        L, of which the leaves are one and the root is another.
    omega : float
        0 < omega < 1; a large one gives larger nodes and a root nearer to the optimum.

    Examples
    --------
    >>> round(Split(1e-2, 3, 0.8).local(4.0) / 1e-4, 6)
    0.72
    """

    tolerance: float
    levels: int
    omega: float = OMEGA

    def __post_init__(self) -> None:
        """Refuse shares that are none."""
        if not 0.0 < self.omega < 1.0:
            raise InputError(f"the HAPOD got omega = {self.omega}; the rule is 0 < omega < 1")

    def local(self, energy: float) -> float:
        """Squares that a node with this energy below it may leave out; the root of a tree of one level, all."""
        if self.levels == 1:
            return self.tolerance**2 * energy
        return (1.0 - self.omega**2) * self.tolerance**2 * energy / (self.levels - 1)


@dataclass(frozen=True)
class Tree:
    """Snapshots of each leaf, and for each level above the children of each of its nodes, the root's last."""

    leaves: list[slice]
    merges: list[list[list[int]]]

    @property
    def levels(self) -> int:
        """Number of levels with the leaves."""
        return 1 + len(self.merges)


def tree_of(n: int, k: int, leaf_size: int | None = None, fan: int = FAN, memory: int = MEMORY) -> Tree:
    """The tree of k snapshots (n,), which depends on these numbers alone and not on who works.

    Parameters
    ----------
    n, k : int
    leaf_size : int, optional
        Snapshots of a leaf; by default what a third of the memory holds, from 8 to 64.
    fan : int
        Children of a node.

    Examples
    --------
    >>> tree = tree_of(100, 40, leaf_size=10, fan=2)
    >>> len(tree.leaves), tree.merges
    (4, [[[0, 1], [2, 3]], [[0, 1]]])
    """
    if fan < 2 or (leaf_size is not None and leaf_size < 1):
        raise InputError(f"the HAPOD got leaf_size = {leaf_size} and fan = {fan}; the rule is at least 1 and 2")
    size = leaf_size or min(max(memory // (24 * max(n, 1)), _LEAF[0]), _LEAF[1])
    leaves = [slice(start, min(start + size, k)) for start in range(0, k, size)]
    merges, width = [], len(leaves)
    while width > 1:
        merges.append([list(range(start, min(start + fan, width))) for start in range(0, width, fan)])
        width = len(merges[-1])
    return Tree(leaves, merges)


def leaf(S: np.ndarray, product: InnerProduct, split: Split, where: str = "a leaf") -> Node:
    """The node of some snapshots.

    Parameters
    ----------
    S : (n, j)
    product : InnerProduct
    split : Split
    where : str
        How a message names these snapshots.

    Raises
    ------
    InputError
        A number is not finite.

    Examples
    --------
    >>> node = leaf(np.diag([3.0, 1.0, 1e-9]), InnerProduct(None), Split(1e-3, 2))
    >>> node.basis.shape, node.count
    ((3, 2), 3)
    """
    squared_sum(S, where)
    energy = float(np.vdot(S, product.apply(S)))
    return _truncated(S, product, energy, 0.0, S.shape[1], split.local(energy))


def merge(children: Sequence[Node], product: InnerProduct, split: Split, root: bool = False) -> Node:
    """The node above some children: the POD of their modes times singular values.

    Examples
    --------
    >>> split = Split(1e-3, 2)
    >>> parts = [leaf(S, InnerProduct(None), split) for S in (np.eye(4)[:, :2], np.eye(4)[:, 1:3])]
    >>> merge(parts, InnerProduct(None), split, root=True).sigma.round(6)
    array([1.414214, 1.      , 1.      ])
    """
    energy, tail = sum(child.energy for child in children), sum(child.tail for child in children)
    allowed = max(split.tolerance**2 * energy - tail, 0.0) if root else split.local(energy)
    S = np.hstack([child.modes for child in children])
    return _truncated(S, product, energy, tail, sum(child.count for child in children), allowed)


def _truncated(S: np.ndarray, product: InnerProduct, energy: float, tail: float, count: int, allowed: float) -> Node:
    """The node that leaves out squares of at most `allowed` of S."""
    total = float(np.vdot(S, product.apply(S)))
    if total <= allowed or not total:
        return Node(np.zeros((len(S), 0)), np.zeros(0), tail + total, energy, count)
    relative = np.sqrt(allowed / total)
    relative = relative if relative > _LEAST else 0.0
    found, _ = deflated(sweep_over(ArraySource(S), product), product, relative, None,
                        levels=1 if relative >= GRAM_LIMIT else LEVELS)
    r = found.basis.shape[1]
    return Node(found.basis, found.singular_values[:r], tail + found.error**2 * total, energy, count)


def hapod_node(source: SnapshotSource, product: InnerProduct, tolerance: float, tree: Tree,
               omega: float = OMEGA) -> Node:
    """The root over all snapshots of a source, made depth first, so that few nodes are held at a time.

    Examples
    --------
    >>> S = np.outer(np.ones(6), np.arange(5.0)) + np.diag([1.0] * 6)[:, :5]
    >>> tree = tree_of(6, 5, leaf_size=2, fan=2)
    >>> hapod_node(ArraySource(S), InnerProduct(None), 0.5, tree).basis.shape
    (6, 1)
    """
    check_shape(source, product)
    split = Split(tolerance, tree.levels, omega)

    def node(level: int, index: int) -> Node:
        if level == 0:
            part = tree.leaves[index]
            return leaf(source.columns(part), product, split, f"snapshots {part.start} to {part.stop - 1}")
        children = [node(level - 1, child) for child in tree.merges[level - 1][index]]
        return merge(children, product, split, level == len(tree.merges))

    return node(len(tree.merges), 0)


def project(S: np.ndarray, product: InnerProduct, root: Node) -> tuple[np.ndarray, float]:
    """Coordinates V^T X S (r, j) of some snapshots in the root's basis, and ||S - V V^T X S||_X^2.

    Examples
    --------
    >>> root = leaf(np.eye(3)[:, :1], InnerProduct(None), Split(1e-3, 1))
    >>> project(np.eye(3), InnerProduct(None), root)
    (array([[1., 0., 0.]]), 2.0)
    """
    Z = product.gram(root.basis, S)
    return Z, float(np.sum(product.norm(S - root.basis @ Z) ** 2))


def finished(root: Node, parts: Sequence[tuple[np.ndarray, float]], product: InnerProduct, tolerance: float,
             max_size: int | None, why: str) -> Pod:
    """The POD within the root's space, with the exact error, from the projections of the leaves in their order."""
    Z, rest = np.hstack([part for part, _ in parts]), sum(left for _, left in parts)
    found = truncated(Modes.of(root.basis), product, Z, None, rest, root.energy, tolerance, max_size)
    return replace(found, route="hapod", why=f"{why}; {EXACT}")

