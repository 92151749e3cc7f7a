"""What the offline stage knows beyond the reduced model, so that a model can be enriched without its training data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from romflow.core.errors import StoreError
from romflow.store.artefact import read_artefact, write_artefact

__all__ = ["OfflineData"]

KIND = "mechanics-offline"


@dataclass(frozen=True, eq=False)
class OfflineData:
    """Modes with their singular values, to which new snapshots are added by an incremental POD.

    Attributes
    ----------
    displacement_values : (k,)
        Singular values of the displacements; the first r belong to the model's basis.
    stress_modes : (6 G, n)
        Orthonormal with the quadrature weights; more than the model's dual field "stress" has, for the rows of the
        cubature are made of them.
    stress_values : (n,)
    plastic_modes : (G, n_p), plastic_values : (n_p,)
        Of the accumulated plastic strain; empty where the law has none.
    snapshots : int
        Number of states that the modes stand for.
    tolerance, dual_tolerance, cubature_tolerance : float
    facts : dict
        JSON.
    """

    displacement_values: np.ndarray
    stress_modes: np.ndarray
    stress_values: np.ndarray
    plastic_modes: np.ndarray
    plastic_values: np.ndarray
    snapshots: int
    tolerance: float
    dual_tolerance: float
    cubature_tolerance: float
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> Path:
        """Write everything to one sealed HDF5 file.

        Raises
        ------
        StoreError
            The disk is full or refuses.
        """
        about = {name: getattr(self, name) for name in _NUMBERS} | {"facts": self.facts}
        write_artefact(Path(path), KIND, {name: getattr(self, name) for name in _ARRAYS}, about)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> OfflineData:
        """What `save` wrote.

        Raises
        ------
        StoreError
            The file is missing, damaged or another one.

        Examples
        --------
        >>> import tempfile
        >>> empty = np.empty((0, 0))
        >>> data = OfflineData(np.ones(2), np.ones((6, 1)), np.ones(1), empty, np.empty(0), 3, 1e-4, 1e-4, 1e-3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     OfflineData.load(data.save(Path(folder) / "offline.h5")).snapshots
        3
        """
        kind, arrays, about = read_artefact(Path(path))
        if kind != KIND:
            raise StoreError(f"{path} holds a '{kind}' and no offline data of mechanics; give the offline.h5 of a run")
        own: dict[str, Any] = {**{name: arrays[name] for name in _ARRAYS}, **{name: about[name] for name in _NUMBERS}}
        return cls(**own, facts=about["facts"])


_ARRAYS = ("displacement_values", "stress_modes", "stress_values", "plastic_modes", "plastic_values")
_NUMBERS = ("snapshots", "tolerance", "dual_tolerance", "cubature_tolerance")
