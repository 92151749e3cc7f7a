"""The passes over the snapshots that the routes are made of, by blocks of rows or by blocks of snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from romflow.core.errors import NotSupported
from romflow.linalg.compression.blocks import MEMORY, diagonal_of, squared_sum, tiles, weighted_rows
from romflow.linalg.compression.modes import Modes
from romflow.linalg.compression.source import SnapshotSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.sketching.embeddings import embedding

__all__ = ["Check", "Extension", "Sweep", "sweep_over"]


@dataclass(frozen=True)
class Check:
    """The remainder S' - Y K to measure, whole or by its products with random vectors.

    Attributes
    ----------
    fit : (m, k)
        K.
    probes : (k, t) or None
        P with E[P P^T] = I: then ||(S' - Y K) P||^2 is measured, whose mean is ||S' - Y K||^2.
    """

    fit: np.ndarray
    probes: np.ndarray | None = None


@dataclass(frozen=True)
class Extension:
    """What is known of new modes Y = S' M (n, m), with S' = S - V Z the remainder behind the modes V.

    Attributes
    ----------
    gram : (m, m)
        Y^T X Y.
    cross : (r, m)
        V^T X Y.
    coordinates : (m, k) or None
        Y^T X S'.
    left : float or None
        ||S' - Y K||_X^2, or what the probes say of it.
    """

    gram: np.ndarray
    cross: np.ndarray
    coordinates: np.ndarray | None
    left: float | None


class Sweep(Protocol):
    """Passes over S (n, k); in all of them S' = S - V Z is the remainder behind modes V with coordinates Z (r, k)."""

    n: int
    k: int

    def modes(self) -> Modes:
        """No modes yet, where those of this sweep are kept."""
        return Modes(self.n)

    def gram(self, modes: Modes, Z: np.ndarray) -> np.ndarray:
        """S'^T X S' (k, k)."""
        ...

    def sketch(self, kind: str, rows: int, seed: int) -> tuple[np.ndarray, float]:
        """Theta Q S (s, k) with X = Q^T Q, and ||S||_X^2."""
        ...

    def extend(self, modes: Modes, Z: np.ndarray, M: np.ndarray, coordinates: bool = False,
               check: Check | None = None) -> Extension:
        """Append Y = S' M to the modes, with Y^T X S' and the remainder of a fit Y K where asked for."""
        ...

    def coordinates(self, modes: Modes) -> tuple[np.ndarray, float]:
        """V^T X S (r, k) and ||S||_X^2."""
        ...

    def remainder(self, modes: Modes, Z: np.ndarray) -> float:
        """||S'||_X^2."""
        ...

    def power(self, W: np.ndarray) -> np.ndarray:
        """S^T X S W (k, j)."""
        ...


def sweep_over(source: SnapshotSource, product: InnerProduct, memory: int = MEMORY,
               block: int | None = None) -> Sweep:
    """The passes in the direction in which this source is read with this X at the least cost.

    By rows where X is the identity or diagonal. A sparse X couples the rows of a block with others: whole snapshots are
    then read, unless the source is a file in C order, where the rows that X touches are.
    """
    local = product.X is None or diagonal_of(product) is not None
    if source.by_rows and (local or source.scattered):
        return ByRows(source, product, memory, block)
    return ByColumns(source, product, memory, block)


class ByRows(Sweep):
    """Each pass reads every block of rows once. See :class:`Sweep`."""

    def __init__(self, source: SnapshotSource, product: InnerProduct, memory: int, block: int | None) -> None:
        self.source, self.product = source, product
        self.n, self.k = source.n, source.k
        self._parts = tiles(self.n, self.k, source, memory, block)
        self._diagonal = diagonal_of(product)
        self._checked = False

    def _remainders(self, V: np.ndarray, Z: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Triples (rows, S'[rows], (X S')[rows])."""
        for rows, B, XB in weighted_rows(self.source, self.product, self._parts):
            if not self._checked:
                squared_sum(B, _named("rows", rows))
            if not V.shape[1]:
                yield rows, B, XB
                continue
            rest = B - V[rows] @ Z
            if self.product.X is None:
                yield rows, rest, rest
            elif self._diagonal is not None:
                yield rows, rest, self._diagonal[rows, None] * rest
            else:
                yield rows, rest, XB - (self.product.X[rows] @ V) @ Z
        self._checked = True

    def gram(self, modes: Modes, Z: np.ndarray) -> np.ndarray:
        C = np.zeros((self.k, self.k))
        for _, B, XB in self._remainders(modes.V, Z):
            C += B.T @ XB
        return 0.5 * (C + C.T)

    def sketch(self, kind: str, rows: int, seed: int) -> tuple[np.ndarray, float]:
        if self.product.X is not None and self._diagonal is None:
            raise NotSupported("rows of a file in C order cannot be sketched in the norm of a matrix that couples "
                               "them; use route = \"two-pass\", or write the snapshots one after the other (order F)")
        theta = embedding(kind, rows, self.n, seed)
        sketched, total = np.zeros((rows, self.k)), 0.0
        root = None if self._diagonal is None else np.sqrt(self._diagonal)
        for part in self._parts:
            B = self.source.rows(part)
            share = squared_sum(B, _named("rows", part))
            if root is not None:
                B = root[part, None] * B
                share = squared_sum(B, _named("rows", part))
            total += share
            sketched += theta.apply_rows(B, part.start)
        self._checked = True
        return sketched, total

    def extend(self, modes: Modes, Z: np.ndarray, M: np.ndarray, coordinates: bool = False,
               check: Check | None = None) -> Extension:
        r, m = modes.r, M.shape[1]
        G, F, found, left = np.zeros((m, m)), np.zeros((r, m)), np.zeros((m, self.k)), 0.0
        new = modes.append(m)
        V = modes.V[:, :r]
        probes = None if check is None else check.probes
        fit = None if check is None else check.fit if probes is None else check.fit @ probes
        both = M if probes is None else np.hstack([M, probes])
        for rows, B, XB in self._remainders(V, Z):
            all_Y = B @ both
            all_XY = all_Y if XB is B else XB @ both
            Y, XY = all_Y[:, :m], all_XY[:, :m]
            new[:, rows] = Y.T
            G += Y.T @ XY
            F += V[rows].T @ XY
            if coordinates:
                found += Y.T @ XB
            if fit is not None:
                T, XT = (B, XB) if probes is None else (all_Y[:, m:], all_XY[:, m:])
                E = T - Y @ fit
                left += float(np.vdot(E, E if XB is B else XT - XY @ fit))
        return Extension(G, F, found if coordinates else None, left if fit is not None else None)

    def coordinates(self, modes: Modes) -> tuple[np.ndarray, float]:
        Z, total = np.zeros((modes.r, self.k)), 0.0
        for rows, B, XB in self._remainders(modes.V[:, :0], np.zeros((0, self.k))):
            total += float(np.vdot(B, XB))
            Z += modes.V[rows].T @ XB
        return Z, total

    def remainder(self, modes: Modes, Z: np.ndarray) -> float:
        return sum(float(np.vdot(B, XB)) for _, B, XB in self._remainders(modes.V, Z))

    def power(self, W: np.ndarray) -> np.ndarray:
        H = np.zeros((self.k, W.shape[1]))
        for _, B, XB in self._remainders(np.zeros((self.n, 0)), np.zeros((0, self.k))):
            H += XB.T @ (B @ W)
        return H


class ByColumns(Sweep):
    """Each pass reads every snapshot once, the Gram matrix those above its diagonal tiles. See :class:`Sweep`."""

    def __init__(self, source: SnapshotSource, product: InnerProduct, memory: int, block: int | None) -> None:
        self.source, self.product = source, product
        self.n, self.k = source.n, source.k
        self._parts = tiles(self.k, self.n, source, memory, block)
        self._checked: set[int] = set()

    def _remainder(self, part: slice, V: np.ndarray, Z: np.ndarray) -> np.ndarray:
        S = self.source.columns(part)
        if part.start not in self._checked:
            squared_sum(S, _named("snapshots", part))
            self._checked.add(part.start)
        return S - V @ Z[:, part] if V.shape[1] else S

    def gram(self, modes: Modes, Z: np.ndarray) -> np.ndarray:
        C = np.zeros((self.k, self.k))
        V = modes.V
        for index, left in enumerate(self._parts):
            # Without an own array the next tile would overwrite the buffer of a file.
            L = self._remainder(left, V, Z).copy()
            weighted = self.product.apply(L)
            C[left, left] = L.T @ weighted
            for right in self._parts[index + 1:]:
                C[left, right] = weighted.T @ self._remainder(right, V, Z)
                C[right, left] = C[left, right].T
        return 0.5 * (C + C.T)

    def sketch(self, kind: str, rows: int, seed: int) -> tuple[np.ndarray, float]:
        theta = embedding(kind, rows, self.n, seed)
        diagonal = diagonal_of(self.product)
        sketched, total = np.empty((rows, self.k)), 0.0
        for part in self._parts:
            S = self.source.columns(part)
            squared_sum(S, _named("snapshots", part))
            XS = self.product.apply(S)
            total += float(np.vdot(S, XS))
            if self.product.X is None:
                sketched[:, part] = theta.apply(S)
            elif diagonal is not None:
                sketched[:, part] = theta.apply(np.sqrt(diagonal)[:, None] * S)
            else:
                sketched[:, part] = theta.apply(self.product.whiten(XS))
        return sketched, total

    def extend(self, modes: Modes, Z: np.ndarray, M: np.ndarray, coordinates: bool = False,
               check: Check | None = None) -> Extension:
        r, m = modes.r, M.shape[1]
        new = modes.append(m)
        V, Y = modes.V[:, :r], modes.V[:, r:]
        for part in self._parts:
            new += M[part].T @ self._remainder(part, V, Z).T
        G, F = np.empty((m, m)), np.empty((r, m))
        for some in tiles(m, self.n, self.source, MEMORY, None):
            XY = self.product.apply(Y[:, some])
            G[:, some], F[:, some] = Y.T @ XY, V.T @ XY
        found, left = np.empty((m, self.k)), 0.0
        for part in self._parts if coordinates or check is not None else ():
            S = self._remainder(part, V, Z)
            if coordinates:
                found[:, part] = self.product.gram(Y, S)
            if check is not None:
                left += float(np.sum(self.product.norm(S - Y @ check.fit[:, part]) ** 2))
        return Extension(G, F, found if coordinates else None, left if check is not None else None)

    def coordinates(self, modes: Modes) -> tuple[np.ndarray, float]:
        Z, total = np.empty((modes.r, self.k)), 0.0
        for part in self._parts:
            S = self._remainder(part, modes.V[:, :0], Z[:0])
            XS = self.product.apply(S)
            total += float(np.vdot(S, XS))
            Z[:, part] = modes.V.T @ XS
        return Z, total

    def remainder(self, modes: Modes, Z: np.ndarray) -> float:
        return sum(float(np.sum(self.product.norm(self._remainder(part, modes.V, Z)) ** 2)) for part in self._parts)

    def power(self, W: np.ndarray) -> np.ndarray:
        Y = np.zeros((self.n, W.shape[1]))
        for part in self._parts:
            Y += self._remainder(part, Y[:, :0], W[:0]) @ W[part]
        XY = self.product.apply(Y)
        return np.vstack([self.source.columns(part).T @ XY for part in self._parts])


def _named(what: str, part: slice) -> str:
    return f"{what} {part.start} to {part.stop - 1}"
