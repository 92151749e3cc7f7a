"""The decomposition of a mesh in a folder: one sealed file a part, the numbering, and an index; written once."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from romflow.core.errors import StoreError
from romflow.core.files import read_json, refused, write_json
from romflow.core.fingerprint import fingerprint
from romflow.dd.decomposition import Decomposition, PartData, decompose
from romflow.fom.cells import CellMesh, CellProblem
from romflow.store.artefact import read_artefact, write_artefact
from romflow.store.part_arrays import read_part_arrays, write_part_arrays

#: Folder of a store in which the decomposition is.
FOLDER = "decomposition"
FORMAT = "romflow-decomposition"
VERSION = 1
_STALE = 3600.0  # seconds after which a folder aside has no living writer


@dataclass(frozen=True)
class DecompositionIndex:
    """What is known of a decomposition without reading a part.

    Attributes
    ----------
    fingerprint : str
        SHA-256 of numbering, parts and subdomains: it stands in every snapshot.
    n, subdomains : int
    starts : (P + 1,) int64
        Part i owns the unknowns starts[i] .. starts[i + 1] - 1 of a state.
    closures : (P,) int64
        Unknowns that the cells of each part touch.
    disconnected : int
        Subdomains that consist of several pieces.
    floating : tuple of str
        Connected pieces of the mesh in which no value is fixed, in words.
    """

    fingerprint: str
    n: int
    subdomains: int
    starts: np.ndarray
    closures: np.ndarray
    disconnected: int
    floating: tuple[str, ...] = ()

    @property
    def parts(self) -> int:
        """Number of parts."""
        return int(self.closures.size)


@dataclass(frozen=True, eq=False)
class PartPiece:
    """One part: its place in the decomposition, its cells, and its share of the vectors.

    Attributes
    ----------
    data : PartData
    mesh : CellMesh
        The part's cells, own ones first, then the layer, in the order of `data.cells`.
    nodal : (n_i,) int32
        Nodal value of each of the part's unknowns, among those of `mesh`.
    rhs : (owned, Qf)
        Terms of the right-hand side on the unknowns that the part owns.
    outputs : (Ql, o, owned)
    """

    data: PartData
    mesh: CellMesh
    nodal: np.ndarray
    rhs: np.ndarray
    outputs: np.ndarray


def decomposed(problem: CellProblem, options: Mapping[str, Any]) -> Decomposition:
    """The decomposition of the whole mesh that the keys of [solver] ask for; the same for any number of ranks."""
    mesh = problem.mesh
    return decompose(problem.cell_dofs, mesh.cells, mesh.centroids, parts=options["parts"],
                     subdomains=options["subdomains"], overlap=options["overlap"], method=options["partition"])


def pieces(problem: CellProblem, whole: Decomposition) -> Iterator[PartPiece]:
    """The parts of a decomposed problem, one after the other."""
    rhs, outputs = problem.vectors(), problem.functionals()
    for i in range(whole.parts):
        data = whole.part(i)
        chosen = problem.mesh.cells[data.cells]
        numbers, places = np.unique(chosen, return_inverse=True)
        mesh = CellMesh(problem.mesh.points[numbers], places.reshape(chosen.shape).astype(np.int32),
                        problem.mesh.cell_type, problem.mesh.region[data.cells], problem.mesh.fixed[numbers])
        point, component = np.divmod(problem.nodal[data.natural], problem.components)
        nodal = (np.searchsorted(numbers, point) * problem.components + component).astype(np.int32)
        mine = data.natural[:data.owned]
        yield PartPiece(data, mesh, nodal, rhs[mine], outputs[:, :, mine])


def floating_pieces(problem: CellProblem) -> list[str]:
    """Connected pieces of the mesh in which no value is fixed, in words: size and centre."""
    cells = problem.mesh.cells
    edges = (np.repeat(cells[:, 0], cells.shape[1] - 1), cells[:, 1:].ravel())
    P = len(problem.mesh.points)
    count, piece = connected_components(sp.coo_array((np.ones(edges[0].size, dtype=np.int8), edges), shape=(P, P)),
                                        directed=False)
    of_cell = piece[cells[:, 0]]
    held = np.zeros(count, dtype=bool)
    held[of_cell[(problem.cell_dofs < 0).any(axis=1)]] = True
    return [f"{inside.size} cells around {np.round(problem.mesh.centroids[inside].mean(axis=0), 3).tolist()}"
            for number in np.flatnonzero(~held) if (inside := np.flatnonzero(of_cell == number)).size]


def write_decomposition(problem: CellProblem, options: Mapping[str, Any], folder: str | Path) -> DecompositionIndex:
    """Decompose a problem and write ``folder/decomposition``, all of it or nothing, unless it is there.

    Cost: the whole mesh is in memory here, and nowhere else. Of two that write at once the first one wins; the other
    finds what it has written.

    Raises
    ------
    StoreError
        Another decomposition is there, or the disk is full or refuses.
    """
    target = Path(folder) / FOLDER
    if target.is_dir():
        return read_index(problem, options, folder)
    _remove_stale(target)
    whole = decomposed(problem, options)
    aside = target.with_name(f"{FOLDER}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        closures = [_write_piece(aside, piece) for piece in pieces(problem, whole)]
        write_artefact(aside / "numbering.h5", "numbering", {"natural": whole.natural}, {})
        write_json(aside / "index.json", {
            "format": FORMAT, "version": VERSION, "identity": _identity(problem, options),
            "fingerprint": whole.fingerprint, "n": whole.n, "subdomains": whole.subdomains,
            "starts": whole.starts.tolist(), "closures": closures, "disconnected": int(whole.disconnected.size),
            "floating": floating_pieces(problem)})
        os.rename(aside, target)
    except OSError as error:
        if not target.is_dir():
            raise error if isinstance(error, StoreError) else refused("write", target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return read_index(problem, options, folder)


def read_index(problem: CellProblem, options: Mapping[str, Any], folder: str | Path) -> DecompositionIndex:
    """The index of ``folder/decomposition``, which is that of this problem with these options.

    Raises
    ------
    StoreError
        There is none, it is damaged, or it belongs to another mesh or other options.
    """
    file = Path(folder) / FOLDER / "index.json"
    if not file.is_file():
        raise StoreError(f"{file} is missing: the mesh of this study was not decomposed yet; run the study again.")
    found = read_json(file)
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise StoreError(f"{file} is not the index of a decomposition that this romflow reads; choose another folder.")
    if fingerprint(found.get("identity")) != fingerprint(_identity(problem, options)):
        raise StoreError(f"{file.parent} holds the decomposition of another mesh, or one with other parts, subdomains, "
                         "partition or overlap in [solver]; choose another --out folder.")
    return DecompositionIndex(str(found["fingerprint"]), int(found["n"]), int(found["subdomains"]),
                              np.array(found["starts"], dtype=np.int64), np.array(found["closures"], dtype=np.int64),
                              int(found["disconnected"]), tuple(found["floating"]))


def read_numbering(folder: str | Path) -> np.ndarray:
    """Natural number (n,) of each unknown of a state, from the file beside the parts."""
    return np.asarray(read_artefact(Path(folder) / FOLDER / "numbering.h5", ["natural"])[1]["natural"])


def read_piece(folder: str | Path, i: int) -> PartPiece:
    """Part i from its file.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    arrays, facts = read_part_arrays(Path(folder) / FOLDER, i)
    inner = {name.removeprefix("data/"): array for name, array in arrays.items() if name.startswith("data/")}
    mesh = CellMesh(arrays["points"], arrays["cells"], str(facts["cell_type"]), arrays["region"], arrays["fixed"])
    return PartPiece(PartData.from_arrays(inner), mesh, arrays["nodal"], arrays["rhs"], arrays["outputs"])


def _remove_stale(target: Path) -> None:
    """Remove what killed writers have left more than an hour ago."""
    for folder in target.parent.glob(f"{FOLDER}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE:
                shutil.rmtree(folder, ignore_errors=True)


def _write_piece(folder: Path, piece: PartPiece) -> int:
    mesh = piece.mesh
    arrays = {f"data/{name}": array for name, array in piece.data.to_arrays().items()}
    arrays |= {"points": mesh.points, "cells": mesh.cells, "region": mesh.region, "fixed": mesh.fixed,
               "nodal": piece.nodal, "rhs": piece.rhs, "outputs": piece.outputs}
    write_part_arrays(folder, piece.data.number, arrays, {"cell_type": mesh.cell_type})
    return piece.data.closure


def _identity(problem: CellProblem, options: Mapping[str, Any]) -> dict[str, Any]:
    names = ("parts", "subdomains", "partition", "overlap")
    return {"problem": problem.spec, **{name: options[name] for name in names}}
