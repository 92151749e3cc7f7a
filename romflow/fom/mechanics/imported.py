"""The model kind "imported": runs of another code as a folder of displacement fields, one file a parameter."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import ConfigError, InputError, SolveFailed
from romflow.core.fingerprint import file_fingerprint
from romflow.core.names import nearest, one_line, shown
from romflow.fom.mechanics.calculix.body import element_of
from romflow.fom.mechanics.calculix.inp import read_input
from romflow.fom.mechanics.field_files import muscat_reader, open_fields
from romflow.fom.mechanics.foreign import Foreign, MeshFields
from romflow.fom.mechanics.making import Description, Tables
from romflow.fom.mechanics.mesh_file import solid_of_meshio
from romflow.fom.mechanics.solid import Solid
from romflow.fom.protocol import short
from romflow.parameters.space import ParameterSpace

__all__ = ["Imported", "element_for", "read_index"]

Array = NDArray[np.float64]
# Share by which a parameter may differ from that of a run.
_SAME = 1e-9
_ROW = "{row}"
_MUSCAT = (".geof", ".geo", ".ut", ".utp", ".rst", ".cdb", ".odb")


class Imported(Foreign):
    """Displacements that somebody else solved, with the problem that they belong to described in the study.

    The displacements at the times of [time] are read, the law is integrated along them, and everything that a
    reduction needs is rebuilt from that. A parameter that is not in the index cannot be solved: sample with
    ``method = "file"``. The first time may be missing in a file: the body is undeformed then.

    Parameters
    ----------
    parameters : ParameterSpace
    path : str
        Folder with the files of the runs, relative to the study.
    law, mesh, element, supports, loads, temperature, amplitudes, outputs, reference_force
        The problem, as of the kind "mechanics". `mesh` may also be a file that Muscat reads.
    index : str
        Table in that folder: the columns of the parameters, and "file". [sampling] may read it too.
    files : str, optional
        Name of a run's file with ``{row}``, its row in the index from 0, where the index has no column "file".
    field : str, optional
        Name of the displacement in the files.
    scale : float
        Unit of the displacements in units of the mesh.
    balance : float
        Share of the forces that the described loading may leave unbalanced.
    norm : {"L2", "H1"}
    base : path

    Raises
    ------
    ConfigError, InputError
        An option is wrong; the index cannot be read or names files that are not there.
    """

    def __init__(self, parameters: ParameterSpace, path: str, law: Mapping[str, Any],
                 mesh: str | Mapping[str, Any] | None = None, element: str | None = None, supports: Tables = (),
                 loads: Tables = (), temperature: Any = None, amplitudes: Mapping[str, Any] | Tables = (),
                 outputs: Tables = (), reference_force: float = 0.0, index: str = "index.csv",
                 files: str | None = None, field: str | None = None, scale: float = 1.0, balance: float = 0.02,
                 norm: str = "L2", base: str | Path = ".") -> None:
        folder = Path(base, path)
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0.0 < scale < np.inf:
            raise ConfigError(f"scale = {shown(scale)}; the rule is a number above 0: the unit of the displacements in "
                              "units of the mesh")
        self._mu, self._runs = read_index(folder, index, files, parameters)
        self._field, self._scale = field, float(scale)
        about = Description(law, mesh, element_for(mesh, element, base), supports, loads, temperature, amplitudes,
                            outputs, reference_force)
        stamps = [[run.name, run.stat().st_size, run.stat().st_mtime_ns] for run in self._runs]
        super().__init__(parameters, about, _solid(about, base), base, norm, balance,
                         {"kind": "imported", "index": file_fingerprint(folder / index), "runs": stamps,
                          "field": field, "scale": self._scale})
        self.files = (*self.files, folder / index, *self._runs)

    def fields(self, mu: Array, times: Array) -> tuple[MeshFields, SolveFailed | None]:
        """The run at mu (p,).

        Raises
        ------
        SolveFailed
            There is none; the message names the nearest.
        InputError
            Its file cannot be read, or belongs to another mesh.
        """
        distance = np.abs(self._mu - mu).max(axis=1) / np.maximum(np.abs(self._mu).max(axis=1), 1e-300)
        k = int(distance.argmin())
        if distance[k] > _SAME:
            raise SolveFailed(f"no run was imported for mu = {short(mu)}; the nearest of {len(self._runs)} is at "
                              f"{short(self._mu[k])}: take the parameters from the index ([sampling] method = "
                              "\"file\"), or import this run", {"mu": mu.tolist()})
        run = self._runs[k]
        return MeshFields(open_fields(run, self._field), self.mechanics.space.nodes, run, self._scale), None


def element_for(mesh: Any, element: str | None, base: str | Path) -> str | None:
    """The element of a study: as named, else that of an input file of CalculiX, else None.

    Raises
    ------
    ConfigError
        The input file has elements with other strains than any here, and the study names none.
    """
    if element is not None or not isinstance(mesh, str) or Path(mesh).suffix.lower() != ".inp":
        return element
    file = read_input(Path(base, mesh))
    found = element_of(file)
    if found is None:
        raise ConfigError(f"{mesh} has elements of the type {file.mesh()[2]}, whose strains are not known here; name "
                          "the nearest element, such as element = \"hex8-bbar\" for C3D8I and C3D8R: stresses then "
                          "differ, and the balance of forces says by how much")
    return found


def read_index(folder: Path, index: str, files: str | None, parameters: ParameterSpace
               ) -> tuple[Array, tuple[Path, ...]]:
    """Parameters (k, p) and files of the runs in an index.

    Raises
    ------
    InputError
        The folder, the index or a file is missing; a column is missing or unknown; a value is no number.
    ConfigError
        Neither the index nor `files` says which files there are.
    ParameterError
        A parameter is outside the space.
    """
    place = folder / index
    try:
        with open(place, newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.reader(stream) if any(word.strip() for word in row)]
    except OSError as error:
        raise InputError(f"the index {place} of the runs cannot be read ({error.strerror}); write a table with the "
                         "columns of the parameters and file") from error
    head = [word.strip() for word in rows[0]] if rows else []
    known = [*parameters.columns, "file"]
    for name in head:
        if name not in known:
            raise InputError(f"{place} has a column {shown(name)}{nearest(name, known)}")
    missing = [name for name in parameters.columns if name not in head]
    if missing or len(rows) < 2:
        raise InputError(f"{place} has {max(len(rows) - 1, 0)} runs and the columns {', '.join(head) or 'none'}; it "
                         f"needs {', '.join(known)}, and one row a run")
    if any(len(row) != len(head) for row in rows):
        raise InputError(f"{place} has rows of other lengths than its head; write one value a column")
    if ("file" in head) == (files is not None) or (files is not None and _ROW not in files):
        raise ConfigError(f"files = {shown(files)}, and {place} has {'a' if 'file' in head else 'no'} column file; the "
                          "rule is one of both: a column, or files = \"run-{row}.frd\"")
    table = [dict(zip(head, row, strict=True)) for row in rows[1:]]
    names = [row["file"].strip() if files is None else files.replace(_ROW, str(i)) for i, row in enumerate(table)]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise InputError(f"{place} names {shown(absent[0])}, which is not in {folder} ({len(absent)} such files); copy "
                         "the runs there")
    try:
        mu = np.array([[float(row[name]) for name in parameters.columns] for row in table])
    except ValueError as error:
        raise InputError(f"{place}: {one_line(str(error), 100)}; give numbers") from None
    return parameters.validate(mu), tuple(folder / name for name in names)


def _solid(about: Description, base: str | Path) -> Solid:
    """The body, read by Muscat where the mesh has a format of its own."""
    if not isinstance(about.mesh, str) or Path(about.mesh).suffix.lower() not in _MUSCAT:
        return about.solid(base)
    path = Path(base, about.mesh)
    if not path.is_file():
        raise InputError(f"the mesh {path} does not exist; check the path")
    reader = muscat_reader(path)
    if hasattr(reader, "ReadMetaData"):
        reader.ReadMetaData()
    mesh = reader.Read([]) if path.suffix.lower().startswith(".ut") else reader.Read()
    from Muscat.Bridges.MeshIOBridge import MeshToMeshIO

    return solid_of_meshio(MeshToMeshIO(mesh), str(path))
