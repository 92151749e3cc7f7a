"""Reduced models that hold no vector of full length: their snapshots were thrown away once they were sketched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from romflow.core.errors import NotSupported
from romflow.rom.affine import AffineReducedModel

KIND = "sketched"


@dataclass(frozen=True)
class SketchedReducedModel(AffineReducedModel):
    """An affine reduced model whose basis exists only as its sketch S = Theta Q V (s, r), X = Q^T Q.

    Outputs, estimates and truncations are those of any affine model; `answer.norm` is the sketched norm ||S x||, which
    is ||V x||_X up to the sketch's 1 +- epsilon. `basis` is (0, r) and there is nothing to lift.

    Attributes
    ----------
    state_sketch : (s, r)
        Orthonormal columns.
    unknowns : int
        n of the full-order model.
    """

    state_sketch: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    unknowns: int = 0

    @property
    def n(self) -> int:
        """Number of full-order unknowns."""
        return self.unknowns

    def lift(self, coefficients: np.ndarray) -> np.ndarray:
        """There is no basis to lift with.

        Raises
        ------
        NotSupported
            Always.
        """
        raise NotSupported("this reduced model has no basis: its snapshots were replaced by their sketches, so it "
                           "gives outputs and error estimates but no fields; for fields run the study again in another "
                           "folder with [reduction] keep_snapshots = true")

    def sketched_gap(self, sketches: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """||Theta Q u - S x|| (b,), the sketched norm of u - V x, of sketches Theta Q u (s, b) and x (r, b)."""
        gap: np.ndarray = np.linalg.norm(sketches - self.state_sketch @ coefficients, axis=0)
        return gap

    def truncate(self, size: int) -> SketchedReducedModel:
        """The model on the first `size` basis vectors, by slicing alone."""
        small: Any = super().truncate(size)
        return replace(small, state_sketch=self.state_sketch[:, :small.size])

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is; there is no array "basis"."""
        _, arrays, metadata = super().to_arrays()
        del arrays["basis"]
        return KIND, arrays | {"state_sketch": self.state_sketch}, metadata | {"unknowns": self.unknowns}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> SketchedReducedModel:
        """The model that `to_arrays` described."""
        S = arrays["state_sketch"]
        model: Any = super().from_arrays(arrays | {"basis": np.empty((0, S.shape[1]))}, metadata)
        return replace(model, state_sketch=S, unknowns=int(metadata["unknowns"]))
