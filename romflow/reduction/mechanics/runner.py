"""The driver's side of the kernels: it asks every subdomain, and adds up what they answer."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from romflow.reduction.mechanics.blocks import Block, components_of, replay_name
from romflow.reduction.mechanics.files import WorkFiles

__all__ = ["BlockRunner", "Tasks"]

#: tasks(kernel, shared, parts) -> what the kernel answers for each part, in their order.
Tasks = Callable[[str, dict[str, Any], Sequence[int]], list[dict[str, np.ndarray]]]


class BlockRunner:
    """Kernels on all subdomains of a problem and the trajectories of a store.

    Parameters
    ----------
    fom : model with `mechanics`
    store : SnapshotStore
    mu : (j, p)
        Parameters of the trajectories.
    subdomains : int
    tasks : callable, optional
        By default everything is done in this process.
    """

    def __init__(self, fom: Any, store: Any, mu: np.ndarray, subdomains: int, tasks: Tasks | None = None) -> None:
        self.fom, self.store, self.mu, self.subdomains = fom, store, mu, subdomains
        self.files = WorkFiles(store.folder)
        self._tasks = tasks or self._here
        self.blocks = [Block(fom.mechanics, self.files, number, subdomains) for number in range(subdomains)]

    @functools.cached_property
    def replays(self) -> list[str]:
        """Names of the recomputed fields, one a trajectory."""
        return [replay_name(self.store, row, self.subdomains) for row in self.mu]

    def replay(self) -> int:
        """Recompute the dual fields along all trajectories; how many pairs of subdomain and trajectory were made."""
        shared = {"mu": self.mu.tolist(), "subdomains": self.subdomains}
        found = self._tasks("mechanics-replay", shared, range(len(self.mu) * self.subdomains))
        return sum(int(answer["made"]) for answer in found)

    def each(self, kernel: str, **shared: Any) -> list[dict[str, np.ndarray]]:
        """What the kernel answers on each subdomain; arrays among the arguments go through files."""
        told = {key: self.files.put(value) if isinstance(value, np.ndarray) else value for key, value in shared.items()}
        return self._tasks(kernel, {**told, "subdomains": self.subdomains}, range(self.subdomains))

    def total(self, kernel: str, **shared: Any) -> dict[str, np.ndarray]:
        """The sums over the subdomains, in their order."""
        answers = self.each(kernel, **shared)
        return {name: functools.reduce(np.add, [answer[name] for answer in answers]) for name in answers[0]}

    def rows(self, field: str, number: int) -> np.ndarray:
        """Rows (c G_d,) of subdomain `number` in a field of the whole mesh, components first."""
        G, c = self.fom.mechanics.space.weights.size, components_of(field)
        return np.asarray((G * np.arange(c)[:, None] + self.blocks[number].points).ravel())

    def spread(self, field: str, V: np.ndarray) -> str:
        """Give each subdomain its rows of V (c G, j) in a file named by its content; the name."""
        V = np.ascontiguousarray(V)
        name = "v-" + hashlib.sha256(f"{V.shape} {self.subdomains}".encode() + V.tobytes()).hexdigest()[:32]
        for number in range(self.subdomains):
            if not self.files.has(name, number):
                self.files.write(name, number, V[self.rows(field, number)])
        return name

    def _here(self, kernel: str, shared: dict[str, Any], parts: Sequence[int]) -> list[dict[str, np.ndarray]]:
        from romflow.reduction.mechanics.kernels import KERNELS

        return [KERNELS[kernel](self.fom, self.store.folder, part, **shared) for part in parts]
