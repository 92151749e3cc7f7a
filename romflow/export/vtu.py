"""Fields on the mesh for ParaView: basis modes and reduced solutions as point data of one .vtu file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import meshio
import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, NotSupported
from romflow.core.files import write_atomic
from romflow.core.mesh import Mesh
from romflow.core.names import shown
from romflow.export.facts import write_facts
from romflow.parameters.tables import read_table
from romflow.rom.dictionary.model import is_mechanics
from romflow.rom.model import ReducedModel
from romflow.rom.sketched import SketchedReducedModel

Array = NDArray[np.float64]

_PVD = ('<VTKFile type="Collection" version="0.1">', "  <Collection>", "  </Collection>", "</VTKFile>")


class Vtu:
    """Basis modes and reduced solutions as VTK's XML format for unstructured grids.

    Point data are ``mode_1 ..`` and ``solution`` (``solution_1 ..`` for several parameters), scalars, or vectors of
    three components where the model's field has more than one. Beside it ``<stem>_facts.json`` tells names, units,
    ranges, errors and the fingerprint of the study.

    Parameters
    ----------
    mu : str, path or rows of numbers, optional
        Parameters of the solutions: a table (CSV with their names as header, or .npy) or numbers (k, p); without it the
        centre of the parameter space.
    modes : int
        At most so many basis modes are written.
    times : bool
        For a model that moves in time: also a file ``<stem>_<number>.vtu`` for each stored time of the first
        parameter, and ``<stem>.pvd``, which ParaView opens as one series. Models of mechanics add plastic strain,
        stress and von Mises' stress, as means over cells (ParaView's filter "Warp By Vector" shows the deformed mesh).
    base : path
        Folder that a relative `mu` starts from.

    Raises
    ------
    ConfigError
        `modes` is not a whole number from 0, or `times` neither true nor false.

    Examples
    --------
    >>> Vtu(mu=[[0.5, 1.0]], modes=3).suffix
    '.vtu'
    """

    suffix = ".vtu"
    needs_fields = True

    def __init__(
        self,
        mu: str | Path | Sequence[Sequence[float]] | Sequence[float] | None = None,
        modes: int = 20,
        base: str | Path = ".",
        times: bool = False,
    ) -> None:
        if not isinstance(times, bool):
            raise ConfigError(f"vtu: times = {shown(times)} is neither true nor false; give one of them.")
        if isinstance(modes, bool) or not isinstance(modes, int) or modes < 0:
            raise ConfigError(f"vtu: modes = {shown(modes)} is not a whole number from 0; give one.")
        self.modes, self.times = modes, times
        self.mu = Path(base) / mu if isinstance(mu, str | Path) else mu

    def write(self, rom: ReducedModel, path: Path) -> list[Path]:
        """Write the fields of `rom` to `path`; the same model and options give the same bytes.

        Raises
        ------
        NotSupported
            The model has no mesh, or no basis to make fields from; `times` for a model at rest.
        InputError
            The parameters are not there or not within the space.
        StoreError
            The file cannot be written.
        """
        mesh = rom.mesh
        if isinstance(rom, SketchedReducedModel):
            rom.lift(np.zeros((rom.size, 1)))
        if mesh is None:
            raise NotSupported(
                "vtu needs the mesh of the full-order model, and this reduced model has none; "
                'give the model a `mesh`, or use format = "npz" or "csv".'
            )
        if self.times and not hasattr(rom, "times"):
            raise NotSupported("vtu: times = true is for models that move in time, and this one does not; leave it out")
        mu = self._parameters(rom)
        answer: Any = rom.solve(mu)
        solutions = rom.lift(answer.coefficients)
        names = ["solution"] if len(mu) == 1 else [f"solution_{i + 1}" for i in range(len(mu))]
        fields = {f"mode_{i + 1}": rom.basis[:, i] for i in range(min(self.modes, rom.size))}
        fields |= dict(zip(names, solutions.T, strict=True))
        write_atomic(Path(path), _image(mesh, {name: _on_points(mesh, state) for name, state in fields.items()}))
        series = self._series(rom, answer, mesh, Path(path)) if self.times else []
        return [Path(path), *series, write_facts(rom, path)]

    def _series(self, rom: Any, answer: Any, mesh: Mesh, path: Path) -> list[Path]:
        """A file for each stored time of the first parameter, and the list of them."""
        written, lines = [], []
        digits = len(str(len(answer.times) - 1))
        for k, t in enumerate(answer.times.tolist()):
            file = path.with_name(f"{path.stem}_{k:0{digits}d}.vtu")
            state = rom.lift(answer.trajectory[k, :, :1])[:, 0]
            cells = rom.cell_fields(answer, k) if is_mechanics(rom) else {}
            write_atomic(file, _image(mesh, {"solution": _on_points(mesh, state)}, cells))
            written.append(file)
            lines.append(f'    <DataSet timestep="{t!r}" part="0" file={quoteattr(file.name)}/>')
        listing = path.with_suffix(".pvd")
        write_atomic(listing, "\n".join([*_PVD[:2], *lines, *_PVD[2:], ""]).encode())
        return [*written, listing]

    def _parameters(self, rom: ReducedModel) -> Array:
        space = rom.parameters
        if self.mu is None:
            return space.centre()[None]
        return space.validate(read_table(self.mu, space.columns) if isinstance(self.mu, Path) else self.mu)


def _on_points(mesh: Mesh, state: Array) -> Array:
    """Values (P,) of a scalar field, or (P, 3) or (P, c) of one with more components."""
    values = mesh.nodal(state)[:, :, 0]
    if mesh.components == 1:
        return np.ascontiguousarray(values[:, 0])
    return np.pad(values, ((0, 0), (0, max(3 - mesh.components, 0))))


def _image(mesh: Mesh, point_data: dict[str, Array], cell_data: dict[str, Array] | None = None) -> bytes:
    points = np.pad(mesh.points, ((0, 0), (0, 3 - mesh.points.shape[1])))
    grid = meshio.Mesh(points, [(mesh.cell_type, mesh.cells)], point_data=point_data,
                       cell_data={name: [values] for name, values in (cell_data or {}).items()})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.vtu"
        meshio.write(file, grid, file_format="vtu")
        return file.read_bytes()
