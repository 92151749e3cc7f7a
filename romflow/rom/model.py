"""What every reduced model answers, whatever it was built from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from romflow.core.errors import InputError, ShapeError
from romflow.core.mesh import Mesh
from romflow.parameters.space import ParameterSpace
from romflow.store.split_array import SplitArray
from romflow.store.split_model import write_model


@dataclass(frozen=True)
class Answer:
    """Answer of a reduced model for b parameters.

    Attributes
    ----------
    output : (o, b)
    error : (b,)
        Bound or indicator of the state error ||u - V x||_X, as `kind` says; NaN where kind is None.
    kind : "bound", "indicator" or None
    coefficients : (r, b)
    norm : (b,)
        ||V x||_X of the reduced state.
    output_error : (o, b) or None
        The same kind of statement for each output.
    interpolation_error : (b,) or None
        The part of `error` that interpolated coefficients make, which no further basis vector lowers.
    """

    output: np.ndarray
    error: np.ndarray
    kind: str | None
    coefficients: np.ndarray
    norm: np.ndarray
    output_error: np.ndarray | None = None
    interpolation_error: np.ndarray | None = None

    @property
    def relative_error(self) -> np.ndarray:
        """Estimate of ||u - V x|| / ||u|| (b,): error / (norm - error), infinite where the error reaches the norm.

        A bound when `kind` is "bound", because ||u|| >= ||V x|| - ||u - V x||.
        """
        room = self.norm - self.error
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(room > 0.0, self.error / np.where(room > 0.0, room, 1.0), np.inf)
        return np.where(np.isnan(self.error), np.nan, ratio)


@runtime_checkable
class ReducedModel(Protocol):
    """A small model that stands for a full-order one; `romflow.load` gives one back from its file."""

    @property
    def parameters(self) -> ParameterSpace: ...

    @property
    def output_names(self) -> tuple[str, ...]: ...

    @property
    def basis(self) -> np.ndarray | SplitArray: ...

    @property
    def norm_name(self) -> str: ...

    @property
    def mesh(self) -> Mesh | None: ...

    @property
    def metadata(self) -> dict[str, Any]: ...

    @property
    def size(self) -> int: ...

    @property
    def n(self) -> int: ...

    @property
    def error_kind(self) -> str | None: ...

    def solve(self, mu: Any, check: bool = True) -> Answer: ...

    def lift(self, coefficients: np.ndarray) -> np.ndarray: ...

    def truncate(self, size: int) -> ReducedModel: ...

    def save(self, path: str | Path) -> Path: ...

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]: ...


class BasisModel:
    """What reduced models with a basis V (n, r) share: their size, lifting, and their file."""

    basis: np.ndarray | SplitArray

    @property
    def size(self) -> int:
        """Number r of basis vectors."""
        return int(self.basis.shape[1])

    @property
    def n(self) -> int:
        """Number of full-order unknowns."""
        return int(self.basis.shape[0])

    def lift(self, coefficients: np.ndarray) -> np.ndarray:
        """Full-order states V x (n, b) of coefficients (r, b).

        Raises
        ------
        ShapeError
            The coefficients are not (r, b).
        """
        x = np.asarray(coefficients, dtype=float)
        if x.ndim != 2 or x.shape[0] != self.size:
            raise ShapeError(f"coefficients have shape {x.shape}; the rule is ({self.size}, b), one column a state")
        return np.asarray(self.basis @ x)

    def to_arrays(self) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
        """Kind, arrays and JSON metadata: all that the model is."""
        raise NotImplementedError

    def save(self, path: str | Path) -> Path:
        """Write the model to one HDF5 file, which `romflow.load` and plain h5py read; parts of a basis go beside it."""
        write_model(Path(path), *self.to_arrays())
        return Path(path)


def truncated_size(rom: ReducedModel, size: int) -> int:
    """The size to truncate to, checked.

    Raises
    ------
    InputError
        `size` is not within 0 .. rom.size.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 0 <= size <= rom.size:
        raise InputError(f"a reduced model of size {rom.size} cannot be truncated to {size!r}; "
                         f"choose a whole number from 0 to {rom.size}")
    return int(size)


def mesh_arrays(mesh: Mesh) -> dict[str, np.ndarray]:
    """The arrays of a mesh, in the group "mesh" of a model file."""
    return {f"mesh/{key}": value for key, value in mesh.to_arrays().items()}


def mesh_from(arrays: dict[str, np.ndarray]) -> Mesh | None:
    """The mesh in the group "mesh", None where there is none."""
    own = {key.removeprefix("mesh/"): value for key, value in arrays.items() if key.startswith("mesh/")}
    return Mesh.from_arrays(own) if own else None
