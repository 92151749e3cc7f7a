"""Subdomains of a mesh as blocks of cells, and what a kernel reads of one: points, weights, stored dual fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from romflow.core.errors import InputError
from romflow.core.fingerprint import fingerprint
from romflow.dd.partition import split
from romflow.materials.protocol import PLASTIC, rows_of
from romflow.reduction.mechanics.files import WorkFiles

__all__ = ["STRESS", "Block", "DualRows", "components_of", "fields_of", "replay_name", "subdomain_cells"]

STRESS = "stress"
# Bytes of dual fields that are held at a time.
_MEMORY = 64 << 20


def components_of(field: str) -> int:
    """Components of a dual field at a point."""
    return 6 if field == STRESS else 1


def fields_of(law: Any) -> tuple[str, ...]:
    """The dual fields of a law: stress, and the accumulated plastic strain where it has one."""
    return (STRESS, PLASTIC) if PLASTIC in law.variables else (STRESS,)


def subdomain_cells(problem: Any, subdomains: int) -> list[np.ndarray]:
    """Cells (C_d,) of each subdomain, rising: halves along the longest side, again and again; the same everywhere.

    Raises
    ------
    InputError
        More subdomains than cells.
    """
    space = problem.space
    if subdomains > len(space.cells):
        raise InputError(f"{subdomains} subdomains were asked for and the mesh has {len(space.cells)} cells; the rule "
                         "is at most one for each cell: lower [reduction] subdomains")
    labels = split(space.cells, space.nodes[space.cells].mean(axis=1), subdomains, "bisection")
    return [np.flatnonzero(labels == number) for number in range(subdomains)]


def replay_name(store: Any, mu: np.ndarray, subdomains: int) -> str:
    """Name of what is recomputed along the stored trajectory at mu (p,); another solve of it has another name."""
    return "r-" + fingerprint({"key": store.key(mu), "subdomains": subdomains,
                               "trajectory": store.facts(mu[None], "trajectory")[0]})[:32]


class Block:
    """One subdomain of a problem, and its work files.

    Parameters
    ----------
    problem : MechanicsProblem
    files : WorkFiles
    number : int
    subdomains : int
    """

    def __init__(self, problem: Any, files: WorkFiles, number: int, subdomains: int) -> None:
        self.problem, self.files, self.number = problem, files, number
        self.cells = subdomain_cells(problem, subdomains)[number]

    @cached_property
    def points(self) -> np.ndarray:
        """Gauss points (G_d,) of the cells."""
        return np.asarray(self.problem.points_of(self.cells))

    @cached_property
    def weights(self) -> np.ndarray:
        """Quadrature weights (G_d,)."""
        return np.asarray(self.problem.space.weights[self.points])

    def stored(self, replays: Sequence[str], field: str) -> DualRows:
        """A dual field along all replays."""
        arrays = [self.files.read(f"{name}-{field}", self.number) for name in replays]
        return DualRows(arrays, np.tile(self.weights, components_of(field)))

    def plastic_rows(self) -> slice:
        """Rows of the law's state with the accumulated plastic strain."""
        return rows_of(self.problem.law, PLASTIC)


class DualRows:
    """Snapshots S (c G_d, k) of a dual field, read by rows; row i G_d + g is component i at point g.

    Parameters
    ----------
    arrays : sequence of (K_j, c G_d) arrays
        A row a time.
    weights : (c G_d,)
        The diagonal of X.
    """

    def __init__(self, arrays: Sequence[np.ndarray], weights: np.ndarray) -> None:
        self._arrays = [one.reshape(len(one), -1) for one in arrays]
        self.weights = weights
        self.k, self.n = sum(len(one) for one in self._arrays), weights.size

    def remainders(self, V: np.ndarray | None, Z: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Triples (rows I, S' = (S - V Z)[I] (i, k), X S' (i, k))."""
        height = max(1, _MEMORY // (24 * max(self.k, 1)))
        for start in range(0, self.n, height):
            rows = slice(start, start + height)
            S = np.concatenate([one[:, rows] for one in self._arrays]).T
            if V is not None and Z is not None:
                S = S - V[rows] @ Z
            yield rows, S, S * self.weights[rows, None]
