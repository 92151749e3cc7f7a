"""How reductors compress stored snapshots: by a route of their own process, or by the run's executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from romflow.linalg.compression.blocks import MEMORY
from romflow.linalg.compression.routes import check_route, choose
from romflow.linalg.compression.source import StoreSource
from romflow.linalg.inner_product import InnerProduct
from romflow.linalg.pod import Pod, pod

__all__ = ["Compressor", "SnapshotCompression"]

#: compressor(mu, tolerance, max_size=...) -> Pod, by the tasks of an executor.
Compressor = Callable[..., Pod]


class SnapshotCompression:
    """The POD of stored snapshots by the route that a study asks for.

    Parameters
    ----------
    route : str
        One of :data:`romflow.linalg.compression.routes.ROUTES`.
    seed : int

    Attributes
    ----------
    compressor : callable or None
        Where a run has set it, route "hapod" goes to the tasks of its executor.

    Raises
    ------
    ConfigError
        No such route; the message names the nearest.

    Examples
    --------
    >>> from romflow.core.errors import ConfigError
    >>> try:
    ...     SnapshotCompression("hapodd")
    ... except ConfigError as error:
    ...     print(str(error).rpartition(". ")[2])
    Did you mean 'hapod'?
    """

    def __init__(self, route: str = "auto", seed: int = 0) -> None:
        check_route(route)
        self.route, self.seed = route, seed
        self.compressor: Compressor | None = None

    def of(self, store: Any, mu: np.ndarray, product: InnerProduct, tolerance: float, max_size: int | None) -> Pod:
        """The POD of the snapshots at mu (k, p)."""
        source = StoreSource(store, mu)
        choice = choose(self.route, source, product, tolerance, max_size, MEMORY)
        if choice.route == "hapod" and self.compressor is not None:
            return self.compressor(mu, tolerance, max_size=max_size)
        return pod(source, product, tolerance, max_size=max_size, route=self.route, seed=self.seed)
