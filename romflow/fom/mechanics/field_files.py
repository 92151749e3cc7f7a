"""Displacements at times from files of other codes: .frd, .npz, HDF5, series of XDMF and VTU, Muscat's formats."""

from __future__ import annotations

import contextlib
import io
import xml.etree.ElementTree as xml
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from romflow.core.errors import InputError
from romflow.core.names import nearest, one_line, shown
from romflow.fom.mechanics.calculix.frd import ResultFile, read_results
from romflow.fom.mechanics.calculix.run import converged_time
from romflow.store.array_file import ArrayFile

__all__ = ["CalculixFields", "FieldFile", "muscat_reader", "open_fields", "placement"]

Array = NDArray[np.float64]
#: Names under which a displacement is looked for where the study names none.
DISPLACEMENT = ("displacement", "displacements", "U", "u", "DISP", "Displacement", "disp")
# Coordinates in text files have six digits.
_NEAR = 2e-5


class FieldFile(Protocol):
    """One trajectory on the disk.

    Attributes
    ----------
    times : (K,)
        Rising.
    nodes : (N, D) or None
        Coordinates, where the file has them.
    """

    times: Array
    nodes: Array | None

    def displacement(self, k: int) -> Array:
        """Values (N, D) at the time of index k."""
        ...


def open_fields(path: str | Path, field: str | None = None) -> FieldFile:
    """The trajectory in a file, whose format its ending says.

    ``.frd``: CalculiX. ``.npz``, ``.h5``, ``.hdf5``: arrays "times" (K,) and `field` (K, N, d) or (K, N d), and "nodes"
    (N, d) if it has them. ``.xdmf``, ``.xmf``: a time series of meshio. ``.pvd``: a list of files with their times.
    Others, such as ``.ut`` (Zset) and ``.rst`` (Ansys): by the package Muscat, if it is installed.

    Parameters
    ----------
    path : path
    field : str, optional
        Name of the displacement in the file; one of :data:`DISPLACEMENT` where left out.

    Raises
    ------
    InputError
        The file cannot be read or has no such field or no times; Muscat is needed and not installed.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"the file {path} does not exist; check the index of the runs")
    makers: dict[str, Any] = {".frd": _of_calculix, ".npz": _Arrays, ".h5": _Arrays, ".hdf5": _Arrays, ".xdmf": _Series,
                              ".xmf": _Series, ".pvd": _Collection}
    opened: FieldFile = makers.get(path.suffix.lower(), _Muscat)(path, field)
    times = opened.times
    if times.ndim != 1 or not times.size or not np.isfinite(times).all() or (np.diff(times) <= 0.0).any():
        raise InputError(f"{path} has times that do not rise or are not finite; each needs one displacement")
    return opened


def placement(nodes: Array, file: FieldFile, who: Path) -> NDArray[np.int64]:
    """Row (N,) of the file's values for each node of the mesh: the same order, or the same place.

    Parameters
    ----------
    nodes : (N, d)
        Of the mesh.
    file : FieldFile
    who : path
        The file, for messages.

    Raises
    ------
    InputError
        The file was made on another mesh: another number of nodes, or a node that it does not have.
    """
    from scipy.spatial import cKDTree

    if file.nodes is None:
        count = len(file.displacement(0))
        if count != len(nodes):
            raise InputError(f"{who} has displacements of {count} nodes; the mesh has {len(nodes)}: give the mesh that "
                             "the run was made on")
        return np.arange(len(nodes))
    theirs = np.asarray(file.nodes, dtype=np.float64)[:, :nodes.shape[1]]
    near = _NEAR * float(np.ptp(nodes, axis=0).max())
    if theirs.shape == nodes.shape and np.abs(theirs - nodes).max() <= near:
        return np.arange(len(nodes))
    distance, rows = cKDTree(theirs).query(nodes)
    if distance.max() > near:
        worst = int(distance.argmax())
        place = ", ".join(f"{value:.6g}" for value in nodes[worst])
        raise InputError(f"{who} was made on another mesh: the node at ({place}) lies {distance.max():.3g} from the "
                         f"nearest of its {len(theirs)} nodes; give the mesh of the run, in the same unit of length")
    return np.asarray(rows, dtype=np.int64)


class CalculixFields:
    """Results of CalculiX up to the last increment that converged.

    Parameters
    ----------
    results : ResultFile
    converged : float
        Total time of that increment.
    field : str, optional
        Name of the displacement.
    """

    def __init__(self, results: ResultFile, converged: float = np.inf, field: str | None = None) -> None:
        self._results = results
        self._name = "displacement" if field is None else field
        self.times: Array = results.times[results.times <= converged * (1.0 + _NEAR)]
        self.nodes: Array | None = results.nodes

    def displacement(self, k: int) -> Array:
        """Values (N, 3) at the time of index k."""
        return self._results.at(self._name, k)

    def nodal(self, name: str, k: int) -> Array | None:
        """A field (N, c) of a name in `romflow.fom.mechanics.calculix.frd.FIELDS`; None where it was not written."""
        if name not in self._results.names():
            return None
        return self._results.near(name, float(self.times[k]))


def _of_calculix(path: Path, field: str | None) -> CalculixFields:
    """Of a run that was stopped, what is there; the status file says up to where it converged."""
    status = path.with_suffix(".sta")
    return CalculixFields(read_results(path), converged_time(status)[0] if status.is_file() else np.inf, field)


class _Arrays:
    """Plain arrays in .npz or HDF5."""

    def __init__(self, path: Path, field: str | None) -> None:
        self._path = path
        self._file = _Npz(path) if path.suffix.lower() == ".npz" else ArrayFile(path)
        if "times" not in self._file.shapes:
            raise InputError(f"{path} has no array 'times' (K,){nearest('times', self._file.shapes)}")
        self.times = np.ravel(self._file.read("times"))
        self._name = _named(path, list(self._file.shapes), field)
        shape = self._file.shapes[self._name]
        if len(shape) not in (2, 3) or shape[0] != self.times.size:
            raise InputError(f"{path} has {self._name!r} of shape {shape}; the rule is (K, N, d) with K = "
                             f"{self.times.size} times")
        self.nodes = self._file.read("nodes") if "nodes" in self._file.shapes else None

    def displacement(self, k: int) -> Array:
        values = self._file.read(self._name, slice(k, k + 1))[0]
        if values.ndim == 2:
            return values
        count = None if self.nodes is None else len(self.nodes)
        for d in (3, 2) if count is None else (values.size // count,):
            if d and values.size % d == 0:
                return values.reshape(-1, d)
        raise InputError(f"{self._path} has displacements of {values.size} numbers, which are no d a node; store them "
                         "as (K, N, d)")


class _Npz:
    """Arrays of numbers of a .npz file, each read once."""

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                self._arrays = {name: file[name] for name in file.files if file[name].dtype.kind in "iuf"}
        except (OSError, ValueError) as error:
            raise InputError(f"the file {path} cannot be read ({one_line(str(error), 120)}); write it with "
                             "numpy.savez") from error
        self.shapes = {name: array.shape for name, array in self._arrays.items()}

    def read(self, name: str, which: slice = slice(None)) -> Array:
        return np.asarray(self._arrays[name][which], dtype=np.float64)


class _Series:
    """A time series of XDMF."""

    def __init__(self, path: Path, field: str | None) -> None:
        import meshio

        self._path, self._field = path, field
        with _readable(path), meshio.xdmf.TimeSeriesReader(path) as reader:
            points, _ = reader.read_points_cells()
            self.nodes: Array | None = np.asarray(points, dtype=np.float64)
            self.times = np.array([reader.read_data(k)[0] for k in range(reader.num_steps)], dtype=np.float64)

    def displacement(self, k: int) -> Array:
        import meshio

        with _readable(self._path), meshio.xdmf.TimeSeriesReader(self._path) as reader:
            reader.read_points_cells()
            _, point_data, _ = reader.read_data(k)
        return np.asarray(point_data[_named(self._path, list(point_data), self._field)], dtype=np.float64)


class _Collection:
    """ParaView's list of files with their times (.pvd), the files in any format that meshio reads."""

    def __init__(self, path: Path, field: str | None) -> None:
        self._path, self._field = path, field
        try:
            entries = xml.parse(path).getroot().iter("DataSet")
            found = sorted((float(entry.attrib["timestep"]), entry.attrib["file"]) for entry in entries)
        except (xml.ParseError, KeyError, ValueError) as error:
            raise InputError(f"the file {path} is no list of files with their timestep ({error}); write a .pvd file"
                             ) from error
        self.times = np.array([time for time, _ in found])
        self._files = [path.parent / name for _, name in found]
        self.nodes: Array | None = None
        if self._files:
            self.nodes = np.asarray(self._read(0).points, dtype=np.float64)

    def displacement(self, k: int) -> Array:
        data = self._read(k).point_data
        return np.asarray(data[_named(self._files[k], list(data), self._field)], dtype=np.float64)

    def _read(self, k: int) -> Any:
        import meshio

        with _readable(self._files[k]):
            return meshio.read(self._files[k])


class _Muscat:
    """What Muscat reads: components U1, U2, U3 as nodal fields."""

    def __init__(self, path: Path, field: str | None) -> None:
        self._reader = muscat_reader(path)
        self._prefix = "U" if field is None else field
        self._path = path
        with _readable(path):
            self._reader.ReadMetaData()
            self.times = np.asarray(self._reader.GetAvailableTimes(), dtype=np.float64)
            self.nodes: Array | None = np.asarray(self._reader.Read([]).nodes, dtype=np.float64)

    def displacement(self, k: int) -> Array:
        known = getattr(self._reader, "node", None)
        d = 3 if self.nodes is None else self.nodes.shape[1]
        names = [f"{self._prefix}{i + 1}" for i in range(d)]
        with _readable(self._path):
            if known is None:
                return np.asarray(self._reader.ReadField(self._prefix, timeIndex=k), dtype=np.float64)
            found = [name for name in names if name in known]
            return np.column_stack([self._reader.ReadField(name, timeIndex=k) for name in found])


def muscat_reader(path: Path) -> Any:
    """Muscat's reader for the ending of a file.

    Raises
    ------
    InputError
        Muscat is not installed, or has no reader for this ending.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            from Muscat.IO.IOFactory import CreateReader, InitAllReaders

            InitAllReaders()
    except ImportError as error:
        raise InputError(f"the format of {path.name} is read by the package Muscat, which is not installed ({error}); "
                         "install it with pip install Muscat, or convert the run to .npz, .h5, .xdmf or .pvd") from None
    with _readable(path):
        reader = CreateReader(path.suffix)
        reader.SetFileName(str(path))
        return reader


@contextlib.contextmanager
def _readable(path: Path) -> Any:
    """Turn what a reader of another package raises or prints into one sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        reason = one_line(str(error), 200) or type(error).__name__
        raise InputError(f"the file {path} cannot be read ({reason}); check how it was written") from error


def _named(path: Path, names: Sequence[str], field: str | None) -> str:
    """The displacement among the names of a file."""
    for name in DISPLACEMENT if field is None else (field,):
        if name in names:
            return name
    wanted = "a displacement" if field is None else shown(field)
    raise InputError(f"{path} has no field {wanted}{nearest(field or 'displacement', names)} Name it with field = ...")
